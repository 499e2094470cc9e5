"""Whether a part, and what was derived from it, is what its names say: texts, spans, ids, lists, numbers."""

from collections.abc import Sequence

import pyarrow as pa

from rdpt_ray.errors import DamagedError
from rdpt_ray.storage.damage import Damage, Finding, damages, read_checked
from rdpt_ray.storage.derived_checks import check_token_rows, check_verdict_rows
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.parts import bucket_folder, part_key
from rdpt_ray.storage.places import Place
from rdpt_ray.storage.schemas import CONTENT, SCORES, TOKENS, TRACES
from rdpt_ray.storage.score_checks import PartShape, check_score_rows, shape_of
from rdpt_ray.storage.scores import partial_folder, score_name
from rdpt_ray.storage.trace_checks import check_part_rows
from rdpt_ray.storage.verified import VERIFIED


def check_part(
    root: Root, dataset: str, bucket: int, key: str, num_buckets: int | None = None
) -> list[Damage]:
    """Whether a part is readable, and holds the traces that its key says.

    Args:
        root: The store.
        dataset: The dataset it belongs to.
        bucket: The bucket it lies in.
        key: Its part-key.
        num_buckets: Of the dataset; None: not looked at.

    Raises:
        StoreError: if it cannot be read, which says nothing about what is in it.
    """
    return open_part(root, dataset, bucket, key, num_buckets)[1]


def open_part(
    root: Root, dataset: str, bucket: int, key: str, num_buckets: int | None = None
) -> tuple[pa.Table | None, list[Damage]]:
    """The same, with the part's rows; None if nothing can be said of them."""
    name = f"{bucket_folder(dataset, bucket)}/{key}.parquet"
    table, findings = read_checked(root, name, TRACES)
    if table is None:
        return None, damages(name, findings)
    findings = check_part_rows(table, _splitter(table), key, bucket, num_buckets)
    return None if findings else table, damages(name, findings)


def read_content(root: Root, dataset: str, bucket: int, key: str) -> pa.Table:
    """The columns CONTENT of a part, once it is certain that they are the traces that its key says.

    That each text is the one of its trace_id goes by the file's checksum.

    Args:
        root: The store.
        dataset: The dataset it belongs to.
        bucket: The bucket it lies in.
        key: Its part-key.

    Raises:
        DamagedError: naming the file, if it holds anything else.
        StoreError: if it cannot be read, which says nothing about what is in it.
    """
    name = f"{bucket_folder(dataset, bucket)}/{key}.parquet"
    table = root.read_table(name, [field.name for field in CONTENT])
    splitter = _splitter(table)
    if splitter is None or table.column("sentences").null_count:
        found = "no splitter, or a trace without sentences"
    else:
        found = part_key(table, splitter)
    if found != key:
        raise DamagedError(
            f"{root.show(name)}: expected traces whose part-key is {key}, found {found}; delete it and run"
            " its job again: ingestion writes its traces again"
        )
    return table


def _splitter(table: pa.Table) -> str | None:
    """What a part says cut its sentences."""
    told = (table.schema.metadata or {}).get(b"splitter")
    return None if told is None else told.decode("utf-8", "replace")


def check_scores(
    root: Root,
    model_key: str,
    key: str,
    traces: pa.Table,
    signals: Sequence[str] | None = None,
) -> list[Damage]:
    """Whether what a model said of a part, whole or in pieces, is about it and possible.

    Args:
        root: The store.
        model_key: Whose scores; none at all are no damage.
        key: The part.
        traces: Its rows, with the columns trace_id, sentences and response.
        signals: What the model measures beside log-probabilities; None: unknown.

    Raises:
        StoreError: if a file cannot be read, which says nothing about what is in it.
    """
    shape = shape_of(traces)
    whole = [score_name(model_key, key)] if root.exists(score_name(model_key, key)) else []
    found: list[Damage] = []
    for name in (*whole, *root.names(partial_folder(model_key, key))):
        kind = "scores" if name in whole else "partial"
        found += check_derived(root, name, Place(kind, model_key, part=key), shape, signals)
    return found


def check_derived(
    root: Root,
    name: str,
    place: Place,
    shape: PartShape | None,
    signals: Sequence[str] | None = None,
) -> list[Damage]:
    """Whether a file derived from a part is about it and possible.

    Args:
        root: The store.
        name: The file.
        place: What it is: scores, partial, tokens or verified.
        shape: The part's; None: it is not there, or damaged.
        signals: What the model measures beside log-probabilities; None: unknown.

    Raises:
        StoreError: if it cannot be read, which says nothing about what is in it.
    """
    table, findings = read_checked(root, name, _SCHEMAS[place.kind])
    if table is not None:
        findings = _check_rows(table, place, shape, signals)
    return damages(name, findings)


_SCHEMAS = {"scores": SCORES, "partial": SCORES, "tokens": TOKENS, "verified": VERIFIED}


def _check_rows(
    table: pa.Table, place: Place, shape: PartShape | None, signals: Sequence[str] | None
) -> list[Finding]:
    if place.kind == "tokens":
        return check_token_rows(table, shape)
    if place.kind == "verified":
        return check_verdict_rows(table, shape, place.owner)
    told = (table.schema.metadata or {}).get(b"model")
    if told not in (None, place.owner.encode()):  # files of earlier versions do not say
        return [(f"scores of {place.owner}", f"those of {told.decode('utf-8', 'replace')}")]
    return check_score_rows(table, shape, is_whole=place.kind == "scores", signals=signals)
