"""One validated config per job: a YAML file, dotted overrides, and nothing read from anywhere else.

Unknown keys are refused with the nearest known one; a wrong config always fails here, before Ray starts.
"""

import difflib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Self

import fsspec
import yaml
from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from rdpt_ray.distill_config import DistillConfig, LoopConfig
from rdpt_ray.errors import ConfigError
from rdpt_ray.input_config import InputConfig
from rdpt_ray.method.divergence import DIVERGENCES
from rdpt_ray.method.sentences import splitter_named
from rdpt_ray.model_config import ModelConfig, Section
from rdpt_ray.plan_config import PlanConfig
from rdpt_ray.publish_config import PublishConfig
from rdpt_ray.sample_config import EvaluateConfig, SampleConfig
from rdpt_ray.schedule_config import ScheduleConfig
from rdpt_ray.selection_config import (
    SelectionConfig,
    VerifyConfig,
    known_name,
)

Role = str
"""teacher, student (the original one) or distilled; teacher:NAME where each teacher reads its own traces,
and unprompted, the student reading responses without their prompts, where a policy compares."""


class SplitConfig(Section):
    """What the provenance of a response is traced in."""

    unit: str = "sentence"
    """sentence, line, paragraph, paper_regex, or the name of an installed extension (docs/method.md)."""

    @field_validator("unit")
    @classmethod
    def _is_there(cls, unit: str) -> str:
        return known_name("splitter", unit, splitter_named)


class ModelsConfig(Section):
    """One model per role; student is the original one, before distillation."""

    teacher: ModelConfig | None = None
    """Reads every trace; with `teachers`, those whose `teacher_name` is none of theirs."""
    teachers: dict[str, ModelConfig] = Field(default_factory=dict)
    """teacher_name -> the model that wrote the traces of that name, and reads only them."""
    student: ModelConfig
    distilled: ModelConfig | None = None

    @model_validator(mode="after")
    def _some_teacher(self) -> Self:
        if self.teacher is None and not self.teachers:
            raise PydanticCustomError("no_teacher", "expected teacher, or teachers by their names")
        return self


class ThresholdsConfig(Section):
    """When two models differ on a sentence (docs/method.md)."""

    divergence: Literal[tuple(DIVERGENCES)] = "prob_difference"  # pyright: ignore[reportInvalidTypeForm]
    """What is compared: prob_difference (the paper's), log_ratio or log_ratio_per_char (ours)."""
    alpha: float
    """The models agree (SHARED); in the divergence's unit, and by default its own: 0.1 for the paper's."""
    beta: float | Literal["auto"]
    """One is clearly ahead (TEACHER, STUDENT); `auto` takes it from the data, by a rule of ours."""

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_divergence(cls, values: Any) -> Any:
        divergence = (
            values.get("divergence", "prob_difference") if isinstance(values, dict) else None
        )
        if not isinstance(divergence, str) or divergence not in DIVERGENCES:
            return values
        known = DIVERGENCES[divergence]
        return {"alpha": known.alpha, "beta": known.beta, **values}

    @field_validator("alpha", "beta", mode="before")
    @classmethod
    def _within_the_divergence(cls, value: Any, info: ValidationInfo) -> Any:
        """One message, where pydantic would give one for each type that it could have been."""
        if value == "auto" and info.field_name == "beta":
            return value
        try:
            number = float("nan" if isinstance(value, bool) else value)  # YAML reads 1e-1 as text
        except (TypeError, ValueError) as error:
            allowed = "a number or auto" if info.field_name == "beta" else "a number"
            raise PydanticCustomError(
                "threshold", "expected {allowed}", {"allowed": allowed}
            ) from error
        if not 0 <= number < float("inf"):
            raise PydanticCustomError("threshold", "expected a number of 0 or more")
        if number > 1 and info.data.get("divergence") == "prob_difference":
            raise PydanticCustomError(
                "threshold", "expected at most 1: probabilities differ by no more"
            )
        return number


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
    thresholds: ThresholdsConfig = Field(
        default_factory=lambda: ThresholdsConfig.model_validate({})
    )
    selection: SelectionConfig = SelectionConfig()
    store: str = Field(min_length=1)
    """URI of the store: a local folder, s3://, gs:// or any fsspec file system."""
    report: ReportConfig = ReportConfig()
    publish: PublishConfig = PublishConfig()
    schedule: ScheduleConfig | None = None
    """None: jobs may overlap; drivers of one store share the work."""
    verify: VerifyConfig | None = None
    """None: only what the input says of an answer counts."""
    sample: SampleConfig | None = None
    distill: DistillConfig | None = None
    evaluate: EvaluateConfig | None = None
    loop: LoopConfig | None = None
    plan: PlanConfig = PlanConfig()
    drain_s: float = Field(default=100, ge=0)
    """How long actors may finish the parts in hand when the job is asked to end (SIGTERM), in seconds."""
    fail_above: float | None = None
    """The job ends without a result when more than this share of the rows read is quarantined: 1%, or 0.01;
    null: never."""

    @field_validator("fail_above", mode="before")
    @classmethod
    def _is_share(cls, value: Any) -> float | None:
        """A share as a number; a percentage is the nearest number to it, so 3 of 300 are not above 1%."""
        if value is None:
            return None
        text = str(value).strip()
        try:
            number = Fraction(text.removesuffix("%").strip()) / (100 if text.endswith("%") else 1)
        except (ValueError, ZeroDivisionError):
            number = Fraction(-1)
        if isinstance(value, bool) or not 0 <= number <= 1:
            raise PydanticCustomError(
                "share", "expected a percentage of 0% to 100%, or a share of 0 to 1, such as 0.01"
            )
        return float(number)

    @model_validator(mode="after")
    def _pruned_is_unread(self) -> Self:
        """What needs every trace read cannot go with reading only some."""
        if not self.selection.prune:
            return self
        if self.thresholds.beta == "auto":
            raise PydanticCustomError(
                "prune",
                "selection.prune needs a number for thresholds.beta: auto looks at every sentence",
            )
        teachers = (self.models.teacher, *self.models.teachers.values())
        if any(model is not None and model.keep_token_logprobs for model in teachers):
            raise PydanticCustomError(
                "prune", "selection.prune does not go with keep_token_logprobs of a teacher"
            )
        return self


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
        if node.get(section) is None:  # not there, or written without anything in it
            node[section] = {}
        node = node[section]
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
        is_hidden = fault["type"] in ("missing", "secret", "url_secret")
        came = "" if is_hidden else f", got {fault['input']!r}"
        return f"{dotted}: {fault['msg']}{came}"
    known = _known_keys(location[:-1])
    near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{dotted}: unknown key{hint} (known here: {', '.join(known)})"


def _known_keys(sections: list[str]) -> list[str]:
    model: type[BaseModel] = CurateConfig
    for section in sections:
        if section in model.model_fields:  # else the key of a mapping of sections
            inner = _sections_in(model.model_fields[section].annotation)
            model = next(inner, model)
    return list(model.model_fields)


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections that an annotation names, also inside mappings and unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _sections_in(argument)
