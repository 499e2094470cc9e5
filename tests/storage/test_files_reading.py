"""A process that reads tables ends as it should."""

import subprocess
import sys

import pyarrow as pa

from rdpt_ray.storage.files import open_root

READER = """
import sys
from rdpt_ray.storage.files import Root
for _ in range(5):
    Root(sys.argv[1]).read_table("t.parquet")
"""


def test_a_process_that_has_read_a_table_ends_in_good_order(tmp_path):
    """With Arrow's threads about one in six ended by SIGABRT instead (apache/arrow#33975)."""
    columns = {f"column{number}": range(20) for number in range(20)}
    open_root(str(tmp_path)).write_table("t.parquet", pa.table(columns))
    ended = [
        subprocess.run(
            [sys.executable, "-c", READER, str(tmp_path)], capture_output=True, check=False
        ).returncode
        for _ in range(15)
    ]
    assert ended == [0] * 15
