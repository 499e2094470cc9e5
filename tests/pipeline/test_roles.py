"""Which models a run needs, in which order, and what each is asked to read."""

import pytest

from rdpt_ray.config import parse_config
from rdpt_ray.errors import ConfigError
from rdpt_ray.pipeline.eligible import Ledger
from rdpt_ray.pipeline.roles import demand_of, models_of, teacher_of
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.storage.files import Root


def config(**sections):
    models = {"teacher": {"model": "t"}, "student": {"model": "s"}, **sections.pop("models", {})}
    tree = {"name": "n", "input": {"path": "x"}, "store": "memory://store", "models": models}
    return parse_config({**tree, **sections})


def identity(role):
    return ModelIdentity(
        model=role,
        location=role,
        weights="0" * 40,
        is_local=False,
        dtype="float32",
        engine="transformers/2",
        chat_template_kwargs={},
        chat_template=None,
    )


def test_the_cheap_student_reads_first_and_the_distilled_model_only_when_traced():
    given = config(models={"distilled": {"model": "d"}})
    assert list(models_of(given, "curate")) == ["student", "teacher"]
    assert list(models_of(given, "trace")) == ["student", "teacher", "distilled"]
    with pytest.raises(ConfigError, match=r"models\.distilled: needed"):
        models_of(config(), "trace")
    trained = models_of(config(distill={"to": "out/model"}), "trace")
    assert trained["distilled"].model == "out/model", "what distill of the same config writes"


def test_a_server_of_the_student_is_not_taken_for_what_it_was_trained_to():
    served = {"model": "s", "engine": "openai", "endpoint": {"url": "http://here/v1"}}
    given = config(models={"student": served}, distill={"to": "out/model"})
    with pytest.raises(ConfigError, match=r"openai does not load the weights of out/model"):
        models_of(given, "trace")


@pytest.mark.parametrize(
    ("policy", "signals", "roles"),
    [
        ("teacher_count", [], ["student", "teacher"]),
        ("rsr", ["rank"], ["student", "teacher"]),
        ("lark", ["brier"], ["student", "teacher"]),
        ("ifd", [], ["student", "unprompted", "teacher"]),
    ],
)
def test_the_student_measures_what_the_policy_needs(policy, signals, roles):
    models = models_of(config(selection={"policy": policy}), "curate")
    assert (models["student"].signals, list(models)) == (signals, roles)


def test_what_is_asked_for_by_name_is_measured_for_the_comparison():
    asked = {"model": "s", "signals": ["rank", "brier", "unprompted"]}
    models = models_of(config(models={"student": asked}), "curate")
    assert list(models) == ["student", "unprompted", "teacher"]
    assert models["student"].signals == ["rank", "brier"]
    assert models["unprompted"].signals == []


def test_an_engine_that_cannot_measure_what_the_policy_needs_is_refused():
    vllm = {"model": "s", "engine": "vllm"}
    with pytest.raises(ConfigError, match="lark needs brier of the student, which the engine vllm"):
        models_of(config(models={"student": vllm}, selection={"policy": "lark"}), "curate")


def test_a_trace_is_read_by_the_teacher_of_its_name_or_by_the_one_for_the_rest():
    named = ["student", "teacher:QwQ", "teacher:R1"]
    assert teacher_of("QwQ", named) == "teacher:QwQ"
    assert teacher_of("GPT", named) is None
    assert teacher_of(None, named) is None
    assert teacher_of("GPT", [*named, "teacher"]) == "teacher"
    assert teacher_of("QwQ", ["student", "teacher"]) == "teacher"


def test_everything_is_read_unless_teachers_have_names_or_the_run_is_pruned():
    ledger = Ledger(Root("memory://store"), "runs/x")
    identities = {role: identity(role) for role in ("student", "teacher", "teacher:QwQ")}

    def asked(role, given, kind="curate"):
        return demand_of(role, given, kind, ledger, identities)

    assert asked("teacher", config()) is None
    pruned = config(selection={"prune": True})
    assert asked("student", pruned) is None
    assert asked("teacher", pruned, "trace") is None
    found = asked("teacher", pruned)
    assert found is not None
    assert found.prune is not None
    assert found.prune.student_key == identities["student"].key
    several = config(models={"teachers": {"QwQ": {"model": "q"}}})
    rest, own = asked("teacher", several), asked("teacher:QwQ", several)
    assert rest is not None
    assert own is not None
    assert (rest.teacher_name, rest.others) == (None, frozenset({"QwQ"}))
    assert own.teacher_name == "QwQ"
