"""Who scores how many tokens a second, on one card, by wall time; and what a pass's size does to ours.

Peers go first, on the model as it is; then the engine takes the same weights. Nobody else uses the card.
"""

import gc
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from scoring_parts import Figures
from scoring_parts.ours import TOKEN_BUDGET, scorer
from scoring_parts.peers import one_by_one, padded_ranked, padded_sorted
from scoring_parts.vllm_peer import VllmError, started
from scoring_parts.workload import (
    Shape,
    attention_flops,
    build_on_gpu,
    draw_traces,
    long_traces,
    num_tokens,
    product_flops,
)
from transformers import PreTrainedModel

from gpu_parts.card import product_rate, wall_s
from rdpt_ray.scoring.engine import TokenSequence

TEACHER = Shape("8b", 4096, 12_288, 36, 8, 151_936, head_dim=128)
STUDENT = Shape("1.7b", 2048, 6144, 28, 8, 151_936, head_dim=128)
TINY = Shape("0.1b", 768, 2048, 12, 4, 50_304)

AGREEMENT = 2e-2
"""How far, in nats per token, a contestant's mean may be from ours; more is another computation."""
VLLM_MEMORY = 0.6
"""Of the card. vLLM's log-softmax over a pass of 8192 tokens takes some 15 GB that it does not count."""

Score = Callable[[Sequence[TokenSequence]], list[NDArray[np.float32]]]


@dataclass(slots=True)
class Outcome:
    """One contestant's rounds on one set of traces."""

    seconds: list[float] = field(default_factory=list)
    mean: float = 0.0
    peak_gib: float | None = None
    """Of memory above what lay there before."""
    why: str | None = None

    @property
    def second(self) -> float:
        """Median seconds of a round."""
        return statistics.median(self.seconds)


def races(quick: bool, peers: Sequence[str], vllm_python: Path | None) -> Figures:
    """Run them all and print a table of each.

    Args:
        quick: Small models, few traces.
        peers: Who takes part beside ours.
        vllm_python: The interpreter of an environment with vLLM.
    """
    figures: Figures = {}
    python = vllm_python if "vllm" in peers else None
    for shape in (TINY,) if quick else (TEACHER, STUDENT):
        rounds = 1 if quick else 2
        figures |= _race(shape, _workloads(shape, quick), peers, python, rounds)
    return figures


def _workloads(shape: Shape, quick: bool) -> dict[str, tuple[list[TokenSequence], int]]:
    """Traces, and how many of them the peers pad to one batch: as many as the card holds the logits of."""
    if quick:
        return {"short": (draw_traces(16, shape.vocabulary), 4)}
    return {
        "short": (draw_traces(64, shape.vocabulary), 4),
        "long": (long_traces(8, 10_000, 30_000, shape.vocabulary), 1),
    }


def _race(
    shape: Shape,
    workloads: dict[str, tuple[list[TokenSequence], int]],
    peers: Sequence[str],
    vllm_python: Path | None,
    rounds: int,
) -> Figures:
    model = build_on_gpu(shape)
    outcomes: dict[str, dict[str, Outcome]] = {name: {} for name in workloads}
    with TemporaryDirectory(prefix="rdpt-bench-") as scratch:
        folder = Path(scratch) / "model"
        if vllm_python is not None:
            model.save_pretrained(folder)
        for name, (traces, batch) in workloads.items():
            outcomes[name] = {
                peer: _timed(score, traces, rounds)
                for peer, score in _peers(model, batch).items()
                if peer in peers
            }
        ours = scorer(model)
        for name, (traces, _) in workloads.items():
            outcomes[name]["ours"] = _timed(ours, traces, rounds)
        del model, ours
        _free()
        if vllm_python is not None:
            _vllm(vllm_python, folder, workloads, outcomes, rounds)
    figures: Figures = {}
    for name, (traces, _) in workloads.items():
        figures |= _figures(shape, name, traces, outcomes[name])
    return figures


def _peers(model: PreTrainedModel, batch: int) -> dict[str, Score]:
    return {
        "hf_naive": partial(one_by_one, model),
        "lm_eval": partial(padded_sorted, model, batch=batch),
        "rsr": partial(padded_ranked, model, batch=batch),
    }


def _timed(score: Score, traces: Sequence[TokenSequence], rounds: int) -> Outcome:
    outcome = Outcome()
    _free()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    try:
        for turn in range(rounds + 1):
            seconds, found = wall_s(partial(score, traces))
            if turn:  # the first one warms up
                outcome.seconds.append(seconds)
            outcome.mean = float(np.concatenate(found).mean())
    except torch.OutOfMemoryError as error:
        outcome.why = str(error).splitlines()[0][:120]
    outcome.peak_gib = (torch.cuda.max_memory_allocated() - before) / 2**30
    _free()
    return outcome


def _vllm(
    python: Path,
    folder: Path,
    workloads: dict[str, tuple[list[TokenSequence], int]],
    outcomes: dict[str, dict[str, Outcome]],
    rounds: int,
) -> None:
    longest = max(len(trace) for traces, _ in workloads.values() for trace in traces) + 1
    log = Path("/tmp/rdpt-bench-vllm-gpu.log")
    try:
        with started(
            str(python),
            folder,
            "bfloat16",
            threads=8,
            eager=False,
            log=log,
            longest=longest,
            memory=VLLM_MEMORY,
        ) as server:
            print(f"  vLLM {server.version}", flush=True)
            for name, (traces, _) in workloads.items():
                outcome = outcomes[name]["vllm"] = Outcome()
                server.score(traces[:8])
                for _ in range(rounds):
                    _, seconds, found = server.score(traces)
                    outcome.seconds.append(seconds)
                    outcome.mean = float(np.concatenate(found).mean())
    except (VllmError, OSError) as error:
        print(f"  vLLM: {error}", flush=True)
        for name in workloads:
            outcomes[name]["vllm"] = Outcome(why=str(error)[:200])


def _figures(
    shape: Shape, name: str, traces: list[TokenSequence], outcomes: dict[str, Outcome]
) -> Figures:
    """Prints a table too.

    Raises:
        RuntimeError: if a contestant scores something else.
    """
    tokens, ours = num_tokens(traces), outcomes["ours"]
    flops = sum(product_flops(shape, traces).values()) + attention_flops(shape, traces)
    print(f"  {shape.name}, {name}: {len(traces)} traces, {tokens} tokens")
    print("    contestant    tokens/s   TFLOP/s  of products' rate  GiB   ours is x times")
    figures: Figures = {}
    for who, one in outcomes.items():
        end = f"{who}_{shape.name}_{name}"
        if one.why is not None:
            print(f"    {who:10} {one.why}", flush=True)
            figures[f"tokens_per_s_{end}"] = None
            continue
        if not abs(one.mean - ours.mean) < AGREEMENT:
            raise RuntimeError(f"{end}: mean log-probability {one.mean}, ours is {ours.mean}")
        rate, ratio = flops / one.second, one.second / ours.second
        memory = "    " if one.peak_gib is None else f"{one.peak_gib:4.1f}"
        print(
            f"    {who:10} {tokens / one.second:11.0f} {rate / 1e12:9.0f} {rate / product_rate():18.2f}"
            f" {memory} {ratio:12.2f}",
            flush=True,
        )
        figures[f"tokens_per_s_{end}"] = tokens / one.second
        figures[f"peak_gib_{end}"] = one.peak_gib
        if who == "ours":
            figures[f"gemm_fraction_{shape.name}_{name}"] = rate / product_rate()
        else:
            figures[f"vs_{end}"] = ratio
    return figures


def budgets(quick: bool) -> Figures:
    """Tokens per second for other sizes of a pass, and with signals."""
    shape = TINY if quick else TEACHER
    traces = draw_traces(16 if quick else 64, shape.vocabulary)
    long = [] if quick else long_traces(2, 20_000, 28_000, shape.vocabulary)
    figures: Figures = {}
    for budget in (2048, 4096, TOKEN_BUDGET, 16_384, 32_768):
        score = scorer(build_on_gpu(shape), token_budget=budget)
        for name, some in {"short": traces, "long": long}.items():
            if some:
                outcome = _timed(score, some, 1)
                figures[f"tokens_per_s_budget_{budget}_{name}"] = num_tokens(some) / outcome.second
                figures[f"peak_gib_budget_{budget}_{name}"] = outcome.peak_gib
        del score
    score = scorer(build_on_gpu(shape), signals=("rank", "brier"))
    seconds = _timed(score, traces, 1).second
    figures["tokens_per_s_signals_short"] = num_tokens(traces) / seconds
    return figures


def _free() -> None:
    gc.collect()
    torch.cuda.empty_cache()
