import pytest
from pydantic import ValidationError

from rdpt_ray.plan_config import PlanConfig


def test_nothing_is_needed_and_nothing_has_a_price():
    plan = PlanConfig()
    assert (plan.price_per_hour, plan.currency, plan.mfu) == ({}, "USD", 0.4)


def test_what_a_cluster_costs_can_be_said():
    plan = PlanConfig.model_validate(
        {
            "price_per_hour": {"H100": 2.5, "CPU": 0.04},
            "mfu_of": {"teacher": 0.5},
            "accelerators": {
                "X1": {"memory_gb": 64, "half_tflops": 500, "single_tflops": 50},
            },
        }
    )
    assert plan.price_per_hour["CPU"] == 0.04
    assert plan.accelerators["X1"].memory_gb == 64


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"price_per_hour": {"H100": -1}}, "the price of H100 is -1.0: expected 0 or more"),
        ({"price_per_hour": {"H100": float("nan")}}, "the price of H100 is nan"),
        ({"mfu": 0}, "greater than 0"),
        ({"mfu_of": {"teacher": 40}}, "the share of teacher is 40.0: expected more than 0"),
        ({"accelerators": {"X1": {"memory_gb": 64}}}, "half_tflops"),
        ({"prices": {}}, "prices"),
    ],
)
def test_what_cannot_be_is_refused(facts, said):
    with pytest.raises(ValidationError, match=said):
        PlanConfig.model_validate(facts)
