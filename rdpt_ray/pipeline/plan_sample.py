"""What an input holds, from a sample of it: rows, traces, prompts, and tokens under each model.

Read from the store's parts where the run is ingested already, and through ingestion's own code where not.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rdpt_ray.config import CurateConfig, Role
from rdpt_ray.method.sample_totals import Total, estimate_total
from rdpt_ray.method.sentences import splitter_named
from rdpt_ray.method.work import Work, reading_work
from rdpt_ray.pipeline.ingest import of_file
from rdpt_ray.pipeline.plan_models import Lengths, PlannedModel, token_lengths
from rdpt_ray.pipeline.roles import is_teacher, teacher_of
from rdpt_ray.pipeline.score import Part
from rdpt_ray.plan_config import AssumedConfig
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.hub import HubFacts
from rdpt_ray.storage.input_sample import Block, Drawing, Stratum, sample_input
from rdpt_ray.storage.inputs import InputFile
from rdpt_ray.storage.parts import bucket_folder
from rdpt_ray.storage.schemas import TRACES

Counts = list[list[float]]
"""Stratum by stratum, block by block."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Traces of an input, and what they stand for."""

    strata: list[Stratum]
    """Tables of these blocks hold faults too, and traces a second time where the input does."""
    confidence: float

    @property
    def is_complete(self) -> bool:
        """Whether everything was read."""
        return all(stratum.is_complete for stratum in self.strata)

    @property
    def blocks(self) -> list[Block]:
        """All of them."""
        return [block for stratum in self.strata for block in stratum.blocks]

    def count(self, of: Callable[[Block], float]) -> Total:
        """The total of what is counted in each block."""
        return self.total([[of(block) for block in stratum.blocks] for stratum in self.strata])

    def total(self, counts: Counts) -> Total:
        """The total of what was counted in each block."""
        totals = [
            estimate_total(
                [block.size for block in stratum.blocks],
                [block.scale * count for block, count in zip(stratum.blocks, counted, strict=True)],
                total_size=stratum.total_size,
                num_blocks=stratum.num_blocks,
                confidence=self.confidence,
            )
            for stratum, counted in zip(self.strata, counts, strict=True)
        ]
        return added(totals)


def added(totals: Sequence[Total]) -> Total:
    """The sum of independent estimates; without an interval where one of them has none."""
    value = sum(each.value for each in totals)
    below, above = 0.0, 0.0
    for each in totals:
        if each.low is None or each.high is None:
            return Total(value, None, None)
        below += (each.value - each.low) ** 2
        above += (each.high - each.value) ** 2
    return Total(value, value - sqrt(below), value + sqrt(above))


def sample_of_input(
    config: CurateConfig, files: Sequence[InputFile], hub: dict[str, HubFacts]
) -> Sample:
    """Read some of the input as ingestion would.

    Raises:
        ConfigError: if `input.columns` maps an unknown name.
        InputError: if a file has changed or gone since it was listed, or its file system fails.
    """
    plan = config.plan
    drawing = Drawing(
        splitter_named(config.split.unit), plan.sample_blocks, plan.sample_rows, plan.seed
    )
    configs = [of_file(config.input, hub.get(file.uri)) for file in files]
    return Sample(_each_once(sample_input(files, configs, drawing)), plan.confidence)


def sample_of_parts(config: CurateConfig, store: Root, parts: Sequence[Part]) -> Sample:
    """Read some of a run's parts.

    Raises:
        StoreError: if one cannot be read.
    """
    plan = config.plan
    chosen = random.Random(plan.seed).sample(parts, min(len(parts), plan.sample_blocks))
    blocks = [
        Block(
            store.read_table(
                f"{bucket_folder(config.name, part.bucket)}/{part.key}.parquet", TRACES.names
            ),
            size=part.num_traces,
            key=part.key,
        )
        for part in chosen
    ]
    total = sum(part.num_traces for part in parts)
    return Sample([Stratum(blocks, total, len(parts))], plan.confidence)


def _each_once(strata: list[Stratum]) -> list[Stratum]:
    """The same with the second of two equal traces marked as ingestion would."""
    seen: set[str] = set()
    return [
        Stratum(
            [
                Block(_marked(block.table, seen), block.size, block.scale, block.key)
                for block in stratum.blocks
            ],
            stratum.total_size,
            stratum.num_blocks,
        )
        for stratum in strata
    ]


def _marked(table: pa.Table, seen: set[str]) -> pa.Table:
    reasons = table.column("reason").to_pylist()
    for row, trace_id in enumerate(table.column("trace_id").to_pylist()):
        if reasons[row] is None and trace_id in seen:
            reasons[row] = "duplicate"
        elif reasons[row] is None:
            seen.add(trace_id)
    place = table.schema.get_field_index("reason")
    return table.set_column(place, table.schema.field(place), pa.array(reasons, pa.string()))


def traces_in(block: Block) -> pa.Table:
    """The block's traces, without faults."""
    if "reason" not in block.table.column_names:
        return block.table
    return block.table.filter(pc.field("reason").is_null())


def new_prompts(sample: Sample) -> Counts:
    """Prompts of each block that no block before it holds."""
    seen: set[str] = set()
    counts: Counts = []
    for stratum in sample.strata:
        counted: list[float] = []
        for block in stratum.blocks:
            here = set(traces_in(block).column("prompt_id").to_pylist())
            counted.append(len(here - seen))
            seen |= here
        counts.append(counted)
    return counts


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a model reads of everything, if it reads it once."""

    traces: Total
    prompt: Total
    response: Total
    body: Total
    """Floating-point operations; these three are 0 for a model of unknown size."""
    attention: Total
    head: Total
    longest: int
    """Tokens of the longest trace seen."""
    refused: float
    """Share of its traces that template or tokenizer refuse, or that are longer than the model reads."""
    by_part: dict[str, int]
    """Part-key -> operations that its traces take; only of parts of the store that were read."""

    @property
    def num_tokens(self) -> float:
        """Prompts and responses."""
        return self.prompt.value + self.response.value

    @property
    def flops(self) -> float:
        """All of them."""
        return self.body.value + self.attention.value + self.head.value


def tokens_of(
    model: PlannedModel, sample: Sample, roles: Sequence[Role], chars_per_token: float
) -> Tokens:
    """Tokenise what a model would read of a sample.

    Args:
        model: Which model; of several teachers, each reads its own traces.
        sample: Of what.
        roles: Of the job.
        chars_per_token: Taken where the model's tokenizer is not known.
    """
    lengths: list[list[Lengths]] = []
    limit = reads_at_most(model)
    for stratum in sample.strata:
        found: list[Lengths] = []
        for block in stratum.blocks:
            mine = own_traces(model.role, traces_in(block), roles)
            found.append(_within(token_lengths(model, mine, chars_per_token), limit))
        lengths.append(found)
    works = [[work_of(model, each) for each in found] for found in lengths]
    flat = [each for found in lengths for each in found]
    num_good, num_refused = (
        sum(len(each.prompts) for each in flat),
        sum(each.num_refused for each in flat),
    )
    parts = zip(sample.blocks, (work for found in works for work in found), strict=True)

    def total(of: Callable[[Lengths], float]) -> Total:
        return sample.total([[float(of(each)) for each in found] for found in lengths])

    def worked(of: Callable[[Work], float]) -> Total:
        return sample.total([[float(of(each)) for each in found] for found in works])

    return Tokens(
        traces=total(lambda each: len(each.prompts) + each.num_refused),
        prompt=total(lambda each: each.prompts.sum()),
        response=total(lambda each: each.responses.sum()),
        body=worked(lambda work: work.body),
        attention=worked(lambda work: work.attention),
        head=worked(lambda work: work.head),
        longest=max((each.longest for each in flat), default=0),
        refused=num_refused / max(1, num_good + num_refused),
        by_part={block.key: work.total for block, work in parts if block.key is not None},
    )


def assumed_tokens(model: PlannedModel, assumed: AssumedConfig) -> Tokens:
    """The same of an input that is taken to hold traces of one length."""
    num_traces = round(assumed.prompts * assumed.candidates)
    one = Lengths(np.array([assumed.prompt_tokens]), np.array([assumed.response_tokens]))
    work = work_of(model, one)
    exact = [
        Total(value, value, value)
        for value in (
            num_traces,
            num_traces * assumed.prompt_tokens,
            num_traces * assumed.response_tokens,
            num_traces * work.body,
            num_traces * work.attention,
            num_traces * work.head,
        )
    ]
    return Tokens(*exact, longest=one.longest, refused=0.0, by_part={})


def own_traces(role: Role, traces: pa.Table, roles: Sequence[Role]) -> pa.Table:
    """Those of some traces that are a role's to read."""
    if not is_teacher(role):
        return traces
    names = traces.column("teacher_name").to_pylist()
    return traces.filter(pa.array([teacher_of(name, roles) == role for name in names], pa.bool_()))


def reads_at_most(model: PlannedModel) -> int | None:
    """Tokens of the longest trace that a model reads; None if that is not known."""
    limits = [model.size.context_length] if model.size is not None else []
    if model.config.engine == "vllm":
        limits.append(model.config.vllm.max_model_len)
    if model.config.endpoint is not None:
        limits.append(model.config.endpoint.context_length)
    return min((limit for limit in limits if limit is not None), default=None)


def _within(lengths: Lengths, limit: int | None) -> Lengths:
    """Without the traces that are longer than a model reads."""
    if limit is None:
        return lengths
    fits = lengths.prompts + lengths.responses <= limit
    return Lengths(
        lengths.prompts[fits], lengths.responses[fits], lengths.num_refused + int((~fits).sum())
    )


def work_of(model: PlannedModel, lengths: Lengths) -> Work:
    """Operations that reading takes; none of a model of unknown size, or one that was recorded."""
    if model.size is None:
        return Work(0, 0, 0)
    return reading_work(
        model.size.reader,
        lengths.prompts,
        lengths.responses,
        head_reads_prompts=model.config.engine == "vllm",
    )
