"""What ingestion will make of each input file, and why, told before anything is run."""

from collections.abc import Mapping
from dataclasses import dataclass

from rdpt_ray.storage.column_types import Types
from rdpt_ray.storage.columns import INTO_METADATA, explain_missing, missing_columns
from rdpt_ray.storage.explain_rows import Rows, look_at
from rdpt_ray.storage.input_spec import InputSpec
from rdpt_ray.storage.inputs import list_inputs
from rdpt_ray.storage.layouts import PLAIN
from rdpt_ray.storage.reading import Reading, choose_reading, read_types
from rdpt_ray.storage.recognise import explain_unknown, lacking
from rdpt_ray.storage.sources import InputFile


@dataclass(frozen=True, slots=True)
class Explanation:
    """One file.

    Attributes:
        file: Its address.
        format: `parquet` or `jsonl`, with the compression behind a dot.
        layout, dataset, note: See `layouts.Layout`.
        why: One sentence per piece of evidence.
        advice: What to do when the columns are not enough for a trace.
        columns: Input column -> (what it holds, what it becomes); nothing for one that is not read.
        rows: What the first rows come to.
    """

    file: str
    format: str
    layout: str
    dataset: str
    note: str
    why: list[str]
    advice: str
    columns: dict[str, tuple[str, list[str]]]
    rows: Rows


def explain_input(config: InputSpec, *, max_files: int | None = None) -> list[Explanation]:
    """Look at the first rows of each input file.

    Args:
        config: As for `list_inputs` and `read_file`.
        max_files: Explain only the first files.

    Raises:
        ConfigError: if `input.columns` maps an unknown canonical name.
        InputError: if a path is wrong, or a file system fails. What a file holds never raises.
    """
    return [_explain(file, config) for file in list_inputs(config)[:max_files]]


def _explain(file: InputFile, config: InputSpec) -> Explanation:
    types = read_types(file)
    reading = choose_reading(config, types, file.uri)
    return Explanation(
        file=file.uri,
        format=f"{file.format}.{file.compression}" if file.compression else file.format,
        layout=reading.layout.name,
        dataset=reading.layout.dataset,
        note=reading.layout.note,
        why=list(reading.why),
        advice=_advice(reading, types),
        columns={
            column: (held, _becomes(column, reading, types)) for column, held in types.items()
        },
        rows=look_at(file, config, reading),
    )


def _becomes(column: str, reading: Reading, types: Types) -> list[str]:
    """The canonical names that a column is read for, each with how, if not as it is."""
    layout = reading.layout
    if layout is PLAIN:
        found = reading.names.found(types)
        return [
            name + _unless(name, found)
            for name, source in reading.names.inputs.items()
            if source == column
        ]
    uses = [_plainly(name) for name, source in layout.columns.items() if source == column]
    uses += [
        f"{_plainly(name)}, an entry per candidate"
        for name, source in layout.lists.items()
        if source == column
    ]
    uses += [
        f"{_plainly(name)} of item {item}"
        for item, variant in enumerate(layout.variants)
        for name, source in variant.items()
        if source == column
    ]
    return list(dict.fromkeys(uses))


def _unless(name: str, found: Mapping[str, str]) -> str:
    """That a column only stands in for another one that the file has as well (`canonical.to_trace`)."""
    if name in ("reasoning", "answer") and "response" in found:
        return ", where response is null"
    if name in ("messages", "conversations") and "prompt" in found:
        return ", where prompt is null"
    return ""


def _plainly(name: str) -> str:
    """`correct` for `correct.by_model`; a key of the metadata in full."""
    return name if name.startswith(INTO_METADATA) else name.partition(".")[0]


def _advice(reading: Reading, types: Types) -> str:
    if reading.layout is not PLAIN:
        missing = ", ".join(lacking(reading.layout, types))
        return f"columns it needs are missing or hold something else: {missing}" if missing else ""
    names = reading.names
    missing = missing_columns(names, types)
    sentences = [explain_missing(names, name, types) for name in missing]
    return ". ".join([*sentences, explain_unknown(types)]) if missing else ""
