"""The sections of a config that say which traces may be selected, and which are.

`rdpt_ray.config` puts them together with the rest of a job.
"""

from collections.abc import Callable
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from rdpt_ray.errors import ConfigError
from rdpt_ray.method.pruning import can_prune
from rdpt_ray.method.selection import policy_named
from rdpt_ray.method.verifiers import verifier_identity
from rdpt_ray.model_config import Section


def known_name(
    what: Literal["splitter", "policy", "verifier"], name: str, find: Callable[[str], Any]
) -> str:
    """The name, if there is such a thing; else pydantic's error, with the nearest that there is."""
    try:
        find(name)
    except (KeyError, ConfigError) as error:
        said = str(error.args[0]) if error.args else str(error)
        raise PydanticCustomError(what, "{said}", {"said": said}) from error
    return name


class DuplicatesConfig(Section):
    """Near-duplicates to drop, by the Jaccard similarity of their word n-grams (docs/duplicates.md)."""

    prompts: float | None = Field(default=0.9, ge=0.5, le=1)
    """Of prompts at least this similar, with the same numbers, one is kept; null: no prompt is dropped."""
    traces: float | None = Field(default=0.9, ge=0.5, le=1)
    """Of responses at least this similar, whatever their prompts, one is kept; null: none is dropped."""
    ngram: int = Field(default=3, ge=1, le=13)
    """Words per n-gram."""


class EvaluationSetConfig(Section):
    """One evaluation set that no trace may hold an item of."""

    path: str | list[str]
    """As `input.path`: a file, a folder, a glob, or a list of them; any fsspec URI."""
    format: Literal["auto", "parquet", "jsonl"] = "auto"
    columns: list[str] = Field(min_length=1)
    """Columns of text; each is compared on its own."""


class ContaminationConfig(Section):
    """Evaluation sets to keep out of the training data (docs/duplicates.md)."""

    sets: dict[str, EvaluationSetConfig] = Field(min_length=1)
    """Name -> set; the name is shown in reasons and reports."""
    ngram: int = Field(default=13, ge=5, le=50)
    """A trace that shares this many words in a row with an item is dropped."""
    responses: bool = False
    """Compare responses too; without, prompts only."""


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
    duplicates: DuplicatesConfig | None = None
    """Drop near-duplicate prompts and traces; null: only exact duplicates are set aside, at ingestion."""
    contamination: ContaminationConfig | None = None
    """Drop traces that hold items of evaluation sets."""

    @model_validator(mode="after")
    def _some_length_passes(self) -> Self:
        if self.max_chars is not None and self.max_chars < (self.min_chars or 0):
            raise PydanticCustomError("length_range", "max_chars is less than min_chars")
        return self


class BudgetConfig(Section):
    """How much may be selected in all, to the last that fits (docs/method.md)."""

    rows: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(default=None, ge=1)
    """Of the responses, by the student's tokenizer."""
    order: Literal["score", "prompts"] = "score"
    """score: the best by the policy's number stay; prompts: prompts in an order drawn by `seed`, the same for
    every policy, so that policies are compared on the same prompts."""


class SelectionConfig(Section):
    """Which candidates of a prompt are kept."""

    policy: str = "teacher_count"
    """A policy of docs/method.md, or the name of an installed extension."""
    per_prompt: int = Field(default=1, ge=1)
    seed: int = 0
    """Used by the policy `random` only."""
    min_score: float | None = None
    """Keep nothing with a smaller selection_score."""
    budget: BudgetConfig = BudgetConfig()
    filters: FiltersConfig = FiltersConfig()
    prune: bool = False
    """Let the teacher read only what the selection depends on; the others stay unscored (docs/pruning.md)."""

    @field_validator("policy")
    @classmethod
    def _is_there(cls, policy: str) -> str:
        return known_name("policy", policy, policy_named)

    @model_validator(mode="after")
    def _can_be_pruned(self) -> Self:
        if self.prune and not can_prune(self.policy):
            raise PydanticCustomError(
                "prune",
                "prune: the policy {policy} needs every candidate read (docs/pruning.md)",
                {"policy": self.policy},
            )
        return self


class VerifyConfig(Section):
    """How it is decided whether an answer is right (docs/correctness.md)."""

    method: str
    """math, exact, numeric, choice, or a verifier by entry point."""
    time_limit_s: float = Field(default=5, gt=0, le=3600)
    """Processor time that one answer may take with math or an entry point."""
    overwrite: bool = False
    """Verify also where the input says itself whether the answer is right."""

    @field_validator("method")
    @classmethod
    def _is_there(cls, method: str) -> str:
        return known_name("verifier", method, verifier_identity)
