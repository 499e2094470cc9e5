"""One prompt of a run, to show by it how the others were decided."""

from dataclasses import dataclass

from rdpt_ray.publish.facts import RunFacts
from rdpt_ray.publish.untrusted import shorten
from rdpt_ray.publish.viewer_prompts import ViewerPrompt, ViewerTraces
from rdpt_ray.publish.viewer_words import why

MAX_ROWS = 5
MAX_SENTENCES = 60
"""A prompt with longer responses is hard to take in at a glance."""


@dataclass(frozen=True, slots=True)
class Decided:
    """One candidate of the prompt."""

    trace_id: str
    rank: int | None
    selected: bool
    classes: tuple[str, ...]
    """Of its sentences, in order."""
    num_teacher: int | None
    why: str


@dataclass(frozen=True, slots=True)
class DecidedPrompt:
    """A prompt and what became of its candidates."""

    text: str
    rows: tuple[Decided, ...]
    num_candidates: int
    trace_id: str
    """The winner's."""


def example_prompt(traces: ViewerTraces | None, facts: RunFacts) -> DecidedPrompt | None:
    """The prompt that shows best how the selection works; None where none does.

    It has a winner and losers, short responses that are shown whole, and as different scores as can be.
    """
    if traces is None or facts.policy is None:
        return None
    fitting = [prompt for prompt in traces.prompts if _shows_a_choice(prompt)]
    if not fitting:
        return None
    prompt = min(fitting, key=_unfitness)
    rows = tuple(
        Decided(
            trace_id=trace.trace_id,
            rank=trace.rank,
            selected=trace.selected,
            classes=tuple(sentence.name for sentence in trace.text.sentences),
            num_teacher=trace.num_teacher,
            why=why(trace, prompt, facts),
        )
        for trace in prompt.traces[:MAX_ROWS]
    )
    return DecidedPrompt(
        text=shorten(prompt.messages[-1].text, 400),
        rows=rows,
        num_candidates=prompt.num_candidates,
        trace_id=rows[0].trace_id,
    )


def _shows_a_choice(prompt: ViewerPrompt) -> bool:
    ranked = [trace for trace in prompt.traces if trace.rank is not None]
    return (
        len(ranked) > 1
        and ranked[0].selected
        and not ranked[-1].selected
        and bool(prompt.messages)
        and all(not trace.is_cut and trace.num_sentences for trace in ranked)
    )


def _unfitness(prompt: ViewerPrompt) -> tuple[bool, int, int, str]:
    """The smallest is the best: short, some candidates, all with scores of their own."""
    ranked = [trace for trace in prompt.traces if trace.rank is not None][:MAX_ROWS]
    longest = max(trace.num_sentences for trace in ranked)
    kinds = {sentence.name for trace in ranked for sentence in trace.text.sentences}
    return (
        longest > MAX_SENTENCES,
        -len({trace.selection_score for trace in ranked}),
        -len(kinds),
        prompt.prompt_id,
    )
