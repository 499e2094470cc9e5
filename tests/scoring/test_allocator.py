import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from rdpt_ray.scoring.allocator import keep_freed_pages
torch.set_num_threads(1)
if {keep}:
    assert keep_freed_pages()
def layer():
    return [torch.ones(16 * 2**20, dtype=torch.uint8) for _ in range(6)]
for _ in range(3):
    layer()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    layer()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(keep):
    code = FAULTS.format(keep=keep)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_a_buffer_that_comes_again_costs_no_page_again():
    """Ten times 96 MB: by default up to 245,000 faults, as chance lays out the heap; kept, next to none."""
    assert page_faults(keep=True) < 100
