"""Random prompts whose models are made of token scores, read in chunks as an engine would read them."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rdpt_ray.method.candidate import Candidate
from rdpt_ray.method.divergence import DIVERGENCES
from rdpt_ray.method.provenance import classify_codes
from rdpt_ray.method.selection import policy_named, rank_candidates
from rdpt_ray.pipeline.demand import Contested
from rdpt_ray.pipeline.score_rows import role_scores, scores_row, sentence_chars
from rdpt_ray.scoring.engine import TokenScores
from rdpt_ray.scoring.traces import Trace, TraceTokens, sentence_scores
from rdpt_ray.storage.scores import is_pruned

LOGPROBS = np.array([0.0, -0.05, -0.1, -0.5, -2.0], np.float32)
"""Few values, so that many candidates tie."""


@dataclass
class World:
    """A part's traces and all that three models would say of them: trace_id -> tokens or an error."""

    traces: list[Trace]
    student: dict[str, TraceTokens]
    unprompted: dict[str, TraceTokens]
    teacher: dict[str, TraceTokens | str]

    def rows(self, role):
        return {trace.trace_id: self.row(role, trace) for trace in self.traces}

    def row(self, role, trace):
        tokens = getattr(self, role)[trace.trace_id]
        return scores_row(trace.trace_id, sentence_scores(trace, tokens))

    def contested(self, prune):
        student, unprompted = self.rows("student"), self.rows("unprompted")
        return Contested(self.traces, self.traces, student, unprompted, prune)


def drawn_world(rng):
    """One to three prompts of one to six candidates; sentence counts often equal, teachers that fail."""
    traces = []
    for prompt in range(rng.integers(1, 4)):
        messages = [{"role": "user", "content": f"{prompt}?"}]
        usual = int(rng.integers(1, 7))
        for number in rng.permutation(rng.integers(1, 7)):
            count = usual if rng.random() < 0.6 else int(rng.integers(1, 7))
            edges = np.cumsum([0, *rng.integers(1, 6, count)]).tolist()
            spans = list(pairwise(edges))
            traces.append(Trace(messages, "x" * edges[-1], spans, f"p{prompt}t{number}"))
    tokens = {
        role: {trace.trace_id: _tokens(rng, len(trace.response)) for trace in traces}
        for role in ("student", "unprompted", "teacher")
    }
    fails = [trace.trace_id for trace in traces if rng.random() < 0.1]
    tokens["teacher"] |= dict.fromkeys(fails, "actor_died: it fell over")
    rng.shuffle(traces)
    return World(traces, **tokens)


def _tokens(rng, num_chars):
    """Tokens of one to nine characters: some swallow whole sentences, which then have none of their own."""
    cuts = np.flatnonzero(rng.random(num_chars - 1) < rng.choice([0.15, 0.6])) + 1
    edges = np.array([0, *cuts, num_chars])
    spans = np.stack([edges[:-1], edges[1:]], axis=1)
    count = len(spans)
    scores = TokenScores(
        rng.choice(LOGPROBS, count),
        rng.integers(1, 4, count).astype(np.int32),
        rng.choice(LOGPROBS, count),
    )
    return TraceTokens(spans, scores, 2)


def read_in_chunks(trace, tokens, size):
    """What an engine gives back that asks `gives_up` after every `size` tokens, the last ones included."""
    if isinstance(tokens, str) or trace.gives_up is None:
        return tokens
    for end in range(size, len(tokens.spans) + size, size):
        scores = tokens.scores
        cut = TokenScores(scores.logprobs[:end], scores.ranks[:end], scores.briers[:end])
        left = max(0, len(tokens.spans) - end)
        partial = TraceTokens(tokens.spans[:end], cut, tokens.num_prompt_tokens, left)
        if trace.gives_up(partial):
            return partial
    return tokens


def read_waves(world, reading, rows, *, size, stop_after=None):
    """Let the teacher read wave after wave into `rows`; the traces read now, in order.

    Args:
        world: What it says.
        reading: What is asked.
        rows: What is known, added to.
        size: Tokens of a chunk.
        stop_after: Waves after which the process is killed; None: never.
    """
    order = []
    while (stop_after is None or stop_after > 0) and (wave := reading.wave(rows)):
        stop_after = None if stop_after is None else stop_after - 1
        for trace in wave:
            tokens = read_in_chunks(trace, world.teacher[trace.trace_id], size)
            order.append(trace.trace_id)
            rows[trace.trace_id] = scores_row(trace.trace_id, sentence_scores(trace, tokens))
    return order


def selected(world, rows, prune):
    """(trace_id, score) of the selected traces, by what the teacher has read, as the select stage does."""
    divergence, selection = DIVERGENCES[prune.divergence], prune.selection
    found = []
    for prompt in sorted({trace.messages[0]["content"] for trace in world.traces}):
        group = [
            _candidate(world, trace, rows[trace.trace_id], divergence, prune.beta)
            for trace in world.traces
            if trace.messages[0]["content"] == prompt
            and trace.trace_id in rows
            and not is_pruned(rows[trace.trace_id])
            and rows[trace.trace_id]["error"] is None
        ]
        ranked = rank_candidates(
            group,
            policy_named(selection.policy, seed=selection.seed),
            per_prompt=selection.per_prompt,
            min_score=selection.min_score,
        )
        found += [(each.trace_id, each.selection_score) for each in ranked if each.selected]
    return found


def _candidate(world, trace, row, divergence, beta):
    teacher = role_scores(row)
    student = role_scores(world.row("student", trace))
    chars = sentence_chars(trace.sentences)
    values = [divergence.values(each.sums, each.tokens, chars) for each in (teacher, student)]
    codes = classify_codes(*values, beta=beta)
    unprompted = role_scores(world.row("unprompted", trace))
    return Candidate(trace.trace_id, len(trace.response), codes, teacher, student, unprompted)
