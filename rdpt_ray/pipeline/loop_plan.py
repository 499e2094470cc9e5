"""Whether a config is one of a loop; what would otherwise come to light hours later is told at once."""

from dataclasses import dataclass

from rdpt_ray.config import CurateConfig
from rdpt_ray.distill_config import DistillConfig, LoopConfig
from rdpt_ray.errors import ConfigError
from rdpt_ray.input_config import InputConfig
from rdpt_ray.method.selection import POLICIES, needs
from rdpt_ray.pipeline.distill_job import check_settings
from rdpt_ray.pipeline.roles import SIGNALS, model_of, models_of, with_weights
from rdpt_ray.sample_config import EvaluateConfig, SampleConfig
from rdpt_ray.sampling.loading import engine_of
from rdpt_ray.selection_config import VerifyConfig
from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.files import open_root, public_uri
from rdpt_ray.storage.inputs import list_inputs
from rdpt_ray.storage.prompts import read_prompts

Student = tuple[str, int]
"""Policy and seed."""

UNTRAINED = ("student", "teacher")
"""Roles that are tested beside the trained students."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The sections that a loop needs, all there."""

    config: CurateConfig
    """Its student measures whatever one of the policies needs, so that all runs have the same scores."""
    loop: LoopConfig
    sample: SampleConfig
    distill: DistillConfig
    evaluate: EvaluateConfig
    verify: VerifyConfig

    @property
    def students(self) -> list[Student]:
        """All that are trained, seed by seed."""
        return [(p, seed) for seed in range(self.loop.num_seeds) for p in self.loop.policies]


def plan_loop(config: CurateConfig) -> Plan:
    """Whether a config has all that a loop needs.

    Raises:
        ConfigError: naming what is missing, or what does not fit together.
        ModelError: if what trains students is not installed.
    """
    sections = {
        name: getattr(config, name) for name in ("loop", "sample", "distill", "evaluate", "verify")
    }
    missing = [name for name, section in sections.items() if section is None]
    if missing:
        raise ConfigError(
            f"a loop needs the sections {', '.join(sections)}; missing: {', '.join(missing)}"
        )
    plan = Plan(config=_measuring(config, sections["loop"]), **sections)
    paths = config.input.path if isinstance(config.input.path, list) else [config.input.path]
    if paths != [plan.sample.to]:
        raise ConfigError(
            f"input.path: expected what `sample` writes, {plan.sample.to}, got {config.input.path}"
        )
    if config.publish.to is not None:
        raise ConfigError(
            "publish.to: a loop makes a run for each policy, and all would be published there; leave it out"
            " and `rdpt publish` the run that is wanted"
        )
    _check_policies(config, plan.loop)
    _check_models(plan)
    check_settings(plan.distill)
    return plan


def _measuring(config: CurateConfig, loop: LoopConfig) -> CurateConfig:
    student = config.models.student
    asked = set(student.signals).union(*(needs(policy) for policy in loop.policies))
    signals = [signal for signal in SIGNALS if signal in asked]
    measuring = student.model_copy(update={"signals": signals})
    models = config.models.model_copy(update={"student": measuring})
    return config.model_copy(update={"models": models})


def _check_policies(config: CurateConfig, loop: LoopConfig) -> None:
    """Whether all that the policies need can be had, and their budget can be found."""
    selection = config.selection
    if selection.prune:
        raise ConfigError(
            "selection.prune: policies are compared over all candidates, so a loop needs every one read; set"
            " it to false"
        )
    for policy in loop.policies:
        by = {"selection": selection.model_copy(update={"policy": policy})}
        models_of(config.model_copy(update=by), "curate")
    foreign = [policy for policy in loop.policies if policy not in POLICIES]
    if foreign and loop.budget_tokens is None:
        raise ConfigError(
            f"loop.budget_tokens: needed, since what {', '.join(foreign)} would select is not known"
            " beforehand as it is of a built-in policy"
        )


def _check_models(plan: Plan) -> None:
    """Whether every model can do all that a loop asks of it."""
    config = plan.config
    engine_of(model_of(config, plan.sample.role), plan.sample, f"models.{plan.sample.role}")
    for role in UNTRAINED:
        engine_of(model_of(config, role), plan.evaluate, f"models.{role}")
    with_weights(config.models.student, plan.loop.to)
    if "://" in open_root(plan.loop.to).uri:
        raise ConfigError(
            f"loop.to: {public_uri(plan.loop.to)}: expected a folder of a file system that all nodes see,"
            " since the trained models are loaded from it"
        )


def check_apart(plan: Plan) -> None:
    """Whether students are tested on prompts that none of them was trained on.

    Raises:
        ConfigError: saying how many are among both.
        InputError: if prompts cannot be read.
    """
    tested, trained = (_prompt_ids(each.prompts) for each in (plan.evaluate, plan.sample))
    if both := tested & trained:
        raise ConfigError(
            f"evaluate.prompts: {len(both):,} of {len(tested):,} prompts are among sample.prompts, so that"
            " students would be tested on what they are trained on; take them out of one of the two"
        )


def _prompt_ids(prompts: InputConfig) -> set[str]:
    return {
        row.prompt.prompt_id
        for file in list_inputs(prompts)
        for row in read_prompts(file, prompts)
        if not isinstance(row.prompt, Fault)
    }
