"""The main job with pruning, on real models: the same is selected, and the rest is read on request."""

import pytest

from tests.pipeline.conftest import config_tree, miniature_rows, read_run, run, table_bytes

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]


def best_at(beta, run):
    """The trace of each prompt with the most Teacher sentences, by the probabilities that a run wrote."""
    found = {}
    for row in read_run(run, "provenance"):
        pairs = zip(row["teacher_prob"], row["student_prob"], strict=True)
        place = (-sum(t - s > beta for t, s in pairs), len(row["sentences"]), row["trace_id"])
        found[row["prompt_id"]] = min(place, found.get(row["prompt_id"], place))
    return {trace_id for _, _, trace_id in found.values()}


def test_the_same_is_selected_and_later_only_the_rest_is_read(ray_cluster, tmp_path):
    tree = config_tree(tmp_path, rows=miniature_rows(0, 40), actors=1)
    plain = run({**tree, "store": str(tmp_path / "plain")})
    num_traces = plain.summary.selected + plain.summary.rejected

    pruned = run({**tree, "selection": {"prune": True}})
    facts = {model.role: model for model in pruned.facts.models}
    num_pruned = pruned.to_json()["pruned"]
    assert 0.2 * num_traces < num_pruned == facts["teacher"].pruned
    assert pruned.to_json()["scored"] == {"student": num_traces, "teacher": num_traces - num_pruned}
    assert facts["teacher"].tokens < 0.9 * {m.role: m for m in plain.facts.models}["teacher"].tokens
    assert pruned.facts.prune_exact is None
    ours, theirs = table_bytes(pruned), table_bytes(plain)
    for name in ours:
        if name.startswith(("selected", "quarantine")):
            assert ours[name] == theirs[name]
    unread = {
        row["trace_id"] for row in read_run(pruned, "rejected") if row["drop_reason"] == "pruned"
    }
    assert len(unread) == num_pruned
    for table in ("rejected", "provenance"):
        rows = {row["trace_id"]: row for row in read_run(plain, table)}
        for row in read_run(pruned, table):
            full = rows.pop(row["trace_id"])
            if row["trace_id"] not in unread:
                # Its place among all is not known, only that it is not among the first.
                assert {**row, "rank": 0} == {**full, "rank": 0}
            elif table == "provenance":
                assert row["provenance"] is row["teacher_prob"] is None
                assert row["student_prob"] == full["student_prob"]
            else:
                assert row["num_teacher"] is row["selection_score"] is row["rank"] is None
        assert not rows

    other = run({**tree, "selection": {"prune": True}, "thresholds": {"beta": 0.2}})
    assert {row["trace_id"] for row in read_run(other, "selected")} == best_at(0.2, plain)
    more = other.to_json()["scored"]["teacher"]
    assert other.to_json()["reused"]["teacher"] == num_traces - num_pruned
    assert more + other.to_json()["pruned"] == num_pruned

    rest = run(tree)
    assert rest.to_json()["scored"] == {"student": 0, "teacher": num_pruned - more}
    assert rest.to_json()["reused"]["teacher"] == num_traces - num_pruned + more
    assert rest.to_json()["pruned"] == 0
    assert table_bytes(rest) == table_bytes(plain)
