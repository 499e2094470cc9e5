"""Every file that the store writes has its place, and nothing else has one."""

import pytest

from rdpt_ray.storage.places import Place, place_of

KEY, NAME = "0123456789abcdef" * 2, "bucket=0012"

PLACES = {
    f"traces/demo/{NAME}/{KEY}.parquet": Place("part", dataset="demo", bucket=12, part=KEY),
    "traces/demo/dataset.json": Place("dataset", dataset="demo"),
    f"scores/m-1/{KEY}.parquet": Place("scores", "m-1", part=KEY),
    f"partial/m-1/{KEY}/0123abcd.parquet": Place("partial", "m-1", part=KEY),
    f"tokens/m-1/demo/{NAME}/{KEY}.parquet": Place("tokens", "m-1", "demo", 12, KEY),
    f"verified/math-1/{KEY}-0123.parquet": Place("verified", "math-1", part=KEY),
    f"recorded/{KEY}/{NAME}.parquet": Place("records", KEY, bucket=12),
    f"recorded/{KEY}/index.json": Place("index", KEY),
    "models/m-1.json": Place("model", "m-1"),
    f"attempts/m-1/{KEY}-0001.json": Place("attempt", "m-1", part=KEY),
    "runs/demo-1/sessions/s.json": Place("session", "demo-1"),
    "runs/demo-1/manifest.json": Place("run", "demo-1"),
    f"runs/demo-1/drops/contaminated/{NAME}.parquet": Place("run", "demo-1"),
    f"damaged/scores/m-1/{KEY}.parquet": Place("damaged"),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_name_says_what_a_file_is(name):
    assert place_of(name) == PLACES[name]


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "traces/demo/x.parquet",
        f"traces/demo/{KEY}.parquet",
        f"traces/demo/{NAME}/copy.parquet",
        f"traces/demo/{NAME}/{KEY[1:]}.parquet",
        f"scores/{KEY}.parquet",
        f"scores/m-1/.{KEY}.parquet.12.ab.tmp",
        f"scores/m-1/{KEY}.json",
        "runs/demo-1",
        "models/a/b.json",
    ],
)
def test_other_names_have_none(name):
    assert place_of(name) is None
