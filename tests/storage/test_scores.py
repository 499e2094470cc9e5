"""One model's scores of parts: whole, in pieces, and what is refused."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.errors import DamagedError, StoreError
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.schemas import SCORES
from rdpt_ray.storage.scores import (
    PASSING,
    UNREAD,
    is_passing,
    is_pruned,
    read_held,
    read_partial,
    read_scores,
    score_name,
    scored_parts,
    unread,
    without_passing,
    write_scores,
)

IDS = ["a", "b"]


@pytest.fixture
def root(tmp_path):
    return Root(str(tmp_path))


def row(trace_id, sums=(-1.0, None), tokens=(2, 0), error=None):
    lists = (None if each is None else list(each) for each in (sums, tokens))
    filled = dict(zip(("sum_logprob", "num_tokens"), lists, strict=True))
    return {**dict.fromkeys(SCORES.names), "trace_id": trace_id, "error": error, **filled}


def scores(*ids):
    return pa.Table.from_pylist([row(trace_id) for trace_id in ids], SCORES)


def test_scores_of_exactly_these_traces_are_read(root):
    root.write_table(score_name("model", "key"), scores("a", "b"))
    assert read_scores(root, "model", "key", IDS) == scores("a", "b").to_pylist()


@pytest.mark.parametrize(
    "table",
    [
        scores("a"),
        scores("a", "b", "b"),
        scores("b", "a"),
        scores("a", "c"),
        scores(),
        scores("a", "b").drop_columns("error"),
        scores("a", "b").append_column("extra", pa.array([1, 2])),
        scores("a", "b").select([*SCORES.names[1:], "trace_id"]),
    ],
    ids=["short", "long", "order", "stranger", "empty", "missing", "extra", "columns"],
)
def test_scores_of_anything_else_are_refused_by_name(root, table):
    root.write_table(score_name("model", "key"), table)
    with pytest.raises(StoreError) as caught:
        read_scores(root, "model", "key", IDS)
    message = str(caught.value)
    assert message.startswith(f"{root.uri}/scores/model/key.parquet: its {table.num_rows} rows")
    assert "the 2 traces of part key; delete it and rerun" in message


def test_scored_parts_are_those_of_one_model(root):
    root.write_table(score_name("model", "a"), scores("a"))
    root.write_table(score_name("model", "b"), scores("b"))
    root.write_table(score_name("model-2", "c"), scores("b"))
    assert scored_parts(root, "model") == {"a", "b"}
    assert scored_parts(root, "model-3") == set()


# In pieces

GIVEN_UP = "pruned: 3 of 9 tokens read"


def test_a_trace_without_scores_is_unread_and_says_so(root):
    assert read_scores(root, "model", "key", IDS) == [unread("a"), unread("b")]
    assert is_pruned(unread("a"))
    assert not is_pruned(row("a"))
    assert not is_pruned(row("a", error="nonfinite_score: 1 of 2 log-probabilities"))


def test_pieces_become_the_whole_file(root):
    write_scores(root, "model", "key", IDS, [row("b")])
    assert scored_parts(root, "model") == set()
    assert read_scores(root, "model", "key", IDS) == [unread("a"), row("b")]
    write_scores(root, "model", "key", IDS, [row("b"), row("a")])
    assert scored_parts(root, "model") == {"key"}
    assert read_scores(root, "model", "key", IDS) == [row("a"), row("b")]


def test_the_most_that_was_read_of_a_trace_counts(root):
    little, more = (
        row("a", (-1.0, None), (2, None), GIVEN_UP),
        row("a", (-1.0, -2.0), (2, 1), GIVEN_UP),
    )
    for rows in ([more], [little, row("b")], [little]):
        write_scores(root, "model", "key", IDS, rows)
    assert read_partial(root, "model", "key", IDS) == {"a": more, "b": row("b")}
    write_scores(root, "model", "key", IDS, [row("a")])
    assert read_partial(root, "model", "key", IDS)["a"] == row("a")
    assert scored_parts(root, "model") == set(), "no file says that it is the whole part"


def test_a_trace_given_up_keeps_the_part_open(root):
    write_scores(root, "model", "key", IDS, [row("a", error=GIVEN_UP), row("b")])
    assert scored_parts(root, "model") == set()


def test_an_error_is_a_result(root):
    failed = row("a", error="context_exceeded: 9 tokens, the model reads at most 8")
    write_scores(root, "model", "key", IDS, [failed, row("b")])
    assert scored_parts(root, "model") == {"key"}


@pytest.mark.parametrize("code", PASSING)
def test_an_error_that_may_pass_keeps_the_part_open_until_it_has_passed(root, code):
    met = row("a", None, None, f"{code}: it was down")
    write_scores(root, "model", "key", IDS, [met, row("b")])
    assert scored_parts(root, "model") == set()
    assert read_scores(root, "model", "key", IDS) == [met, row("b")], "the run that met it sees it"
    held = read_held(root, "model", "key", IDS)
    assert without_passing(held) == {"b": row("b")}, "the next attempt does not"
    write_scores(root, "model", "key", IDS, [row("a"), row("b")])
    assert scored_parts(root, "model") == {"key"}
    assert read_scores(root, "model", "key", IDS) == [row("a"), row("b")]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("engine_error: RuntimeError()", True),
        ("out_of_memory: 9 tokens: no", True),
        ("endpoint_error: 500: busy", True),
        ("endpoint_refused: 400: too long", False),
        ("actor_died: the process died 2 times", False),
        ("nonfinite_score: 1 of 2", False),
        ("engine_errors: no such code", False),
        (UNREAD, False),
        (GIVEN_UP, False),
        (None, False),
    ],
)
def test_which_errors_may_pass(error, expected):
    assert is_passing(error) is expected


def test_scores_beat_a_final_error_beats_one_that_may_pass_beats_having_given_up(root):
    rows = [
        row("a", (-1.0, -2.0), (2, None), GIVEN_UP),
        row("a", None, None, "engine_error: it was down"),
        row("a", None, None, "nonfinite_score: 1 of 2 log-probabilities"),
        row("a"),
    ]
    for order in (rows, rows[::-1]):
        for count, each in enumerate(order, 1):
            write_scores(root, "model", "key", IDS, [each])
            best = max(order[:count], key=rows.index)
            assert read_partial(root, "model", "key", IDS) == {"a": best}
        for name in root.names(""):
            root.delete(name)


# Lists of the wrong length


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"sum_logprob": [-1.0]},
            "expected 2 entries in sum_logprob, one entry per sentence, found 1",
        ),
        (
            {"num_tokens": [2, 0, 1]},
            "expected 2 entries in num_tokens, one entry per sentence, found 3",
        ),
        (
            {"first_logprob": []},
            "expected 2 entries in first_logprob, one entry per sentence, found 0",
        ),
        (
            {"sum_rank": [1.0] * 3},
            "expected 2 entries in sum_rank, one entry per sentence, found 3",
        ),
        (
            {"sum_logprob": None},
            "expected 2 entries in sum_logprob, one entry per sentence, found none",
        ),
        (
            {"sum_logprob": [-1.0], "num_tokens": [2]},
            "expected 2 entries in sum_logprob, one entry per sentence, found 1",
        ),
    ],
)
@pytest.mark.parametrize("is_whole", [True, False])
def test_lists_that_are_not_one_entry_per_sentence_are_refused(root, change, told, is_whole):
    rows = [row("a"), {**row("b"), **change}]
    write_scores(root, "model", "key", IDS if is_whole else [*IDS, "c"], rows)
    (name,) = root.names("")
    ids, lengths = (IDS, [2, 2]) if is_whole else ([*IDS, "c"], [2, 2, 5])
    with pytest.raises(StoreError) as caught:
        read_scores(root, "model", "key", ids, lengths)
    assert str(caught.value).startswith(f"{root.show(name)}: trace b: {told}; delete the file")


@pytest.mark.parametrize(
    "change", [{"sum_logprob": [-1.0]}, {"sum_logprob": None}, {"sum_rank": []}]
)
def test_lists_of_different_lengths_are_refused_also_where_nobody_knows_the_sentences(root, change):
    write_scores(root, "model", "key", IDS, [row("a"), {**row("b"), **change}])
    with pytest.raises(StoreError, match="trace b: expected "):
        read_scores(root, "model", "key", IDS)


def test_a_row_without_lists_is_refused_unless_it_has_an_error(root):
    write_scores(root, "model", "key", IDS, [row("a", None, None, "no_tokens: none"), row("b")])
    assert len(read_scores(root, "model", "key", IDS, [2, 2])) == 2
    write_scores(root, "model", "key", IDS, [row("a", None, None), row("b")])
    with pytest.raises(StoreError, match="trace a: expected a list in sum_logprob"):
        read_scores(root, "model", "key", IDS)


def test_a_piece_about_strangers_is_refused_by_name(root):
    write_scores(root, "model", "key", ["c", "d"], [row("c")])
    with pytest.raises(
        StoreError, match=r"partial/model/key/\w+\.parquet: it is not about traces of"
    ):
        read_scores(root, "model", "key", IDS)


def test_nothing_read_leaves_no_file(root):
    write_scores(root, "model", "key", IDS, [])
    assert root.names("") == []


@given(st.lists(st.sets(st.sampled_from("abcd")), max_size=5))
def test_any_order_of_pieces_gives_the_same_rows(tmp_path_factory, pieces):
    stores = [Root(str(tmp_path_factory.mktemp("store"))) for _ in range(2)]
    for store, order in zip(stores, (pieces, pieces[::-1]), strict=True):
        for piece in order:
            write_scores(store, "m", "key", list("abcd"), [row(trace_id) for trace_id in piece])
    one, other = (read_scores(store, "m", "key", list("abcd")) for store in stores)
    assert one == other


def test_an_error_and_a_trace_given_up_at_once_have_files_of_their_own(root):
    given_up = row("a", (None, None), (None, None), GIVEN_UP)
    failed = row("a", (None, None), (None, None), "engine_error: RuntimeError()")
    for rows in ([failed], [given_up]):
        write_scores(root, "model", "key", IDS, rows)
    assert read_partial(root, "model", "key", IDS)["a"] == failed


@pytest.mark.parametrize("rows", [[row("a"), row("b")], [row("a")]], ids=["whole", "piece"])
def test_a_file_says_whose_scores_it_holds(root, rows):
    write_scores(root, "model", "key", IDS, rows)
    (name,) = root.names("")
    assert root.read_table(name).schema.metadata == {b"model": b"model"}


@pytest.mark.parametrize("kind", ["whole", "partial"])
def test_scores_of_another_model_are_refused_whoever_put_them_there(root, kind):
    rows = [row("a"), row("b")][: 2 if kind == "whole" else 1]
    write_scores(root, "model", "key", IDS, rows)
    (name,) = root.names("")
    other = name.replace("/model/", "/other/")
    root.write_bytes(other, root.read_bytes(name))
    with pytest.raises(DamagedError, match="expected scores of other, found those of model"):
        read_scores(root, "other", "key", IDS)
    assert read_scores(root, "model", "key", IDS)[: len(rows)] == rows
