import json
from dataclasses import replace

import pytest

from rdpt_ray.method.comparison import compare
from rdpt_ray.method.comparison_figures import policy_figures
from rdpt_ray.publish.loop_facts import LengthControl, LoopFacts
from tests.publish.loop_run import loop, policy


def test_json_and_back():
    facts = loop(pairs=(("random", "fewest"),))
    assert LoopFacts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts
    bare = LoopFacts("x", "now", (policy("random", ()),))
    assert LoopFacts.from_dict(json.loads(json.dumps(bare.to_dict()))) == bare


def test_the_control_is_that_of_the_comparison(five):
    figures = {each.name: each for each in policy_figures(compare(five))}["longest"]
    control = LengthControl.of(figures)
    assert (control.relative_length, control.pairs) == (
        figures.relative_length,
        figures.matched_pairs,
    )
    assert (control.teacher, control.correct) == (figures.matched_teacher, figures.matched_correct)


def test_what_cannot_be_is_refused():
    found = policy("random", (1, 2))
    with pytest.raises(ValueError, match="a seed came twice"):
        replace(found, seeds=found.seeds + found.seeds[:1])
    with pytest.raises(ValueError, match="pairs of them"):
        loop(pairs=(("random", "longest"),))
    with pytest.raises(ValueError, match="each policy once"):
        loop(policies=(policy("random", (1,)),) * 2)
