"""No false alarm: every part that can be written passes. (Damage is tested in test_audit.py.)"""

from itertools import pairwise

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.identity import identify
from rdpt_ray.storage.part_checks import check_part
from rdpt_ray.storage.parts import bucket_folder, bucket_of, write_part
from rdpt_ray.storage.schemas import TRACES
from rdpt_ray.storage.trace_checks import first_untiled

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@st.composite
def traces(draw):
    prompt, response = draw(TEXTS), draw(TEXTS)
    cuts = sorted(draw(st.sets(st.integers(1, len(response)))) | {0, len(response)})
    messages = [("system", draw(TEXTS)), ("user", prompt)]
    trace_id, prompt_id, _ = identify(messages, response, "prompt", "response")
    return {
        "trace_id": trace_id,
        "prompt_id": prompt_id,
        "messages": [{"role": role, "content": content} for role, content in messages],
        "response": response,
        "answer_start": draw(st.integers(0, len(response))),
        "sentences": [{"start": start, "end": end} for start, end in pairwise(cuts)],
    }


@given(st.lists(traces(), min_size=1, max_size=5, unique_by=lambda row: row["trace_id"]))
def test_every_part_that_is_written_passes(rows):
    root = open_root("memory://trace-checks")
    table = pa.Table.from_pylist(rows, schema=TRACES)
    key = write_part(root, bucket_folder("d", 0), table, "x/1")
    assert check_part(root, "d", 0, key) == []
    in_bucket = check_part(root, "d", 0, key, 4)
    assert bool(in_bucket) == any(bucket_of(row["prompt_id"], 4) for row in rows)


@settings(max_examples=20)
@given(traces())
def test_a_part_of_many_row_groups_passes(row):
    root = open_root("memory://trace-checks")
    rows = []
    for number in range(1500):
        messages = [("user", str(number))]
        trace_id, prompt_id, _ = identify(messages, row["response"], "", "")
        asked = [{"role": "user", "content": str(number)}]
        rows.append({**row, "trace_id": trace_id, "prompt_id": prompt_id, "messages": asked})
    key = write_part(root, bucket_folder("d", 0), pa.Table.from_pylist(rows, schema=TRACES), "x/1")
    assert check_part(root, "d", 0, key) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=4), st.integers(0, 5))
def test_sentences_tile_exactly_if_they_do_one_by_one(spans, length):
    table = pa.table(
        {
            "response": ["ab", "x" * length, "cd"],
            "sentences": pa.array(
                [
                    [{"start": 0, "end": 2}],
                    [{"start": a, "end": b} for a, b in spans],
                    [{"start": 0, "end": 2}],
                ],
                TRACES.field("sentences").type,
            ),
        }
    )
    place = 0
    tiles = True
    for start, end in spans:
        tiles = tiles and start == place and end > start
        place = end
    tiles = tiles and place == length
    assert first_untiled(table) == (None if tiles else 1)
