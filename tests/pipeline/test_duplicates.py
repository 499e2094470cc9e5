"""Near-duplicates: what is like another text goes, what is not stays, whatever the order and the workers."""

import random
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdpt_ray.errors import ConfigError
from rdpt_ray.method.ngrams import jaccard, shingles
from rdpt_ray.pipeline import alike, signatures
from rdpt_ray.pipeline.alike import Search, compare_groups
from rdpt_ray.pipeline.duplicates import connected, find_duplicates, pair_bands, sign_parts
from rdpt_ray.storage.drops import count_drops
from tests.pipeline.screened_store import all_drops, screened, trace

VOCABULARY = [f"{a}{b}{c}" for a in "bdfkl" for b in "aeiou" for c in "nrst"]


PINNED = [3536014640, 3527673845, 3226620811]


def text(seed, count=60):
    return " ".join(random.Random(seed).choices(VOCABULARY, k=count))


def edited(original, share, seed):
    """The text with this share of its words replaced, spread evenly."""
    rng = random.Random(seed)
    found = original.split()
    for place in rng.sample(range(len(found)), round(len(found) * share)):
        found[place] = f"new{rng.randrange(10**6)}"
    return " ".join(found)


def search(parts, job, kind="trace", threshold=0.9, ngram=3, slots=3):
    """The bodies of the stage's tasks in this process: id -> what it is like."""
    task = Search(job, kind, threshold, ngram, parts, slots)
    signed = pa.concat_tables(
        table for index in range(len(parts)) for table in sign_parts({"part": [index]}, search=task)
    )
    pairs = [np.zeros((0, 2), np.int64)]
    for slot in range(slots):
        rows = signed.filter(pa.compute.equal(signed["slot"], slot))
        if rows.num_rows:
            found = pair_bands(rows)
            pairs.append(np.column_stack([found["one"].to_numpy(), found["other"].to_numpy()]))
    groups = connected(np.unique(np.concatenate(pairs), axis=0))
    batch = pa.Table.from_pylist([{"groups": groups}]) if groups else None
    gone = compare_groups(batch, search=task).to_pylist() if batch else []
    return {row["id"]: row["detail"] for row in gone}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the SUM of 3 and 5?", "what is the sum of 3 and 5"),
        ("Prove that it holds.", "  Prove  that it\nholds !"),
        ("A well-known fact", "a well known fact"),
        ("short", "Short."),
    ],
)
def test_prompts_that_differ_in_case_spaces_and_punctuation_are_one(tmp_path, one, other):
    traces = [trace(one, text(1)), trace(other, text(2)), trace(text(3), text(4))]
    parts, job = screened(tmp_path, traces, {"duplicates": {}})
    ids = sorted(each["prompt_id"] for each in traces[:2])
    assert search(parts, job, "prompt") == {ids[1]: f"1.000 like prompt {ids[0]}"}


@pytest.mark.parametrize(
    ("one", "other"),
    [("3 apples", "4 apples"), ("1 + 2", "1 - 2"), ("x < 4", "x > 4")],
)
def test_prompts_with_other_numbers_or_operators_are_two_problems(tmp_path, one, other):
    story = text(1, 300)
    traces = [trace(f"{story} {one}", text(2)), trace(f"{story} {other}", text(3))]
    parts, job = screened(tmp_path, traces, {"duplicates": {}})
    assert jaccard(*(shingles(f"{story} {end}", 3) for end in (one, other))) > 0.95
    assert search(parts, job, "prompt") == {}


def test_a_system_message_makes_no_prompts_alike(tmp_path):
    system = text(0, 500)
    traces = [trace(f"What is {word}?", text(word), system) for word in ("love", "time", "rain")]
    parts, job = screened(tmp_path, traces, {"duplicates": {}})
    assert search(parts, job, "prompt") == {}


texts = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "dog"]), min_size=1, max_size=8).map(" ".join),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25)
@given(texts, st.randoms(), st.sampled_from([0.5, 0.8, 1.0]))
def test_the_law_of_what_stays_and_what_goes(tmp_path_factory, responses, rng, threshold):
    """All that goes is as like one that stays as it must be; equal words never stay twice."""
    traces = {}
    for place, response in enumerate(responses):
        one = trace(f"prompt {place % 3}", response)
        traces[one["trace_id"]] = one
    ordered = list(traces.values())
    parts, job = screened(tmp_path_factory.mktemp("s"), ordered, {"duplicates": {}}, part_chars=9)
    gone = search(parts, job, threshold=threshold)
    sets = {key: shingles(one["response"], 3) for key, one in traces.items()}
    for identity, detail in gone.items():
        value, kept = detail.split(" like trace ")
        assert kept not in gone
        assert kept < identity
        assert jaccard(sets[identity], sets[kept]) >= threshold
        assert f"{jaccard(sets[identity], sets[kept]):.3f}" == value
    for one, other in combinations(sorted(set(traces) - set(gone)), 2):
        assert jaccard(sets[one], sets[other]) < 1.0
    shuffled = rng.sample(ordered, len(ordered))
    again, job = screened(tmp_path_factory.mktemp("s"), shuffled, {"duplicates": {}}, part_chars=40)
    rng.shuffle(again)
    assert search(again, job, threshold=threshold, slots=7) == gone


def test_how_many_near_duplicates_are_found(tmp_path):
    """Recall and precision by similarity, on texts with a share of their words replaced."""
    shares = [0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.5]
    traces = []
    for place in range(40):
        original = text(place, 400)
        traces.append(trace(f"p {place}", original))
        traces.extend(trace(f"p {place}", edited(original, share, place)) for share in shares[1:])
    parts, job = screened(tmp_path, traces, {"duplicates": {}})
    gone = search(parts, job, threshold=0.9)
    sets = {one["trace_id"]: shingles(one["response"], 3) for one in traces}
    alike_pairs = missed = 0
    stay = sorted(set(sets) - set(gone))
    for one, other in combinations(stay, 2):
        missed += jaccard(sets[one], sets[other]) >= 0.9
    for place in range(0, len(traces), len(shares)):
        group = traces[place : place + len(shares)]
        for one, other in combinations(group, 2):
            alike_pairs += jaccard(sets[one["trace_id"]], sets[other["trace_id"]]) >= 0.9
    assert alike_pairs >= 100
    assert missed == 0
    assert len(gone) >= 40
    for identity, detail in gone.items():
        assert jaccard(sets[identity], sets[detail.rsplit(" ", 1)[1]]) >= 0.9


def test_a_group_too_large_to_compare_exactly_is_compared_by_signatures(tmp_path, monkeypatch):
    traces = [trace(f"p {place}", text(7, 100) + f" {place}") for place in range(6)]
    traces.append(trace("other", text(8, 100)))
    parts, job = screened(tmp_path, traces, {"duplicates": {}}, part_chars=500)
    exact = search(parts, job)
    monkeypatch.setattr(alike, "EXACT_HASHES", 150)
    estimated = search(parts, job)
    assert len(exact) == 5
    assert estimated.keys() == exact.keys()
    assert all(detail.startswith("about 0.9") for detail in estimated.values())


def test_a_trace_in_two_parts_is_no_duplicate_of_itself(tmp_path):
    one = trace("p", text(1))
    parts, job = screened(tmp_path, [one], {"duplicates": {}})
    more, _ = screened(tmp_path, [one, trace("p", text(2))], {"duplicates": {}}, part_chars=9000)
    assert search([*parts, *more], job) == {}


def test_one_that_fails_a_filter_is_not_kept_for_one_that_passes(tmp_path):
    traces = [trace(f"p {place}", text(1), complete=False) for place in range(5)]
    traces.append(trace("q", text(1)))
    parts, job = screened(
        tmp_path, traces, {"duplicates": {}}, passes=lambda row, num_chars: row["complete"]
    )
    assert search(parts, job) == {}


def test_a_missing_library_is_told_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(signatures, "RMinHash", None)
    parts, job = screened(tmp_path, [trace("p", "r")], {"duplicates": {}})
    with pytest.raises(ConfigError, match=r"pip install 'rdpt_ray\[duplicates\]'"):
        find_duplicates(parts, job)


def test_an_estimate_is_the_same_in_every_version_of_the_library_that_is_allowed():
    """Its bytes decide which pairs are looked at; a change of them is a change of ours."""
    found = signatures.signatures([shingles("the cat sat on the mat", 3)])
    assert found.shape == (1, signatures.NUM_MINIMA)
    assert found[0, :3].tolist() == PINNED


@pytest.mark.slow
@pytest.mark.ray
def test_the_stage_drops_prompts_then_traces_and_is_not_redone(ray_cluster, tmp_path):
    traces = [trace(f"{text(place, 20)}", text(100 + place, 80)) for place in range(40)]
    same = [
        trace("One QUESTION about 7 pears", text(1000)),
        trace("one question: about 7 pears?", text(1001)),
    ]
    same.append(trace(same[0]["messages"][0]["content"], text(1002)))
    copies = [trace(text(50 + place, 20), traces[place]["response"].upper()) for place in range(3)]
    everything = [*traces, *same, *copies]
    parts, job = screened(tmp_path, everything, {"duplicates": {}}, part_chars=2000)
    counts = find_duplicates(parts, job)
    dropped = all_drops(job)
    smaller, larger = sorted({one["prompt_id"] for one in same})
    expected = {one["trace_id"] for one in same if one["prompt_id"] == larger}
    by_reason = {
        reason: {key for key, (why, _) in dropped.items() if why == reason} for reason in counts
    }
    assert by_reason["near_duplicate_prompt"] == expected
    assert by_reason["near_duplicate"] == {
        max(copies[place]["trace_id"], traces[place]["trace_id"]) for place in range(3)
    }
    assert counts == {"near_duplicate_prompt": len(expected), "near_duplicate": 3}
    assert all(
        detail == f"1.000 like prompt {smaller}"
        for why, detail in dropped.values()
        if why == "near_duplicate_prompt"
    )
    assert find_duplicates([], job) == counts  # nothing is read again
    assert count_drops(job.store, job.run, "near_duplicate") == 3


@pytest.mark.slow
@pytest.mark.ray
def test_a_run_without_near_duplicates_or_traces_or_with_the_stage_off(ray_cluster, tmp_path):
    traces = [trace(f"{text(place, 20)}", text(100 + place, 80)) for place in range(3)]
    parts, job = screened(tmp_path, traces, {"duplicates": {"prompts": None}})
    assert find_duplicates(parts, job) == {"near_duplicate": 0}
    none, job = screened(tmp_path, traces, {"duplicates": {}}, run="runs/s", passes=nothing_passes)
    assert find_duplicates(none, job) == {"near_duplicate_prompt": 0, "near_duplicate": 0}
    off, job = screened(tmp_path, traces, {})
    assert find_duplicates(off, job) == {}


def nothing_passes(row, num_chars):
    return False
