"""Parts of prompts to responses: a pool of actors, each hosting the model, one part at a time.

An actor commits a part's responses itself, whole, before it reports: a killed run loses at most the parts in
flight, and what is there is never sampled again.
"""

import json
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from rdpt_ray.errors import RdptError
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.pipeline.part_pool import attempts_of, ending_itself, over_parts, pulse_of
from rdpt_ray.pipeline.part_report import Duty, PartReport, ScoredPart
from rdpt_ray.pipeline.pools import num_threads
from rdpt_ray.pipeline.sample_plan import plan_name
from rdpt_ray.sample_config import SamplingConfig
from rdpt_ray.sampling.loading import SamplingEngineName, load_sampler, sample_uuid
from rdpt_ray.sampling.sampler import ModelSampler, Request, Sampled
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.scoring.numerics import numerics
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.samples import SampleCounts, sample_name, write_samples


@dataclass(frozen=True, slots=True)
class SamplingTask:
    """What every actor of the pool must know."""

    store: Root
    run: str
    """The run's folder in it, where the plan is."""
    to: Root
    """Where responses go."""
    model: ModelConfig
    identity: ModelIdentity
    engine: SamplingEngineName
    sampling: SamplingConfig
    settings: dict[str, Any]
    """What decides the responses; written into every file."""
    key: str
    """The sampling key: a hash of them."""
    teacher_name: str
    session: str
    """The file of the session that this is done for."""
    role: str = ""
    """What the model is, for whoever watches."""

    @property
    def attempts(self) -> str:
        """The name under which attempts at its parts are kept."""
        return f"sample-{self.key}"


def sample_planned(
    parts: Sequence[str], task: SamplingTask, stalled: Callable[[str], None] = lambda why: None
) -> Generator[ScoredPart, None, None]:
    """Sample parts that are not there yet.

    Args:
        parts: Their keys.
        task: How.
        stalled: Called, from a thread, when Ray does nothing any more.

    Yields:
        A record per part, as soon as it is committed; it counts responses where scoring counts traces.
    """
    places = [{"key": key} for key in parts]
    for row in over_parts(SamplePart, places, {"task": task}, task.model.pool, stalled):
        yield ScoredPart(**row)


class SamplePart:
    """The actor: loads one model once and samples parts for as long as its pool lives."""

    def __init__(self, *, task: SamplingTask, vitals: Any = None) -> None:
        """Load the model. `vitals` listens to signs of life."""
        self._task = task
        self._pulse = pulse_of(task.model.pool, vitals)
        self._report = PartReport(Duty(task.session, task.role, "sample"), task.model.pool)
        self._attempts = attempts_of(task.store, task.attempts, task.session, self._pulse)
        threads = num_threads(task.model.pool)
        self._sampler: ModelSampler | RdptError
        with self._pulse.loading():
            try:
                self._sampler = load_sampler(
                    task.model,
                    task.identity,
                    engine=task.engine,
                    sampling=task.sampling,
                    num_threads=threads,
                )
                self._sampler.tell(self._pulse.passed)
                self._report.busy_s = self._sampler.busy_s
            except RdptError as error:
                self._sampler = error  # raised by the first part: Ray would load again and again
        facts = numerics(task.model, num_threads=threads)
        facts |= {"engine": task.engine, "cache_tokens": str(task.sampling.cache_tokens)}
        self._numerics = json.dumps(facts, sort_keys=True)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Sample and commit the parts of a batch (one, as the stage sends them).

        Raises:
            ModelError: if the model could not be loaded.
        """
        if isinstance(self._sampler, RdptError):
            raise self._sampler
        with ending_itself():
            return pa.Table.from_pylist(
                [self._attempt(key, self._sampler) for key in batch.column("key").to_pylist()]
            )

    def _attempt(self, key: str, sampler: ModelSampler) -> dict[str, Any]:
        with self._attempts.on(key, sampler.sample) as work:
            if work is None:
                return asdict(ScoredPart(key, 0, 0, 0, 0, 0.0, is_left=True))
            if self._task.to.exists(sample_name(key)):  # another session was faster
                return asdict(ScoredPart(key, 0, 0, 0, 0, 0.0, numerics=self._numerics))
            begun = time.perf_counter()
            with self._pulse.scoring():
                counts, num_prompt_tokens = self._sample_part(key, work.tokens)
        done = ScoredPart(
            key=key,
            num_scored=counts.samples,
            num_errors=counts.errors,
            num_pruned=0,
            num_tokens=counts.tokens + num_prompt_tokens,
            seconds=time.perf_counter() - begun,
            num_again=counts.samples if work.was_lost else 0,
            numerics=self._numerics,
        )
        return asdict(self._report.of(done))

    def _sample_part(
        self, key: str, sample: Callable[[Sequence[Request]], list[Sampled | str]]
    ) -> tuple[SampleCounts, int]:
        """Sample a part and commit it; what it counts, and the tokens of its prompts."""
        task = self._task
        prompts = task.store.read_table(plan_name(task.run, key)).to_pylist()
        asked = [
            (
                prompt,
                Request(
                    sample_uuid(task.key, prompt["prompt_id"], candidate),
                    prompt["prompt_id"],
                    candidate,
                    prompt["messages"],
                ),
            )
            for prompt in prompts
            for candidate in prompt["candidates"]
        ]
        results = sample([request for _, request in asked])
        rows = [
            _row(prompt, request, result, task.teacher_name)
            for (prompt, request), result in zip(asked, results, strict=True)
        ]
        counts = write_samples(task.to, key, rows, task.settings)
        return counts, sum(row.get("prompt_tokens") or 0 for row in rows)


def _row(
    prompt: dict[str, Any], request: Request, result: Sampled | str, teacher_name: str
) -> dict[str, Any]:
    """A response as a row of the schema SAMPLES."""
    row: dict[str, Any] = {
        "sample_uuid": request.sample_uuid,
        "prompt_id": request.prompt_id,
        "candidate": request.candidate,
        "messages": request.messages,
        "reference_answer": prompt["reference_answer"],
        "teacher_name": teacher_name,
        "source": prompt["source"],
        "license": prompt["license"],
    }
    if isinstance(result, str):
        return {**row, "metadata": _metadata(prompt, request, None), "error": result}
    return {
        **row,
        "response": result.response,
        "complete": result.finish_reason == "stop",
        "finish_reason": result.finish_reason,
        "metadata": _metadata(prompt, request, result.finish_reason),
        "token_ids": result.token_ids,
        "logprobs": result.logprobs,
        "prompt_tokens": result.prompt_tokens,
        "response_tokens": len(result.token_ids),
    }


def _metadata(
    prompt: dict[str, Any], request: Request, finish_reason: str | None
) -> dict[str, Any]:
    """What goes with the trace through everything that follows; its record is found by the first."""
    return {
        "sample_uuid": request.sample_uuid,
        "finish_reason": finish_reason,
        "prompt": prompt["metadata"],
    }
