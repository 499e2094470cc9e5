"""Right and wrong answers: what is shown of classes by position, and of verification."""

from dataclasses import dataclass

from rdpt_ray.method.correctness import Correctness
from rdpt_ray.method.correctness_intervals import Contrast, contrasts
from rdpt_ray.publish.facts import VerifyFacts
from rdpt_ray.publish.findings import Reason
from rdpt_ray.publish.palette import ORDER, Kind


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything that is shown of right and wrong answers."""

    wrong: int
    correct: int
    """Traces in each group."""
    ungraded: int
    teacher_missing: int
    contrasts: tuple[Contrast, ...]
    """Empty where a group has too few traces."""
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
    order = ORDER[kind]
    drawn = tuple(
        sorted(
            contrasts(found),
            key=lambda each: order.index(each.name) if each.name in order else len(order),
        )
    )
    length = len(drawn[0].correct.share) if drawn else 0
    reach = found.reach[:, :length].T.tolist()
    return Answers(
        wrong=wrong,
        correct=correct,
        ungraded=found.ungraded,
        teacher_missing=found.teacher_missing,
        contrasts=drawn,
        reach=tuple((low, high) for low, high in reach),
    )


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


def verdict(contrast: Contrast) -> str:
    """The area between the curves in words: which group has more of the class."""
    if contrast.low > 0:
        return "more in right answers"
    return "more in wrong answers" if contrast.high < 0 else "no clear difference"
