"""The C library's allocator, told to keep the pages that a pass gives back.

A pass on CPU allocates and frees the same buffers of some megabytes layer after layer. By default glibc
returns each to the kernel and gets it back page by page, zeroed: 2 to 5 % of the time of a small model
(docs/performance.md). Peak memory is the same; the process keeps what it once had.
"""

import ctypes
import platform

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3

LARGEST = 32 * 1024 * 1024
"""What glibc accepts at most for M_MMAP_THRESHOLD on 64 bits."""


def keep_freed_pages() -> bool:
    """Set it for this process.

    Returns:
        Whether it was done: only glibc knows how.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(M_TRIM_THRESHOLD, 2**30))
