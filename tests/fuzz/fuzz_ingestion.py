"""Ingestion under a fuzzer that is guided by coverage (atheris, libFuzzer).

    python -m tests.fuzz.fuzz_ingestion TARGET [options of libFuzzer] [folder of seeds]

`test_coverage_guided.py` runs it with seeds, limits and a count; alone it runs until something breaks.
"""

import ctypes
import gzip
import os
import resource
import sys

import atheris
import zstandard

with atheris.instrument_imports(include=["rdpt_ray.storage", "rdpt_ray.method"]):
    from tests.fuzz import hostile
    from tests.fuzz.whole_path import Case, check
    from tests.storage.dataset_rows import DATASETS

MAX_GROWTH_BYTES = 4 << 30
LAYOUTS = list(DATASETS)


class Consumed:
    """Choices made by the bytes that the fuzzer mutates."""

    def __init__(self, data):
        self._data = atheris.FuzzedDataProvider(data)

    def whole(self, low, high):
        return self._data.ConsumeIntInRange(low, high)

    def chars(self):
        return self._data.ConsumeUnicode(20)

    def raw(self):
        return self._data.ConsumeBytes(20)


def lines(data):
    """A JSONL file, plain or packed, behind one byte that says how it is read."""
    how, text = data[0], data[1:]
    layout = LAYOUTS[how % len(LAYOUTS)]
    options = {"format": layout} if how >= 128 else {}
    if how % 3 == 0:
        return Case("a.jsonl.gz", gzip.compress(text, 1, mtime=0), options, lines=text)
    if how % 3 == 1:
        return Case("a.jsonl.zst", zstandard.compress(text), options, lines=text)
    return Case("a.jsonl", text, options, lines=text)


def streams(data):
    """What should be gzip or zstd."""
    return Case("a.jsonl.gz" if data[0] % 2 else "a.jsonl.zst", data[1:])


def pages(data):
    """What should be Parquet, behind one byte that says how it is read."""
    how, file = data[0], data[1:]
    options = {"format": LAYOUTS[how % len(LAYOUTS)]} if how >= 128 else {}
    return Case("a.parquet", file, options)


def rows(data):
    """JSONL rows made of choices."""
    return hostile.jsonl(Consumed(data))


def tables(data):
    """Parquet columns made of choices."""
    return hostile.parquet(Consumed(data))


TARGETS = {target.__name__: target for target in (lines, streams, pages, rows, tables)}


def address_space():
    """Bytes of this process, in memory or not."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


LEAVE = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p)(lambda status, _: os._exit(status))
"""Called after libFuzzer's own handler, which has left by then if a case broke something."""


def main():
    target = TARGETS[sys.argv.pop(1)]

    def one(data):
        if data:
            check(target(data))

    atheris.Setup(sys.argv, one)
    bound = address_space() + MAX_GROWTH_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (bound, resource.RLIM_INFINITY))
    # libFuzzer leaves by exit() with Python's lock held, for which Arrow's threads then wait for ever.
    ctypes.CDLL(None).on_exit(LEAVE, None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
