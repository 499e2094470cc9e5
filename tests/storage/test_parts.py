"""Part-keys change with what models read and with nothing else; scores are never taken for another part's."""

import hashlib
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.parts import (
    BUCKET_BYTES,
    MANY_PARTS,
    MAX_BUCKETS,
    MAX_PART_CHARS,
    MIN_BUCKETS,
    PART_CHARS,
    bucket_folder,
    bucket_of,
    cut_into_parts,
    num_buckets,
    part_chars,
    part_key,
    stored_traces,
    write_part,
)
from rdpt_ray.storage.schemas import TRACES

SPLITTER = "nupunkt/1"
FOLDER = bucket_folder("demo", 7)


def trace(name, *, prompt="p", response="One. Two.", spans=((0, 5), (5, 9)), **facts):
    return {
        "trace_id": hashlib.sha256(name.encode()).hexdigest()[:32],
        "prompt_id": hashlib.sha256(prompt.encode()).hexdigest()[:32],
        "messages": [{"role": "user", "content": prompt}],
        "response": response,
        "answer_start": 5,
        "sentences": [{"start": start, "end": end} for start, end in spans],
        "candidate": 0,
        "complete": True,
        **facts,
    }


def traces(*rows):
    return pa.Table.from_pylist([*rows], TRACES)


A, B = trace("a"), trace("b")


@pytest.fixture
def root(tmp_path):
    return open_root(str(tmp_path))


# The key


def test_a_key_is_32_hex_digits_and_the_same_in_every_version():
    """Written down, because a changed key means that every stored trace is scored again."""
    flat = bytes([0, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0, 9, 0, 0, 0])
    hashed = b"part/1\0nupunkt/1\0" + A["trace_id"].encode() + b"\0" + b"4\0" + flat
    assert part_key(traces(A), SPLITTER) == hashlib.sha256(hashed).hexdigest()[:32]


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1)), max_size=5)),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_a_key_is_of_the_rows_however_they_lie_in_memory(spans, first, more):
    rows = [trace(str(row), spans=each) for row, each in enumerate(spans)]
    hashed = hashlib.sha256(f"part/1\0{SPLITTER}\0".encode())
    for row in rows[first:]:
        flat = [edge for span in row["sentences"] for edge in (span["start"], span["end"])]
        hashed.update(f"{row['trace_id']}\0{len(flat)}\0".encode())
        hashed.update(b"".join(edge.to_bytes(4, "little") for edge in flat))
    table = traces(*rows)
    chunked = pa.concat_tables([table.slice(first, more), table.slice(first + more)])
    assert part_key(table.slice(first), SPLITTER) == hashed.hexdigest()[:32]
    assert part_key(chunked, SPLITTER) == hashed.hexdigest()[:32]


@pytest.mark.parametrize(
    "other",
    [
        traces(trace("c"), B),  # another text
        traces(trace("a", spans=[(0, 9)]), B),  # one sentence
        traces(trace("a", spans=[(0, 4), (4, 9)]), B),  # cut elsewhere
        traces(trace("a", spans=[]), B),
        traces(A),
        traces(A, B, trace("c")),
        traces(B, A),  # another order of rows is another file
        traces(),
    ],
)
def test_a_key_changes_with_what_models_read(other):
    assert part_key(other, SPLITTER) != part_key(traces(A, B), SPLITTER)


def test_a_key_changes_with_the_splitter():
    keys = {part_key(traces(A, B), splitter) for splitter in ("nupunkt/1", "nupunkt/2", "regex/1")}
    assert len(keys) == 3


def test_a_key_does_not_change_with_what_no_model_reads():
    key = part_key(traces(A, B), SPLITTER)
    facts = {"candidate": 5, "correct": True, "source": "x", "license": "MIT", "metadata": "{}"}
    assert part_key(traces({**A, **facts}, B), SPLITTER) == key
    chunked = pa.concat_tables([traces(A), traces(B)])
    assert part_key(chunked, SPLITTER) == key
    assert part_key(traces(trace("c"), A, B).slice(1), SPLITTER) == key


def test_spans_of_one_trace_never_pass_for_those_of_its_neighbour():
    one = traces(trace("a", spans=[(0, 5), (5, 9)]), trace("b", spans=[(0, 9)]))
    other = traces(trace("a", spans=[(0, 5)]), trace("b", spans=[(5, 9), (0, 9)]))
    assert part_key(one, SPLITTER) != part_key(other, SPLITTER)


# The cut


@st.composite
def buckets(draw):
    """Traces with distinct ids over a few prompts, some of them empty, and a part size."""
    names = draw(st.lists(st.text("abc", min_size=1, max_size=3), max_size=15, unique=True))
    rows = [
        trace(
            name,
            prompt=draw(st.sampled_from("pqr")),
            response="\U0001f600" * draw(st.integers(0, 12)),
            spans=[],
        )
        for name in names
    ]
    return rows, draw(st.integers(1, 30))


@given(buckets(), st.randoms())
def test_the_cut_does_not_depend_on_the_order_of_the_input(bucket, rng):
    rows, part_chars = bucket
    shuffled = list(rows)
    rng.shuffle(shuffled)
    parts = [*cut_into_parts(traces(*rows), part_chars)]
    again = [*cut_into_parts(traces(*shuffled), part_chars)]
    assert [part.to_pylist() for part in parts] == [part.to_pylist() for part in again]
    assert [part_key(part, SPLITTER) for part in parts] == [
        part_key(part, SPLITTER) for part in again
    ]


@given(buckets())
def test_every_trace_lies_in_one_part_and_parts_are_as_full_as_they_may(bucket):
    rows, part_chars = bucket
    parts = [part.to_pylist() for part in cut_into_parts(traces(*rows), part_chars)]
    ordered = sorted(rows, key=lambda row: (row["prompt_id"], row["trace_id"]))
    flat = [row["trace_id"] for part in parts for row in part]
    assert flat == [row["trace_id"] for row in ordered]
    sizes = [[len(row["response"]) for row in part] for part in parts]
    assert all(sum(size) <= part_chars or len(size) == 1 for size in sizes)
    assert all(sum(size) + following[0] > part_chars for size, following in pairwise(sizes))
    assert all(sizes)  # no part is empty


def test_sizes_by_hand():
    """Characters, not bytes: 4 + 4 fit in 8, 9 stands alone, 0 goes along."""
    lengths = {"a": 4, "b": 4, "c": 9, "d": 0, "e": 8}
    rows = [
        trace(name, response="\u4e2d" * length, trace_id=name * 32)
        for name, length in lengths.items()
    ]
    parts = [part.column("trace_id").to_pylist() for part in cut_into_parts(traces(*rows), 8)]
    assert [[one[0] for one in part] for part in parts] == [["a", "b"], ["c"], ["d", "e"]]


def test_empty_responses_are_not_lost():
    for lengths in ([0], [0, 0, 0], [9, 0, 0], [0, 9, 0]):
        rows = [trace(str(place), response="x" * size) for place, size in enumerate(lengths)]
        parts = [*cut_into_parts(traces(*rows), 8)]
        assert sum(part.num_rows for part in parts) == len(rows), lengths


def test_no_traces_no_parts():
    assert [*cut_into_parts(traces())] == []


# The store


def test_a_written_part_reads_back(root):
    table = traces(A, B)
    key = write_part(root, FOLDER, table, SPLITTER)
    assert root.names("") == [f"traces/demo/bucket=0007/{key}.parquet"]
    stored = root.read_table(f"{FOLDER}/{key}.parquet")
    assert stored.to_pylist() == table.to_pylist()
    assert stored.schema.equals(TRACES)
    assert stored.schema.metadata == {b"splitter": SPLITTER.encode()}


def test_a_part_written_twice_is_one_file(root):
    keys = {write_part(root, FOLDER, traces(A, B), SPLITTER) for _ in range(2)}
    assert len(keys) == len(root.names(FOLDER)) == 1


def test_stored_traces_tells_which_part_holds_each(root):
    first = write_part(root, FOLDER, traces(A, B), SPLITTER)
    second = write_part(root, FOLDER, traces(trace("c")), SPLITTER)
    assert stored_traces(root, FOLDER, SPLITTER) == {
        A["trace_id"]: first,
        B["trace_id"]: first,
        trace("c")["trace_id"]: second,
    }


def test_stored_traces_are_those_of_this_splitter_and_bucket_alone(root):
    write_part(root, FOLDER, traces(A), "other/1")
    write_part(root, bucket_folder("demo", 8), traces(B), SPLITTER)
    write_part(root, bucket_folder("demo-2", 7), traces(B), SPLITTER)
    assert stored_traces(root, FOLDER, SPLITTER) == {}
    key = write_part(root, FOLDER, traces(A), SPLITTER)
    assert stored_traces(root, FOLDER, SPLITTER) == {A["trace_id"]: key}


def test_stored_traces_ignores_a_write_in_progress(root, tmp_path):
    write_part(root, FOLDER, traces(A), SPLITTER)
    (tmp_path / FOLDER / ".half.parquet.1.ab.tmp").write_bytes(b"PAR1")
    assert len(stored_traces(root, FOLDER, SPLITTER)) == 1


def test_a_damaged_part_is_named(root):
    key = write_part(root, FOLDER, traces(A), SPLITTER)
    root.write_bytes(f"{FOLDER}/{key}.parquet", b"PAR1 but not really PAR1")
    with pytest.raises(StoreError, match=f"{key}.parquet: not a valid Parquet file"):
        stored_traces(root, FOLDER, SPLITTER)


# Buckets


def test_num_buckets_by_hand():
    assert num_buckets(0) == num_buckets(8 * BUCKET_BYTES) == MIN_BUCKETS == 8
    assert num_buckets(8 * BUCKET_BYTES + 1) == num_buckets(16 * BUCKET_BYTES) == 16
    assert num_buckets(10**15) == MAX_BUCKETS


@given(st.integers(0, 2**50), st.integers(0, 2**50))
def test_num_buckets_grows_with_the_input_and_keeps_a_bucket_small(one, other):
    small, large = sorted((one, other))
    assert num_buckets(small) <= num_buckets(large)
    count = num_buckets(large)
    assert count & (count - 1) == 0
    assert MIN_BUCKETS <= count <= MAX_BUCKETS
    assert count == MAX_BUCKETS or large <= count * BUCKET_BYTES
    assert count == MIN_BUCKETS or large > count / 2 * BUCKET_BYTES


def test_part_chars_by_hand():
    assert part_chars(0) == part_chars(MANY_PARTS * PART_CHARS) == PART_CHARS == 1_000_000
    assert part_chars(MANY_PARTS * PART_CHARS + 1) == 2 * PART_CHARS
    assert part_chars(10**15) == MAX_PART_CHARS


@given(st.integers(0, 2**50))
def test_an_input_is_cut_into_no_more_parts_than_are_many_while_they_can_grow(size):
    chars = part_chars(size)
    assert PART_CHARS <= chars <= MAX_PART_CHARS
    assert chars == MAX_PART_CHARS or size <= chars * MANY_PARTS
    assert chars == PART_CHARS or size > chars // 2 * MANY_PARTS


@given(st.text("0123456789abcdef", min_size=32, max_size=32), st.sampled_from([8, 64, 4096]))
def test_a_bucket_is_one_of_those_there_are(identity, buckets):
    assert 0 <= bucket_of(identity, buckets) < buckets
    assert bucket_of(identity, buckets) == bucket_of(identity[:8] + "f" * 24, buckets)


def test_a_bucket_by_hand():
    assert bucket_of("0000001f" + "0" * 24, 8) == 31 % 8
    assert bucket_of("ffffffff" + "0" * 24, 4096) == 4095


def test_prompts_spread_evenly():
    ids = [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(8000)]
    counts = [0] * 8
    for identity in ids:
        counts[bucket_of(identity, 8)] += 1
    assert max(abs(count - 1000) for count in counts) < 5 * 30  # 5 standard deviations


def test_folders_sort_like_their_numbers():
    folders = [bucket_folder("demo", bucket) for bucket in (0, 9, 10, 999, 4095)]
    assert folders == sorted(folders)
    assert folders[0] == "traces/demo/bucket=0000"
