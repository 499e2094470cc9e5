"""Right and wrong answers: what is shown of classes by position, and of verification."""

from collections.abc import Mapping
from dataclasses import dataclass

from rdpt_ray.method.correctness import Correctness
from rdpt_ray.method.correctness_intervals import Contrast, contrasts, num_positions
from rdpt_ray.method.equal_position import Association, associations, num_strata
from rdpt_ray.method.resampling import resample
from rdpt_ray.method.within_prompts import WithinPrompts, num_mixed, within_prompts
from rdpt_ray.publish.facts import AnswerFacts, ClassByAnswer, VerifyFacts
from rdpt_ray.publish.findings import Reason
from rdpt_ray.publish.palette import ORDER, Kind

SEED, RESAMPLES = 0, 1000
"""Of the intervals: fixed, so that a run always shows the same."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything that is shown of right and wrong answers."""

    wrong: int
    correct: int
    """Traces in each group."""
    prompts: int
    ungraded: int
    teacher_missing: int
    contrasts: tuple[Contrast, ...]
    """Empty where there are too few prompts, or a group has too few traces."""
    associations: tuple[Association, ...]
    """Of the same classes in the same order."""
    strata: int
    """Positions that those are over: all that both groups reach."""
    within: Mapping[str, WithinPrompts]
    """By class; empty where too few prompts have both right and wrong answers."""
    mixed: int
    """Prompts with both, of those that are drawn again."""
    reach: tuple[tuple[int, int], ...]
    """Per position drawn: wrong traces, right traces."""


@dataclass(frozen=True, slots=True)
class Verified:
    """How answers came to be called right or wrong."""

    method: str
    given: int
    correct: int
    wrong: int
    unknown: int
    reasons: tuple[Reason, ...]
    """Why the verifier could not tell, most frequent first."""


def answers(found: Correctness | None, kind: Kind) -> Answers | None:
    """What is known of right and wrong answers; None where no trace's answer was judged."""
    if found is None or not sum(found.traces):
        return None
    wrong, correct = found.traces
    length = num_positions(found)
    drawn = resample(found, seed=SEED, resamples=RESAMPLES) if length else None
    by_class = sorted(
        zip(contrasts(found, drawn=drawn), associations(found, drawn=drawn), strict=True),
        key=lambda both: _place(both[0].name, ORDER[kind]),
    )
    reach = found.reach[:, :length].T.tolist()
    return Answers(
        wrong=wrong,
        correct=correct,
        prompts=found.prompts,
        ungraded=found.ungraded,
        teacher_missing=found.teacher_missing,
        contrasts=tuple(contrast for contrast, _ in by_class),
        associations=tuple(association for _, association in by_class),
        strata=num_strata(found),
        within=within_prompts(found, seed=SEED, resamples=RESAMPLES) if length else {},
        mixed=num_mixed(found),
        reach=tuple((low, high) for low, high in reach),
    )


def answer_facts(found: Correctness | None, kind: Kind) -> AnswerFacts | None:
    """The same in the numbers that a manifest keeps; None where no trace's answer was judged."""
    shown = answers(found, kind)
    if shown is None:
        return None
    last_wrong, last_correct = shown.reach[-1] if shown.reach else (0, 0)
    return AnswerFacts(
        prompts=shown.prompts,
        correct=shown.correct,
        wrong=shown.wrong,
        ungraded=shown.ungraded,
        positions=len(shown.reach),
        last_correct=last_correct,
        last_wrong=last_wrong,
        mixed=shown.mixed,
        classes=tuple(
            _fact(contrast, association, shown.within.get(contrast.name))
            for contrast, association in zip(shown.contrasts, shown.associations, strict=True)
        ),
    )


def _fact(
    contrast: Contrast, association: Association, within: WithinPrompts | None
) -> ClassByAnswer:
    return ClassByAnswer(
        name=contrast.name,
        area=contrast.area,
        area_low=contrast.low,
        area_high=contrast.high,
        difference=association.difference,
        low=association.low,
        high=association.high,
        r=association.r,
        r_low=association.r_low,
        r_high=association.r_high,
        within=None if within is None else within.difference,
        within_low=None if within is None else within.low,
        within_high=None if within is None else within.high,
    )


def _place(name: str, order: tuple[str, ...]) -> int:
    return order.index(name) if name in order else len(order)


def verified(facts: VerifyFacts | None, max_reasons: int = 6) -> Verified | None:
    """Verification in numbers; rare reasons are put together."""
    if facts is None:
        return None
    ordered = sorted(facts.unknown.items(), key=lambda item: (-item[1], item[0]))
    shown = [Reason(name, count) for name, count in ordered[:max_reasons]]
    if rest := ordered[max_reasons:]:
        shown.append(Reason("other reasons", sum(count for _, count in rest)))
    return Verified(
        method=facts.method,
        given=facts.given,
        correct=facts.correct,
        wrong=facts.wrong,
        unknown=sum(facts.unknown.values()),
        reasons=tuple(shown),
    )


def verdict(found: Contrast | Association | ClassByAnswer) -> str:
    """A difference in words, by its interval: which group has more of the class."""
    if found.low > 0:
        return "more in right answers"
    return "more in wrong answers" if found.high < 0 else "no clear difference"
