"""The whole experiment: does what a policy selects train a better student than what another selects?

Candidates are sampled from the teacher and curated once per policy, at equal tokens and with prompts taken in
the same order; a student is distilled per policy and seed, tested on held-out prompts, and some are traced.
Each piece is a command of its own and continues by itself, so a loop that was killed continues too.
"""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from rdpt_ray.config import CurateConfig
from rdpt_ray.errors import ConfigError, InputError, Interrupted
from rdpt_ray.input_config import InputConfig
from rdpt_ray.method.accuracy import Accuracy
from rdpt_ray.method.comparison import Comparison
from rdpt_ray.method.comparison_figures import PolicyFigures, length_figures, policy_figures
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.pipeline.cluster import connected
from rdpt_ray.pipeline.curate import curate
from rdpt_ray.pipeline.distill import Distilled, distill_many
from rdpt_ray.pipeline.evaluate import Evaluated, evaluate_role
from rdpt_ray.pipeline.finish import Run
from rdpt_ray.pipeline.interrupts import interruptible
from rdpt_ray.pipeline.loop_plan import UNTRAINED, Plan, Student, check_apart, plan_loop
from rdpt_ray.pipeline.roles import with_weights
from rdpt_ray.pipeline.sample import sample
from rdpt_ray.pipeline.selected_figures import selected_figures
from rdpt_ray.publish.loop_facts import LengthControl, LoopFacts, PolicyFacts, SeedFacts
from rdpt_ray.publish.loop_findings import computed
from rdpt_ray.publish.loop_report import render_loop
from rdpt_ray.storage.files import Root, open_root, public_uri
from rdpt_ray.storage.runs import read_json, write_json

RECORD = "loop.json"
PAGE = "report.html"


@dataclass(frozen=True, slots=True)
class LoopRun:
    """A loop that is complete."""

    uri: str
    report: str
    facts: LoopFacts

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {"loop": self.uri, "report": self.report, **computed(self.facts)}


def loop(config: CurateConfig, console: Console) -> LoopRun:
    """Run the experiment, or continue it.

    Args:
        config: With the sections sample, distill, evaluate, verify and loop; `input.path` is `sample.to`.
        console: Where progress is shown.

    Raises:
        ConfigError: if a section is missing, or the sections do not fit together.
        RdptError: whatever is wrong with the prompts, a model, the store or the cluster.
    """
    plan = plan_loop(config)
    check_apart(plan)
    config = plan.config
    folder = open_root(plan.loop.to)
    begun = _begun(folder)
    with connected():
        # First of all: what is wrong with the test must not come to light when students are trained.
        base = {
            role: evaluate_role(config, plan.evaluate, plan.verify, role, console).accuracy
            for role in UNTRAINED
        }
        sample(config, console, ask=plan.sample, role=plan.sample.role, to=plan.sample.to)
        first = curate(_curated(plan, plan.loop.policies[0], None), console)
        comparison = _comparison(first)
        budget = plan.loop.budget_tokens or _smallest(comparison, plan.loop.policies)
        console.print(f"budget: {budget:,} response tokens per policy", highlight=False)
        runs = {p: curate(_curated(plan, p, budget), console) for p in plan.loop.policies}
        trained = distill_many(
            [_distilled(plan, student, runs[student[0]].uri) for student in plan.students],
            plan.loop.num_parallel,
            console,
        )
        models = dict(zip(plan.students, trained, strict=True))
        tested = _tested(plan, models, console)
        traced = {
            student: _trace(_traced(plan, student, models[student], found), console)
            for student, found in tested.items()
            if student[1] < plan.loop.num_traced
        }
    facts = LoopFacts(
        name=config.name,
        created_at=begun,
        policies=tuple(
            _policy_facts(policy, plan, runs[policy], comparison, tested, traced)
            for policy in plan.loop.policies
        ),
        student=base["student"],
        teacher=base["teacher"],
        length_r=length_figures(comparison).sentences_within,
        settings=_settings(plan, budget),
        remarks=tuple(plan.loop.remarks),
        confidence=plan.evaluate.confidence,
    )
    write_json(folder, RECORD, {"created_at": begun, **computed(facts)})
    folder.write_bytes(PAGE, render_loop(facts).encode())
    return LoopRun(folder.show(""), folder.show(PAGE), facts)


def _begun(folder: Root) -> str:
    """When the loop was first started."""
    if folder.exists(RECORD):
        return read_json(folder, RECORD)["created_at"]
    begun = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(folder, RECORD, {"created_at": begun})
    return begun


def _comparison(run: Run) -> Comparison:
    if run.summary.comparison is None:
        raise ConfigError("no prompt has more than one candidate: there is nothing to select from")
    return run.summary.comparison


def _smallest(comparison: Comparison, policies: list[str]) -> int:
    """Tokens of the policy that selects fewest, when each selects for every prompt that has a choice."""
    return min(comparison.policies[name].tokens for name in policies)


def _curated(plan: Plan, policy: str, budget: int | None) -> CurateConfig:
    selection = plan.config.selection
    of_all = selection.budget.model_copy(update={"tokens": budget, "order": "prompts"})
    changed = selection.model_copy(update={"policy": policy, "budget": of_all})
    return plan.config.model_copy(update={"selection": changed})


def _distilled(plan: Plan, student: Student, run: str) -> CurateConfig:
    section = plan.distill.model_copy(
        update={"data": run, "seed": student[1], "to": _place(plan, "models", student)}
    )
    return plan.config.model_copy(update={"distill": section})


def _place(plan: Plan, kind: str, student: Student) -> str:
    policy, seed = student
    return f"{plan.loop.to.rstrip('/')}/{kind}/{policy}-{seed}"


def _with_student(plan: Plan, model: str) -> CurateConfig:
    """The config with a trained student as the distilled model, and every model read here."""
    models = plan.config.models
    return plan.config.model_copy(
        update={
            "models": models.model_copy(
                update={
                    "distilled": with_weights(models.student, model),
                    "teacher": None if models.teacher is None else _reading(models.teacher, plan),
                }
            )
        }
    )


def _reading(model: ModelConfig, plan: Plan) -> ModelConfig:
    """A teacher whose own traces were recorded reads those of others itself."""
    if model.engine != "precomputed":
        return model
    return model.model_copy(
        update={"engine": plan.sample.engine or "transformers", "recorded": None}
    )


def _tested(
    plan: Plan, models: Mapping[Student, Distilled], console: Console
) -> dict[Student, Evaluated]:
    """What every student answers, some of them at the same time."""

    def test(student: Student) -> Evaluated:
        ask = plan.evaluate.model_copy(update={"to": _place(plan, "responses", student)})
        config = _with_student(plan, models[student].model)
        return evaluate_role(config, ask, plan.verify, "distilled", console)

    threads = ThreadPoolExecutor(plan.loop.num_parallel)
    try:
        with interruptible():
            return dict(zip(models, threads.map(test, models), strict=True))
    except Interrupted:
        threads.shutdown(wait=False, cancel_futures=True)
        raise


def _trace(config: CurateConfig, console: Console) -> Run | None:
    """Four-way provenance; None where a student wrote nothing that can be read, which is told."""
    try:
        return curate(config, console, kind="trace")
    except InputError as error:
        console.print(f"{config.name}: not traced: {error}", highlight=False, markup=False)
        return None


def _traced(plan: Plan, student: Student, model: Distilled, found: Evaluated) -> CurateConfig:
    """Four-way provenance of a student's own responses."""
    policy, seed = student
    config = _with_student(plan, model.model)
    return config.model_copy(
        update={
            "name": f"{plan.config.name[:40]}-{policy}-{seed}",
            "input": InputConfig(path=found.dataset),
            "fail_above": None,  # what a student writes may be unreadable: that is a finding
        }
    )


def _policy_facts(
    policy: str,
    plan: Plan,
    run: Run,
    comparison: Comparison,
    tested: Mapping[Student, Evaluated],
    traced: Mapping[Student, Run | None],
) -> PolicyFacts:
    figures = selected_figures(run.uri)
    return PolicyFacts(
        policy=policy,
        traces=figures.traces,
        tokens=figures.tokens,
        sentences=figures.sentences / max(figures.traces, 1),
        teacher=figures.teacher / max(figures.traces, 1),
        seeds=tuple(
            _seed_facts(seed, tested[policy, seed].accuracy, traced.get((policy, seed)))
            for seed in range(plan.loop.num_seeds)
        ),
        control=next(_control(policy_figures(comparison), policy), None),
    )


def _control(figures: list[PolicyFigures], policy: str) -> Iterator[LengthControl]:
    return (LengthControl.of(each) for each in figures if each.name == policy)


def _seed_facts(seed: int, accuracy: Accuracy, traced: Run | None) -> SeedFacts:
    if traced is None:
        return SeedFacts(seed, accuracy)
    answers = traced.facts.answers
    return SeedFacts(
        seed,
        accuracy,
        classes=dict(sorted(traced.summary.classes.items())),
        differences={} if answers is None else {c.name: c.difference for c in answers.classes},
    )


def _settings(plan: Plan, budget: int) -> dict[str, str | int | float | bool | None]:
    """What decides the outcome, as the page shows it."""
    ask, train, test = plan.sample, plan.distill, plan.evaluate
    teacher = plan.config.models.teacher
    return {
        "teacher": None if teacher is None else public_uri(teacher.model),
        "student": public_uri(plan.config.models.student.model),
        "candidates per prompt": ask.num_candidates,
        "sampling": f"temperature {ask.temperature:g}, top_p {ask.top_p:g}, seed {ask.seed}",
        "filters": json.dumps(
            plan.config.selection.filters.model_dump(exclude_none=True, exclude_defaults=True)
        ),
        "beta": plan.config.thresholds.beta,
        "response tokens per policy": budget,
        "training": f"{train.epochs:g} epochs, batches of {train.batch_size}, learning rate"
        f" {train.learning_rate:g}, {train.schedule}",
        "weights": "all" if train.lora is None else f"LoRA, rank {train.lora.rank}",
        "seeds": plan.loop.num_seeds,
        "test": f"temperature {test.temperature:g}, {test.num_candidates} answers per prompt",
    }
