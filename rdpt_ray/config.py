"""One validated config per job: a YAML file, dotted overrides, and nothing read from anywhere else.

Unknown keys are refused with the nearest known one; a wrong config always fails here, before Ray starts.
"""

import difflib
from pathlib import Path
from typing import Any, Literal, Self

import fsspec
import yaml
from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from rdpt_ray.errors import ConfigError
from rdpt_ray.method.selection import POLICIES
from rdpt_ray.method.sentences import SPLITTERS
from rdpt_ray.model_config import ModelConfig, Section

Role = Literal["teacher", "student", "distilled"]


class InputConfig(Section):
    """Where the teacher traces are and which columns hold what."""

    path: str | list[str]
    """A file, a folder, a glob, or a list of them; local or any fsspec URI (s3://, gs://, hf://)."""
    format: Literal["auto", "parquet", "jsonl"] = "auto"
    """auto goes by the file's ending: .parquet, .jsonl, .jsonl.zst, .jsonl.gz (also .ndjson, .json)."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Canonical name -> the input's column, where they differ, for example {response: output}."""
    limit: int | None = Field(default=None, ge=1)
    """Read only the first rows of each file; for trying things out."""


class SplitConfig(Section):
    """What the provenance of a response is traced in."""

    unit: Literal[tuple(SPLITTERS)] = "sentence"  # pyright: ignore[reportInvalidTypeForm]
    """sentence, line, paragraph, or paper_regex (docs/method.md)."""


class ModelsConfig(Section):
    """One model per role; student is the original one, before distillation."""

    teacher: ModelConfig
    student: ModelConfig
    distilled: ModelConfig | None = None

    def by_role(self) -> dict[Role, ModelConfig]:
        """The configured models in the order they score: the cheap student first."""
        models: dict[Role, ModelConfig] = {"student": self.student, "teacher": self.teacher}
        if self.distilled is not None:
            models["distilled"] = self.distilled
        return models


class ThresholdsConfig(Section):
    """When two probabilities differ (docs/method.md)."""

    alpha: float = Field(default=0.1, ge=0, le=1)
    beta: float = Field(default=0.1, ge=0, le=1)


class FiltersConfig(Section):
    """Applied before the policy; a trace that fails one is rejected with the filter's name."""

    complete: bool | None = None
    """Keep only traces with this value of `complete`."""
    correct: bool | None = None
    """Keep only traces with this value of `correct`; a null fails."""
    min_chars: int | None = Field(default=None, ge=0)
    max_chars: int | None = Field(default=None, ge=0)
    licenses: list[str] | None = None
    """Keep only rows with one of these licences; a null fails."""

    @model_validator(mode="after")
    def _some_length_passes(self) -> Self:
        if self.max_chars is not None and self.max_chars < (self.min_chars or 0):
            raise PydanticCustomError("length_range", "max_chars is less than min_chars")
        return self


class SelectionConfig(Section):
    """Which candidates of a prompt are kept."""

    policy: Literal[tuple(POLICIES)] = "teacher_count"  # pyright: ignore[reportInvalidTypeForm]
    per_prompt: int = Field(default=1, ge=1)
    seed: int = 0
    """Used by the policy `random` only."""
    filters: FiltersConfig = FiltersConfig()


class ReportConfig(Section):
    """What the report shows."""

    num_traces: int = Field(default=10, ge=0, le=100)
    """How many of the most and of the least teacher-like traces are shown sentence by sentence."""
    precision_traces: int = Field(default=32, ge=0)
    """Traces scored once more in float32 where a model runs in less, to count the classes that change."""


class CurateConfig(Section):
    """The config of a job."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """Names the dataset in the store and starts the run's id."""
    input: InputConfig
    split: SplitConfig = SplitConfig()
    models: ModelsConfig
    thresholds: ThresholdsConfig = ThresholdsConfig()
    selection: SelectionConfig = SelectionConfig()
    store: str = Field(min_length=1)
    """URI of the store: a local folder, s3://, gs:// or any fsspec file system."""
    report: ReportConfig = ReportConfig()


def load_config(uri: str | Path, overrides: list[str] | None = None) -> CurateConfig:
    """Read a config and apply `key.sub=value` overrides (values are YAML).

    Args:
        uri: Local path or fsspec URI of a YAML file.
        overrides: For example ["thresholds.beta=0.15", "input.limit=100"].

    Raises:
        ConfigError: with the key, what was expected, what came, and the nearest known key.
    """
    try:
        with fsspec.open(str(uri), "rt", encoding="utf-8") as file:
            tree = yaml.safe_load(file)  # pyright: ignore[reportArgumentType]
    except yaml.YAMLError as error:
        raise ConfigError(f"config {uri}: not valid YAML: {error}") from error
    except (OSError, ValueError, ImportError) as error:  # no such file, protocol, text or date
        raise ConfigError(f"config {uri}: cannot be read: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"config {uri}: expected a mapping of keys, got {type(tree).__name__}")
    for override in overrides or []:
        apply_override(tree, override)
    return parse_config(tree, where=str(uri))


def apply_override(tree: dict[str, Any], override: str) -> None:
    """Set one dotted key in a config tree, in place.

    Raises:
        ConfigError: if the override has no `=` or goes through something that is not a section.
    """
    dotted, equals, value = override.partition("=")
    if not equals or not dotted:
        raise ConfigError(f"override {override!r}: expected key.sub=value")
    *sections, key = dotted.split(".")
    node = tree
    for section in sections:
        node = node.setdefault(section, {})
        if not isinstance(node, dict):
            raise ConfigError(f"override {override!r}: {section!r} is a value, not a section")
    try:
        node[key] = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"override {override!r}: value is not valid YAML: {error}") from error


def parse_config(tree: dict[str, Any], *, where: str = "config") -> CurateConfig:
    """Validate a config tree.

    Raises:
        ConfigError: listing every fault, one per line.
    """
    try:
        return CurateConfig.model_validate(tree)
    except ValidationError as error:
        faults = [_describe(fault) for fault in error.errors()]
        raise ConfigError(f"{where}:\n" + "\n".join(f"  {fault}" for fault in faults)) from error


def _describe(fault: Any) -> str:
    location = [str(part) for part in fault["loc"]]
    dotted = ".".join(location)
    if fault["type"] != "extra_forbidden":
        came = "" if fault["type"] in ("missing", "url_secret") else f", got {fault['input']!r}"
        return f"{dotted}: {fault['msg']}{came}"
    known = _known_keys(location[:-1])
    near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{dotted}: unknown key{hint} (known here: {', '.join(known)})"


def _known_keys(sections: list[str]) -> list[str]:
    model: type[BaseModel] = CurateConfig
    for section in sections:
        annotation = model.model_fields[section].annotation
        options = [annotation, *getattr(annotation, "__args__", ())]
        model = next(
            option
            for option in options
            if isinstance(option, type) and issubclass(option, BaseModel)
        )
    return list(model.model_fields)
