"""What can be learnt of a model without its weights: its size, and how it cuts text into tokens."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rdpt_ray.config import Role
from rdpt_ray.errors import ModelError
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.pipeline.roles import UNPROMPTED
from rdpt_ray.plan_config import PlanConfig
from rdpt_ray.scoring.encoding import Encoded, TraceEncoder
from rdpt_ray.scoring.identity import ModelIdentity, without_prompt
from rdpt_ray.scoring.loading import encoder_of, identity_of
from rdpt_ray.scoring.model_size import ModelSize, model_size, read_config
from rdpt_ray.scoring.scorer import or_error

Found = TypeVar("Found")

TEMPLATE_TOKENS = 16
"""What a chat template puts around a prompt, where no tokenizer can be had; assumed."""


@dataclass(frozen=True, slots=True)
class PlannedModel:
    """A model of a job, as far as it is known."""

    role: Role
    config: ModelConfig
    identity: ModelIdentity | None
    """None: what the store has of it cannot be told."""
    size: ModelSize | None
    encoder: TraceEncoder | None
    unknown: tuple[str, ...]
    """What could not be learnt, and what was taken in its place."""

    @property
    def is_recorded(self) -> bool:
        """Whether what it says was recorded, so that it reads nothing now."""
        return self.config.recorded is not None


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of some traces under a model."""

    prompts: NDArray[np.int64]
    """[N] before the first scored one."""
    responses: NDArray[np.int64]
    """[N] scored."""
    num_refused: int = 0
    """Traces beside these that template or tokenizer refuse."""

    @property
    def longest(self) -> int:
        """Tokens of the longest trace."""
        return int((self.prompts + self.responses).max(initial=0))


def learn(
    role: Role, model: ModelConfig, plan: PlanConfig, identity: ModelIdentity | None = None
) -> PlannedModel:
    """Look at a model's config and tokenizer, or at what `plan.configs` names in their place.

    Args:
        role: Its role.
        model: As configured.
        plan: Where to look else.
        identity: The model pinned down, where that is known already.
    """
    stand_in = plan.configs.get(role)
    unknown: list[str] = []
    if identity is None:
        identity = _or_note(lambda: _identity(role, model), unknown)
    if model.recorded is not None:
        return PlannedModel(role, model, identity, None, None, tuple(unknown))
    looked_at, revision = model.model, model.revision
    if identity is not None:
        looked_at, revision = identity.location, identity.revision
    elif stand_in is not None:
        looked_at, revision = stand_in, None
        unknown.append(f"its size is that of {stand_in}")
    # Who could not pin the model has waited for the Hub already.
    is_offline = identity is None
    config = _or_note(lambda: read_config(looked_at, revision, is_offline=is_offline), unknown)
    size = None
    if config is not None:
        size = _or_note(lambda: model_size(config, dtype=model.dtype), unknown)
    encoder = _encoder(role, model, identity, stand_in, unknown)
    remarks = size.remarks if size is not None else ()
    return PlannedModel(role, model, identity, size, encoder, (*unknown, *remarks))


def _identity(role: Role, model: ModelConfig) -> ModelIdentity:
    identity = identity_of(model)
    return without_prompt(identity) if role == UNPROMPTED else identity


def _encoder(
    role: Role,
    model: ModelConfig,
    identity: ModelIdentity | None,
    stand_in: str | None,
    unknown: list[str],
) -> TraceEncoder | None:
    if identity is not None:
        return _or_note(lambda: encoder_of(identity), unknown)
    if stand_in is None:
        return None
    there = model.model_copy(update={"model": stand_in, "revision": None})
    try:
        found = identity_of(there, recorded="plan")  # as if served: no weights are looked for
        return encoder_of(without_prompt(found) if role == UNPROMPTED else found)
    except ModelError:
        return None  # a folder with a config alone


def _or_note(find: Callable[[], Found], unknown: list[str]) -> Found | None:
    try:
        return find()
    except ModelError as error:
        note = str(error).splitlines()[0]
        if note not in unknown:
            unknown.append(note)
        return None


def token_lengths(model: PlannedModel, traces: pa.Table, chars_per_token: float) -> Lengths:
    """Count the tokens of traces, each rendered and cut as the model would.

    Args:
        model: Whose tokens.
        traces: With the columns messages, response and answer_start.
        chars_per_token: Taken where the model's tokenizer is not known.
    """
    rows = traces.select(["messages", "response", "answer_start"]).to_pylist()
    if model.encoder is None:
        prompts = [sum(len(each["content"] or "") for each in row["messages"]) for row in rows]
        if model.role == UNPROMPTED:
            prompts = [0] * len(rows)
        return Lengths(
            np.ceil(np.array(prompts) / chars_per_token).astype(np.int64) + TEMPLATE_TOKENS,
            np.ceil(np.array([len(row["response"]) for row in rows]) / chars_per_token).astype(
                np.int64
            ),
        )
    encode = model.encoder.encode
    found = [
        or_error(lambda row=row: encode(row["messages"], row["response"], row["answer_start"]))
        for row in rows
    ]
    good = [each.sequence for each in found if isinstance(each, Encoded)]
    return Lengths(
        np.array([len(each.prompt_ids) for each in good], np.int64),
        np.array([len(each.response_ids) for each in good], np.int64),
        len(found) - len(good),
    )
