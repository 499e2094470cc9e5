import json

import pytest

from rdpt_ray.method.comparison import compare
from rdpt_ray.method.sensitivity import sweep
from rdpt_ray.publish.comparison_json import comparison_json


def test_the_figures_are_those_of_the_tables(five):
    found = comparison_json(compare(five), sweep(five))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["prompts"] == 1
    assert found["settings"]["beta"] == found["beta"] == 0.1
    assert found["policies"]["teacher_count"]["teacher"] == 2
    assert found["policies"]["teacher_count"]["matched_teacher"] == 1.5
    assert found["policies"]["longest"]["matched_teacher"] is None
    assert found["all_candidates"]["picks"] == 4
    assert found["left_out"].keys() == {"aslec", "ifd", "lark", "rsr"}
    assert found["overlap"]["longest"]["longest"] == 1
    assert found["overlap"]["longest"]["teacher_count"] == 0
    assert found["length"]["candidates"] == 5
    at = {row["beta"]: row for row in found["betas"]}
    assert at[0.1]["classes"] == {"TEACHER": 5, "COMMON": 7}
    assert at[0.02]["same_pick_share"] == 0
    assert at[0.05]["near_share"] == pytest.approx(7 / 12)


def test_what_was_not_counted_is_empty():
    assert comparison_json(None, None) == {
        "policies": {},
        "overlap": {},
        "left_out": {},
        "betas": [],
    }
