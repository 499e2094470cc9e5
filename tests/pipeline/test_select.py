"""The selection of one bucket, without a cluster."""

import pyarrow as pa
import pytest

from rdpt_ray.config import ThresholdsConfig
from rdpt_ray.errors import StoreError
from rdpt_ray.pipeline.ingest import IngestedBucket
from rdpt_ray.pipeline.select import Selection, select_bucket
from rdpt_ray.selection_config import SelectionConfig
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.parts import bucket_folder, write_part
from rdpt_ray.storage.schemas import ROWS, SCORES, TRACES
from rdpt_ray.storage.scores import score_name


def trace(identity, prompt, candidate):
    return {
        "trace_id": identity,
        "prompt_id": prompt,
        "messages": [{"role": "user", "content": prompt}],
        "response": "One. Two.",
        "answer_start": 0,
        "sentences": [{"start": 0, "end": 5}, {"start": 5, "end": 9}],
        "candidate": candidate,
        "complete": True,
    }


def score(identity, *logprobs):
    return {"trace_id": identity, "sum_logprob": list(logprobs), "num_tokens": [1] * len(logprobs)}


def stored(store, traces, teacher, student):
    """One part with its scores; returns its key."""
    table = pa.Table.from_pylist(traces, schema=TRACES)
    key = write_part(store, bucket_folder("d", 0), table, "splitter")
    for role, scores in (("t", teacher), ("s", student)):
        store.write_table(score_name(role, key), pa.Table.from_pylist(scores, schema=SCORES))
    return key


def selection(store, num_examples=2):
    return Selection(
        store=store,
        dataset="d",
        run="runs/r",
        model_keys={"student": "s", "teacher": "t"},
        thresholds=ThresholdsConfig(),
        selection=SelectionConfig(),
        num_examples=num_examples,
    )


def ledger(store, identities):
    rows = [
        {"file": "f", "row": index, "trace_id": identity, "candidate": index}
        for index, identity in enumerate(identities)
    ]
    store.write_table("runs/r/rows/bucket=0000.parquet", pa.Table.from_pylist(rows, schema=ROWS))


def test_a_trace_stored_in_two_parts_counts_once(tmp_path):
    """As two runs leave it that ingest overlapping inputs at the same moment."""
    store = open_root(str(tmp_path))
    a, b, c = trace("a", "p", 0), trace("b", "p", 1), trace("c", "p", 2)
    sure, unsure = (-0.01, -0.01), (-1.0, -1.0)
    first = stored(
        store,
        [a, b],
        [score("a", *sure), score("b", *unsure)],
        [score("a", *unsure), score("b", *unsure)],
    )
    second = stored(
        store,
        [b, c],
        [score("b", *unsure), score("c", *unsure)],
        [score("b", *unsure), score("c", *unsure)],
    )
    ledger(store, ["a", "b", "c"])
    summary = select_bucket(IngestedBucket(0, 3, 0, {first: 2, second: 2}), selection(store))
    assert (summary.selected, summary.rejected, summary.quarantined) == (1, 2, 0)
    (row,) = store.read_table("runs/r/selected/bucket=0000.parquet").to_pylist()
    assert (row["trace_id"], row["num_teacher"], row["rank"]) == ("a", 2, 1)


def test_a_sentence_without_a_token_has_no_class_and_the_trace_stays(tmp_path):
    store = open_root(str(tmp_path))
    scores = {"trace_id": "a", "sum_logprob": [None, -0.01], "num_tokens": [0, 1]}
    key = stored(store, [trace("a", "p", 0)], [scores], [score("a", -1.0, -1.0)])
    ledger(store, ["a"])
    summary = select_bucket(IngestedBucket(0, 1, 0, {key: 1}), selection(store))
    assert summary.classes == {"UNSCORED": 1, "TEACHER": 1}
    (row,) = store.read_table("runs/r/provenance/bucket=0000.parquet").to_pylist()
    assert row["provenance"] == [None, "TEACHER"]
    assert row["teacher_prob"][0] is None


def test_a_trace_that_one_model_could_not_score_is_quarantined_with_the_role(tmp_path):
    store = open_root(str(tmp_path))
    broken = {"trace_id": "a", "error": "context_exceeded: 9 tokens, the model reads at most 8"}
    key = stored(store, [trace("a", "p", 0)], [broken], [score("a", -1.0, -1.0)])
    ledger(store, ["a"])
    summary = select_bucket(IngestedBucket(0, 1, 0, {key: 1}), selection(store))
    assert (summary.selected, summary.quarantined) == (0, 1)
    (row,) = store.read_table("runs/r/quarantine/bucket=0000.parquet").to_pylist()
    assert (row["stage"], row["reason"], row["column"]) == ("score", "context_exceeded", "teacher")
    assert (row["file"], row["row"]) == ("f", 0)


def test_scores_of_another_number_of_sentences_are_refused_by_name(tmp_path):
    """As a score file of another splitter would be, or one that a disk cut short and that still reads."""
    store = open_root(str(tmp_path))
    short = score("a", -1.0)
    key = stored(store, [trace("a", "p", 0)], [short], [score("a", -1.0, -1.0)])
    ledger(store, ["a"])
    with pytest.raises(StoreError) as caught:
        select_bucket(IngestedBucket(0, 1, 0, {key: 1}), selection(store))
    assert str(caught.value).startswith(
        f"{store.show(score_name('t', key))}: trace a: expected 2 entries in sum_logprob, one entry per"
        " sentence, found 1; delete the file and rerun"
    )
    assert store.names("runs/r/selected") == []
