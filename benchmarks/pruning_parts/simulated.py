"""Made-up candidates, pruned by the product's own contest and bound.

A prompt's length is lognormal, its candidates' lengths are correlated with it, p_S is Beta distributed, and
the teacher is a little surer of most sentences: logit p_T = logit p_S + delta + N(0, 0.8).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pruning_parts import Figures
from rdpt_ray.method.pruning import (
    Contest,
    Half,
    Key,
    Threshold,
    highest_teacher_count,
    next_wave,
    rank_key,
)

THRESHOLD = Threshold(0.1, 1.0)
MEANS = (0.4, 0.5, 0.6, 0.7, 0.8)


@dataclass(frozen=True, slots=True)
class Setting:
    """What is drawn, and how the teacher reads it."""

    candidates: int
    mean: float = 0.6
    """Of the student's sentence probabilities."""
    chunk: int | None = 512
    """Tokens read before it is asked whether to go on; None: a trace is read in one go."""
    delta: float = 0.5
    """How much surer the teacher is, in logits."""
    shared: float = 0.5
    """Spread of the prompts' lengths, standard deviation of the logarithm."""
    own: float = 0.5
    """Spread within a prompt. What is saved hangs on it; 0.5 was set so that 8 candidates come near the
    figures of an earlier simulation, not measured on traces."""
    sentences: int = 60
    """Of a middling candidate."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """One candidate. Arrays: one entry per sentence."""

    trace_id: str
    teacher: NDArray[np.float64]
    student: NDArray[np.float64]
    ends: NDArray[np.int64]
    """Tokens up to the end of each sentence."""

    def key(self, num_tokens: int) -> Key:
        """The best place it can still reach when so many tokens are read."""
        read = self.ends <= num_tokens
        values = np.where(read, self.teacher, np.nan)
        sums = np.zeros(len(values))
        half = Half(self.student, sums, 1, values, sums, read)
        return rank_key(highest_teacher_count(half, THRESHOLD), len(values), self.trace_id)


def simulated(quick: bool) -> Figures:
    """Shares of the teacher's tokens that pruning saves, and whether the selection stayed the same."""
    prompts = 40 if quick else 300
    print("candidates  mean p_S: " + "  ".join(f"{mean:>5g}" for mean in MEANS) + "   all")
    figures: Figures = {}
    same = True
    for candidates in (2, 4, 8, 16):
        found = [saved(Setting(candidates, mean), prompts) for mean in MEANS]
        same &= all(equal for _, equal in found)
        shares = [share for share, _ in found]
        figures[f"saved_k{candidates}"] = float(np.mean(shares))
        cells = "  ".join(f"{share:5.1%}" for share in shares)
        print(f"{candidates:>10}            {cells}  {np.mean(shares):5.1%}")
    print("mean of the same, by the spread of lengths within a prompt:")
    for own in (0.2, 0.35):
        for candidates in (4, 8, 16):
            cells = [saved(Setting(candidates, mean, own=own), prompts) for mean in MEANS]
            same &= all(equal for _, equal in cells)
            share = float(np.mean([share for share, _ in cells]))
            figures[f"saved_k{candidates}_spread_{own:g}"] = share
            print(f"  {own:<5g}{candidates:>3} candidates  {share:6.1%}")
    base = Setting(8)
    print("8 candidates, mean p_S 0.6:")
    for name, setting in {
        **{f"chunks of {size}": replace(base, chunk=size) for size in (128, 256, 512, 1024, 2048)},
        "no early stop": replace(base, chunk=None),
        "lengths not correlated": replace(base, shared=0.0, own=0.5 * 2**0.5),
        "all of one length": replace(base, own=0.0),
        "200 sentences": replace(base, sentences=200),
        "teacher like student": replace(base, delta=0.0),
        "teacher much surer": replace(base, delta=1.0),
    }.items():
        share, equal = saved(setting, prompts)
        same &= equal
        print(f"  {name:24}{share:6.1%}")
    return figures | {"identical": same}


def saved(setting: Setting, prompts: int) -> tuple[float, bool]:
    """Share of the response tokens not read over some prompts, and whether every pick was the same."""
    rng = np.random.default_rng(0)
    read = total = 0
    same = True
    for _ in range(prompts):
        group = _drawn(rng, setting)
        pick, num_read = _pruned(group, setting.chunk)
        same &= pick == min(each.key(int(each.ends[-1])) for each in group)
        read += num_read
        total += sum(int(each.ends[-1]) for each in group)
    return 1 - read / total, same


def _drawn(rng: np.random.Generator, setting: Setting) -> list[Simulated]:
    middle = np.log(setting.sentences) + rng.normal(0, setting.shared)
    group: list[Simulated] = []
    for number in range(setting.candidates):
        count = max(1, round(float(np.exp(middle + rng.normal(0, setting.own)))))
        mean = setting.mean
        student = np.clip(rng.beta(4 * mean, 4 * (1 - mean), count), 1e-6, 1 - 1e-6)
        logits = np.log(student / (1 - student)) + setting.delta + rng.normal(0, 0.8, count)
        ends = np.cumsum(rng.integers(8, 41, count))
        group.append(Simulated(f"{number:02d}", 1 / (1 + np.exp(-logits)), student, ends))
    return group


def _pruned(group: list[Simulated], chunk: int | None) -> tuple[Key, int]:
    """The winner's place, and the tokens that it took to know it."""
    by_id = {each.trace_id: each for each in group}
    contest = Contest(1, open={each.trace_id: each.key(0) for each in group})
    num_read = 0
    while wave := next_wave([contest]):
        for trace_id in wave:
            each = by_id[trace_id]
            total = int(each.ends[-1])
            stops = range(chunk, total, chunk) if chunk else ()
            stop = next((stop for stop in stops if contest.hopeless(each.key(stop))), total)
            num_read += stop
            contest.settle(trace_id, each.key(total) if stop == total else None)
    return min(contest.known), num_read
