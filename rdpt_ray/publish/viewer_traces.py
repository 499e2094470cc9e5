"""The traces that the report's viewer holds: read from a run's tables, whole prompts, never more than fit.

Two passes over the tables, both of a few megabytes at a time: one over the columns that say how each
prompt's candidates fared, to decide which prompts are shown (`viewer_sample`), and one over the row groups
that hold those.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from heapq import merge
from itertools import groupby
from math import isfinite

from rdpt_ray.errors import StoreError
from rdpt_ray.publish.run_tables import read_rows
from rdpt_ray.publish.viewer_cut import common_limit, cut_text, json_text, num_bytes, text_bytes
from rdpt_ray.publish.viewer_prompts import (
    MAX_CANDIDATES,
    OUTLOOK,
    SHOWN,
    TRACED,
    Message,
    Row,
    ViewerPrompt,
    ViewerTraces,
    prompt_of_rows,
)
from rdpt_ray.publish.viewer_sample import Draw, PromptFacts
from rdpt_ray.storage.files import Root

MAX_BYTES = 3_700_000
"""What the viewer takes of the page's 5 MB."""

MAX_LOOKED_AT = 200_000
"""Traces among which prompts are chosen. A bucket holds prompts by a hash of theirs, so the first buckets of
a larger run are as good a sample as any."""

TRACE_BYTES = 60_000
"""One trace takes at most this, and at most eight times what each would have if all had the same."""

SAMPLED_TRACE_BYTES = 12_000
"""The same where not all traces are shown: rather more of each than more of them."""

PROMPTS_SHARE = 0.2
"""How much of all text may be prompts."""

TRACE_OVERHEAD = 500
"""What a trace takes beside its texts: the names of its values, numbers, why it was selected or not."""

PROMPT_OVERHEAD = 250


def sample_traces(
    run: Root, *, max_traces: int = 1_000, max_bytes: int = MAX_BYTES, seed: int = 0
) -> ViewerTraces:
    """Whole prompts of a run, so many that the page keeps its size, each trace cut as far as it must be.

    Args:
        run: The run's folder; its tables are there, its manifest need not be.
        max_traces: Traces that are shown; a run of no more is shown whole.
        max_bytes: What they may take in the page.
        seed: Of the sample.

    Raises:
        StoreError: if a table is missing or damaged.
    """
    draw, has_seen_all = _draw(run, Draw(max_traces, seed))
    chosen = draw.shown()
    is_all = has_seen_all and len(chosen) == draw.num_prompts
    by_bucket: dict[str, list[str]] = {}
    for prompt_id, (_, facts) in chosen.items():
        by_bucket.setdefault(facts.bucket, []).append(prompt_id)
    num_shown = sum(facts.num_shown for _, facts in chosen.values())
    even_share = max_bytes // max(num_shown, 1)
    max_trace_bytes = min(TRACE_BYTES, 8 * even_share) if is_all else SAMPLED_TRACE_BYTES
    read = {
        group[0]["prompt_id"]: prompt_of_rows(
            group, chosen[group[0]["prompt_id"]][0], max_trace_bytes
        )
        for bucket, prompts in sorted(by_bucket.items())
        for group in _groups(_read_whole(run, bucket, frozenset(prompts)))
    }
    wanted = [read[prompt_id] for prompt_id in chosen if prompt_id in read]
    fitting = wanted if is_all else list(_that_fit(wanted, max_bytes))
    shown = sorted(_cut(fitting, max_bytes), key=lambda prompt: prompt.prompt_id)
    return ViewerTraces(tuple(shown), is_all)


def _draw(run: Root, draw: Draw) -> tuple[Draw, bool]:
    """Take the prompts of the first buckets; also whether these are all."""
    looked_at = 0
    for name in run.names("selected"):
        if looked_at >= MAX_LOOKED_AT:
            return draw, False
        bucket = name.rpartition("/")[2]
        for group in _groups(_read(run, bucket, OUTLOOK)):
            looked_at += len(group)
            draw.add(_facts(group, bucket))
    return draw, True


def _read(
    run: Root, bucket: str, columns: Sequence[str], prompts: Collection[str] | None = None
) -> Iterator[Row]:
    """Selected and rejected traces of a bucket, in the order of prompts."""
    tables = [
        read_rows(run, f"{table}/{bucket}", columns=columns, prompts=prompts)
        for table in ("selected", "rejected")
    ]
    return merge(*tables, key=_place)


def _read_whole(run: Root, bucket: str, prompts: Collection[str]) -> Iterator[Row]:
    """The same with their classes and probabilities; tables are in the same order."""
    traced = read_rows(run, f"provenance/{bucket}", columns=TRACED, prompts=prompts)
    for row in _read(run, bucket, SHOWN, prompts):
        for each in traced:
            if each["trace_id"] == row["trace_id"]:
                yield row | each
                break
        else:
            raise StoreError(
                f"{run.show(f'provenance/{bucket}')}: no row in its place for trace {row['trace_id']};"
                " `rdpt store verify` tells what to do"
            )


def _place(row: Row) -> tuple[str, int]:
    return row["prompt_id"], row["candidate"]


def _groups(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """The candidates of one prompt after the other."""
    for _, group in groupby(rows, key=lambda row: row["prompt_id"]):
        yield list(group)


def _facts(group: list[Row], bucket: str) -> PromptFacts:
    scores = sorted(
        (
            score
            for row in group
            if (score := row["selection_score"]) is not None and isfinite(score)
        ),
        reverse=True,
    )
    return PromptFacts(
        prompt_id=group[0]["prompt_id"],
        bucket=bucket,
        num_shown=min(len(group), MAX_CANDIDATES),
        lead=scores[0] - scores[1] if len(scores) > 1 else None,
        selected_wrong=any(row["selected"] and row["correct"] is False for row in group),
        reasons=frozenset(row["drop_reason"] for row in group if row["drop_reason"] is not None),
    )


def _that_fit(prompts: Iterable[ViewerPrompt], max_bytes: int) -> Iterator[ViewerPrompt]:
    """The first prompts that fit whole."""
    for prompt in prompts:
        max_bytes -= _prompt_bytes(prompt) + _overhead(prompt)
        max_bytes -= sum(num_bytes(trace.text) for trace in prompt.traces)
        if max_bytes < 0:
            return
        yield prompt


def _cut(prompts: Sequence[ViewerPrompt], max_bytes: int) -> Iterator[ViewerPrompt]:
    """The same prompts, their texts cut until they fit: prompts to a share, then traces to what is left."""
    sizes = [_prompt_bytes(prompt) for prompt in prompts]
    limit = common_limit(sizes, int(PROMPTS_SHARE * max_bytes))
    left = max_bytes - sum(min(size, limit) for size in sizes) - sum(map(_overhead, prompts))
    traces = [num_bytes(trace.text) for prompt in prompts for trace in prompt.traces]
    trace_limit = common_limit(traces, left)
    for prompt in prompts:
        yield replace(
            prompt,
            messages=tuple(_cut_messages(prompt.messages, limit)),
            traces=tuple(
                replace(trace, text=cut_text(trace.text, trace_limit)) for trace in prompt.traces
            ),
        )


def _overhead(prompt: ViewerPrompt) -> int:
    """What a prompt and its traces take beside messages and responses."""
    roles = [message.role for message in prompt.messages]
    total = PROMPT_OVERHEAD + len(json_text([prompt.prompt_id, roles]).encode()) + 20 * len(roles)
    for trace in prompt.traces:
        reason = trace.drop_reason or ""
        said = [trace.trace_id, trace.answer, trace.origin, trace.labels, reason, reason]
        total += TRACE_OVERHEAD + len(json_text(said).encode())
    return total


def _prompt_bytes(prompt: ViewerPrompt) -> int:
    return sum(text_bytes(message.text) for message in prompt.messages)


def _cut_messages(messages: Sequence[Message], max_bytes: int) -> Iterator[Message]:
    """Messages of at most `max_bytes` together."""
    for message in messages:
        text = message.text
        while (size := text_bytes(text)) > max_bytes and text:
            text = text[: min(len(text) - 1, len(text) * max_bytes // size)]
        max_bytes = max(0, max_bytes - text_bytes(text))
        yield replace(message, text=text, left_out=message.left_out + len(message.text) - len(text))
