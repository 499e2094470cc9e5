"""A store that a disk spoilt: every damaged file is set aside and made again; the run comes out the same."""

import json
import shutil
from pathlib import Path

import pytest

from rdpt_ray.config import parse_config
from rdpt_ray.errors import DamagedError, StoreError
from rdpt_ray.pipeline.job import open_job
from rdpt_ray.pipeline.repair import Relied, check
from rdpt_ray.pipeline.stages import score_only
from rdpt_ray.storage.damage import DAMAGED
from rdpt_ray.storage.files import Root
from tests.pipeline.conftest import QUIET, config_tree, miniature_rows, run, table_bytes

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def finished(ray_cluster, tmp_path_factory):
    """A finished run, its config and its tables."""
    folder = tmp_path_factory.mktemp("finished")
    tree = config_tree(folder, rows=miniature_rows(0, 40), actors=1)
    tree["verify"] = {"method": "numeric", "overwrite": True}
    tree["models"]["teacher"]["keep_token_logprobs"] = True
    tree["selection"] = {"filters": {"duplicates": {}}}
    done = run(tree)
    return tree, table_bytes(done), done


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of its store, in which the run is not finished."""
    tree, tables, done = finished
    store = tmp_path / "store"
    shutil.copytree(tree["store"], store)
    forget(store, "manifest.json")
    return {**tree, "store": str(store)}, store, tables, done


def forget(store, *records):
    """Take records of runs away, so that the next start has to find out for itself."""
    for pattern in records:
        for path in store.glob(f"runs/*/{pattern}"):
            path.unlink()


def flip(path):
    """One bit, in the middle of the first column's first page."""
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def swap(path):
    """The content of another file of the same folder."""
    other = next(each for each in sorted(path.parent.iterdir()) if each != path)
    path.write_bytes(other.read_bytes())


def empty(path):
    path.write_bytes(b"")


SPOILT = {
    "traces/small/bucket=*/*.parquet": (flip, cut),
    "scores/teacher*/*.parquet": (swap, empty),
    "scores/student*/*.parquet": (cut, flip),
}
"""What is done to the first files of each kind."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_whatever_is_damaged_is_set_aside_and_made_again(copied):
    tree, store, tables, done = copied
    spoilt = []
    for pattern, damages in SPOILT.items():
        for path, damage in zip(sorted(store.glob(pattern)), damages, strict=False):
            damage(path)
            spoilt.append(path)
    again = run(tree)
    assert table_bytes(again) == tables
    assert again.facts.sessions.damaged == len(spoilt) == 6
    aside = {path.relative_to(store / DAMAGED) for path in (store / DAMAGED).rglob("*.parquet")}
    assert aside == {path.relative_to(store) for path in spoilt}
    assert 0 < again.to_json()["scored"]["student"] < done.to_json()["scored"]["student"]
    assert again.to_json()["scored"]["teacher"] == 0, "its tokens are kept"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_tokens_and_verdicts_too_and_a_part_that_is_gone(copied):
    tree, store, tables, _ = copied
    spoilt = [
        next(store.glob("tokens/*/small/*/*.parquet")),
        next(store.glob("verified/*/*.parquet")),
    ]
    for path in spoilt:
        flip(path)
    gone = sorted(store.glob("traces/small/bucket=*/*.parquet"))[-1]
    gone.unlink()
    again = run(tree)
    assert table_bytes(again) == tables
    assert again.facts.sessions.damaged == 2
    assert gone.exists()


def looks(store):
    """How long the last start took to look at files; None: it looked at none."""
    records = [json.loads(path.read_text()) for path in store.glob("runs/*/sessions/*.json")]
    last = max(records, key=lambda record: (record["started_at"], record["session"]))
    return last["timings"].get("check store")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_start_with_everything_scored_looks_at_nothing_and_meets_what_is_in_the_wrong_place(
    copied,
):
    """Nor is what was found with another part's texts believed: the search for duplicates is made again."""
    tree, store, tables, _ = copied
    drops = {path.name: path.read_bytes() for path in store.glob("runs/*/drops/*/*")}
    forget(store, "drops/*/*", "sessions/*")
    assert table_bytes(run(tree)) == tables
    assert looks(store) is None
    forget(store, "manifest.json", "drops/*/*")
    one, other = sorted(store.glob("traces/small/bucket=*/*.parquet"))[:2]
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    again = run(tree)
    assert table_bytes(again) == tables
    assert again.facts.sessions.damaged == 2
    assert {path.name: path.read_bytes() for path in store.glob("runs/*/drops/*/*")} == drops


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_part_that_a_model_has_yet_to_read_is_looked_at_before(copied):
    tree, store, tables, _ = copied
    forget(store, "sessions/*")
    part = sorted(store.glob("traces/small/bucket=*/*.parquet"))[0]
    (scores,) = store.glob(f"scores/student*/{part.name}")
    scores.unlink()
    flip(part)
    result = score_only(parse_config(tree), QUIET)
    assert result["scored"]["student"] > 0
    assert looks(store) is not None
    assert list((store / DAMAGED).rglob("*.parquet")) == [store / DAMAGED / part.relative_to(store)]
    assert table_bytes(run(tree)) == tables


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_part_that_an_actor_finds_damaged_ends_the_pool_and_not_the_job(copied):
    """Its scores are there, so nobody has looked; the model reads it again because its tokens are gone."""
    tree, store, tables, _ = copied
    forget(store, "sessions/*")
    part = max(store.glob("traces/small/bucket=*/*.parquet"), key=lambda path: path.stat().st_size)
    (tokens,) = store.glob(f"tokens/teacher*/small/*/{part.name}")
    tokens.unlink()
    flip(part)
    again = run(tree)
    assert table_bytes(again) == tables
    assert again.facts.sessions.damaged == 1
    assert looks(store) is not None
    assert part.exists()
    assert tokens.exists()
    assert not list(store.glob("attempts/*/*"))


@pytest.mark.slow
def test_damage_that_no_job_mends_ends_the_job_with_its_name(copied):
    tree, store, _, _ = copied
    ledger = sorted(store.glob("runs/*/rows/*.parquet"))[0]
    flip(ledger)
    with pytest.raises(DamagedError, match=f"{ledger.name}: not a valid Parquet"):
        run(tree)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_record_of_ingestion_that_is_no_json_is_written_again(copied):
    tree, store, tables, _ = copied
    (record,) = store.glob("runs/*/ingested.json")
    record.write_text('[{"bucket": 0, "num_ro')
    assert table_bytes(run(tree)) == tables


@pytest.mark.slow
def test_a_sound_store_has_no_damage(finished):
    tree, _, _ = finished
    job = open_job(parse_config(tree), "curate")
    signals = {identity.key: identity.signals for identity in job.identities.values()}
    relied = Relied(job.store, "small", signals, {})
    names = job.store.names("traces/small")
    rows = [
        {"bucket": int(Path(name).parent.name.split("=")[1]), "key": Path(name).stem}
        for name in names
        if name.endswith(".parquet")
    ]
    assert rows
    assert [damage for row in rows for damage in check(row, relied)] == []


def test_a_store_that_cannot_be_read_is_not_called_damaged(tmp_path):
    relied = Relied(Root(str(tmp_path)), "small", {}, {})
    with pytest.raises(StoreError, match="cannot be read"):
        check({"bucket": 0, "key": "0" * 32}, relied)
