"""A trace that kills its process is found, and only that one; the deaths are counted here one by one.

A process that dies is an `Attempts` whose work ends in an exception that nothing catches; what the next
one knows of it is in the store, as in real life. Real deaths of real actors: test_score.py.
"""

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdpt_ray.errors import StoreError
from rdpt_ray.pipeline.attempts import MAX_DEATHS, Attempts, Deaths, deaths_of
from rdpt_ray.pipeline.gate import Gate
from rdpt_ray.scoring.traces import Trace
from rdpt_ray.storage.attempts import Attempt, hold, read_attempts
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.sessions import new_session, session_name, write_session


class Died(BaseException):
    """Stands for the end of a process: nothing that runs in it sees it."""


MINE = session_name("run", "a")


def attempts(root, session=MINE, **arguments):
    return Attempts(root, "model", session=session, width=2, **arguments)


def records(root):
    return [attempt for _, attempt in read_attempts(root, "model", "part")]


def some_traces(count):
    return [Trace([], "text", [(0, 4)], f"t{place}") for place in range(count)]


def score_until_done(root, traces, *, poison=(), kills=()):
    """Process after process, until one completes the part.

    `poison` are traces whose scoring ends the process; `kills` are numbers of calls of `score`, over all
    processes, at which one is killed from outside.

    Returns: the results, how many processes died, and the traces scored in each call.
    """
    calls, deaths = [], 0

    def score(some):
        calls.append([trace.trace_id for trace in some])
        if len(calls) - 1 in kills or any(trace.trace_id in poison for trace in some):
            raise Died
        return [f"score of {trace.trace_id}" for trace in some]

    while True:
        assert deaths < 200, "it never ends"
        try:
            with attempts(root).on("part", score) as work:
                results = work.tokens(traces)
            return results, deaths, calls
        except Died:
            deaths += 1


def blamed(deaths):
    times = "time" if deaths == 1 else "times"
    return f"actor_died: the process died {deaths} {times} over this trace alone"


def test_as_a_rule_all_traces_are_scored_together_and_no_record_stays(tmp_path):
    root, traces = Root(str(tmp_path)), some_traces(3)
    results, deaths, calls = score_until_done(root, traces)
    assert results == ["score of t0", "score of t1", "score of t2"]
    assert (deaths, calls) == (0, [["t0", "t1", "t2"]])
    assert root.names("") == []


def test_a_poison_trace_costs_three_deaths_and_nobody_else_is_harmed(tmp_path):
    root, traces = Root(str(tmp_path)), some_traces(4)
    results, deaths, calls = score_until_done(root, traces, poison={"t2"})
    assert results == ["score of t0", "score of t1", blamed(2), "score of t3"]
    assert deaths == 3
    together, careful, suspect_first, rest = calls[:1], calls[1:4], calls[4:5], calls[5:]
    assert together == [["t0", "t1", "t2", "t3"]]
    assert careful == [["t0"], ["t1"], ["t2"]]
    assert suspect_first == [["t2"]]
    assert rest == [["t0"], ["t1"], ["t3"]]
    assert root.names("") == []


def test_a_kill_from_outside_blames_nobody(tmp_path):
    root, traces = Root(str(tmp_path)), some_traces(3)
    results, deaths, _ = score_until_done(root, traces, kills={0, 2})
    assert results == ["score of t0", "score of t1", "score of t2"]
    assert deaths == 2


@settings(max_examples=30)
@given(data=st.data(), count=st.integers(1, 7))
def test_exactly_the_poison_is_blamed(tmp_path_factory, data, count):
    root = Root(str(tmp_path_factory.mktemp("store")))
    traces = some_traces(count)
    poison = data.draw(st.sets(st.sampled_from([trace.trace_id for trace in traces]), max_size=4))
    results, deaths, _ = score_until_done(root, traces, poison=poison)
    wrong = [
        trace.trace_id for trace, result in zip(traces, results, strict=True) if "died" in result
    ]
    assert set(wrong) == poison
    assert deaths == (1 + 2 * len(poison) if poison else 0)
    assert root.names("") == []


@settings(max_examples=30)
@given(data=st.data(), count=st.integers(1, 6))
def test_whatever_is_killed_it_ends_and_only_double_deaths_are_blamed(
    tmp_path_factory, data, count
):
    root = Root(str(tmp_path_factory.mktemp("store")))
    traces = some_traces(count)
    poison = data.draw(st.sets(st.sampled_from([trace.trace_id for trace in traces]), max_size=2))
    kills = data.draw(st.sets(st.integers(0, 30), max_size=6))
    results, deaths, calls = score_until_done(root, traces, poison=poison, kills=kills)
    assert deaths <= 1 + 2 * len(poison) + len(kills)
    for trace, result in zip(traces, results, strict=True):
        alone = [call for call in calls if call == [trace.trace_id]]
        if "died" in result:
            assert len(alone) >= 2
        else:
            assert trace.trace_id not in poison


def test_a_part_full_of_poison_ends_too(tmp_path):
    root, traces = Root(str(tmp_path)), some_traces(20)
    everything = {trace.trace_id for trace in traces}
    results, deaths, _ = score_until_done(root, traces, poison=everything)
    assert results == [blamed(2)] * 5 + [blamed(1)] * 15
    assert deaths == 1 + 2 * 5 + 15


def test_deaths_in_another_session_say_nothing_but_that_its_work_was_lost(tmp_path):
    root = Root(str(tmp_path))
    other = session_name("run", "b")
    for number in range(2):
        found = read_attempts(root, "model", "part")
        hold(root, "model", "part", Attempt(other, "", "", in_flight=f"t{number}"), found)
    with attempts(root).on("part", lambda some: ["fine" for _ in some]) as work:
        assert work.was_lost
        assert work.tokens(some_traces(3)) == ["fine"] * 3
    assert root.names("") == []


def test_another_run_s_lost_work_is_not_this_one_s(tmp_path):
    root = Root(str(tmp_path))
    hold(root, "model", "part", Attempt(session_name("other", "b"), "", ""), [])
    with attempts(root).on("part", len) as work:
        assert not work.was_lost


def test_a_node_that_went_away_blames_nobody_unless_it_goes_on_and_on():
    lost = Attempt(MINE, "spot", "", in_flight="t0")
    died = Attempt(MINE, "here", "", in_flight="t1")
    is_gone = {"spot": True, "here": False}.__getitem__
    assert deaths_of([lost, lost, died], is_gone) == Deaths({"t1": 1}, 0)
    assert deaths_of([lost] * (MAX_DEATHS + 1), is_gone) == Deaths({"t0": MAX_DEATHS + 1}, 0)


def test_a_part_that_another_session_holds_is_waited_for(tmp_path):
    root, order = Root(str(tmp_path)), []
    other = new_session("b", "run")
    write_session(root, other)
    begun = threading.Event()

    def work(name, session):
        with attempts(root, session).on("part", len):
            order.append(f"{name} begins")
            begun.set()
            time.sleep(0.5)
            order.append(f"{name} ends")

    write_session(root, new_session("a", "run"))
    first = threading.Thread(target=work, args=("b", session_name("run", "b")))
    first.start()
    begun.wait(10)
    work("a", MINE)
    first.join()
    assert order == ["b begins", "b ends", "a begins", "a ends"]


def test_of_two_that_find_a_lost_part_one_holds_it(tmp_path):
    root, won = Root(str(tmp_path)), []
    hold(root, "model", "part", Attempt(session_name("run", "dead"), "", ""), [])
    found = read_attempts(root, "model", "part")
    barrier = threading.Barrier(8, timeout=10)

    def take(name):
        barrier.wait()
        held = hold(root, "model", "part", Attempt(session_name("run", name), "", ""), found)
        won.append(held)

    threads = [threading.Thread(target=take, args=(str(place),)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(held is not None for held in won) == 1


def test_nothing_is_begun_when_the_session_leaves(tmp_path):
    root = Root(str(tmp_path))
    session = new_session("a", "run")
    session.leaving = True
    write_session(root, session)
    with attempts(root).on("part", len) as work:
        assert work is None
    assert root.names("attempts") == []


def test_deaths_with_no_trace_in_flight_end_the_run_in_words(tmp_path):
    root = Root(str(tmp_path))
    for _ in range(MAX_DEATHS):
        with pytest.raises(Died), attempts(root).on("part", len):
            raise Died
    with (
        pytest.raises(StoreError, match=r"attempts/model/part: 12 processes died while reading"),
        attempts(root).on("part", len),
    ):
        pass


def test_what_is_in_flight_can_be_read_from_the_store(tmp_path):
    root, seen = Root(str(tmp_path)), []

    def score(some):
        seen.append(records(root)[-1].in_flight)
        return ["fine" for _ in some]

    with pytest.raises(Died), attempts(root).on("part", score):
        raise Died
    with attempts(root).on("part", score) as work:
        assert work.tokens(some_traces(2)) == ["fine", "fine"]
        assert [record.in_flight for record in records(root)] == [None, None]
    assert seen == ["t0", "t1"]


def test_a_fault_in_python_is_no_death_of_the_process(tmp_path):
    root = Root(str(tmp_path))
    with (
        pytest.raises(ValueError, match="a bug"),
        attempts(root).on("part", len),
    ):
        raise ValueError("a bug")


def test_a_gate_lets_two_side_by_side_and_one_alone():
    gate, together, inside = Gate(2), threading.Barrier(2, timeout=10), []

    def beside():
        with gate.beside_others():
            together.wait()  # passes only if the other is inside as well
            inside.append("beside")

    def alone():
        with gate.alone():
            inside.append("alone begins")
            inside.append("alone ends")

    pair = [threading.Thread(target=beside) for _ in range(2)]
    single = [threading.Thread(target=alone) for _ in range(3)]
    for thread in [*pair, *single]:
        thread.start()
    for thread in [*pair, *single]:
        thread.join(timeout=10)
    assert inside == ["beside"] * 2 + ["alone begins", "alone ends"] * 3


def test_who_is_alone_keeps_everybody_out():
    gate, entered = Gate(2), threading.Event()

    def beside():
        with gate.beside_others():
            entered.set()

    thread = threading.Thread(target=beside)
    with gate.alone():
        thread.start()
        assert not entered.wait(0.05)
    assert entered.wait(10)
    thread.join()


def test_a_record_that_is_gone_already_is_no_fault(tmp_path):
    root = Root(str(tmp_path))
    root.write_bytes("attempts/m/p.json", b"{}")
    root.delete("attempts/m/p.json")
    root.delete("attempts/m/p.json")
    assert root.names("") == []
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(StoreError, match="folder: cannot be deleted"):
        root.delete("folder")
