"""What a student is trained on: selected traces, rendered and tokenised as they are scored and sampled.

The prompt is read; what is learnt is all that the model itself is to write behind it: the markup around
reasoning and answer, both halves, and the token that ends its turn.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import ray

from rdpt_ray.config import CurateConfig
from rdpt_ray.errors import ConfigError, InputError, StoreError
from rdpt_ray.input_config import InputConfig
from rdpt_ray.pipeline.distill_order import IGNORED
from rdpt_ray.pipeline.job import open_job
from rdpt_ray.publish.release import RELEASE
from rdpt_ray.scoring.encoding import TEMPLATE_FAULTS, TraceEncoder
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.scoring.loading import encoder_of
from rdpt_ray.scoring.turn_end import end_of_turn
from rdpt_ray.storage.files import Root, open_root, public_uri
from rdpt_ray.storage.ingested import read_file
from rdpt_ray.storage.inputs import check_columns, list_inputs
from rdpt_ray.storage.runs import MANIFEST, parsed, read_json
from rdpt_ray.storage.sources import InputFile

EXAMPLES = pa.schema(
    [pa.field("input_ids", pa.list_(pa.int32())), pa.field("labels", pa.list_(pa.int32()))]
)
"""One row per example, as TRL takes what is tokenised already; a label is a token's own id, or IGNORED."""

FEW_FILES = 8
"""So many are encoded here before processes for it have started; a small run has as many buckets."""

_COLUMNS = ["messages", "response", "answer_start", "complete", "license"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the traces are, and where they come from."""

    root: Root
    """A run's folder, or that of a published dataset."""
    files: tuple[str | InputFile, ...]
    """Tables of a run by their names, or files of a dataset."""
    run: str
    """The run that selected them."""
    version: str
    """What stands for the selected rows: the run's id, or that of the release."""
    manifest_sha256: str
    manifest: dict[str, Any]

    @property
    def uri(self) -> str:
        """The folder, for people."""
        return public_uri(self.root.uri)


@dataclass(slots=True)
class Examples:
    """What a source came to.

    Attributes:
        table: Schema EXAMPLES, in the order of the source.
        left_out: Why -> how many traces.
        licenses: Licence, as the rows name it -> how many examples.
    """

    table: pa.Table = field(default_factory=EXAMPLES.empty_table)
    left_out: Counter[str] = field(default_factory=Counter)
    licenses: Counter[str | None] = field(default_factory=Counter)

    @property
    def num_learnt(self) -> int:
        """Tokens that are learnt in one pass over all examples."""
        labels = self.table.column("labels").combine_chunks().flatten().to_numpy()
        return int((labels != IGNORED).sum())


def open_source(config: CurateConfig, data: str | None) -> Source:
    """Find the traces that are to be learnt.

    Args:
        config: The whole experiment.
        data: A finished run's folder or a published dataset's; None: the run of this config.

    Raises:
        ConfigError: if there is no such thing, with what to do.
    """
    if data is None:
        job = open_job(config, "curate")
        if not job.is_finished:
            raise ConfigError(
                f"distill.data: {job.store.show(job.folder)} is the run of this config, and it is not"
                " finished; run `rdpt curate` with the same config first, or name a finished run or a"
                " published dataset in distill.data"
            )
        return _opened(job.store.inside(job.folder))
    return _opened(open_root(data))


def _opened(root: Root) -> Source:
    shown = public_uri(root.uri)
    if not root.exists(MANIFEST):
        raise ConfigError(
            f"distill.data: {shown}: expected the folder of a finished run (STORE/runs/RUN) or a dataset"
            f" that `rdpt publish` wrote, but there is no {MANIFEST} in it"
        )
    content = root.read_bytes(MANIFEST)
    manifest = parsed(root, MANIFEST, content)
    run = manifest["facts"]["run_id"]
    files: list[str] | list[InputFile]
    if root.exists(RELEASE):
        files = _published_files(root)
        version = read_json(root, RELEASE)["release_id"]
    else:
        files, version = root.names("selected"), run
    if not files:
        raise ConfigError(f"distill.data: {shown}: holds no selected traces")
    return Source(root, tuple(files), run, version, hashlib.sha256(content).hexdigest(), manifest)


def _published_files(root: Root) -> list[InputFile]:
    """The shards of the format `messages`, which holds all of a trace; it is the default, or has a folder."""
    folder = "messages" if root.names("messages") else "data"
    config = _as_published(f"{root.uri.rstrip('/')}/{folder}")
    files = list_inputs(config)
    try:
        check_columns(files, config)
    except InputError as error:
        raise ConfigError(
            f"distill.data: {public_uri(root.uri)}: is not published in the format messages ({error}); add it"
            " to publish.formats and publish again, or name the run"
        ) from error
    return files


def _as_published(path: str) -> InputConfig:
    return InputConfig(path=path, format="rdpt-published")


def read_examples(source: Source, identity: ModelIdentity, max_length: int) -> Examples:
    """Encode all traces of a source; many files at once, in Ray tasks.

    Args:
        source: Where they are.
        identity: The student.
        max_length: Tokens that an example may have.

    Raises:
        InputError: if nothing is left, with what was left out.
    """
    if len(source.files) <= FEW_FILES:
        found = [encode_file(source, each, identity, max_length) for each in source.files]
    else:
        task = ray.remote(num_cpus=1)(encode_file)
        found = ray.get([task.remote(source, each, identity, max_length) for each in source.files])
    examples = Examples(pa.concat_tables([each.table for each in found]))
    for each in found:
        examples.left_out += each.left_out
        examples.licenses += each.licenses
    if not examples.table.num_rows:
        told = ", ".join(f"{count} {why}" for why, count in examples.left_out.items())
        raise InputError(
            f"{source.uri}: no trace is left to learn from ({told or 'there are none'})"
        )
    return examples


def encode_file(
    source: Source, file: str | InputFile, identity: ModelIdentity, max_length: int
) -> Examples:
    """Body of the encoding tasks: one file's traces."""
    examples, tables = Examples(), []
    encoder = encoder_of(identity)
    end = end_of_turn(encoder)
    for table in _tables(source.root, file):
        rows = []
        for row in table.to_pylist():
            try:
                ids, labels = encode_example(row, encoder, end)
            except TEMPLATE_FAULTS:
                examples.left_out["not_rendered"] += 1
                continue
            if len(ids) > max_length:
                examples.left_out["too_long"] += 1
                continue
            examples.licenses[row["license"]] += 1
            rows.append({"input_ids": ids, "labels": labels})
        tables.append(pa.Table.from_pylist(rows, schema=EXAMPLES))
    examples.table = pa.concat_tables(tables) if tables else examples.table
    return examples


def encode_example(
    row: dict[str, Any], encoder: TraceEncoder, end: int
) -> tuple[list[int], list[int]]:
    """A trace as token ids and labels, of equal length.

    Args:
        row: With messages, response, answer_start and complete.
        encoder: The student's.
        end: Id of the token that ends its turn; a response that was cut is not ended with it.

    Raises:
        Exception: one of TEMPLATE_FAULTS, if the template refuses the messages.
    """
    messages = row["messages"]
    sequence = encoder.encode(messages, row["response"], row["answer_start"]).sequence
    ids = [*sequence.prompt_ids, *sequence.response_ids]
    if row["complete"] is not False:
        ids.append(end)
    # Not `sequence.prompt_ids`: where the template does not open the reasoning, the model must.
    num_read = len(encoder.prompt_ids(messages))
    return ids, [IGNORED] * num_read + ids[num_read:]


def _tables(root: Root, file: str | InputFile) -> Iterator[pa.Table]:
    """The traces of one file, a few hundred at a time."""
    if isinstance(file, str):
        yield root.read_table(file, _COLUMNS)
        return
    for table in read_file(file, _as_published(file.uri), split=lambda text: [(0, len(text))]):
        if fault := next(filter(None, table.column("reason").to_pylist()), None):
            raise StoreError(f"{file.uri}: holds what was never published there ({fault})")
        yield table.select(_COLUMNS)
