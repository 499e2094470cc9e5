"""The checksums of a run's tables are the same whether the driver makes them or tasks do."""

import hashlib

import pytest

from rdpt_ray.pipeline.cluster import connected
from rdpt_ray.pipeline.lineage import HERE, files_of
from rdpt_ray.storage.files import open_root


@pytest.mark.ray
@pytest.mark.timeout(120)
def test_checksums_of_many_tables_are_those_of_their_bytes(ray_cluster, tmp_path):
    store = open_root(str(tmp_path))
    written = {
        f"{table}/{n}.parquet": f"{table}{n}"
        for table in ("selected", "rejected")
        for n in range(HERE)
    }
    for name, text in written.items():
        store.write_bytes(f"runs/r/{name}", text.encode())
    with connected():
        found = files_of(store, "runs/r")
    assert found == {
        name: {"sha256": hashlib.sha256(text.encode()).hexdigest(), "bytes": len(text)}
        for name, text in written.items()
    }
