"""What selection reads was not looked at before: damage is met there, and is never taken for scores."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdpt_ray.config import ThresholdsConfig
from rdpt_ray.errors import DamagedError
from rdpt_ray.pipeline.eligible import Ledger
from rdpt_ray.pipeline.repair import Relied, check
from rdpt_ray.pipeline.scored_bucket import ScoredRun, read_bucket
from rdpt_ray.selection_config import FiltersConfig, VerifyConfig
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.parts import bucket_folder
from rdpt_ray.storage.schemas import SENTENCES
from tests.storage.small_store import STUDENT, TEACHER, small_run

VERIFY = VerifyConfig(method="numeric")
ROOMS = ("traces", "scores", "partial", "verified")
"""Where the files lie that a start does not look at once a model has scored a part whole."""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A run over two datasets' worth of parts, some of them pruned, what it reads as, and its files."""
    folder = tmp_path_factory.mktemp("small")
    root = open_root(str(folder / "store"))
    small_run(root, folder, 2, range(20, 30), dataset="other", prune=True)
    run = small_run(root, folder)
    job = ScoredRun(
        root,
        run.dataset,
        Ledger(root, run.folder, VERIFY),
        run.models,
        ThresholdsConfig(),
        FiltersConfig(),
    )
    names = [name for room in ROOMS for name in root.names(room) if name.endswith(".parquet")]
    keys = {key for _, key in run.parts}
    own = [name for name in names if any(key in name for key in keys)]
    return run, job, names, own


def seen(run, job):
    """All that selection goes by."""
    found = [read_bucket(bucket, job) for bucket in run.buckets]
    return [
        (
            one.row,
            one.drop_reason,
            one.classes.tolist(),
            {k: v.tolist() for k, v in one.probs.items()},
        )
        for traces, _ in found
        for one in traces
    ], [rows for _, rows in found]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_is_met_or_changes_nothing(small, data):
    """A flipped bit, a cut, other bytes, another file, more bytes: after it was once read as sound."""
    run, job, names, own = small
    name = data.draw(st.sampled_from(own))
    path = Path(job.store.path(name))
    sound = path.read_bytes()
    how = data.draw(st.sampled_from(["flip", "cut", "overwrite", "swap", "grow"]))
    at = data.draw(st.integers(0, len(sound) - 1))
    spoilt = bytearray(sound)
    if how == "flip":
        spoilt[at] ^= 1 << data.draw(st.integers(0, 7))
    elif how == "cut":
        del spoilt[at:]
    elif how == "overwrite":
        spoilt[at : at + 64] = data.draw(st.binary(min_size=1, max_size=64))
    elif how == "swap":
        other = data.draw(st.sampled_from([each for each in names if each != name]))
        spoilt[:] = Path(job.store.path(other)).read_bytes()
    else:
        spoilt += data.draw(st.binary(min_size=1, max_size=64))
    before = seen(run, job)
    path.write_bytes(spoilt)
    try:
        assert seen(run, job) == before
    except DamagedError:
        pass
    finally:
        path.write_bytes(sound)


def test_a_part_cut_by_another_splitter_is_not_taken_for_this_one(small):
    """The same traces with as many sentences: its scores would fit."""
    run, job, _, _ = small
    bucket, key = run.parts[0]
    name = f"{bucket_folder(run.dataset, bucket)}/{key}.parquet"
    sound = job.store.read_bytes(name)
    table = job.store.read_table(name)
    spans = table.column("sentences").to_pylist()
    spans[0][0]["end"] = spans[0][1]["start"] = spans[0][0]["end"] + 1
    place = table.schema.get_field_index("sentences")
    moved = table.set_column(place, table.schema.field(place), pa.array(spans, SENTENCES))
    job.store.write_table(name, moved, {"splitter": table.schema.metadata[b"splitter"].decode()})
    try:
        with pytest.raises(DamagedError, match=f"{key}.parquet: expected traces whose part-key is"):
            seen(run, job)
    finally:
        job.store.write_bytes(name, sound)


def test_what_is_met_is_found_by_the_look_that_follows(small):
    """Otherwise the job would end, in place of making the file again."""
    run, job, names, own = small
    for name in own:
        for other in names:
            if other == name:
                continue
            root = open_root(job.store.uri)
            sound = root.read_bytes(name)
            root.write_bytes(name, root.read_bytes(other))
            try:
                seen(run, job)
            except DamagedError:
                assert any(each.file == name for each in looked_at(run, root)), (name, other)
            else:
                assert sound == root.read_bytes(name), (name, other)
            finally:
                root.write_bytes(name, sound)


def looked_at(run, root):
    signals = {STUDENT: ("rank",), TEACHER: ()}
    verdicts = {}
    for name in root.names("verified"):
        verdicts.setdefault(Path(name).name.split("-")[0], []).append(name)
    relied = Relied(root, run.dataset, signals, verdicts)
    return [
        damage
        for bucket, key in run.parts
        for damage in check({"bucket": bucket, "key": key}, relied)
    ]
