"""What is drawn of an input, and that totals follow from it."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.config import InputConfig
from rdpt_ray.method.sample_totals import estimate_total
from rdpt_ray.storage.ingested import read_file
from rdpt_ray.storage.input_sample import Drawing, sample_input
from rdpt_ray.storage.inputs import list_inputs


def whole(text):
    return [(0, len(text))]


def rows_of(count):
    return [{"prompt": f"{n} + 1?", "response": "x" * (n % 7 + 1)} for n in range(count)]


def sample(config, *, blocks, rows, seed=0):
    files = list_inputs(config)
    drawing = Drawing(split=whole, num_blocks=blocks, num_rows=rows, seed=seed)
    return sample_input(files, [config] * len(files), drawing)


def ids(strata):
    tables = [block.table for stratum in strata for block in stratum.blocks]
    return sorted(pa.concat_tables(tables).column("trace_id").to_pylist())


def ids_of_all(config):
    files = list_inputs(config)
    return ids_in([table for file in files for table in read_file(file, config, split=whole)])


def ids_in(tables):
    return sorted(pa.concat_tables(tables).column("trace_id").to_pylist())


def estimated_rows(strata):
    return sum(
        estimate_total(
            [block.size for block in stratum.blocks],
            [block.table.num_rows * block.scale for block in stratum.blocks],
            total_size=stratum.total_size,
            num_blocks=stratum.num_blocks,
        ).value
        for stratum in strata
    )


def write_jsonl(path, rows, opened=open):
    with opened(path, "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def mixed(tmp_path):
    """The same 100 rows three times: plain lines, packed lines, row groups of 30."""
    rows = rows_of(100)
    write_jsonl(tmp_path / "a.jsonl", rows)
    write_jsonl(tmp_path / "b.jsonl.gz", rows, gzip.open)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "c.parquet", row_group_size=30)
    return tmp_path


@pytest.mark.parametrize("name", ["a.jsonl", "b.jsonl.gz", "c.parquet", ""])
def test_enough_blocks_read_everything_once(mixed, name):
    config = InputConfig(path=str(mixed / name))
    strata = sample(config, blocks=100, rows=10)
    assert all(stratum.is_complete for stratum in strata)
    assert ids(strata) == ids_of_all(config)
    assert estimated_rows(strata) == len(ids(strata))


@pytest.mark.parametrize("name", ["a.jsonl", "b.jsonl.gz", "c.parquet", ""])
def test_some_blocks_tell_of_the_rest(mixed, name):
    config = InputConfig(path=str(mixed / name))
    strata = sample(config, blocks=4, rows=5)
    truth = len(ids_of_all(config))
    seen = len(ids(strata))
    assert seen < truth
    assert not all(stratum.is_complete for stratum in strata)
    assert estimated_rows(strata) == pytest.approx(truth, rel=0.1)


@pytest.mark.parametrize("name", ["a.jsonl", "b.jsonl.gz", "c.parquet"])
def test_a_limit_is_what_is_read(mixed, name):
    config = InputConfig(path=str(mixed / name), limit=37)
    assert estimated_rows(sample(config, blocks=100, rows=10)) == 37
    assert estimated_rows(sample(config, blocks=2, rows=10)) == pytest.approx(37, rel=0.5)


def test_of_many_files_some_are_read(tmp_path):
    for number in range(12):
        write_jsonl(tmp_path / f"{number:02}.jsonl", rows_of(20 + number))
    config = InputConfig(path=str(tmp_path))
    (stratum,) = sample(config, blocks=6, rows=8)
    assert (len(stratum.blocks), stratum.num_blocks) == (6, 12)
    assert all(block.table.num_rows <= 10 for block in stratum.blocks)
    truth = sum(20 + number for number in range(12))
    assert estimated_rows([stratum]) == pytest.approx(truth, rel=0.25)


def test_faults_are_blocks_too(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"not Parquet")
    (tmp_path / "b.jsonl").write_bytes(b"")
    strata = sample(InputConfig(path=str(tmp_path)), blocks=4, rows=4)
    reasons = [block.table.column("reason").to_pylist() for one in strata for block in one.blocks]
    assert sorted(reasons) == [["corrupt_file"], ["empty_file"]]


@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=30),
    rows=st.integers(1, 5),
    ends=st.booleans(),
)
def test_every_line_is_in_one_range(tmp_path_factory, lengths, rows, ends):
    lines = [
        json.dumps({"prompt": f"{n}?", "response": "é" * length + "."})
        for n, length in enumerate(lengths)
    ]
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    path.write_text("\n".join(lines) + "\n" * ends, encoding="utf-8")
    config = InputConfig(path=str(path))
    strata = sample(config, blocks=1000, rows=rows)
    assert ids(strata) == ids_of_all(config)


def test_the_seed_decides_what_is_drawn(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", rows_of(400))
    config = InputConfig(path=str(tmp_path / "a.jsonl"))
    first, again, other = (ids(sample(config, blocks=3, rows=5, seed=s)) for s in (0, 0, 1))
    assert first == again
    assert first != other
