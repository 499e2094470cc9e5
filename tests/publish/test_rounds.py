"""Which jobs are rounds, and of which schedule."""

import io

import pytest
from rich.console import Console

from rdpt_ray.config import parse_config
from rdpt_ray.errors import ConfigError, LeaseError
from rdpt_ray.publish.rounds import schedule_round
from rdpt_ray.storage.files import Root


def config(**sections):
    models = {role: {"model": f"org/{role}"} for role in ("teacher", "student")}
    return parse_config(
        {"name": "demo", "input": {"path": "x"}, "models": models, "store": "s", **sections}
    )


def test_without_a_schedule_a_job_is_no_round_and_leaves_nothing(tmp_path):
    root = Root(str(tmp_path))
    with schedule_round(config(), root, Console(quiet=True)) as lease:
        assert lease is None
    assert root.names("") == []


def test_a_schedule_has_the_configs_name_or_its_own(tmp_path):
    root, said = Root(str(tmp_path)), io.StringIO()
    console = Console(file=said)
    with (
        schedule_round(config(schedule={}), root, console) as first,
        schedule_round(config(schedule={"name": "weekly", "lease_s": 5}), root, console) as other,
    ):
        assert (first.schedule, first.number, first.record.lease_s) == ("demo", 1, 60)
        assert (other.schedule, other.number, other.record.lease_s) == ("weekly", 1, 5)
    assert said.getvalue().splitlines() == ["round 1 of demo", "round 1 of weekly"]


def test_one_round_at_a_time(tmp_path):
    root, quiet = Root(str(tmp_path)), Console(quiet=True)
    brief = config(schedule={"lease_s": 1})
    with (
        schedule_round(brief, root, quiet),
        pytest.raises(LeaseError, match="is at work"),
        schedule_round(brief, root, quiet),
    ):
        pytest.fail("two rounds at once")


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ({"lease_s": 0.5}, "schedule.lease_s"),
        ({"name": "../nightly"}, "schedule.name"),
        ({"lease": 5}, "did you mean 'lease_s'"),
        (True, "schedule"),
    ],
)
def test_a_wrong_schedule_is_refused(schedule, said):
    with pytest.raises(ConfigError, match=said):
        config(schedule=schedule)
