"""Which models a run needs, in which order they read, and what each is asked to read."""

from collections.abc import Collection, Iterable
from typing import Literal

from rdpt_ray.config import CurateConfig, Role
from rdpt_ray.errors import ConfigError
from rdpt_ray.method.selection import needs
from rdpt_ray.model_config import ModelConfig, Signal, signals_given
from rdpt_ray.pipeline.demand import Demand, Prune
from rdpt_ray.pipeline.eligible import Ledger
from rdpt_ray.pipeline.lineage import Identities, Kind
from rdpt_ray.storage.files import public_uri

TEACHER = "teacher"
UNPROMPTED: Literal["unprompted"] = "unprompted"
SIGNALS: tuple[Signal, ...] = ("rank", "brier", "unprompted")


def teacher_role(name: str) -> Role:
    """The role of the teacher that reads the traces of one `teacher_name`."""
    return f"{TEACHER}:{name}"


def is_teacher(role: Role) -> bool:
    """Whether a role is the teacher's, or one of several teachers'."""
    return role == TEACHER or role.startswith(f"{TEACHER}:")


def models_of(config: CurateConfig, kind: Kind) -> dict[Role, ModelConfig]:
    """The models that a run needs, in the order they read: the cheap student first.

    The student measures the signals that the policy needs, asked for or not.

    Raises:
        ConfigError: if a run that traces a distilled model has none, or the student's engine cannot measure
            what the policy needs.
    """
    asked = needs(config.selection.policy) if kind == "curate" else frozenset[str]()
    student = config.models.student
    measured: list[Signal] = [
        signal for signal in SIGNALS if signal in asked or signal in student.signals
    ]
    _check_signals(measured, config)
    models: dict[Role, ModelConfig] = {"student": _measuring(student, measured)}
    if UNPROMPTED in measured:
        without = _measuring(student, [])
        models[UNPROMPTED] = without.model_copy(update={"keep_token_logprobs": False})
    if config.models.teacher is not None:
        models[TEACHER] = _measuring(config.models.teacher, config.models.teacher.signals)
    for name, model in config.models.teachers.items():
        models[teacher_role(name)] = _measuring(model, model.signals)
    if kind == "trace":
        distilled = model_of(config, "distilled")
        models["distilled"] = _measuring(distilled, distilled.signals)
    return models


def model_of(config: CurateConfig, role: Role) -> ModelConfig:
    """The model of a role; the distilled one, if it is not named, is what `distill` of the config writes.

    Raises:
        ConfigError: if the config has none, with the roles that it has.
    """
    models = config.models
    named = {teacher_role(name): model for name, model in models.teachers.items()}
    named |= {name: getattr(models, name) for name in (TEACHER, "student", "distilled")}
    model = named.get(role)
    if model is None and role == "distilled" and config.distill is not None:
        return with_weights(models.student, config.distill.to)
    if model is None:
        there = ", ".join(sorted(name for name, model in named.items() if model is not None))
        told = f"{TEACHER}s.NAME" if is_teacher(role) and role != TEACHER else role
        raise ConfigError(f"models.{told}: needed for the role {role} (there are: {there})")
    return model


def with_weights(student: ModelConfig, folder: str) -> ModelConfig:
    """The student's settings with the weights that it was trained to.

    Raises:
        ConfigError: if its engine does not load weights, and would read as the untrained student does.
    """
    if student.engine in ("openai", "precomputed"):
        raise ConfigError(
            f"models.student: its engine {student.engine} does not load the weights of"
            f" {public_uri(folder)}; set one that does, or name models.distilled with its own"
        )
    return student.model_copy(update={"model": folder, "revision": None})


def _measuring(model: ModelConfig, signals: Collection[Signal]) -> ModelConfig:
    """The model with these signals, of those that a pass gives; reading without prompts is another pass."""
    return model.model_copy(update={"signals": [each for each in signals if each != UNPROMPTED]})


def _check_signals(measured: Collection[Signal], config: CurateConfig) -> None:
    student = config.models.student
    given = signals_given(student.engine, student.endpoint.dialect if student.endpoint else None)
    missing = ", ".join(signal for signal in measured if signal not in given)
    if missing:
        raise ConfigError(
            f"selection.policy {config.selection.policy} needs {missing} of the student, which the engine"
            f" {student.engine} cannot measure; engine transformers can"
        )


def teacher_of(name: str | None, roles: Iterable[Role]) -> Role | None:
    """Which role reads a trace as its teacher: that of its `teacher_name`, or `teacher`; None: none does."""
    known = set(roles)
    if name is not None and teacher_role(name) in known:
        return teacher_role(name)
    return TEACHER if TEACHER in known else None


def demand_of(
    role: Role, config: CurateConfig, kind: Kind, ledger: Ledger, identities: Identities
) -> Demand | None:
    """What a model is asked to read of the run's parts; None: everything."""
    if not is_teacher(role):
        return None
    prune = None
    if config.selection.prune and kind == "curate":
        prune = Prune(
            student_key=identities["student"].key,
            unprompted_key=identities[UNPROMPTED].key if UNPROMPTED in identities else None,
            selection=config.selection,
            divergence=config.thresholds.divergence,
            beta=float(config.thresholds.beta),
        )
    names = frozenset(config.models.teachers)
    if prune is None and not names:
        return None
    own = None if role == TEACHER else role.removeprefix(f"{TEACHER}:")
    return Demand(ledger, teacher_name=own, others=names, prune=prune)
