"""What names of the method mean, for someone who never read the paper: policies, reasons, roles, units."""

from collections.abc import Iterable

from rdpt_ray.method.divergence import DIVERGENCES
from rdpt_ray.method.summary import Summary
from rdpt_ray.publish.facts import RunFacts
from rdpt_ray.publish.findings import sentences_per_trace, teacher_per_trace

POLICY_WORDS = {
    "teacher_count": "with the most Teacher sentences",
    "teacher_ratio": "with the largest share of Teacher sentences",
    "fewest": "with the fewest Teacher sentences",
    "longest": "with the most characters",
    "shortest": "with the fewest characters",
    "length_matched": "nearest in length to the one with the most Teacher sentences, and not that one",
    "random": "drawn at random",
    "grape": "that the student finds most likely",
    "rsr": "with the lowest ratio of rank to surprisal under the student",
    "ifd": "for which the prompt helps the student least, but does help",
    "lark": "from which the student is estimated to learn most",
    "aslec": "that the student finds most likely, each sentence's first token aside",
    "miniplm_difference": "whose likelihood differs most between teacher and student",
}
"""How the page says in its second sentence what a policy selects."""

REASON_WORDS = {
    "outranked": "another response to the same prompt ranked higher",
    "pruned": "could not win any more, so the teacher did not read it to the end",
    "below_min_score": "its number under the policy is below selection.min_score",
    "not_choosable": "the policy has no number for it, so it is never chosen",
    "over_budget": "first of its prompt, but the budget over all prompts was used up by better ones",
    "filter: complete": "its reasoning was cut off or never closed (or not, where the config wants those)",
    "filter: correct": "its answer is not known to be right (or wrong, where the config wants those)",
    "filter: min_chars": "shorter than the config allows",
    "filter: max_chars": "longer than the config allows",
    "filter: licenses": "its licence is missing, or not one that the config allows",
    "contaminated": "shares a long run of words with an item of an evaluation set",
    "near_duplicate_prompt": "its prompt says nearly the same as another one, which stays",
    "near_duplicate": "says nearly the same as another response, which stays",
}
"""Why a trace was rejected, by drop_reason."""

DIFFERENCES = {
    "prob_difference": "probabilities",
    "log_ratio": "mean log-probabilities per token",
    "log_ratio_per_char": "log-probabilities per character",
}
"""What of the two models is subtracted, by divergence."""


def selection_words(facts: RunFacts) -> str:
    """What was kept of each prompt, to end a sentence with."""
    which = POLICY_WORDS.get(facts.policy or "", f"ranked first by the policy {facts.policy}")
    responses = "response" if facts.per_prompt == 1 else f"{facts.per_prompt} responses"
    return f"the {responses} {which}"


def in_short(summary: Summary, facts: RunFacts) -> list[str]:
    """The run in a few sentences, for someone who reads nothing else."""
    rows = (
        f"{counted(summary.rows_read, 'row')} came in, of {counted(summary.num_prompts, 'prompt')}"
    )
    kept = f"{counted(summary.selected, 'trace')} {'was' if summary.selected == 1 else 'were'}"
    said = [f"{rows}; {kept} {'traced' if facts.policy is None else 'kept'}"]
    if facts.policy is not None:
        said[0] += f", {summary.rejected:,} rejected"
    if summary.quarantined:
        said[0] += f", {counted(summary.quarantined, 'unusable row')} set aside"
    said[0] += "."
    selected, scored = teacher_per_trace(summary)
    if selected is not None and scored is not None and facts.policy is not None:
        said.append(
            f"A kept response has {selected:,.2f} Teacher sentences on average,"
            f" against {scored:,.2f} over all that were scored."
        )
    elif scored is not None:
        said.append(f"A response has {scored:,.2f} Teacher sentences on average.")
    longer, usual = sentences_per_trace(summary)
    if facts.policy is not None and longer is not None and usual is not None:
        said.append(
            f"Length goes with that: {longer:,.1f} sentences against {usual:,.1f}."
            if longer > usual
            else f"It is not longer for that: {longer:,.1f} sentences against {usual:,.1f}."
        )
    return said


def explained(reasons: Iterable[str]) -> list[tuple[str, str]]:
    """Reason and explanation, of the reasons that have one; a filter by an unknown name is explained too."""
    found: list[tuple[str, str]] = []
    for name in reasons:
        words = REASON_WORDS.get(name)
        if words is None and name.startswith("filter: "):
            words = "fails a filter that the config sets"
        if words is not None:
            found.append((name, words))
    return found


def difference_words(divergence: str) -> str:
    """What is compared with beta, to follow "the difference of their"."""
    return DIFFERENCES.get(divergence, divergence)


def unit_of(divergence: str) -> str:
    """The unit of beta."""
    known = DIVERGENCES.get(divergence)
    return divergence if known is None else known.unit


def limits(facts: RunFacts) -> list[str]:
    """What held the selection back beside the policy, in sentences."""
    found: list[str] = []
    if facts.policy is None:
        return found
    if facts.min_score is not None:
        found.append(f"Nothing with a number below {facts.min_score:g} under the policy is kept.")
    budget = [
        f"{number:,} {unit}"
        for number, unit in (
            (facts.budget_rows, "traces"),
            (facts.budget_tokens, "tokens of the student's tokenizer"),
        )
        if number is not None
    ]
    if budget:
        found.append(
            f"A budget over all prompts holds at most {' and '.join(budget)}: "
            + (
                "prompts in an order drawn by the seed"
                if facts.budget_order == "prompts"
                else "the best by the policy's number"
            )
            + " stay, up to the last that fits."
        )
    return found


def counted(number: int, noun: str) -> str:
    """A number and what it counts: 1 trace, 2,000 traces."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def role_words(role: str) -> str | None:
    """What a role beside teacher, student and distilled is for."""
    if role == "unprompted":
        return "the student, reading responses without their prompts, for IFD"
    if role.startswith("teacher:"):
        return "reads the traces that name it as their teacher"
    return None
