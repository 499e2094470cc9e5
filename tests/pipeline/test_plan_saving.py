import pytest

from rdpt_ray.pipeline.plan_saving import SIMULATED, expected_saving
from rdpt_ray.selection_config import SelectionConfig


def share(candidates, **selection):
    return expected_saving(
        SelectionConfig.model_validate({"prune": True} | selection), candidates
    ).share


def test_it_is_what_was_simulated_and_grows_in_between():
    assert [share(count) for count in SIMULATED] == pytest.approx(list(SIMULATED.values()))
    assert SIMULATED[4] < share(6) < SIMULATED[8]
    assert share(100) == SIMULATED[16]


def test_a_policy_that_asks_no_teacher_spares_all_but_the_selected():
    assert share(8, policy="longest") == pytest.approx(7 / 8)
    assert share(8, policy="longest", per_prompt=2) == pytest.approx(3 / 4)
    assert share(1, policy="longest", per_prompt=2) == 0


def test_without_pruning_or_a_figure_nothing_is_counted():
    assert share(8, prune=False) == 0
    assert share(8, per_prompt=2) == 0
