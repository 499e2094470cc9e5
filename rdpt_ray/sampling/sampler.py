"""Requests in, responses out: one model's part of a data set."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.sample_config import SamplingConfig
from rdpt_ray.sampling.engine import Ask, Drawn, SamplingEngine
from rdpt_ray.sampling.streams import stream_seed
from rdpt_ray.sampling.written import Writer
from rdpt_ray.scoring.encoding import TraceEncoder
from rdpt_ray.scoring.scorer import or_error
from rdpt_ray.scoring.traces import Message


@dataclass(frozen=True, slots=True)
class Request:
    """One response to sample."""

    sample_uuid: str
    """Names it, and the record of its log-probabilities."""
    prompt_id: str
    candidate: int
    """Its number among the prompt's."""
    messages: list[Message]

    @property
    def trace_id(self) -> str:
        """What it is called while it is in flight."""
        return self.sample_uuid


@dataclass(frozen=True, slots=True)
class Sampled:
    """One response, and what the model gave its tokens."""

    response: str
    """As the model wrote it, with its markup, so that ingestion reads it."""
    finish_reason: Literal["stop", "length"]
    token_ids: NDArray[np.int32]
    """[tokens] as drawn, the end token included if one came."""
    logprobs: NDArray[np.float32]
    """[tokens] in nats, at temperature 1, before anything is cut off."""
    prompt_tokens: int


class ModelSampler:
    """A tokenizer and an engine."""

    def __init__(
        self, encoder: TraceEncoder, engine: SamplingEngine, sampling: SamplingConfig
    ) -> None:
        """Put the two halves of a model together.

        Args:
            encoder: Its tokenizer and template.
            engine: Its weights.
            sampling: How long a response may be, and the seed.
        """
        self._encoder, self._engine, self._sampling = encoder, engine, sampling
        self._writer = Writer(encoder)
        self._encoding, self._drawing = threading.Lock(), threading.Lock()
        self._busy_s = 0.0

    def busy_s(self) -> float:
        """Seconds in which the model has written, since it was loaded."""
        return self._busy_s

    def tell(self, after_step: Callable[[], None]) -> None:
        """Have a sign of life given, now and then, while responses are drawn."""
        self._engine.after_step = after_step

    def prompt_ids(self, request: Request) -> list[int]:
        """A request as the model reads it; raises what its template raises."""
        return self._encoder.prompt_ids(request.messages)

    def sample(self, requests: Sequence[Request]) -> list[Sampled | str]:
        """Sample a part, or some of it. Two threads may call it at once: one encodes while the other draws.

        Args:
            requests: What is asked.

        Returns:
            Per request its response, or its error as "code: what came and what was expected".
        """
        with self._encoding:
            asks = [self._ask(request) for request in requests]
        ready = {place: ask for place, ask in enumerate(asks) if isinstance(ask, Ask)}
        with self._drawing:
            begun = time.monotonic()
            drawn = dict(zip(ready, self._engine.draw(list(ready.values())), strict=True))
            self._busy_s += time.monotonic() - begun
        results: list[Sampled | str] = []
        for place, ask in enumerate(asks):
            response = drawn.get(place)
            if isinstance(ask, str) or response is None or isinstance(response, str):
                results.append(ask if isinstance(ask, str) else str(response))
            else:
                results.append(self._sampled(ask, response))
        return results

    def _ask(self, request: Request) -> Ask | str:
        prompt_ids = or_error(lambda: self.prompt_ids(request))
        if isinstance(prompt_ids, str):
            return prompt_ids
        if not prompt_ids:
            return "empty_prompt: the chat template rendered to no token, so nothing predicts the first"
        limit, room = self._engine.context_length, self._sampling.max_tokens
        if limit is not None:
            room = min(room, limit - len(prompt_ids))
        if room < 1:
            return (
                f"context_exceeded: the prompt has {len(prompt_ids)} tokens, the model reads at most"
                f" {limit}"
            )
        stream = stream_seed(self._sampling.seed, request.prompt_id, request.candidate)
        return Ask(prompt_ids, stream, room)

    def _sampled(self, ask: Ask, drawn: Drawn) -> Sampled:
        written = self._writer.text(drawn.token_ids.tolist(), is_ended=drawn.is_ended)
        return Sampled(
            self._writer.opened(ask.prompt_ids) + written,
            "stop" if drawn.is_ended else "length",
            drawn.token_ids,
            drawn.logprobs,
            len(ask.prompt_ids),
        )
