"""The verifying stage over real parts and ledgers: what is kept, counted, tried again and left alone."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.config import parse_config
from rdpt_ray.errors import ConfigError
from rdpt_ray.method.verifiers import verifier_id
from rdpt_ray.pipeline.ingest import Destination, ingest
from rdpt_ray.pipeline.judge import Judge, answer_half
from rdpt_ray.pipeline.score import Part
from rdpt_ray.pipeline.verify import (
    Verification,
    VerifyCounts,
    verify_answers,
    verify_bucket,
)
from rdpt_ray.selection_config import VerifyConfig
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.inputs import list_inputs
from rdpt_ray.storage.parts import bucket_folder, write_part
from rdpt_ray.storage.schemas import ROWS, TRACES
from rdpt_ray.storage.verified import read_verified, references
from tests.pipeline.conftest import QUIET, config_tree, miniature_rows

TOWER = r"\boxed{9^{9^{9^{9}}}}"


def trace(trace_id, response, reference="42", correct=None, answer_start=0):
    return {
        **dict.fromkeys(TRACES.names),
        "trace_id": trace_id,
        "prompt_id": "00",
        "messages": [],
        "sentences": [],
        "response": response,
        "answer_start": answer_start,
        "reference_answer": reference,
        "correct": correct,
    }


def job_over(folder, *parts, method="numeric", **options):
    """A bucket's parts and ledger at rest, and the job that verifies them."""
    store = Root(str(folder))
    rows = {row["trace_id"]: {**dict.fromkeys(ROWS.names), **row} for part in parts for row in part}
    ledger = [{name: row[name] for name in ROWS.names} for row in rows.values()]
    store.write_table("run/rows/bucket=0000.parquet", pa.Table.from_pylist(ledger, ROWS))
    keys = [
        write_part(store, bucket_folder("set", 0), pa.Table.from_pylist(part, TRACES), "s/1")
        for part in parts
    ]
    return keys, Verification(store, "set", "run", VerifyConfig(method=method, **options))


def run(keys, job):
    total = VerifyCounts()
    for counts in verify_bucket(0, keys, job):
        total = total.plus(counts)
    return total


def files(job):
    return {name: job.store.read_bytes(name) for name in job.store.names("verified")}


GIVEN = [
    trace("a", r"\boxed{42}"),
    trace("b", r"\boxed{43}"),
    trace("c", r"\boxed{43}", correct=True),
    trace("d", r"\boxed{42}", reference=None),
    trace("e", "", reference="42"),
    trace("f", r"\boxed{x}"),
    trace("g", "first 7\nthen 8"),
]


def test_every_trace_is_counted_once_and_nulls_alone_are_filled(tmp_path):
    keys, job = job_over(tmp_path, GIVEN)
    assert run(keys, job) == VerifyCounts(
        given=1,
        correct=1,
        wrong=1,
        unknown={"no answer": 1, "no reference answer": 1, "unclear": 2},
    )
    wanted = references(
        job.store.read_table("run/rows/bucket=0000.parquet").to_pylist(), overwrite=False
    )
    verdicts = read_verified(job.store, verifier_id("numeric"), keys[0], wanted)
    assert verdicts == {"a": True, "b": False}


def test_overwriting_verifies_what_the_input_says_too(tmp_path):
    keys, job = job_over(tmp_path, GIVEN, overwrite=True)
    counts = run(keys, job)
    assert (counts.given, counts.wrong, counts.contradicted) == (0, 2, 1)
    assert counts.num_traces == len(GIVEN)


def test_what_is_there_is_not_verified_again_and_has_the_same_bytes(tmp_path):
    keys, job = job_over(tmp_path, GIVEN)
    first = run(keys, job)
    before = files(job)
    assert run(keys, job) == replace(first, reused=6)
    assert files(job) == before
    for name in before:
        job.store.delete(name)
    run(keys, job)
    assert files(job) == before


def test_other_references_are_verified_anew_beside_the_old(tmp_path):
    keys, job = job_over(tmp_path, [trace("a", r"\boxed{42}")])
    assert run(keys, job).correct == 1
    again, job = job_over(tmp_path, [trace("a", r"\boxed{42}", reference="7")])
    assert again == keys  # the answer is no part of the part
    counts = run(keys, job)
    assert (counts.wrong, counts.reused) == (1, 0)
    assert len(files(job)) == 2


def test_a_trace_in_two_parts_is_counted_once(tmp_path):
    keys, job = job_over(
        tmp_path,
        [trace("a", r"\boxed{42}")],
        [trace("a", r"\boxed{42}"), trace("b", r"\boxed{1}")],
    )
    counts = run(keys, job)
    assert (counts.correct, counts.wrong, counts.num_traces) == (1, 1, 2)
    assert len(files(job)) == 2


def test_a_hostile_trace_is_a_timeout_and_more_time_is_another_try(tmp_path):
    pytest.importorskip("math_verify")
    rows = [trace("a", TOWER), trace("b", r"\boxed{42}"), trace("c", r"\boxed{\frac{84}{2}}")]
    keys, job = job_over(tmp_path, rows, method="math", time_limit_s=0.3)
    counts = run(keys, job)
    assert (counts.correct, counts.unknown) == (2, {"timeout": 1})
    assert run(keys, job).reused == 3
    longer = replace(job, config=VerifyConfig(method="math", time_limit_s=0.6))
    assert run(keys, longer) == replace(counts, reused=2)
    assert run(keys, longer).reused == 3


def test_an_extension_runs_in_its_own_process_by_its_entry_point(tmp_path, monkeypatch):
    site = tmp_path / "site"
    (site / "shop-1.2.dist-info").mkdir(parents=True)
    (site / "shop-1.2.dist-info" / "METADATA").write_text("Name: shop\nVersion: 1.2\n")
    (site / "shop-1.2.dist-info" / "entry_points.txt").write_text(
        "[rdpt_ray.verifiers]\nends = shop_verifier:ends\n"
    )
    (site / "shop_verifier.py").write_text(
        "import os, time\n"
        "def ends(reference, text):\n"
        "    if reference == 'sleep': time.sleep(60)\n"
        "    if reference == 'raise': raise ValueError(text)\n"
        "    if reference == 'die': os._exit(3)\n"
        "    if reference == 'odd': return 'yes'\n"
        "    print('not a reply')\n"
        "    return None if reference == '?' else text.endswith(reference)\n"
    )
    monkeypatch.syspath_prepend(str(site))
    references = ["42", "43", "?", "sleep", "raise", "die", "odd", "42"]
    rows = [trace(str(i), f"{i} is 42", reference=each) for i, each in enumerate(references)]
    keys, job = job_over(tmp_path / "store", rows, method="ends", time_limit_s=0.3)
    assert run(keys, job) == VerifyCounts(
        correct=2,
        wrong=1,
        unknown={
            "crashed": 1,
            "failed: ValueError": 1,
            "failed: returned str": 1,
            "not comparable": 1,
            "timeout": 1,
        },
    )


@pytest.mark.parametrize(
    ("response", "answer_start", "half"),
    [
        ("think 5\nanswer 7", 8, "answer 7"),
        ("all of it", 0, "all of it"),
        ("only reasoning", 14, "only reasoning"),
        ("blank after \n", 12, "blank after \n"),
        ("x" * 10_000, 0, "x" * 8192),
    ],
)
def test_the_answer_half(response, answer_start, half):
    assert answer_half(response, answer_start) == half


@given(st.sampled_from(["exact", "numeric", "choice"]), st.none() | st.text(), st.text())
def test_pure_methods_judge_any_text(method, reference, text):
    with Judge(VerifyConfig(method=method)) as judge:
        verdict = judge(reference, text)
    assert (verdict.correct is None) is (verdict.detail is not None)


COUNTS = st.builds(
    VerifyCounts,
    given=st.integers(0, 9),
    correct=st.integers(0, 9),
    unknown=st.dictionaries(st.sampled_from(["timeout", "unclear"]), st.integers(1, 9)),
)


@given(COUNTS, COUNTS)
def test_counts_add_up(one, other):
    assert one.plus(other) == other.plus(one)
    assert one.plus(other).num_traces == one.num_traces + other.num_traces


def test_the_config_names_the_nearest_verifier(tmp_path):
    tree = config_tree(tmp_path, rows=[]) | {"verify": {"method": "exacct"}}
    with pytest.raises(ConfigError, match="did you mean 'exact'"):
        parse_config(tree)
    tree["verify"] = {"method": "math", "time_limit": 5}
    with pytest.raises(ConfigError, match="time_limit_s"):
        parse_config(tree)


@pytest.mark.ray
def test_the_stage_on_ray(ray_cluster, tmp_path: Path):
    pytest.importorskip("math_verify")
    rows = [
        {**row, "reference_answer": str(place % 3), "response": f"{row['response']} \\boxed{{1}}"}
        for place, row in enumerate(miniature_rows(0, 24))
    ]
    tree = config_tree(tmp_path, rows=rows) | {"verify": {"method": "math"}}
    config = parse_config(tree)
    store = Root(config.store)
    buckets = ingest(list_inputs(config.input), config.input, Destination(store, "small", "run", 4))
    parts = [Part(each.bucket, key, n) for each in buckets for key, n in each.parts.items()]
    assert config.verify is not None
    job = Verification(store, "small", "run", config.verify)
    counts = verify_answers(parts, job, QUIET)
    assert counts.num_traces == len(rows)
    assert counts.correct == sum(row["reference_answer"] == "1" for row in rows)
    assert counts.wrong == len(rows) - counts.correct
    assert verify_answers(parts, job, QUIET) == replace(counts, reused=len(rows))
    some = next((Path(config.store) / "verified").rglob("*.parquet"))
    assert pq.read_schema(some).metadata[b"verifier"].startswith(b"math/1 math-verify==0.9.0")
