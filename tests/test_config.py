"""A wrong config is refused before anything starts, naming the key, what came and what was meant."""

import pickle
from pathlib import Path

import fsspec
import pydantic
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.config import CurateConfig, apply_override, load_config, parse_config
from rdpt_ray.errors import ConfigError, RdptError
from rdpt_ray.method.selection import POLICIES

ROOT = Path(__file__).parent.parent


def smallest():
    """A tree with the required keys only."""
    return {
        "name": "tried",
        "input": {"path": "traces.parquet"},
        "models": {"teacher": {"model": "t"}, "student": {"model": "s"}},
        "store": "memory://store",
    }


def with_key(dotted, value):
    """The smallest tree with one key set; sections are made on the way."""
    tree = smallest()
    *sections, key = dotted.split(".")
    node = tree
    for section in sections:
        node = node.setdefault(section, {})
    node[key] = value
    return tree


def refusal(tree):
    with pytest.raises(ConfigError) as caught:
        parse_config(tree, where="job.yaml")
    return str(caught.value)


def test_the_smallest_config_has_the_papers_defaults():
    config = parse_config(smallest())
    assert (config.thresholds.alpha, config.thresholds.beta) == (0.1, 0.1)
    assert (config.selection.policy, config.selection.per_prompt) == ("teacher_count", 1)
    assert config.models.distilled is None
    assert config.selection.seed == 0
    assert config.selection.filters.model_dump(exclude_none=True) == {}
    assert config.report.num_traces == 10
    assert (config.models.teacher.engine, config.models.teacher.dtype) == (
        "transformers",
        "float32",
    )
    assert config.models.teacher.token_budget == 8192
    assert config.models.teacher.pool.model_dump(exclude_none=True) == {
        "min_actors": 1,
        "num_cpus": 1,
        "num_gpus": 0,
        "labels": {},
        "pass_limit_s": 1800,
        "load_limit_s": 7200,
    }


@pytest.mark.parametrize(
    ("divergence", "alpha", "beta"),
    [("prob_difference", 0.1, 0.1), ("log_ratio", 0.2, 0.2), ("log_ratio_per_char", 0.05, 0.05)],
)
def test_thresholds_have_the_defaults_of_their_divergence(divergence, alpha, beta):
    thresholds = parse_config(with_key("thresholds.divergence", divergence)).thresholds
    assert (thresholds.alpha, thresholds.beta) == (alpha, beta)
    tree = with_key("thresholds.divergence", divergence)
    tree["thresholds"]["beta"] = 0.7
    assert parse_config(tree).thresholds.beta == 0.7


def test_beta_may_be_taken_from_the_data_and_alpha_may_not():
    assert parse_config(with_key("thresholds.beta", "auto")).thresholds.beta == "auto"
    assert "thresholds.alpha: expected a number, got 'auto'" in refusal(
        with_key("thresholds.alpha", "auto")
    )


def test_probabilities_differ_by_at_most_one_and_nats_by_more():
    assert "probabilities differ by no more" in refusal(with_key("thresholds.beta", 1.5))
    tree = with_key("thresholds.beta", 1.5)
    tree["thresholds"]["divergence"] = "log_ratio"
    assert parse_config(tree).thresholds.beta == 1.5


def test_teachers_by_name_stand_in_for_the_teacher():
    tree = smallest()
    tree["models"]["teachers"] = {"QwQ-32B": tree["models"].pop("teacher")}
    assert parse_config(tree).models.teacher is None
    del tree["models"]["teachers"]
    assert "models: expected teacher, or teachers by their names" in refusal(tree)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("thresholds.beta", "auto", "selection.prune needs a number for thresholds.beta"),
        ("selection.policy", "lark", "the policy lark needs every candidate read"),
        ("models.teacher.keep_token_logprobs", True, "does not go with keep_token_logprobs"),
    ],
)
def test_what_needs_every_trace_read_is_not_pruned(key, value, said):
    tree = with_key(key, value)
    tree.setdefault("selection", {})["prune"] = True
    assert said in refusal(tree)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("stroe", "store"),
        ("input.limits", "limit"),
        ("models.techer", "teacher"),
        ("models.teacher.modle", "model"),
        ("models.teacher.chat_template_kwarg", "chat_template_kwargs"),
        ("models.student.pool.num_gpu", "num_gpus"),
        ("models.distilled.revison", "revision"),
        ("models.distilled.pool.max_actor", "max_actors"),
        ("thresholds.betta", "beta"),
        ("selection.polcy", "policy"),
        ("selection.filters.licences", "licenses"),
        ("report.num_trace", "num_traces"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(wrong, meant):
    message = refusal(with_key(wrong, 1))
    assert message.startswith("job.yaml:\n")
    assert f"  {wrong}: unknown key; did you mean {meant!r}? (known here: " in message


def test_what_is_known_at_that_level_is_listed():
    assert "(known here: divergence, alpha, beta)" in refusal(with_key("thresholds.gamma", 1))


def test_every_fault_is_listed_at_once():
    tree = with_key("thresholds.beta", 2)
    tree["stroe"] = tree.pop("store")
    del tree["models"]["student"]
    lines = refusal(tree).splitlines()
    assert lines[0] == "job.yaml:"
    assert sorted(line.split(":")[0].strip() for line in lines[1:]) == [
        "models.student",
        "store",
        "stroe",
        "thresholds.beta",
    ]


@pytest.mark.parametrize("key", ["name", "input", "models", "store"])
def test_a_missing_key_is_named(key):
    tree = smallest()
    del tree[key]
    assert f"  {key}: Field required" in refusal(tree)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", None),
        ("name", 7),
        ("name", ""),
        ("name", "two words"),
        ("name", "../elsewhere"),
        ("name", "a/b"),
        ("name", "a\n"),
        ("name", "-starts-with-a-dash"),
        ("name", "x" * 65),
        ("store", ""),
        ("store", ["a"]),
        ("input", "traces.parquet"),
        ("input.path", 5),
        ("input.format", "csv"),
        ("input.columns", ["response"]),
        ("input.columns", {"response": 3}),
        ("input.limit", 0),
        ("input.limit", "all"),
        ("input.limit", True),  # pydantic alone takes it for 1
        ("models.teacher", "Qwen/Qwen3-4B"),
        ("models.teacher.engine", "magic"),
        ("models.teacher.dtype", "float8"),
        ("models.teacher.token_budget", 0),
        ("models.teacher.token_budget", 10.5),
        ("models.teacher.pool.num_cpus", 0),
        ("models.teacher.pool.num_gpus", -1),
        ("models.teacher.pool.min_actors", 0),
        ("thresholds", None),
        ("thresholds.alpha", -0.1),
        ("thresholds.beta", 1.1),
        ("thresholds.beta", float("nan")),
        ("thresholds.beta", "high"),
        ("thresholds.beta", [0.1]),
        ("thresholds.beta", True),
        ("selection.policy", "teacher_cnt"),
        ("selection.per_prompt", 0),
        ("selection.seed", False),
        ("selection.filters.complete", "perhaps"),
        ("selection.filters.licenses", "MIT"),
        ("selection.filters.min_chars", -1),
        ("report.num_traces", 101),
    ],
)
def test_a_wrong_value_names_the_key_and_shows_what_came(key, value):
    message = refusal(with_key(key, value))
    assert f"\n  {key}" in message
    shown = next(iter(value.values())) if isinstance(value, dict) else value
    assert f"got {shown!r}" in message


def test_the_choices_are_named():
    message = refusal(with_key("selection.policy", "best"))
    assert all(policy in message for policy in POLICIES)


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_every_policy_can_be_asked_for(policy):
    assert parse_config(with_key("selection.policy", policy)).selection.policy == policy


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("thresholds.beta", 0),
        ("thresholds.beta", 1),
        ("thresholds.beta", "1e-1"),  # YAML 1.1 reads this number as a text
        ("input.path", ["a.parquet", "s3://b/*.jsonl"]),
        ("models.teacher.chat_template_kwargs", {"enable_thinking": False, "depth": [1, None]}),
        ("selection.filters.complete", True),
        ("selection.filters.min_chars", 0),
        ("selection.filters.max_chars", 0),
        ("selection.per_prompt", 1),
        ("report.num_traces", 0),
        ("report.num_traces", 100),
        ("input.limit", 1),
        ("models.teacher.token_budget", 1),
        ("models.teacher.pool.min_actors", 1),
        ("models.teacher.pool.max_actors", 1),
        ("models.teacher.pool.num_gpus", 0.25),
        ("name", "0"),
        ("name", "x" * 64),
        ("store", "s"),
    ],
)
def test_values_at_the_edge_are_taken(key, value):
    parse_config(with_key(key, value))


@pytest.mark.parametrize(
    ("section", "values", "fault"),
    [
        (
            "selection.filters",
            {"min_chars": 10, "max_chars": 9},
            "max_chars is less than min_chars",
        ),
        (
            "models.teacher.pool",
            {"min_actors": 3, "max_actors": 2},
            "max_actors is less than min_actors",
        ),
    ],
)
def test_a_contradiction_is_refused(section, values, fault):
    assert f"  {section}: {fault}" in refusal(with_key(section, values))
    parse_config(with_key(section, dict.fromkeys(values, 5)))


@pytest.mark.parametrize(
    "trainer", [{"hub_token": "hf_secret"}, {"model_init_kwargs": {"token": "hf_secret"}}]
)
def test_a_login_is_refused_and_not_repeated(trainer):
    tree = with_key("distill", {"to": "out/model", "trainer": trainer})
    message = refusal(tree)
    assert "distill.trainer: expected no " in message
    assert "hf_secret" not in message


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"policies": ["random", "longest", "random"]}, "expected each policy once; more often: r"),
        ({"num_seeds": 21}, "less than or equal to 20"),
    ],
)
def test_a_loop_that_could_not_be_told_is_refused(changes, said):
    section = {"to": "out", "policies": ["teacher_count", "random"], **changes}
    assert said in refusal(with_key("loop", section))


def test_a_config_is_frozen():
    config = parse_config(smallest())
    for section, key in [(config, "name"), (config.thresholds, "beta"), (config.input, "limit")]:
        with pytest.raises(pydantic.ValidationError, match="frozen"):
            setattr(section, key, 1)
        with pytest.raises(pydantic.ValidationError, match="frozen"):
            delattr(section, key)


def test_a_config_survives_its_own_dump_and_a_pickle():
    config = parse_config(with_key("selection.filters.licenses", ["MIT"]))
    assert parse_config(config.model_dump()) == config
    assert CurateConfig.model_validate_json(config.model_dump_json()) == config
    assert pickle.loads(pickle.dumps(config)) == config


def test_a_config_error_is_both_a_value_error_and_ours():
    assert issubclass(ConfigError, ValueError)
    assert issubclass(ConfigError, RdptError)


# Overrides


def overridden(override, tree=None):
    tree = smallest() if tree is None else tree
    apply_override(tree, override)
    return tree


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("key=0.15", 0.15),
        ("key=3", 3),
        ("key=true", True),
        ("key=null", None),
        ("key=", None),
        ("key=text with blanks", "text with blanks"),
        ("key='0.15'", "0.15"),
        ("key=[a, b]", ["a", "b"]),
        ("key={a: 1}", {"a": 1}),
        ("key=a=b", "a=b"),
        ("key=s3://bucket/a,b", "s3://bucket/a,b"),
    ],
)
def test_the_value_of_an_override_is_yaml(override, value):
    assert overridden(override, {}) == {"key": value}


def test_an_override_replaces_adds_and_makes_sections():
    tree = overridden("models.teacher.model=other")
    assert tree["models"] == {"teacher": {"model": "other"}, "student": {"model": "s"}}
    tree = overridden("selection.filters.complete=true")
    assert tree["selection"] == {"filters": {"complete": True}}
    assert overridden("input={path: x}")["input"] == {"path": "x"}


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("thresholds.beta", "expected key.sub=value"),
        ("", "expected key.sub=value"),
        ("=1", "expected key.sub=value"),
        ("name.first=x", "'name' is a value, not a section"),
        ("input.path.glob=x", "'path' is a value, not a section"),
        ("thresholds.beta=[0.1", "not valid YAML"),
        ("thresholds.beta=2024-99-99", "not valid YAML"),
    ],
)
def test_an_override_that_cannot_be_applied_is_shown(override, fault):
    with pytest.raises(ConfigError) as caught:
        overridden(override)
    assert f"override {override!r}: " in str(caught.value)
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("thresholds.betta=0.1", "thresholds.betta: unknown key; did you mean 'beta'?"),
        ("thresholds.beta=high", "thresholds.beta: "),
        ("models.teacher.pool=", "models.teacher.pool: "),
        ("thresholds.=1", "thresholds.: unknown key"),
    ],
)
def test_an_override_is_validated_like_the_file(override, fault):
    assert fault in refusal(overridden(override))


names = st.text("abcdef_", min_size=1, max_size=4)
plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text())


@given(st.lists(names, min_size=1, max_size=4), plain)
def test_any_value_can_be_set_at_any_depth(keys, value):
    tree = overridden(f"{'.'.join(keys)}={yaml.safe_dump(value, default_flow_style=True)}", {})
    for key in keys:
        tree = tree[key]
    assert tree == value


# Files


def test_a_file_with_overrides(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(smallest()), encoding="utf-8")
    assert load_config(path) == load_config(str(path)) == parse_config(smallest())
    config = load_config(path, ["thresholds.beta=0.2", "thresholds.beta=0.3", "input.limit=5"])
    assert (config.thresholds.beta, config.input.limit) == (0.3, 5)  # the later one holds


def test_a_config_from_another_file_system():
    with fsspec.open("memory://configs/job.yaml", "wt", encoding="utf-8") as file:
        yaml.safe_dump(smallest() | {"store": "memory://\u00fcber"}, file, allow_unicode=True)
    assert load_config("memory://configs/job.yaml").store == "memory://\u00fcber"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "expected a mapping of keys, got NoneType"),
        (b"# only a comment\n", "expected a mapping of keys, got NoneType"),
        (b"- a\n- b\n", "expected a mapping of keys, got list"),
        (b"name", "expected a mapping of keys, got str"),
        (b"name: [a\n", "not valid YAML"),
        (b"name: a\n\tstore: b\n", "not valid YAML"),
        (b"name: !!python/object/apply:os.getcwd []\n", "not valid YAML"),  # never run
        (b"name: a\x00b\n", "not valid YAML"),
        (b"name: \xff\xfe\n", "cannot be read"),
        (b"name: 2024-99-99\n", "cannot be read"),
    ],
)
def test_a_file_that_is_no_config_is_named(tmp_path, content, fault):
    path = tmp_path / "job.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"config {path}: {fault}")


@pytest.mark.parametrize(
    "uri", ["memory://configs/none.yaml", "nonsense://x.yaml", "/no/such.yaml"]
)
def test_a_config_that_is_not_there_is_named(uri):
    with pytest.raises(ConfigError, match=f"config {uri}: cannot be read"):
        load_config(uri)


def test_a_fault_in_a_file_names_the_file(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(with_key("stroe", 1)), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}:\n  stroe: unknown key")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name
)
def test_the_configs_that_ship_are_valid(path):
    load_config(path)


# Engines

ENDPOINT = {"url": "http://gpu-7:8000/v1"}


def with_teacher(**changes):
    return with_key("models.teacher", {"model": "t"} | changes)


@pytest.mark.parametrize(
    ("teacher", "fault"),
    [
        ({"engine": "openai"}, "the engine openai needs an endpoint, with at least its url"),
        ({"endpoint": ENDPOINT}, "an endpoint is for the engine openai only"),
        ({"engine": "vllm", "endpoint": ENDPOINT}, "an endpoint is for the engine openai only"),
        (
            {"engine": "vllm", "signals": ["rank", "brier"]},
            "engine vllm cannot measure brier; engine transformers measures rank and brier",
        ),
        (
            {"engine": "openai", "endpoint": ENDPOINT, "signals": ["brier"]},
            "engine openai cannot measure brier",
        ),
        (
            {"engine": "openai", "endpoint": ENDPOINT | {"dialect": "echo"}, "signals": ["rank"]},
            "engine openai, dialect echo cannot measure rank",
        ),
    ],
)
def test_an_engine_gets_what_it_needs_and_is_asked_for_what_it_can(teacher, fault):
    assert f"  models.teacher: {fault}" in refusal(with_teacher(**teacher))


@pytest.mark.parametrize(
    "teacher",
    [
        {"engine": "openai", "endpoint": ENDPOINT, "signals": ["rank"]},
        {"engine": "vllm", "signals": ["rank"]},
        {"signals": ["rank", "brier"]},
    ],
)
def test_what_an_engine_can_is_taken(teacher):
    parse_config(with_teacher(**teacher))


@pytest.mark.parametrize(
    ("tensor", "pipeline", "num_gpus"),
    [(2, 1, 1), (1, 2, 0), (2, 2, 2), (4, 2, 4), (2, 1, 4)],
)
def test_an_actor_gets_a_gpu_for_every_shard_of_its_model(tensor, pipeline, num_gpus):
    setup = {"tensor_parallel_size": tensor, "pipeline_parallel_size": pipeline}
    pool = {"num_gpus": num_gpus}
    message = refusal(with_teacher(engine="vllm", vllm=setup, pool=pool))
    needed = tensor * pipeline
    assert f"is {needed} GPUs for each copy of the model, but pool.num_gpus gives" in message
    assert f"an actor {num_gpus}: set pool.num_gpus: {needed} (all on one node)" in message
    parse_config(with_teacher(engine="vllm", vllm=setup, pool={"num_gpus": needed}))


@pytest.mark.parametrize("num_gpus", [0, 0.5, 1])
def test_a_model_of_one_shard_may_share_a_gpu(num_gpus):
    parse_config(with_teacher(engine="vllm", pool={"num_gpus": num_gpus}))


@pytest.mark.parametrize("url", ["gpu-7:8000/v1", "ftp://gpu-7/v1", "", "http://", "/v1"])
def test_an_endpoint_has_an_address(url):
    message = refusal(with_teacher(engine="openai", endpoint={"url": url}))
    assert "models.teacher.endpoint.url: expected http://HOST:PORT/v1" in message


@pytest.mark.parametrize("url", ["http://me:s3cret@host/v1", "https://host/v1?key=s3cret"])
def test_a_key_in_an_address_is_refused_and_not_shown(url):
    message = refusal(with_teacher(engine="openai", endpoint={"url": url}))
    assert "models.teacher.endpoint.url: expected no login and no ?query" in message
    assert "s3cret" not in message


def test_an_address_ends_without_a_slash():
    config = parse_config(with_teacher(engine="openai", endpoint={"url": "http://host/v1/"}))
    endpoint = config.models.teacher.endpoint
    assert endpoint is not None
    assert endpoint.url == "http://host/v1"


def test_a_divergence_of_another_type_is_refused_in_words():
    assert "thresholds.divergence" in refusal(with_key("thresholds.divergence", ["log_ratio"]))


def test_an_override_reaches_into_a_section_that_is_written_and_empty():
    tree = {**smallest(), "selection": None}
    apply_override(tree, "selection.prune=true")
    assert parse_config(tree).selection.prune is True


@pytest.mark.parametrize(
    ("value", "share"),
    [
        (None, None),
        ("1%", 0.01),
        ("0.5 %", 0.005),
        ("0.7%", 7 / 1000),
        (0.01, 0.01),
        ("0.01", 0.01),
        (0, 0.0),
        (1, 1.0),
        ("100%", 1.0),
    ],
)
def test_fail_above_is_a_share(value, share):
    assert parse_config(with_key("fail_above", value)).fail_above == share


@pytest.mark.parametrize(
    "value", [-1, 2, "101%", "-1%", "none", "%", "nan", "1 percent", True, [1]]
)
def test_fail_above_that_is_no_share_is_refused(value):
    told = refusal(with_key("fail_above", value))
    assert "fail_above: expected a percentage of 0% to 100%, or a share of 0 to 1" in told


@given(st.data(), st.integers(0, 4))
def test_a_percentage_is_not_exceeded_by_just_as_many(data, digits):
    """3 of 300 rows are not more than 1%, whatever floats make of it."""
    scale = 10**digits
    count = data.draw(st.integers(0, 100 * scale))
    share = parse_config(with_key("fail_above", f"{count / scale:.{digits}f}%")).fail_above
    assert share == count / (100 * scale)
