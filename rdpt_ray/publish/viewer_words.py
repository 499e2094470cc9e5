"""Why a candidate was selected or not, in words, for someone who sees it beside the others of its prompt."""

from math import isfinite

from rdpt_ray.publish.facts import RunFacts
from rdpt_ray.publish.viewer_prompts import ViewerPrompt, ViewerTrace
from rdpt_ray.publish.viewer_sample import LEAD, RANDOM, TIE, WRONG
from rdpt_ray.publish.words import REASON_WORDS, counted

OUTRANKED = "outranked"

STRATUM_WORDS = {
    RANDOM: "drawn at random",
    LEAD: "shown because the winner leads by much",
    TIE: "shown because the best two tie",
    WRONG: "shown because a selected answer is wrong",
}


def stratum_words(stratum: str) -> str:
    """Why a prompt is among those shown of a large run."""
    reason = stratum.removeprefix("dropped: ")
    return STRATUM_WORDS.get(stratum, f"shown because a candidate was dropped as {reason}")


def why(trace: ViewerTrace, prompt: ViewerPrompt, facts: RunFacts) -> str:
    """One or two sentences; empty where nothing is selected at all."""
    if facts.policy is None:
        return ""
    if trace.selected:
        return _why_selected(trace, prompt, facts)
    if trace.drop_reason == OUTRANKED:
        return _why_outranked(trace, prompt, facts)
    words = REASON_WORDS.get(trace.drop_reason or "")
    if words is None:
        words = f"dropped as {trace.drop_reason}"
        if (trace.drop_reason or "").startswith("filter: "):
            words = "fails a filter that the config sets"
    return f"Not selected: {words}."


def _why_selected(trace: ViewerTrace, prompt: ViewerPrompt, facts: RunFacts) -> str:
    score = measured(trace, facts.policy)
    others = [each for each in _ranked(prompt) if each.trace_id != trace.trace_id]
    if not others:
        alone = "the only candidate" if prompt.num_candidates == 1 else "the only candidate left"
        return f"Selected: {score}; {alone}."
    if trace.rank is not None and trace.rank > 1:
        return f"Selected: {score}, rank {trace.rank} of the {facts.per_prompt} that are kept."
    second = others[0]
    if second.selection_score == trace.selection_score:
        return f"Selected: {score}, the same as rank 2. {_tie(trace, second)}"
    next_one = measured(second, facts.policy)
    return f"Selected: {score}, first of {prompt.num_candidates}; the next has {next_one}."


def _why_outranked(trace: ViewerTrace, prompt: ViewerPrompt, facts: RunFacts) -> str:
    score = measured(trace, facts.policy)
    last = [each for each in _ranked(prompt) if each.selected]
    if not last:
        return f"Not selected: {score}; another candidate ranks higher."
    if last[-1].selection_score == trace.selection_score:
        return f"Not selected: {score}, the same as rank {last[-1].rank}. {_tie(last[-1], trace)}"
    return f"Not selected: {score}; rank {last[-1].rank} has {measured(last[-1], facts.policy)}."


def _tie(winner: ViewerTrace, loser: ViewerTrace) -> str:
    if winner.num_sentences == loser.num_sentences:
        return "Both have equally many sentences, so the smaller trace_id decides."
    return (
        f"A tie goes to the response with fewer sentences: {winner.num_sentences:,}"
        f" against {loser.num_sentences:,}."
    )


def _ranked(prompt: ViewerPrompt) -> list[ViewerTrace]:
    """The candidates that the policy put in an order."""
    return [trace for trace in prompt.traces if trace.rank is not None]


def measured(trace: ViewerTrace, policy: str | None) -> str:
    """What the policy looks at, in this trace."""
    score = trace.selection_score
    if score is None or not isfinite(score):
        return "no number under the policy" if score is None else f"a score of {score}"
    if policy in ("teacher_count", "fewest"):
        return counted(round(abs(score)), "Teacher sentence")
    if policy in ("longest", "shortest"):
        return counted(round(abs(score)), "character")
    if policy == "teacher_ratio":
        return f"{100 * score:.1f}% Teacher sentences"
    if policy == "random":
        return f"{score:.3f} in the draw"
    return f"a score of {score:.4g}"
