"""What is to be sampled: kept while it holds, made anew when it does not, and the same for two at once."""

import pytest

from rdpt_ray.pipeline.sample_plan import Read, kept_plan, make_plan, plan_name
from rdpt_ray.storage.canonical import to_prompt
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.samples import sample_name, sample_parts, write_samples

RUN = "runs/small-sample-1"


class World:
    """A store and a folder of responses, and a run's plan in them."""

    def __init__(self, folder):
        self.store, self.to = open_root(str(folder / "store")), open_root(str(folder / "samples"))

    def plan(self, prompts, *, run=RUN, num_candidates=2, part_samples=4):
        found = [to_prompt({"prompt": f"What is {number}?"}) for number in range(prompts)]
        return make_plan(
            Read({each.prompt_id: each for each in found}, [], prompts),
            store=self.store,
            run=run,
            to=self.to,
            key="k",
            num_candidates=num_candidates,
            part_samples=part_samples,
        )

    def kept(self, run=RUN):
        return kept_plan(self.store, run, sample_parts(self.to))

    def sample(self, plan, part, *, run=RUN):
        """Commit a part, with an error in the place of every response."""
        assert part in plan.parts
        rows = [
            {"prompt_id": row["prompt_id"], "candidate": candidate, "error": "none: in this test"}
            for row in self.store.read_table(plan_name(run, part)).to_pylist()
            for candidate in row["candidates"]
        ]
        write_samples(self.to, part, rows, {})

    def asked(self):
        """All responses that are there."""
        return [
            (row["prompt_id"], row["candidate"])
            for part in sample_parts(self.to)
            for row in self.to.read_table(sample_name(part)).to_pylist()
        ]


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_a_run_that_was_killed_goes_on_with_the_same_parts(world):
    plan = world.plan(10)
    first, *_ = plan.parts
    world.sample(plan, first)
    assert world.kept() == plan
    assert (plan.samples, plan.held.samples, len(plan.parts)) == (20, 0, 5)


def test_what_another_run_sampled_meanwhile_is_not_sampled_again(world):
    """A few prompts, interrupted; then all of them; then the few again."""
    few = world.plan(4, run="runs/few")
    whole = world.plan(10)
    for part in whole.parts:
        world.sample(whole, part)
    assert world.kept() == whole, "a run that is done counts on nobody else"
    assert world.kept("runs/few") is None
    again = world.plan(4, run="runs/few")
    assert (again.parts, again.held.samples) == ({}, few.samples)
    assert len(world.asked()) == len(set(world.asked())) == 20


def test_a_plan_that_counts_on_deleted_responses_is_made_anew(world):
    first = world.plan(4, run="runs/few")
    for part in first.parts:
        world.sample(first, part, run="runs/few")
    plan = world.plan(10)
    assert plan.held.samples == 8
    world.to.delete(sample_name(plan.held_in[0]))
    assert world.kept() is None
    assert world.plan(10).held.samples == 4


def test_two_sessions_that_plan_at_once_go_by_one_plan(world):
    plan = world.plan(10)
    first, *_ = plan.parts
    world.sample(plan, first)
    assert world.plan(10) == plan, "although the slower one has seen a part that is there"
