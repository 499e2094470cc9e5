"""Input files that are wrong in every way we could think of, made from the choices of any fuzzer."""

import gzip
import io
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Protocol, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from tests.fuzz.whole_path import Case
from tests.storage.dataset_rows import DATASETS

T = TypeVar("T")


class Choices(Protocol):
    """Where the choices come from: hypothesis, or the bytes of a coverage-guided fuzzer."""

    def whole(self, low: int, high: int) -> int:
        """A number, both ends included."""
        ...

    def chars(self) -> str:
        """Any characters, lone surrogates too."""
        ...

    def raw(self) -> bytes:
        """Any bytes."""
        ...


def one_of(choices: Choices, options: Sequence[T]) -> T:
    """One of several."""
    return options[choices.whole(0, len(options) - 1)]


def often(choices: Choices, one_in: int) -> bool:
    """False but for one time in so many."""
    return choices.whole(1, one_in) == 1


PIECES = (
    "<think>", "</think>", "<answer>", "</answer>", "<|begin_of_thought|>", "<|end_of_thought|>",
    "<|begin_of_solution|>", "<|end_of_solution|>", "<|channel|>analysis<|message|>",
    "<|channel|>final<|message|>", "<|start|>assistant", "<|end|>", "<|return|>", "<|call|>",
    "Two and two. ", "It is 4.", "\n\n", "\r\n", " ", "\t", "\0", "\ufeff", "\u202e", "\u2028", "\ud800",
    "\udfff", "e\u0301", "\u3002\u300c\u4e16\u754c\u300d", "\U0001f600", "```\n", "$", "$$", "\\[", "\\]",
    "\\begin{align}", "| a | b |\n|---|---|\n", "(", '"', "e.g. ", "1. ", "...", "5! ", "\x1a", "\x02",
)  # fmt: skip

LEAVES = (
    None, True, False, 0, -1, 2**31, 2**63, -(2**70), 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"),
    "", "Yes", "{", "[]", "null", '{"a": NaN}', "user", "assistant", "system", "gpt", "human", "nobody",
)  # fmt: skip


def text(choices: Choices) -> str:
    """Markup, white space, traps for splitters, or any characters."""
    pieces = [one_of(choices, PIECES) for _ in range(choices.whole(0, 6))]
    if often(choices, 4):
        pieces.append(choices.chars())
    return "".join(pieces) * (choices.whole(1, 2000) if often(choices, 50) else 1)


def value(choices: Choices, depth: int = 3) -> Any:
    """Anything that JSON can hold, and what Python's JSON holds beyond."""
    kind = choices.whole(0, 5 if depth else 2)
    if kind <= 1:
        return one_of(choices, LEAVES)
    if kind == 2:
        return text(choices)
    if kind == 3:
        return [value(choices, depth - 1) for _ in range(choices.whole(0, 3))]
    keys = (
        "role",
        "content",
        "from",
        "value",
        "info",
        "thinking",
        "think_content",
        "answer_content",
        "x",
    )
    return {one_of(choices, keys): value(choices, depth - 1) for _ in range(choices.whole(0, 4))}


def mutated(choices: Choices, told: Any) -> Any:
    """The same, or with something in it changed, gone or added."""
    if often(choices, 12):
        return None
    if isinstance(told, str):
        return text(choices) if often(choices, 3) else told
    if often(choices, 10):
        return value(choices)
    if isinstance(told, list):
        entries = [mutated(choices, entry) for entry in told]
        cut = choices.whole(0, len(entries)) if often(choices, 6) else len(entries)
        return entries[:cut] + (entries[-1:] if often(choices, 6) else [])
    if isinstance(told, dict):
        return {
            key: mutated(choices, entry) for key, entry in told.items() if not often(choices, 8)
        }
    return told


def row(choices: Choices, layout: str) -> dict[str, Any]:
    """A row of a dataset, as it is or mutated."""
    told = DATASETS[layout][0]
    return {name: mutated(choices, told[name]) for name in told if not often(choices, 20)}


def options(choices: Choices, layout: str) -> dict[str, Any]:
    """Of the input config: mostly none, or the layout by name, a mapping, a limit, defaults."""
    kind = choices.whole(0, 9)
    if kind == 0:
        return {"format": layout}
    if kind == 1:
        return {"columns": {"prompt": "problem", "response": "solution", "metadata.a.b": "uuid"}}
    if kind == 2:
        return {"limit": choices.whole(1, 3)}
    if kind == 3:
        return {"defaults": {"license": "mit", "source": " ", "teacher_name": "T"}}
    return {}


def line(choices: Choices, layout: str) -> bytes:
    """One line of JSONL: mostly a row, sometimes not quite."""
    record: Any = row(choices, layout) if not often(choices, 12) else value(choices)
    escaped = often(choices, 3)
    data = json.dumps(record, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    kind = choices.whole(0, 24)
    at = choices.whole(0, len(data))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + choices.raw() + data[at:]
    if kind == 2:
        return data[:-1] + b', "prompt": 1, "prompt": 2}'
    if kind == 3:
        return data[:-1] + b', "deep": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    if kind == 4:
        return data[:-1] + b', "metadata": ' + b"9" * 5000 + b"}"
    if kind == 5:
        return one_of(choices, (b"", b" \t\r", b"\x0c", b"\0", b"\xc2\xa0", b"\xff"))
    if kind == 6:
        return b"\xef\xbb\xbf" + data
    if kind == 7:
        return data[:-1] + b', "metadata": ' + b'{"a":' * 900 + b"1" + b"}" * 901
    return data


def jsonl(choices: Choices) -> Case:
    """A JSONL file of some layout, plain or packed, whole or damaged."""
    layout = one_of(choices, list(DATASETS))
    lines = [line(choices, layout) for _ in range(choices.whole(0, 4))]
    data = one_of(choices, (b"\n", b"\n", b"\r\n")).join(lines)
    data = (b"\xef\xbb\xbf" if often(choices, 10) else b"") + data + b"\n" * choices.whole(0, 2)
    ending, pack = one_of(choices, PACKED)
    packed = pack(data)
    told = options(choices, layout)
    if ending == "jsonl" or not often(choices, 4):
        return Case(f"{layout}.{ending}", packed, told, lines=data)
    return Case(f"{layout}.{ending}", damaged(choices, packed), told)


PACKED: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("jsonl", bytes),
    ("jsonl", bytes),
    ("jsonl.gz", lambda data: gzip.compress(data, 1, mtime=0)),
    ("jsonl.zst", zstandard.compress),
)


def damaged(choices: Choices, data: bytes) -> bytes:
    """Bytes flipped, cut off, left out, doubled, or another thing altogether."""
    kind, at = choices.whole(0, 5), choices.whole(0, len(data))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + choices.raw() + data[at:]
    if kind == 2:
        return data[:at] + data[at + choices.whole(1, 40) :]
    if kind == 3:
        return data + data
    if kind == 4:
        return one_of(choices, (b"", b"PAR1", b"\0" * 100, b"<!DOCTYPE html><html>404</html>"))
    flipped = bytearray(data)
    for _ in range(choices.whole(1, 8)):
        if flipped:
            flipped[choices.whole(0, len(flipped) - 1)] = choices.whole(0, 255)
    return bytes(flipped)


def parquet(choices: Choices) -> Case:
    """A Parquet file of some layout with columns of any type, whole or damaged."""
    layout = one_of(choices, list(DATASETS))
    num_rows = choices.whole(0, 3)
    rows = [row(choices, layout) for _ in range(num_rows)]
    table = pa.table(
        {
            name: _column(choices, [told.get(name) for told in rows], usual)
            for name, usual in DATASETS[layout][0].items()
            if not often(choices, 8)
        }
    )
    told = options(choices, layout)
    sink = io.BytesIO()
    pq.write_table(table, sink, **_written_as(choices))
    if often(choices, 3):
        return Case(f"{layout}.parquet", damaged(choices, sink.getvalue()), told)
    rows = _plain_rows(table)
    return Case(
        f"{layout}.parquet", sink.getvalue(), told, rows=rows if table.num_columns else None
    )


def _plain_rows(table: pa.Table) -> list[dict[str, Any]] | None:
    """The rows as Python has them, if there are any and it can."""
    try:
        return table.to_pylist() if table.num_columns else None
    except (ValueError, OverflowError, pa.ArrowException):
        return None


def _column(choices: Choices, cells: list[Any], usual: Any) -> pa.Array:
    """Cells as they are, of another type altogether, or what is usual where they do not mix."""
    if often(choices, 5):
        kind, others = one_of(choices, COLUMNS)
        return pa.array((others * 3)[: len(cells)], kind)
    try:
        column = pa.array(cells)
    except (pa.ArrowException, ValueError, OverflowError, TypeError):
        column = None
    if column is None or "struct<>" in str(column.type):  # Parquet has no empty object
        return pa.array([usual] * len(cells))
    return column


def _written_as(choices: Choices) -> dict[str, Any]:
    return {
        "compression": one_of(choices, ("none", "snappy", "zstd", "gzip", "lz4")),
        "use_dictionary": not often(choices, 3),
        "row_group_size": choices.whole(1, 3),
        "data_page_version": one_of(choices, ("1.0", "2.0")),
        "store_schema": not often(choices, 3),
        "write_page_checksum": often(choices, 3),
        "write_statistics": not often(choices, 3),
    }


TURN = pa.struct([("role", pa.string()), ("content", pa.string())])

COLUMNS: tuple[tuple[pa.DataType, list[Any]], ...] = (
    (pa.null(), [None]),
    (pa.string(), ["<think>a</think>b", None, ""]),
    (pa.large_string(), ["a", None, " "]),
    (pa.string_view(), ["a text of more than twelve bytes", None]),
    (pa.dictionary(pa.int32(), pa.string()), ["a", None, "a"]),
    (pa.binary(), [b"\xff", None, b"a"]),
    (pa.binary(2), [b"ab", None]),
    (pa.bool_(), [True, None, False]),
    (pa.int64(), [2**62, None, -1]),
    (pa.uint64(), [2**64 - 1, None]),
    (pa.float16(), [0.5, None]),
    (pa.float64(), [float("nan"), None, float("-inf")]),
    (pa.decimal128(38, 2), [Decimal("1.50"), None]),
    (pa.date32(), [2**30, None, 0]),
    (pa.timestamp("ns", "UTC"), [2**62, None, 1]),
    (pa.timestamp("us"), [2**62, None]),
    (pa.time64("ns"), [1, None]),
    (pa.duration("s"), [1, None, 2**40]),
    (pa.list_(pa.string()), [["<think>a</think>b", None], None, []]),
    (pa.large_list(pa.string()), [["a"], None]),
    (pa.list_(pa.list_(pa.int8())), [[[1], None, []], None]),
    (pa.list_(pa.bool_()), [[True, None], None, []]),
    (pa.list_(pa.float32(), 2), [[1.0, float("nan")], None]),
    (pa.list_(TURN), [[{"role": "user", "content": "q"}, {"role": "gpt", "content": "r"}], None, [None]]),
    (pa.list_(pa.dictionary(pa.int8(), pa.string())), [["a", "a"], None]),
    (pa.struct([("a", pa.struct([("b", pa.null())]))]), [{"a": None}, None]),
    (pa.map_(pa.string(), pa.int32()), [[("k", 1)], None, []]),
)  # fmt: skip
