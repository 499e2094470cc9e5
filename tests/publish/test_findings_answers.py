import pytest

from rdpt_ray.method.correctness import Correctness, count_correctness
from rdpt_ray.publish.facts import VerifyFacts
from rdpt_ray.publish.findings import Reason
from rdpt_ray.publish.findings_answers import answer_facts, answers, verdict, verified


def test_right_and_wrong_by_hand(sixteen):
    found = answers(count_correctness(sixteen), "curate")
    assert (found.wrong, found.correct, found.ungraded, found.teacher_missing) == (8, 8, 0, 0)
    assert found.reach == ((8, 8), (8, 8))
    teacher, common = found.contrasts
    assert (teacher.name, common.name) == ("TEACHER", "COMMON")
    assert teacher.correct.share == (1, 1)
    assert teacher.wrong.share == (1, 0)
    assert teacher.area == pytest.approx(0.5)
    assert verdict(teacher) == "more in right answers"
    assert verdict(common) == "more in wrong answers"
    # Position 1 is all Teacher, position 2 tells right from wrong: (0 + 4) / (4 + 4), 4 / sqrt(8 * 4).
    stratified = found.associations[0]
    assert (stratified.name, stratified.difference, found.strata) == ("TEACHER", 0.5, 2)
    assert stratified.r == pytest.approx(0.5**0.5)


def test_the_facts_are_what_is_shown(sixteen, five):
    shown, kept = (each(count_correctness(sixteen), "curate") for each in (answers, answer_facts))
    assert (kept.prompts, kept.correct, kept.wrong, kept.positions) == (16, 8, 8, 2)
    assert (kept.last_correct, kept.last_wrong) == (8, 8)
    for fact, contrast, association in zip(
        kept.classes, shown.contrasts, shown.associations, strict=True
    ):
        assert fact.name == contrast.name == association.name
        assert (fact.area, fact.area_low) == (contrast.area, contrast.low)
        assert (fact.difference, fact.r_high) == (association.difference, association.r_high)
    few = answer_facts(count_correctness(five), "curate")
    assert (few.correct, few.wrong, few.positions, few.classes) == (3, 1, 0, ())
    assert answer_facts(None, "trace") is None


def test_too_few_to_draw(five):
    found = answers(count_correctness(five), "curate")
    assert (found.wrong, found.correct, found.ungraded) == (1, 3, 1)
    assert (found.contrasts, found.associations, found.reach) == ((), (), ())


def test_nothing_is_known():
    assert answers(None, "curate") is None
    assert answers(Correctness(ungraded=5), "curate") is None


def test_no_difference_where_both_are_alike(columns_of):
    columns = columns_of(["TC", "CT"] * 6, correct=[1, 1, 0, 0] * 3)
    for contrast in answers(count_correctness(columns), "curate").contrasts:
        assert contrast.area == 0
        assert verdict(contrast) == "no clear difference"


def test_rare_reasons_are_put_together():
    facts = VerifyFacts("math", 1, 2, 3, {"timeout": 2, "no answer": 2, "crashed": 7, "x": 1})
    assert verified(facts, max_reasons=2).reasons == (
        Reason("crashed", 7),
        Reason("no answer", 2),
        Reason("other reasons", 3),
    )
    assert verified(facts).unknown == 12
    assert verified(None) is None


def test_answers_to_the_same_prompt_are_compared(columns_of):
    """Of each of six prompts a right answer all of Teacher sentences, and a wrong one without any."""
    columns = columns_of(
        ["TT", "CC"] * 6, prompts=[name for name in "abcdef" for _ in range(2)], correct=[1, 0] * 6
    )
    kept = answer_facts(count_correctness(columns), "curate")
    assert (kept.prompts, kept.mixed) == (6, 6)
    teacher, common = kept.classes
    assert (teacher.within, teacher.within_low, teacher.within_high) == (1, 1, 1)
    assert common.within == -1
    alone = columns_of(["TT", "CC"] * 6, correct=[1, 0] * 6)
    kept = answer_facts(count_correctness(alone), "curate")
    assert (kept.mixed, kept.classes[0].within) == (0, None)
