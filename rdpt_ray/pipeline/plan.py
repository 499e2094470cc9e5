"""What a job will read, how long that takes and what it costs; nothing is scored, nothing is written.

Counts are exact where the store holds the ingested run. Where it does not, they come from a sample of the
input, and where the input cannot be read, from what `plan.assume` says of it. What cannot be learnt of a
model is said, and the rest is planned without it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rdpt_ray.config import CurateConfig, Role
from rdpt_ray.errors import ConfigError, InputError, ModelError
from rdpt_ray.method.sample_totals import Total
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.pipeline.check_models import check_tokenizers
from rdpt_ray.pipeline.ingest import IngestedBucket
from rdpt_ray.pipeline.job import Job, ingested, open_job, parts_of, shown
from rdpt_ray.pipeline.lineage import Kind
from rdpt_ray.pipeline.outlook import Outlook, outlook
from rdpt_ray.pipeline.plan_models import PlannedModel, learn
from rdpt_ray.pipeline.plan_pools import Cost, PoolPlan, Where, cost_of, plan_pool, whereabouts
from rdpt_ray.pipeline.plan_sample import (
    Sample,
    Tokens,
    assumed_tokens,
    new_prompts,
    sample_of_input,
    sample_of_parts,
    tokens_of,
    traces_in,
)
from rdpt_ray.pipeline.plan_saving import Saving, expected_saving
from rdpt_ray.pipeline.plan_store import (
    Remaining,
    prompts_of_run,
    remaining_of_run,
    remaining_of_sample,
)
from rdpt_ray.pipeline.roles import is_teacher, models_of
from rdpt_ray.storage.hub import hub_facts
from rdpt_ray.storage.inputs import InputFile, check_columns, list_inputs
from rdpt_ray.storage.parts import PART_CHARS, num_buckets, part_chars


@dataclass(frozen=True, slots=True)
class InputPlan:
    """What there is to read."""

    source: str
    """store: of the ingested run, exact; sample: of the input; all: the whole input; assumed."""
    shown: str
    rows: Total
    """Candidates of input rows, those that are no trace included."""
    quarantined: Total
    traces: Total
    prompts: Total
    num_parts: float
    num_seen: int
    """Traces that were looked at."""

    @property
    def candidates(self) -> float:
        """Traces of each prompt, on average."""
        return self.traces.value / max(1.0, self.prompts.value)


@dataclass(frozen=True, slots=True)
class RolePlan:
    """What one model has to do."""

    role: Role
    model: ModelConfig
    tokens: Tokens | None
    """None: it was recorded, and reads nothing."""
    remaining: Remaining | None
    """None: what the store has of it cannot be told."""
    outlook: Outlook | None
    """Part by part, of a run that is ingested."""
    saving: Saving
    """By pruning, of what remains."""
    pool: PoolPlan | None
    cost: Cost | None
    """Of what remains, without what pruning is expected to spare."""
    unknown: tuple[str, ...]

    @property
    def share(self) -> float:
        """Of its work that this job is expected to do."""
        left = 1.0 if self.remaining is None else self.remaining.share
        return left * (1 - self.saving.share)


@dataclass(frozen=True, slots=True)
class Plan:
    """Of a job."""

    name: str
    run: str | None
    """Where it lies or would lie in the store; None: that hangs on what cannot be learnt here."""
    input: InputPlan
    roles: tuple[RolePlan, ...]
    where: Where
    currency: str
    notes: tuple[str, ...]
    """What could not be learnt, but for what belongs to one model."""

    @property
    def hours(self) -> float | None:
        """Of accelerators, over all models; None if that cannot be told of any."""
        found = [each.cost.hours for each in self.roles if each.cost is not None]
        return sum(found) if found else None

    @property
    def price(self) -> float | None:
        """The same in the config's currency; None if one has hours and no price."""
        prices = [each.cost.price for each in self.roles if each.cost is not None]
        known = [price for price in prices if price is not None]
        return sum(known) if known and len(known) == len(prices) else None


@dataclass(frozen=True, slots=True)
class Looked:
    """What was looked at to make a plan."""

    job: Job | None
    models: dict[Role, PlannedModel]
    sample: Sample | None
    buckets: list[IngestedBucket] | None


def plan_job(config: CurateConfig, kind: Kind = "curate") -> tuple[Plan, Looked]:
    """Plan a job.

    Args:
        config: Of the job.
        kind: Which.

    Raises:
        ConfigError: if the config is wrong, or names roles that it has not.
        InputError: if the input cannot be read, and nothing is assumed of it.
        StoreError: if the store cannot be read.
    """
    models = models_of(config, kind)
    _check_roles(config, models)
    notes: list[str] = []
    job, files = _opened(config, kind, notes)
    if job is not None:
        check_tokenizers(job.identities, job.recorded)
    learnt = {
        role: learn(role, model, config.plan, job.identities[role] if job is not None else None)
        for role, model in models.items()
    }
    buckets = ingested(job) if job is not None else None
    sample = None
    if job is not None and buckets is not None:
        sample = sample_of_parts(config, job.store, parts_of(buckets))
    elif files:
        sample = sample_of_input(config, files, job.hub if job is not None else hub_facts(files))
    looked = Looked(job, learnt, sample, buckets)
    reads = _input_plan(config, looked, files)
    if sample is not None and buckets is None and not sample.is_complete:
        notes.append(
            "prompts are counted in a sample: candidates that lie far apart in the input count as prompts"
            " of their own, and pruning then spares more than is said here"
        )
    with whereabouts() as where:
        roles = _roles(config, looked, reads, where)
    plan = Plan(
        name=config.name,
        run=None if job is None else job.store.show(job.folder),
        input=reads,
        roles=tuple(roles),
        where=where,
        currency=config.plan.currency,
        notes=tuple(notes),
    )
    return plan, looked


def _check_roles(config: CurateConfig, models: dict[Role, ModelConfig]) -> None:
    for key in ("mfu_of", "configs"):
        unknown = sorted(getattr(config.plan, key).keys() - models.keys())
        if unknown:
            raise ConfigError(
                f"plan.{key}: no role {', '.join(unknown)} (there are: {', '.join(models)})"
            )


def _opened(
    config: CurateConfig, kind: Kind, notes: list[str]
) -> tuple[Job | None, list[InputFile]]:
    """The job; or only its files, where a model cannot be pinned; or nothing, where none can be listed."""
    try:
        job = open_job(config, kind)
        return job, job.files
    except ModelError:  # told with its model
        pass
    except InputError as error:
        return None, _assumed(config, error, notes)
    try:
        files = list_inputs(config.input)
        check_columns(files, config.input)
    except InputError as error:
        return None, _assumed(config, error, notes)
    notes.append("what the store has cannot be told: a model is not pinned")
    return None, files


def _assumed(config: CurateConfig, error: InputError, notes: list[str]) -> list[InputFile]:
    if config.plan.assume is None:
        raise InputError(
            f"{error}\n(to plan without it, say in plan.assume what it holds: prompts, candidates,"
            " prompt_tokens, response_tokens)"
        ) from error
    notes.append(f"the input cannot be read here, plan.assume is planned with: {error}")
    return []


def _input_plan(config: CurateConfig, looked: Looked, files: Sequence[InputFile]) -> InputPlan:
    """Rows, traces, prompts."""
    sample, buckets = looked.sample, looked.buckets
    assume = config.plan.assume
    if sample is None and assume is not None:
        num_traces, none = _exactly(round(assume.prompts * assume.candidates)), _exactly(0)
        return InputPlan(
            source="assumed",
            shown=str(config.input.path),
            rows=num_traces,
            quarantined=none,
            traces=num_traces,
            prompts=_exactly(assume.prompts),
            num_parts=max(
                1.0,
                num_traces.value
                * assume.response_tokens
                * config.plan.chars_per_token
                / PART_CHARS,
            ),
            num_seen=0,
        )
    assert sample is not None, "a plan without a sample assumes"
    num_seen = sum(traces_in(block).num_rows for block in sample.blocks)
    prompts = sample.total(new_prompts(sample))
    if looked.job is not None and buckets is not None:
        parts = parts_of(buckets)
        rows, faults = (sum(b.num_rows for b in buckets), sum(b.num_faults for b in buckets))
        return InputPlan(
            source="store",
            shown=shown(files),
            rows=_exactly(rows),
            quarantined=_exactly(faults),
            traces=_exactly(sum(part.num_traces for part in parts)),
            prompts=prompts_of_run(looked.job, parts) or prompts,
            num_parts=len(parts),
            num_seen=num_seen,
        )
    traces = sample.count(lambda block: traces_in(block).num_rows)
    return InputPlan(
        source="all" if sample.is_complete else "sample",
        shown=shown(files),
        rows=sample.count(lambda block: block.table.num_rows),
        quarantined=sample.count(lambda block: block.table.num_rows - traces_in(block).num_rows),
        traces=traces,
        prompts=prompts,
        num_parts=_num_parts(sample, files, traces.value),
        num_seen=num_seen,
    )


def _num_parts(sample: Sample, files: Sequence[InputFile], num_traces: float) -> float:
    """About how many parts ingestion will make: at least one of each bucket."""
    size = sum(file.size for file in files)
    chars = sample.count(
        lambda block: sum(len(text) for text in traces_in(block).column("response").to_pylist())
    )
    in_bucket = chars.value / num_buckets(size)
    return min(num_traces, num_buckets(size) * max(1.0, in_bucket / part_chars(size)))


def _exactly(count: float) -> Total:
    return Total(count, count, count)


def _roles(config: CurateConfig, looked: Looked, reads: InputPlan, where: Where) -> list[RolePlan]:
    """Model by model, in the order they read."""
    job, sample = looked.job, looked.sample
    parts = [] if looked.buckets is None else parts_of(looked.buckets)
    outlooks: dict[Role, Outlook] = {}
    held: dict[Role, Remaining] = {}
    if job is not None and looked.buckets is not None:
        outlooks = {each.role: each for each in outlook(job, parts)}
    elif job is not None and sample is not None:
        held = remaining_of_sample(job, sample)
    found: list[RolePlan] = []
    for role, model in looked.models.items():
        tokens = _tokens(config, model, looked)
        remaining = held.get(role)
        if job is not None and tokens is not None and role in outlooks:
            remaining = remaining_of_run(job, role, parts, tokens)
        nothing = Saving(0.0, "this model is not pruned")
        saving = (
            expected_saving(config.selection, reads.candidates) if is_teacher(role) else nothing
        )
        longest = tokens.longest if tokens is not None else 0
        pool = plan_pool(model, config, where, longest=longest, num_parts=reads.num_parts)
        planned = RolePlan(
            role=role,
            model=model.config,
            tokens=tokens,
            remaining=remaining,
            outlook=outlooks.get(role),
            saving=saving,
            pool=pool,
            cost=None,
            unknown=(*model.unknown, *_no_tokenizer(config, model, sample)),
        )
        flops = planned.share * (tokens.flops if tokens is not None else 0.0)
        cost = cost_of(flops, role, model.config, pool, config.plan)
        found.append(replace(planned, cost=cost))
    return found


def _no_tokenizer(
    config: CurateConfig, model: PlannedModel, sample: Sample | None
) -> Iterator[str]:
    if sample is not None and model.encoder is None and not model.is_recorded:
        chars = config.plan.chars_per_token
        yield f"no tokenizer can be had: {chars:g} characters are taken for a token"


def _tokens(config: CurateConfig, model: PlannedModel, looked: Looked) -> Tokens | None:
    if model.is_recorded:
        return None
    if looked.sample is not None:
        roles = list(looked.models)
        return tokens_of(model, looked.sample, roles, config.plan.chars_per_token)
    assert config.plan.assume is not None, "a plan without a sample assumes"
    return assumed_tokens(model, config.plan.assume)
