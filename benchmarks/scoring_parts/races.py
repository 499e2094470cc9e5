"""Which races are run, who takes part, and the figures they come to."""

import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import torch
from transformers import PreTrainedModel

from rdpt_ray.scoring.engine import TokenSequence
from scoring_parts import Figures
from scoring_parts.gemm import peak_rate
from scoring_parts.ours import scorer
from scoring_parts.peers import (
    BATCH,
    lm_eval,
    lm_eval_package,
    one_by_one,
    padded_ranked,
    padded_sorted,
    useful_fraction,
)
from scoring_parts.race import Result, Run, race, timed
from scoring_parts.vllm_peer import VllmError, started
from scoring_parts.workload import (
    A,
    B,
    C,
    Shape,
    attention_flops,
    build_model,
    draw_traces,
    num_tokens,
    product_flops,
)

EVERYONE = ("hf_naive", "lm_eval", "rsr", "vllm")
NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16"}
AGREEMENT = {torch.float32: 1e-4, torch.bfloat16: 2e-2}
"""How far, in nats per token, a contestant's mean may be from ours; more is another computation."""


@dataclass(frozen=True, slots=True)
class Peers:
    """Where the packages of others are."""

    vllm_python: Path | None
    """The interpreter of an environment with vLLM."""
    lm_eval_folder: Path | None
    """A folder to import lm-evaluation-harness from, if it is not installed."""


@dataclass(frozen=True, slots=True)
class Race:
    """One model, one dtype, some traces."""

    shape: Shape
    dtype: torch.dtype
    count: int
    rounds: int
    peers: tuple[str, ...]

    @property
    def name(self) -> str:
        """As keys of the figures end: the dtype, then the shape unless it is A."""
        return NAMES[self.dtype] + ("" if self.shape is A else f"_{self.shape.name}")


FULL = [
    Race(A, torch.float32, 12, 3, (*EVERYONE, "lm_eval_rewritten")),
    Race(C, torch.float32, 4, 3, EVERYONE),
    Race(B, torch.float32, 6, 3, ("hf_naive",)),
    Race(A, torch.bfloat16, 12, 3, ("hf_naive", "lm_eval", "vllm")),
    Race(B, torch.bfloat16, 6, 3, ("hf_naive",)),
    Race(C, torch.bfloat16, 4, 3, ("hf_naive",)),
]
QUICK = [
    Race(A, torch.float32, 3, 1, EVERYONE),
    Race(C, torch.float32, 2, 1, EVERYONE),
    Race(B, torch.float32, 2, 1, ()),
    Race(A, torch.bfloat16, 3, 1, ()),
    Race(B, torch.bfloat16, 2, 1, ()),
]


def races(quick: bool, peers: Peers) -> Figures:
    """Run them all and print a table of each.

    Args:
        quick: One round over a few traces: only to see that it works.
        peers: Where others' packages are.
    """
    figures: Figures = {}
    why: list[str] = []
    for entry in QUICK if quick else FULL:
        found = _run(entry, peers, quick)
        why += [str(found.pop("why"))] if "why" in found else []
        figures |= found
    return figures | ({"why": "; ".join(dict.fromkeys(why))} if why else {})


def _run(entry: Race, peers: Peers, quick: bool) -> Figures:
    traces = draw_traces(entry.count, entry.shape.vocabulary)
    why: list[str] = []
    figures: Figures = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="rdpt-bench-")))
        plain = build_model(entry.shape, entry.dtype)
        contestants = {"ours": timed(scorer(build_model(entry.shape, entry.dtype)))}
        for peer in _that_fit(entry, traces, why):
            if peer == "vllm":
                run = _vllm(entry, plain, peers, folder, stack, figures, why, eager=quick)
            else:
                run = _in_process(peer, plain, peers, figures)
            if run is not None:
                contestants[peer] = run
        trial_s = 0.01 if quick else 0.05
        peak = partial(peak_rate, entry.shape, traces, entry.dtype, trial_s)
        results = race(contestants, traces, rounds=entry.rounds, peak=peak)
    _check(entry, results, traces)
    _show(entry, results, traces)
    return figures | _figures(entry, results, traces) | ({"why": "; ".join(why)} if why else {})


def _that_fit(entry: Race, traces: Sequence[TokenSequence], why: list[str]) -> list[str]:
    """The peers, without those whose padded batch would not fit the memory that is free now."""
    logits = BATCH * max(map(len, traces)) * entry.shape.vocabulary * entry.dtype.itemsize
    needed = 2.5 * min(BATCH, len(traces)) / BATCH * logits
    if needed < psutil.virtual_memory().available:
        return list(entry.peers)
    why.append(f"{entry.name}: padded batches need {needed / 2**30:.0f} GiB, more than is free")
    return [peer for peer in entry.peers if peer in ("hf_naive", "vllm")]


def _in_process(peer: str, plain: PreTrainedModel, peers: Peers, figures: Figures) -> Run:
    if peer == "hf_naive":
        return timed(partial(one_by_one, plain))
    if peer == "rsr":
        return timed(partial(padded_ranked, plain))
    package = lm_eval_package(peers.lm_eval_folder) if peer == "lm_eval" else None
    if package is None:
        figures.setdefault("lm_eval_from", "its algorithm, written in the benchmark")
        return timed(partial(padded_sorted, plain))
    figures["lm_eval_from"] = f"its package, {version('lm_eval')}"
    return timed(lm_eval(package, plain))


def _vllm(
    entry: Race,
    plain: PreTrainedModel,
    peers: Peers,
    folder: Path,
    stack: ExitStack,
    figures: Figures,
    why: list[str],
    *,
    eager: bool,
) -> Run | None:
    if peers.vllm_python is None:
        why.append("vLLM: no --vllm-python")
        return None
    plain.save_pretrained(folder / "model")
    dtype = str(entry.dtype).removeprefix("torch.")
    log = Path(f"/tmp/rdpt-bench-vllm-{entry.name}.log")
    try:
        server = stack.enter_context(
            started(
                str(peers.vllm_python), folder / "model", dtype, threads=1, eager=eager, log=log
            )
        )
    except (VllmError, OSError) as error:
        why.append(f"vLLM: {error}")
        return None
    mode = "eager" if eager else "compiled, its default"
    figures["vllm_from"] = f"its package, {server.version}, {mode}"
    return server.score


def _check(entry: Race, results: dict[str, Result], traces: Sequence[TokenSequence]) -> None:
    responses = sum(len(trace.response_ids) for trace in traces)
    for name, result in results.items():
        off = abs(result.total - results["ours"].total) / responses
        if not off < AGREEMENT[entry.dtype]:
            raise RuntimeError(
                f"{entry.name}: the mean log-probability of {name} is {off:.2g} nats from ours; the"
                " contestants do not score the same thing, so their times cannot be compared"
            )


def _flops(shape: Shape, traces: list[TokenSequence]) -> int:
    return sum(product_flops(shape, traces).values()) + attention_flops(shape, traces)


def _show(entry: Race, results: dict[str, Result], traces: list[TokenSequence]) -> None:
    tokens = num_tokens(traces)
    peak = statistics.median(results["ours"].peaks)
    arrival, ordered = (useful_fraction(traces, by_length=order) for order in (False, True))
    print(
        f"  {entry.shape.name} {NAMES[entry.dtype]}, 1 thread: {len(traces)} traces, {tokens} tokens,"
        f" {entry.rounds} rounds; products run at {peak / 1e9:.0f} GFLOP/s;\n"
        f"  a padded batch of {BATCH} is {arrival:.0%} tokens in order of arrival, {ordered:.0%} sorted"
    )
    print(
        "    contestant          tokens/CPU s  tokens/s  of products' rate  ours is x times (wall)"
    )
    flops = _flops(entry.shape, traces)
    for name, result in results.items():
        ratio = result.cpu / results["ours"].cpu
        wall = result.wall / results["ours"].wall
        print(
            f"    {name:18} {tokens / result.cpu:13.0f} {tokens / result.wall:9.0f}"
            f" {result.fraction(flops):18.2f} {ratio:16.2f} ({wall:.2f})",
            flush=True,
        )


def _figures(entry: Race, results: dict[str, Result], traces: list[TokenSequence]) -> Figures:
    tokens, ours = num_tokens(traces), results["ours"]
    figures: Figures = {}
    for name, result in results.items():
        figures[f"tokens_per_s_{name}_{entry.name}"] = tokens / result.cpu
        if result is not ours:
            figures[f"vs_{name}_{entry.name}"] = result.cpu / ours.cpu
            figures[f"vs_{name}_{entry.name}_wall"] = result.wall / ours.wall
    dtype = NAMES[entry.dtype]
    figures[f"padded_sorted_useful_{entry.name}"] = useful_fraction(traces, by_length=True)
    figures[f"gemm_fraction_{dtype}_{entry.shape.name}"] = ours.fraction(
        _flops(entry.shape, traces)
    )
    figures[f"gemm_gflops_{dtype}_{entry.shape.name}"] = statistics.median(ours.peaks) / 1e9
    return figures
