"""The sections of a config that say what models are asked, and how they answer: `sample` and `evaluate`.

`rdpt_ray.config` puts them together with the rest of a job.
"""

from typing import Literal

from pydantic import Field

from rdpt_ray.input_config import InputConfig
from rdpt_ray.model_config import Section


class SamplingConfig(Section):
    """How responses are drawn from a model."""

    prompts: InputConfig
    """What is asked; the rows need no response. A `reference_answer` goes with its prompt."""
    to: str = Field(min_length=1)
    """URI of a folder: the responses lie there as a dataset of traces, which `input.path` may name."""
    num_candidates: int = Field(default=1, ge=1)
    """Responses to each prompt."""
    temperature: float = Field(default=1, ge=0)
    """0 takes the likeliest token each time."""
    top_p: float = Field(default=1, gt=0, le=1)
    """Draw from the likeliest tokens that hold this probability together."""
    top_k: int | None = Field(default=None, ge=1)
    """Draw from so many of the likeliest tokens; null: from all."""
    max_tokens: int = Field(default=32768, ge=1)
    """Longest response; one that reaches it is cut, and marked as not complete."""
    seed: int = Field(default=0, ge=0)
    """Every candidate draws from its own stream, made of this, its prompt and its number."""
    engine: Literal["transformers", "vllm"] | None = None
    """What hosts the model here; null: the model's own `engine`, which must then be one of the two."""
    part_samples: int = Field(default=256, ge=1)
    """Responses of one part, the unit of work and of commit: an actor that dies loses as many at most."""
    cache_tokens: int = Field(default=131072, ge=1)
    """Engine transformers: tokens of a batch, prompts and responses at their longest, which bounds the
    cache. Does not change what is drawn, but for rounding."""


class SampleConfig(SamplingConfig):
    """`rdpt sample`: candidate traces of one model."""

    role: str = "teacher"
    """Which of `models` answers."""
    num_candidates: int = Field(default=4, ge=1)


class EvaluateConfig(SamplingConfig):
    """`rdpt evaluate`: how many answers of a model are right, by the section `verify`."""

    roles: list[str] = Field(default=["student", "distilled"], min_length=1)
    """Which of `models` are asked; the responses of each go to a folder of its name in `to`."""
    temperature: float = Field(default=0, ge=0)
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of the intervals."""
