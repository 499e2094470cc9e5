"""Token scores at rest, so that another splitter scores nothing again.

    STORE/tokens/<model-key>/<dataset>/bucket=0007/<part-key>.parquet

What a model gives a token does not depend on how sentences are cut, but a part's key does. So a part's
file holds the traces that were scored for that part, and any other part of the bucket finds them there by
trace_id: all candidates of a prompt share a bucket, whatever cut them. A part whose traces all lie in
other parts' files has a file without rows.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rdpt_ray.errors import DamagedError
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.parts import bucket_slices
from rdpt_ray.storage.schemas import TOKENS
from rdpt_ray.storage.scores import is_passing


@dataclass(frozen=True, slots=True)
class StoredTokens:
    """One model's scores of one trace, token by token; the arrays are empty beside an error."""

    spans: NDArray[np.int64]
    """[tokens, 2] half-open character offsets in the response."""
    logprobs: NDArray[np.float32]
    """[tokens] nats."""
    ranks: NDArray[np.int32] | None
    """[tokens], or None where the signal was not asked for."""
    briers: NDArray[np.float32] | None
    """[tokens], or None where the signal was not asked for."""
    num_prompt_tokens: int
    error: str | None = None


def token_name(model_key: str, dataset: str, bucket: int, part_key: str) -> str:
    """Where the token scores lie that one model gave for a part."""
    return f"{_bucket_folder(model_key, dataset, bucket)}/{part_key}.parquet"


def _bucket_folder(model_key: str, dataset: str, bucket: int) -> str:
    return f"tokens/{model_key}/{dataset}/bucket={bucket:04d}"


def parts_with_tokens(root: Root, model_key: str, dataset: str, num_parts: int = 0) -> set[str]:
    """Part-keys of a dataset that have a file of token scores of this model.

    Of a part that one of several teachers has read, it holds only the traces that this one wrote.

    Args:
        root: The store.
        model_key: Which model.
        dataset: Which dataset.
        num_parts: About how many parts there may be; of many, files are listed faster.
    """
    names = root.names(f"tokens/{model_key}/{dataset}", bucket_slices(num_parts))
    return {name.rsplit("/", 1)[-1].removesuffix(".parquet") for name in names}


def stored_tokens(root: Root, model_key: str, dataset: str, bucket: int) -> dict[str, str]:
    """trace_id -> name of the file that holds its token scores, over one bucket.

    A trace with an error that another attempt may mend is not among them.
    """
    found: dict[str, str] = {}
    for name in root.names(_bucket_folder(model_key, dataset, bucket)):
        for row in root.read_table(name, columns=["trace_id", "error"]).to_pylist():
            if not is_passing(row["error"]):
                found.setdefault(row["trace_id"], name)
    return found


def read_tokens(
    root: Root, names: Iterable[str], trace_ids: Collection[str]
) -> dict[str, StoredTokens]:
    """The token scores of some traces.

    Args:
        root: The store.
        names: The files to look in.
        trace_ids: Whose scores; those that no file holds are left out, and those with an error that
            another attempt may mend.

    Raises:
        DamagedError: naming the file, if it is unreadable or not of the schema TOKENS.
    """
    wanted = pc.field("trace_id").isin(pa.array(list(trace_ids), pa.string()))
    found: dict[str, StoredTokens] = {}
    for name in sorted(set(names)):
        table = root.read_table(name)
        if not table.schema.equals(TOKENS):
            raise DamagedError(
                f"{root.show(name)}: expected the columns {', '.join(TOKENS.names)}, found"
                f" {', '.join(table.schema.names)}; delete it and rerun to score its traces again"
            )
        kept = table.filter(wanted)
        for row in range(kept.num_rows):
            if not is_passing(kept.column("error")[row].as_py()):
                found.setdefault(kept.column("trace_id")[row].as_py(), _parsed(kept, row))
    return found


def tokens_table(tokens: dict[str, StoredTokens]) -> pa.Table:
    """Token scores as a table of the schema TOKENS, in the given order.

    Args:
        tokens: trace_id -> its scores.
    """
    scored = [None if each.error else each for each in tokens.values()]
    columns = [
        pa.array(list(tokens), pa.string()),
        _lists("starts", [None if each is None else each.spans[:, 0] for each in scored]),
        _lists("ends", [None if each is None else each.spans[:, 1] for each in scored]),
        _lists("logprobs", [None if each is None else each.logprobs for each in scored]),
        _lists("ranks", [None if each is None else each.ranks for each in scored]),
        _lists("briers", [None if each is None else each.briers for each in scored]),
        pa.array([each.num_prompt_tokens for each in tokens.values()], pa.int32()),
        pa.array([each.error for each in tokens.values()], pa.string()),
    ]
    return pa.table(columns, schema=TOKENS)


def _lists(name: str, values: list[NDArray[np.generic] | None]) -> pa.Array:
    kind = TOKENS.field(name).type
    item = kind.value_type.to_pandas_dtype()
    offsets = np.cumsum([0, *(0 if each is None else len(each) for each in values)])
    flat = np.concatenate([np.empty(0, item), *(each for each in values if each is not None)])
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()),
        pa.array(flat.astype(item)),
        type=kind,
        mask=pa.array([each is None for each in values], pa.bool_()),
    )


def _parsed(table: pa.Table, row: int) -> StoredTokens:
    def values(name: str) -> NDArray[np.generic] | None:
        items = table.column(name)[row].values
        return None if items is None else items.to_numpy(zero_copy_only=False)

    starts, ends, logprobs = values("starts"), values("ends"), values("logprobs")
    nothing = np.empty(0, np.int64)
    return StoredTokens(
        np.stack([nothing if each is None else each for each in (starts, ends)], axis=1).astype(
            np.int64
        ),
        nothing.astype(np.float32) if logprobs is None else logprobs.astype(np.float32),
        values("ranks"),  # pyright: ignore[reportArgumentType]
        values("briers"),  # pyright: ignore[reportArgumentType]
        table.column("num_prompt_tokens")[row].as_py(),
        table.column("error")[row].as_py(),
    )
