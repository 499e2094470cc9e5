"""Prompts alone, from any input that could be ingested: rows need no response to be asked about."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from rdpt_ray.storage.canonical import Prompt, to_prompt
from rdpt_ray.storage.columns import without_responses
from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.input_spec import InputSpec
from rdpt_ray.storage.layouts import Candidate
from rdpt_ray.storage.reading import choose_reading, read_rows, read_types, recognises
from rdpt_ray.storage.sources import InputFile, open_input


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One row of a file: a prompt, or why it is none."""

    file: str
    row: int | None
    """0-based; None: the fault is the whole file's."""
    prompt: Prompt | Fault

    def quarantined(self) -> dict[str, Any]:
        """A fault as a row of the schema QUARANTINE."""
        assert isinstance(self.prompt, Fault)
        return {
            "file": self.file,
            "row": self.row,
            "item": None if self.row is None else 0,
            "trace_id": None,
            "stage": "ingest",
            "reason": self.prompt.reason,
            "column": self.prompt.column,
            "detail": self.prompt.detail,
        }


def read_prompts(file: InputFile, config: InputSpec) -> Iterator[PromptRow]:
    """Every row of an input file, in order; nothing in a row raises.

    Args:
        file: From `list_inputs`.
        config: By which layout or columns, how many rows, and facts for rows that have none.

    Raises:
        ConfigError: if the config maps an unknown canonical column.
        InputError: if the file has changed or gone since it was listed, or its file system fails.
    """
    reading = choose_reading(config, read_types(file) if recognises(config) else {}, file.uri)
    names = without_responses(reading.names)
    with open_input(file) as source:
        for row, values in read_rows(file, source, names, config.limit):
            if isinstance(values, Fault):
                yield PromptRow(file.uri, row, values)
                continue
            candidate = next(islice(reading.candidates(values), 1))
            yield PromptRow(file.uri, row, _prompt(candidate, config))


def _prompt(candidate: Candidate, config: InputSpec) -> Prompt | Fault:
    """All candidates of a row answer the same prompt: that of the first."""
    _, values, columns = candidate
    if isinstance(values, Fault):
        return values
    try:
        prompt = to_prompt(values)
    except Fault as fault:
        return Fault(fault.reason, columns.get(fault.column or "", fault.column), fault.detail)
    defaults = config.defaults
    return replace(
        prompt,
        source=prompt.source or defaults.source,
        license=prompt.license or defaults.license,
    )
