"""What a coverage-guided fuzzer starts from: a small file of every layout, and the words that matter."""

import gzip
import io
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from rdpt_ray.storage.layouts import LAYOUTS
from tests.fuzz import hostile
from tests.storage.dataset_rows import DATASETS

NUM_ROLLED = 60
MAX_SEED_BYTES = 6000


class Rolled:
    """Choices by dice."""

    def __init__(self, seed):
        self._dice = random.Random(seed)

    def whole(self, low, high):
        return self._dice.randint(low, high)

    def chars(self):
        return "".join(chr(self._dice.randrange(0x3000)) for _ in range(self.whole(0, 20)))

    def raw(self):
        return self._dice.randbytes(self.whole(0, 20))


def seeds(target):
    """File contents for one of the targets of `fuzz_ingestion`."""
    if target in ("rows", "tables"):
        return [random.Random(seed).randbytes(400) for seed in range(NUM_ROLLED)]
    found = []
    for seed in range(NUM_ROLLED):
        make = hostile.parquet if target == "pages" else hostile.jsonl
        case = make(Rolled(seed))
        data = case.lines if target == "lines" else case.data
        if data and len(data) < MAX_SEED_BYTES:
            found.append(bytes([seed]) + data)
    for number, (row, _) in enumerate(DATASETS.values()):
        text = json.dumps(row).encode() + b"\n"
        if target == "lines":
            found += [bytes([how + number]) + text * 2 for how in (0, 16, 128)]
        elif target == "streams":
            found += [b"\1" + gzip.compress(text, mtime=0), b"\0" + zstandard.compress(text)]
        else:
            found += [
                bytes([how + number]) + file for file in parquet_files(row) for how in (0, 128)
            ]
    return found


def parquet_files(row):
    """The row as Parquet in several ways."""
    ways = (
        {"compression": "none", "write_page_checksum": False},
        {"compression": "zstd", "store_schema": False, "use_dictionary": False},
        {"compression": "snappy", "data_page_version": "2.0", "write_statistics": False},
    )
    for way in ways:
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist([row, row]), sink, row_group_size=1, **way)
        yield sink.getvalue()


def words():
    """A libFuzzer dictionary: column names, keys of messages, markup."""
    columns = {name for layout in LAYOUTS.values() for name in layout.reads().inputs}
    keys = ("role", "content", "from", "value", "info", "thinking", "reasoning_content")
    roles = ("user", "human", "assistant", "gpt", "system", "developer", "tool")
    texts = [f'"{word}"' for word in sorted({*columns, *keys, *roles})]
    texts += [json.dumps(piece)[1:-1] for piece in hostile.PIECES]
    texts += ["null", "true", "NaN", "1e999", "\\ud800", "PAR1"]
    lines = []
    for number, text in enumerate(texts):
        escaped = "".join(f"\\x{byte:02x}" for byte in text.encode("utf-8", "surrogatepass"))
        lines.append(f'w{number}="{escaped}"\n')
    return "".join(lines)


def write(target, folder):
    """The seeds as files, and the dictionary beside them."""
    corpus = Path(folder) / "seeds"
    corpus.mkdir()
    for number, seed in enumerate(seeds(target)):
        (corpus / f"{number:03d}").write_bytes(seed)
    (Path(folder) / "words.dict").write_text(words())
    return corpus
