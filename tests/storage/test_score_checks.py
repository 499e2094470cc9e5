"""No false alarm: whatever a model gives passes. (That damage does not, is tested in test_audit.py.)"""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.pipeline.kept_tokens import keep_tokens
from rdpt_ray.pipeline.score_rows import scores_row
from rdpt_ray.scoring.engine import TokenScores
from rdpt_ray.scoring.traces import Trace, TraceTokens, sentence_scores
from rdpt_ray.storage.derived_checks import check_token_rows
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.schemas import SCORES
from rdpt_ray.storage.score_checks import PartShape, check_score_rows

TEXTS = st.text("ab .\n\u00e9\U0001f600", min_size=1, max_size=40)
LOGPROBS = st.floats(-80, 0, width=32) | st.sampled_from([0.0, -0.0, -1e-7])
BRIERS = st.floats(0, 2, width=32) | st.just(np.float32(-6e-8))


@st.composite
def scored(draw, number):
    """A trace, and what a model gives for it: tokens of which the last may be unread, or an error."""
    text = draw(TEXTS)
    cuts = sorted(draw(st.sets(st.integers(1, len(text)))) | {0, len(text)})
    trace = Trace([], text, list(pairwise(cuts)), f"{number:032x}")
    error = draw(st.sampled_from([None, None, "context_exceeded: 9 tokens", "engine_error: \nno"]))
    if error is not None:
        return trace, error
    edges = sorted(draw(st.lists(st.integers(0, len(text)), min_size=2)))
    spans = np.array(list(pairwise(edges)), np.int64).reshape(-1, 2)
    count = len(spans)
    values = [draw(st.lists(each, min_size=count, max_size=count)) for each in (LOGPROBS, BRIERS)]
    ranks = draw(st.lists(st.integers(1, 100), min_size=count, max_size=count))
    scores = TokenScores(
        np.array(values[0], np.float32), np.array(ranks, np.int32), np.array(values[1], np.float32)
    )
    return trace, TraceTokens(spans, scores, 5, draw(st.sampled_from([0, 0, 3])))


@given(st.data())
def test_what_a_model_gives_is_no_damage(data):
    pairs = [data.draw(scored(number)) for number in range(data.draw(st.integers(0, 4)))]
    rows = [scores_row(trace.trace_id, sentence_scores(trace, given)) for trace, given in pairs]
    shape = PartShape(
        [trace.trace_id for trace, _ in pairs],
        np.array([len(trace.sentences) for trace, _ in pairs], np.int64),
        np.array([len(trace.response) for trace, _ in pairs], np.int64),
    )
    table = pa.Table.from_pylist(rows, schema=SCORES)
    signals = ["rank", "brier"]
    assert check_score_rows(table, shape, is_whole=False, signals=signals) == []
    assert check_score_rows(table, None, is_whole=False, signals=None) == []
    whole = check_score_rows(table, shape, is_whole=True, signals=signals)
    assert bool(whole) == any(
        isinstance(each, TraceTokens) and each.num_unread for _, each in pairs
    )
    root = open_root("memory://score-checks")
    keep_tokens(root, "tokens", *([each[half] for each in pairs] for half in (0, 1)))
    assert check_token_rows(root.read_table("tokens"), shape) == []


@pytest.mark.parametrize(
    ("signals", "told"),
    [(["rank", "brier"], []), (["rank"], ["no sum_brier"]), ([], ["no sum_rank", "no sum_brier"])],
)
def test_signals_are_there_if_the_model_measures_them(signals, told):
    trace = Trace([], "One.", [(0, 4)], "0" * 32)
    one = np.ones(1)
    tokens = TraceTokens(
        np.array([[0, 4]]), TokenScores(-one.astype("f4"), one.astype("i4"), one.astype("f4")), 5
    )
    row = scores_row(trace.trace_id, sentence_scores(trace, tokens))
    table = pa.Table.from_pylist([row], schema=SCORES)
    found = check_score_rows(table, None, is_whole=True, signals=signals)
    assert [expected.partition(",")[0] for expected, _ in found] == told
