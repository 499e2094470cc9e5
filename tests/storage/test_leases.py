"""One holder at a time: leases with numbers that only grow, on a real folder and a real S3 API."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from rdpt_ray.errors import Interrupted, LeaseError
from rdpt_ray.storage.audit_plan import plan_audit
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.leases import KEPT, held_lease, lease_name, take_lease
from rdpt_ray.storage.places import place_of
from rdpt_ray.storage.runs import read_json
from tests.storage.test_sessions import ELSEWHERE, killed

BRIEF_S = 0.02


@pytest.fixture
def root(tmp_path):
    return Root(str(tmp_path))


def holds(lease):
    try:
        lease.check()
    except LeaseError:
        return False
    return True


def silent(lease, **changes):
    """A holder that says nothing more, and changes to what it said last."""
    for key, value in changes.items():
        setattr(lease.record, key, value)
    lease.beat()
    return lease


@pytest.mark.parametrize(("error", "ending"), [(Interrupted, "interrupted"), (KeyError, "failed")])
def test_the_record_tells_who_was_asked_to_leave_from_who_failed(root, error, ending):
    with pytest.raises(error), held_lease(root, "nightly", 5):
        raise error("stopped")
    assert read_json(root, lease_name("nightly", 1))["ended"] == ending


def test_numbers_count_rounds_and_the_record_says_who_and_how_it_ended(root):
    for number in (1, 2, 3):
        with held_lease(root, "nightly", 5) as lease:
            assert lease.number == number
            lease.check()
        told = read_json(root, lease_name("nightly", number))
        assert (told["ended"], told["run"], told["lease_s"]) == ("finished", "nightly", 5)
        assert told["at_large"] == 0
    assert len({read_json(root, name)["series"] for name in root.names("leases")}) == 1


def test_a_round_that_fails_says_so_and_the_next_one_begins_at_once(root):
    with pytest.raises(KeyError), held_lease(root, "nightly", 60):
        raise KeyError
    assert read_json(root, lease_name("nightly", 1))["ended"] == "failed"
    begun = time.monotonic()
    assert take_lease(root, "nightly", 60).number == 2
    assert time.monotonic() - begun < 5


def test_who_comes_while_it_is_held_is_told_by_whom_since_when(root):
    with held_lease(root, "nightly", 0.6) as lease:
        with pytest.raises(
            LeaseError, match=r"00000001\.json: round 1 of nightly is at work"
        ) as told:
            take_lease(root, "nightly", 60)
        assert lease.record.host in str(told.value)
        assert told.value.exit_code == 4
        lease.check()
        assert take_lease(root, "weekly", 60).number == 1
    assert root.names("leases/nightly") == [lease_name("nightly", 1)]


def test_a_killed_holder_is_known_to_be_dead(root):
    with killed() as (process, kill):
        lease = silent(take_lease(root, "nightly", 60), process=process)
        kill()
    following = take_lease(root, "nightly", 60)
    assert (following.number, following.record.at_large) == (2, 0)
    assert not holds(lease)


def test_a_silent_holder_of_another_host_is_overtaken_after_its_own_time_and_stays_at_large(root):
    silent(take_lease(root, "nightly", 0.5), process=ELSEWHERE)
    begun = time.monotonic()
    second = take_lease(root, "nightly", 60)
    assert 0.5 <= time.monotonic() - begun < 5
    assert (second.number, second.record.at_large) == (2, 1)
    second.end("finished")
    third = take_lease(root, "nightly", 0.1)
    assert (third.number, third.record.at_large) == (3, 1), "nobody has seen the first one end"
    fourth = take_lease(root, "nightly", 60)
    assert (fourth.number, fourth.record.at_large) == (4, 3)


def test_a_holder_that_was_overtaken_is_told_and_disturbs_nobody(root):
    old = silent(take_lease(root, "nightly", 0.1))
    new = take_lease(root, "nightly", 60)
    with pytest.raises(LeaseError, match="round 2 of nightly has taken over, because this one, 1,"):
        old.check()
    old.end("finished")
    new.check()


def taken_at_once(root, count, lease_s):
    """The leases that so many got who tried at the same time; they beat."""

    def attempt(_):
        try:
            lease = take_lease(root, "nightly", lease_s)
        except LeaseError:
            return None
        lease.begin()
        return lease

    with ThreadPoolExecutor(count) as pool:
        return [lease for lease in pool.map(attempt, range(count)) if lease]


def test_of_many_who_try_at_once_one_gets_it(root):
    silent(take_lease(root, "nightly", 0.3))
    held = taken_at_once(root, 8, 1.2)
    assert [lease.number for lease in held] == [2]
    held[0].end("finished")


class Overslept(Root):
    """A store as a machine sees it that is frozen for many rounds after it has looked."""

    missed: ClassVar = []

    def create(self, name, data):
        while self.missed:
            take_lease(Root(self.uri), self.missed.pop(), 60).end("finished")
        return super().create(name, data)


def test_old_records_go_and_a_number_is_never_given_again(root):
    take_lease(root, "nightly", 60).end("finished")
    Overslept.missed.extend(["nightly"] * (2 * KEPT))
    lease = take_lease(Overslept(root.uri), "nightly", 60)
    numbers = [int(name[-13:-5]) for name in root.names("leases/nightly")]
    assert len(numbers) == KEPT
    assert lease.number == max(numbers) > 2 * KEPT
    assert min(numbers) == lease.number - KEPT + 1


def test_what_is_not_a_lease_is_passed_over_and_the_store_knows_its_own(root):
    root.write_bytes("leases/nightly/notes.json", b"{}")
    lease = take_lease(root, "nightly", 60)
    assert lease.number == 1
    place = place_of(lease_name("nightly", 1))
    assert (place.kind, place.owner) == ("lease", "nightly")
    plan = plan_audit(root)
    assert (plan.units, plan.strays) == ([], ["leases/nightly/notes.json"])


def test_on_s3_one_of_two_gets_it(s3_root):
    s3_root.write_bytes("warm", b"")  # the first call of a client looks for its login, alone
    held = taken_at_once(s3_root, 2, 1.2)
    assert [lease.number for lease in held] == [1]
    held[0].end("finished")
    assert read_json(s3_root, lease_name("nightly", 1))["ended"] == "finished"


class Contenders(RuleBasedStateMachine):
    """Whatever rounds do, at most one of them holds the lease, and numbers only grow."""

    leases = Bundle("leases")

    def __init__(self):
        super().__init__()
        self.given = []
        self.published = 0

    @rule(target=leases, many=st.integers(1, 3))
    def begin(self, many):
        with ThreadPoolExecutor(many) as pool:
            found = list(pool.map(self._take, range(many)))
        taken = sorted((lease for lease in found if lease), key=lambda lease: lease.number)
        for lease in taken:
            assert lease.number > max((each.number for each in self.given), default=0)
            self.given.append(lease)
        return multiple(*taken)

    def _take(self, _):
        try:
            return take_lease(self.root, "law", BRIEF_S)
        except LeaseError:
            return None

    @rule(lease=leases)
    def beat(self, lease):
        lease.beat()

    @rule(lease=leases, ending=st.sampled_from(["finished", "failed", "interrupted"]))
    def end(self, lease, ending):
        lease.end(ending)

    @rule(lease=leases)
    def publish(self, lease):
        if holds(lease):
            assert lease.number >= self.published
            self.published = lease.number

    @invariant()
    def one_holds(self):
        holding = [lease.number for lease in self.given if holds(lease)]
        assert holding == [lease.number for lease in self.given][-1:]


def test_at_most_one_holds_and_numbers_only_grow(tmp_path_factory):
    class Stored(Contenders):
        def __init__(self):
            super().__init__()
            self.root = Root(str(tmp_path_factory.mktemp("law")))

    run_state_machine_as_test(Stored, settings=settings(max_examples=6, stateful_step_count=10))
