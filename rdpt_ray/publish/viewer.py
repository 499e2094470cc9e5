"""The trace viewer of the report: its data as JSON, its script, and what the page says about the sample.

Text from a dataset reaches the page as JSON in an element that is never run, and from there only as text
nodes. The script is one, made of the files below in their order, and admitted by its hash.
"""

from base64 import b64encode
from collections import Counter
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from math import isfinite
from typing import Any

from markupsafe import Markup

from rdpt_ray.method.provenance import Provenance
from rdpt_ray.method.summary import UNSCORED, Summary
from rdpt_ray.publish.facts import RunFacts
from rdpt_ray.publish.palette import ORDER
from rdpt_ray.publish.untrusted import shorten
from rdpt_ray.publish.viewer_cut import hundredths, json_text
from rdpt_ray.publish.viewer_prompts import ViewerPrompt, ViewerTrace, ViewerTraces
from rdpt_ray.publish.viewer_words import stratum_words, why

SCRIPTS = ("viewer_data.js", "viewer_figure.js", "viewer_reader.js", "viewer.js")

LETTERS = {
    Provenance.TEACHER: "T",
    Provenance.STUDENT: "S",
    Provenance.COMMON: "C",
    Provenance.SHARED: "H",
    Provenance.BOOSTED: "B",
    UNSCORED: "U",
}
"""How a class is written in the data; the letters of figures are the first of their names."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """What the page needs of the viewer."""

    script: Markup
    script_hash: str
    """Base64 of the script's SHA-256, for the content security policy."""
    data: Markup
    num_traces: int
    total_traces: int
    """Of the run."""
    num_prompts: int
    total_prompts: int
    is_all: bool
    num_cut: int
    """Traces of which not everything is shown."""


def make_viewer(traces: ViewerTraces, summary: Summary, facts: RunFacts) -> Viewer:
    """The viewer of a run's traces.

    Args:
        traces: From `viewer_traces.sample_traces`.
        summary: What the run found.
        facts: Which run it was.
    """
    script = viewer_script()
    return Viewer(
        script=Markup(script),
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        data=Markup(json_text(viewer_data(traces, facts))),
        num_traces=traces.num_traces,
        total_traces=summary.selected + summary.rejected,
        num_prompts=len(traces.prompts),
        total_prompts=summary.num_prompts,
        is_all=traces.is_all,
        num_cut=sum(trace.is_cut for prompt in traces.prompts for trace in prompt.traces),
    )


@cache
def viewer_script() -> str:
    """The script, whole."""
    folder = files("rdpt_ray.publish") / "templates"
    parts = [(folder / name).read_text(encoding="utf-8") for name in SCRIPTS]
    return '"use strict";\n' + "\n".join(parts)


def viewer_data(traces: ViewerTraces, facts: RunFacts) -> dict[str, Any]:
    """Everything that the script reads."""
    roles = [
        role
        for role in ("teacher", "student", "distilled")
        if any(role in trace.roles for prompt in traces.prompts for trace in prompt.traces)
    ]
    return {
        "selects": facts.policy is not None,
        "policy": shorten(facts.policy or "", 60),
        "beta": facts.beta if facts.divergence == "prob_difference" else None,
        "roles": roles,
        "classes": [[LETTERS[name], name.capitalize()] for name in _classes(traces, facts)],
        "prompts": [_prompt(prompt, facts, is_all=traces.is_all) for prompt in traces.prompts],
    }


def _classes(traces: ViewerTraces, facts: RunFacts) -> list[str]:
    """The classes of the kind of run, in their order, and any other that a sentence has."""
    order = ORDER[facts.kind]
    found = {
        name for prompt in traces.prompts for trace in prompt.traces for name, _ in trace.tally
    }
    return [*order, *sorted(found & LETTERS.keys() - set(order))]


def _prompt(prompt: ViewerPrompt, facts: RunFacts, *, is_all: bool) -> dict[str, Any]:
    answers = Counter(trace.answer for trace in prompt.traces if trace.answer is not None)
    return _told(
        id=prompt.prompt_id,
        messages=[[each.role, each.text, each.left_out] for each in prompt.messages],
        answer=answers.most_common(1)[0][0] if answers else None,
        shownBecause=None if is_all else stratum_words(prompt.stratum),
        candidates=prompt.num_candidates,
        traces=[_trace(trace, prompt, facts) for trace in prompt.traces],
    )


def _trace(trace: ViewerTrace, prompt: ViewerPrompt, facts: RunFacts) -> dict[str, Any]:
    score = trace.selection_score
    sentences = trace.text.sentences
    gap = trace.text.gap
    return _told(
        id=trace.trace_id,
        candidate=trace.candidate,
        selected=trace.selected or None,
        reason=trace.drop_reason,
        rank=trace.rank,
        score=score if score is not None and isfinite(score) else None,
        why=shorten(why(trace, prompt, facts), 300),
        sentences=trace.num_sentences,
        teacher=trace.num_teacher,
        chars=trace.num_chars,
        correct=trace.correct,
        origin=trace.origin,
        labels=[list(label) for label in trace.labels],
        text=[sentence.text for sentence in sentences],
        cut={str(at): each.left_out for at, each in enumerate(sentences) if each.left_out},
        tally={LETTERS.get(name, "U"): count for name, count in trace.tally},
        classes="".join(LETTERS.get(each.name, "U") for each in sentences),
        probs={
            role: [hundredths(each.probs[at]) for each in sentences]
            for at, role in enumerate(trace.roles)
        },
        gap=None if gap is None else [gap.after, gap.sentences, gap.chars],
    )


def _told(**values: Any) -> dict[str, Any]:
    """Without what is empty: the page is full of these."""
    return {name: value for name, value in values.items() if value not in (None, "", [], {})}
