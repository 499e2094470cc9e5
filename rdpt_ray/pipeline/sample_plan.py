"""What is to be sampled: prompts read and cut into parts, once per run, and kept.

    STORE/runs/<run-id>/plan/<part-key>.parquet     the prompts of a part, and which candidates of each
    STORE/runs/<run-id>/planned.json                written last: the plan is whole
    STORE/runs/<run-id>/quarantine/bucket=0000.parquet   rows that are no prompt

The plan leaves out what the folder has when the run begins. It is kept because that changes with every part
that is committed: so a run that was killed goes on with the same parts, batch by batch.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from rdpt_ray.errors import InputError
from rdpt_ray.input_config import InputConfig
from rdpt_ray.storage.canonical import Prompt
from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.prompts import PromptRow, read_prompts
from rdpt_ray.storage.runs import canonical_json, read_json
from rdpt_ray.storage.samples import NUM_THREADS, SampleCounts, held_samples, sample_parts
from rdpt_ray.storage.schemas import MESSAGES, QUARANTINE
from rdpt_ray.storage.sources import InputFile

PLAN = pa.schema(
    [
        pa.field("prompt_id", pa.string()),
        pa.field("messages", MESSAGES),
        pa.field("reference_answer", pa.string()),
        pa.field("source", pa.string()),
        pa.field("license", pa.string()),
        pa.field("metadata", pa.string()),
        pa.field("candidates", pa.list_(pa.int32())),
    ]
)
"""One prompt of a part."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run samples, and what it found."""

    parts: dict[str, int]
    """Part-key -> its responses, in the order of their prompts' ids."""
    rows_read: int
    prompts: int
    """Different ones."""
    repeated: int
    """Rows whose prompt an earlier row has."""
    quarantined: int
    held: SampleCounts
    """Responses that were asked for and that the folder had already."""
    held_in: list[str]
    """The parts that those lie in."""
    seen: list[str]
    """All parts that the folder had."""

    @property
    def samples(self) -> int:
        """Responses that are asked for."""
        return self.held.samples + sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class Read:
    """The prompts of an input."""

    prompts: dict[str, Prompt]
    """By their ids; of rows with the same prompt the first."""
    faults: list[PromptRow]
    num_rows: int


def read_all(
    files: Sequence[InputFile], config: InputConfig, advance: Callable[[int, str], None]
) -> Read:
    """Read every file.

    Raises:
        InputError: if no row is a prompt, or a file cannot be read any more.
    """
    read = Read({}, [], 0)
    num_rows = 0
    for file in files:
        for row in read_prompts(file, config):
            num_rows += 1
            if isinstance(row.prompt, Fault):
                read.faults.append(row)
            else:
                read.prompts.setdefault(row.prompt.prompt_id, row.prompt)
        advance(1, f"{num_rows:,} rows")
    if not read.prompts:
        first = read.faults[0].quarantined() if read.faults else None
        why = "it holds no rows" if first is None else f"for example {first}"
        raise InputError(f"prompts: none of the {num_rows} rows can be asked: {why}")
    return Read(read.prompts, read.faults, num_rows)


def cut_into_parts(
    missing: Mapping[str, Sequence[int]], *, key: str, part_samples: int
) -> dict[str, list[str]]:
    """Prompts to parts: a pure function of what is missing.

    Args:
        missing: prompt_id -> the numbers of its candidates.
        key: The sampling key.
        part_samples: Responses of a part; the candidates of a prompt stay together.

    Returns:
        Part-key, a hash of all that decides its responses -> its prompt_ids.
    """
    parts: list[list[str]] = []
    room = 0
    for prompt_id in sorted(missing):
        size = len(missing[prompt_id])
        if not parts or room < size:
            parts.append([])
            room = part_samples
        parts[-1].append(prompt_id)
        room -= size
    return {_part_key(key, part, missing): part for part in parts}


def _part_key(key: str, part: Iterable[str], missing: Mapping[str, Sequence[int]]) -> str:
    digest = hashlib.sha256(f"samples/1\0{key}\0".encode())
    for prompt_id in part:
        digest.update(f"{prompt_id}:{','.join(map(str, missing[prompt_id]))}\n".encode())
    return digest.hexdigest()[:32]


def make_plan(
    read: Read, *, store: Root, run: str, to: Root, key: str, num_candidates: int, part_samples: int
) -> Plan:
    """Plan a run and write the plan down.

    Args:
        read: The prompts.
        store: Where the plan goes.
        run: The run's folder in it.
        to: The folder of the responses.
        key: The sampling key.
        num_candidates: Responses that are wanted of each prompt.
        part_samples: See `cut_into_parts`.
    """
    seen = sample_parts(to)
    held = held_samples(to, seen, read.prompts.keys(), num_candidates)
    missing = {
        prompt_id: left
        for prompt_id in read.prompts
        if (left := sorted(set(range(num_candidates)) - held.candidates.get(prompt_id, set())))
    }
    parts = cut_into_parts(missing, key=key, part_samples=part_samples)

    def write(part: str) -> int:
        rows = [_row(read.prompts[each], missing[each]) for each in parts[part]]
        store.write_table(plan_name(run, part), pa.Table.from_pylist(rows, schema=PLAN))
        return sum(len(row["candidates"]) for row in rows)

    with ThreadPoolExecutor(NUM_THREADS) as pool:
        sizes = dict(zip(parts, pool.map(write, parts), strict=True))
    faults = [row.quarantined() for row in read.faults]
    store.write_table(
        f"{run}/quarantine/bucket=0000.parquet", pa.Table.from_pylist(faults, schema=QUARANTINE)
    )
    plan = Plan(
        parts=sizes,
        rows_read=read.num_rows,
        prompts=len(read.prompts),
        repeated=read.num_rows - len(read.faults) - len(read.prompts),
        quarantined=len(read.faults),
        held=held.counts,
        held_in=held.parts,
        seen=seen,
    )
    # Of two sessions that plan at once both go by the first's, or they would sample the same twice.
    if store.create(_planned(run), canonical_json(asdict(plan)).encode()):
        return plan
    return _read(store, run)


def kept_plan(store: Root, run: str, there: Collection[str]) -> Plan | None:
    """What an earlier start of a run planned.

    Args:
        store: Where the plan is.
        run: The run's folder in it.
        there: The parts that the folder of the responses has.

    Returns:
        The plan; None if there is none, or it does not hold any more, and is deleted: it counts on parts
        that were deleted since, or another run has sampled into the folder while this one was not done.
    """
    if not store.exists(_planned(run)):
        return None
    plan, parts = _read(store, run), set(there)
    is_done = plan.parts.keys() <= parts
    others = parts - plan.parts.keys() - set(plan.seen)
    if set(plan.held_in) <= parts and (is_done or not others):
        return plan
    store.delete(_planned(run))
    return None


def _read(store: Root, run: str) -> Plan:
    told = read_json(store, _planned(run))
    return Plan(**{**told, "held": SampleCounts(**told["held"])})


def plan_name(run: str, part: str) -> str:
    """Where the prompts of a part lie."""
    return f"{run}/plan/{part}.parquet"


def _planned(run: str) -> str:
    return f"{run}/planned.json"


def _row(prompt: Prompt, candidates: Sequence[int]) -> dict[str, Any]:
    messages = [{"role": role, "content": content} for role, content in prompt.messages]
    return {**asdict(prompt), "messages": messages, "candidates": list(candidates)}
