"""A model on a server gives what the same model gives here, or an error, whatever the server does."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from completions_server import Answer, Reset, Slow, Status, Tweak, serving
from rdpt_ray.errors import ModelError
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.scoring.encoding import TraceEncoder
from rdpt_ray.scoring.engine import TokenScores, TokenSequence
from rdpt_ray.scoring.loading import identity_of, load_scorer
from rdpt_ray.scoring.openai_engine import connect, probe_of
from rdpt_ray.scoring.scorer import ModelScorer
from rdpt_ray.scoring.traces import Trace

TOLERANCE = 1e-4
"""Between a packed and a plain fp32 pass of these models, whose weights are eight times too large."""

RETRIES = 3
ENDPOINT = {"max_retries": RETRIES, "retry_base_s": 0.002, "timeout_s": 30, "concurrency": 4}


@pytest.fixture(scope="module")
def model(tiny_model, llama_config):
    return tiny_model(llama_config())


@pytest.fixture
def encoder(kinds):
    return TraceEncoder(kinds["gpt-2"].tokenizer(), {})


@pytest.fixture
def connected(encoder):
    """Connects to a server as a worker would."""

    def go(server, *, signals=(), model="tokenizer", served=None, **endpoint):
        config = ModelConfig(
            model=model,
            engine="openai",
            signals=list(signals),
            endpoint=ENDPOINT | {"url": server.url} | endpoint,
        )
        return connect(config, served or server.name, encoder)

    return go


def ids_of(sequence):
    return [*sequence.prompt_ids, *sequence.response_ids]


def some(seed, count=4, length=20):
    draw = np.random.default_rng(seed).integers
    return [
        TokenSequence(draw(5, 420, 4).tolist(), draw(5, 420, length + place).tolist())
        for place in range(count)
    ]


def logprobs(scores):
    assert isinstance(scores, TokenScores), scores
    return scores.logprobs


# The same numbers


@pytest.mark.parametrize("dialect", ["vllm", "echo", "auto"])
def test_a_server_gives_what_the_model_gives_here(model, engine, connected, dialect):
    batch = some(0, count=9)
    with serving(model) as server:
        remote = connected(server, dialect=dialect)
        found = remote.token_scores(batch)
    assert remote.dialect == ("vllm" if dialect == "auto" else dialect)
    for here, there in zip(engine.token_scores(batch), found, strict=True):
        assert there.logprobs.dtype == np.float32
        assert there.ranks is None
        np.testing.assert_allclose(logprobs(there), here.logprobs, atol=TOLERANCE)


def test_ranks_come_along_and_are_capped(model, connected):
    batch = some(1)
    with serving(model) as server:
        found = connected(server, signals=["rank"]).token_scores(batch)
        uncapped = [
            server.completion({"prompt": ids_of(one), "prompt_logprobs": 0}) for one in batch
        ]
    for sequence, answer, scores in zip(batch, uncapped, found, strict=True):
        entries = answer["choices"][0]["prompt_logprobs"][len(sequence.prompt_ids) :]
        ranks = np.array([next(iter(entry.values()))["rank"] for entry in entries])
        assert ranks.max() > 100
        assert scores.ranks.dtype == np.int32
        np.testing.assert_array_equal(scores.ranks, np.minimum(ranks, 100))


def test_no_ranks_from_a_server_without_them(model, connected):
    with (
        serving(model, dialects=("echo",)) as server,
        pytest.raises(ModelError, match="the dialect echo gives no ranks"),
    ):
        connected(server, signals=["rank"])


def test_the_whole_way_from_text(model, engine, connected, model_folder, kinds):
    traces = [
        Trace([{"role": "user", "content": "6 x 7?"}], "Let me see. It is 42!", [(0, 12), (12, 21)])
    ]
    folder = model_folder()
    (folder / "model.safetensors").unlink()
    with serving(model) as server:
        config = ModelConfig(
            model=str(folder),
            engine="openai",
            endpoint=ENDPOINT | {"url": server.url, "model": server.name},
        )
        identity = identity_of(config)
        (remote,) = load_scorer(config, identity, num_threads=1).tokens(traces)
    here = ModelScorer(TraceEncoder(kinds["gpt-2"].tokenizer(), {}), engine, 1000)
    (local,) = here.tokens(traces)
    np.testing.assert_array_equal(remote.spans, local.spans)
    np.testing.assert_allclose(remote.scores.logprobs, local.scores.logprobs, atol=TOLERANCE)


# What is sent


def test_a_request_names_all_that_could_change_the_answer(model, connected):
    (sequence,) = some(2, count=1)
    with serving(model) as server:
        connected(server).token_scores([sequence, sequence])
        first, second = (body for body in server.bodies if body["prompt"] == ids_of(sequence))
    assert first.pop("cache_salt") != second.pop("cache_salt")
    assert first == second
    del first["prompt"]
    assert first == {
        "model": "served",
        "max_tokens": 1,
        "temperature": 1.0,
        "top_p": 1.0,
        "prompt_logprobs": 0,
    }


def test_the_key_comes_from_the_environment_and_goes_into_one_header(model, connected, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "not this one")
    monkeypatch.setenv("SERVER_KEY", "sk-123")
    with serving(model, key="sk-123") as server:
        engine = connected(server, api_key_env="SERVER_KEY")
        assert logprobs(engine.token_scores(some(3, count=1))[0]).size
        assert "sk-123" not in json.dumps(server.bodies)
        with pytest.raises(ModelError, match="401: bad key: None"):
            connected(server)
    with serving(model) as server:
        connected(server)
        assert not any("Authorization" in headers for headers in server.headers)


def test_a_key_never_shows_in_an_error(model, connected, monkeypatch):
    monkeypatch.setenv("SERVER_KEY", "sk-wrong")
    with (
        serving(model, key="sk-right") as server,
        pytest.raises(ModelError, match="401: bad key: Bearer ") as caught,
    ):
        connected(server, api_key_env="SERVER_KEY")
    assert "sk-" not in str(caught.value)
    monkeypatch.delenv("SERVER_KEY")
    with pytest.raises(ModelError, match=r"SERVER_KEY .* is not set in this process"):
        connected(server, api_key_env="SERVER_KEY")


def test_a_key_from_a_mounted_file_ends_in_a_newline(model, connected, monkeypatch):
    monkeypatch.setenv("SERVER_KEY", "sk-123\n")
    with serving(model, key="sk-123") as server:
        engine = connected(server, api_key_env="SERVER_KEY")
        assert logprobs(engine.token_scores(some(3, count=1))[0]).size


@pytest.mark.parametrize("key", ["sk-\u00c9", "sk-1\nsk-2", "sk-1\x7f"])
def test_a_key_that_cannot_be_one_is_refused_and_not_shown(model, connected, monkeypatch, key):
    monkeypatch.setenv("SERVER_KEY", key)
    with (
        serving(model) as server,
        pytest.raises(ModelError, match=r"SERVER_KEY .* cannot be part of a key") as caught,
    ):
        connected(server, api_key_env="SERVER_KEY")
    assert "sk-" not in str(caught.value)
    assert server.bodies == []


def test_requests_run_side_by_side_but_no_more_than_allowed(model, connected):
    batch = some(4, count=12)
    with serving(model) as server:
        engine = connected(server, concurrency=3)
        for sequence in batch:
            server.faults[tuple(ids_of(sequence))] = [Slow(0.05)]
        engine.token_scores(batch)
        assert server.most_in_flight == 3


# At the start


@pytest.mark.parametrize(
    ("behaviour", "chosen", "asked"),
    [
        ({}, "vllm", 1),
        ({"dialects": ("echo",)}, "echo", 2),
        ({"dialects": ("echo",), "strict": True}, "echo", 3),
    ],
)
def test_the_dialect_is_found_by_asking(model, engine, connected, behaviour, chosen, asked):
    (sequence,) = some(5, count=1)
    with serving(model, **behaviour) as server:
        remote = connected(server)
        assert (remote.dialect, len(server.bodies)) == (chosen, asked)
        (there,) = remote.token_scores([sequence])
    (here,) = engine.token_scores([sequence])
    np.testing.assert_allclose(logprobs(there), here.logprobs, atol=TOLERANCE)


def test_a_server_that_scores_no_prompts_is_refused(model, connected):
    """As llama.cpp's own server: it takes the request and leaves the prompt's values out."""
    with (
        serving(model, dialects=()) as server,
        pytest.raises(
            ModelError, match=r"does not score the prompts of served: vllm: .*; echo: "
        ) as at,
    ):
        connected(server)
    assert server.url in str(at.value)


@pytest.mark.parametrize("dialect", ["vllm", "echo"])
def test_a_server_that_reads_the_ids_as_text_is_found_out(model, connected, kinds, dialect):
    tokenizer = kinds["gpt-2"].tokenizer()

    def retokenised(ids):
        return tokenizer(tokenizer.decode(ids), add_special_tokens=False)["input_ids"]

    with (
        serving(model, rewrite=retokenised, dialects=(dialect,)) as server,
        pytest.raises(ModelError, match="does not score the prompts"),
    ):
        connected(server)


def test_the_probe_is_spelt_as_no_tokenizer_spells(kind):
    tokenizer = kind.tokenizer()
    probe = probe_of(TraceEncoder(kind.tokenizer(), {}))
    text = tokenizer.decode(probe.response_ids)
    assert tokenizer(text, add_special_tokens=False)["input_ids"] != probe.response_ids


@pytest.mark.parametrize(
    ("behaviour", "endpoint", "length"),
    [
        ({"max_model_len": 4096}, {}, 4095),  # it has to generate one token more
        ({"max_model_len": 4096}, {"context_length": 100}, 100),
        ({"max_model_len": None}, {}, None),
        ({"lists_models": False}, {}, None),
    ],
)
def test_how_long_a_sequence_may_be(model, connected, behaviour, endpoint, length):
    with serving(model, **behaviour) as server:
        assert connected(server, **endpoint).context_length == length


@pytest.mark.parametrize(
    ("behaviour", "served", "path", "message"),
    [
        ({}, "other", "", "serves served, but not other; set endpoint.model"),
        ({"lists_models": False}, "other", "", "404: The model `other` does not exist"),
        ({}, "served", "/oops", "404: no such path .*does endpoint.url end where the API starts"),
        ({"always": Status(403)}, "served", "", "403: as asked by the test"),
        ({"always": Status(500)}, "served", "", "500: as asked by the test"),
        ({"always": Reset()}, "served", "", "no answer: .*is the server up"),
    ],
)
def test_what_is_wrong_at_the_start_is_said_with_the_url(
    model, connected, behaviour, served, path, message
):
    with serving(model, **behaviour) as server:
        with pytest.raises(ModelError, match=message) as caught:
            connected(server, served=served, url=server.url + path)
        assert f"endpoint {server.url}{path}" in str(caught.value)


def test_a_server_that_is_not_there(model, connected):
    with serving(model) as server:
        pass
    with pytest.raises(ModelError, match=r"no answer: ConnectError.*is the server up"):
        connected(server)


# While it scores

TRANSIENT = [Status(code) for code in (408, 409, 429, 500, 502, 503, 504)] + [
    Reset(),
    Status(503, {"Retry-After": "0"}),
    Status(429, {"Retry-After": "soon"}),
]


@settings(max_examples=15)
@given(st.lists(st.lists(st.sampled_from(TRANSIENT), max_size=RETRIES), min_size=1, max_size=5))
def test_what_passes_changes_nothing(faulty, steady, faults):
    server, engine = faulty
    server.bodies.clear()
    batch = some(6, count=5)
    for sequence, queue in zip(batch, faults, strict=False):
        server.faults[tuple(ids_of(sequence))] = [*queue]
    found = engine.token_scores(batch)
    for one, other in zip(found, steady, strict=True):
        np.testing.assert_array_equal(logprobs(one), other)
    for sequence, queue in zip(batch, faults, strict=False):
        assert server.requests_for(ids_of(sequence)) == 1 + len(queue)


@pytest.fixture(scope="module")
def faulty(model, kinds):
    with serving(model) as server:
        config = ModelConfig(
            model="t", engine="openai", endpoint=ENDPOINT | {"url": server.url, "model": "served"}
        )
        yield server, connect(config, "served", TraceEncoder(kinds["gpt-2"].tokenizer(), {}))


@pytest.fixture(scope="module")
def steady(faulty):
    """What the batch of the property gets from a server without faults."""
    return [logprobs(scores) for scores in faulty[1].token_scores(some(6, count=5))]


@pytest.mark.parametrize("fault", [Status(500), Status(429), Reset()])
def test_a_sequence_that_always_fails_fails_alone(faulty, steady, fault):
    server, engine = faulty
    batch = some(6, count=5)
    server.bodies.clear()
    server.faults[tuple(ids_of(batch[2]))] = [fault] * (RETRIES + 1)
    found = engine.token_scores(batch)
    assert found[2].startswith("endpoint_error: ")
    assert f"{server.url}/completions" in found[2]
    assert server.requests_for(ids_of(batch[2])) == RETRIES + 1
    for place in (0, 1, 3, 4):
        np.testing.assert_array_equal(logprobs(found[place]), steady[place])


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_refused_sequence_is_not_sent_again(faulty, code):
    server, engine = faulty
    (sequence,) = some(7, count=1)
    server.bodies.clear()
    server.faults[tuple(ids_of(sequence))] = [Status(code, message="too\n long")]
    error = f"endpoint_refused: {code}: too long ({server.url}/completions)"
    assert engine.token_scores([sequence]) == [error]
    assert len(server.bodies) == 1


def test_an_answer_that_takes_too_long_is_asked_for_again(model, engine, connected):
    (sequence,) = some(8, count=1)
    with serving(model) as server:
        remote = connected(server, timeout_s=0.3)
        server.faults[tuple(ids_of(sequence))] = [Slow(0.6)]
        (there,) = remote.token_scores([sequence])
        assert server.requests_for(ids_of(sequence)) == 2
    (here,) = engine.token_scores([sequence])
    np.testing.assert_allclose(logprobs(there), here.logprobs, atol=TOLERANCE)


@pytest.mark.parametrize("fault", [Status(503), Status(401), Status(404), Reset()])
def test_an_outage_is_not_blamed_on_the_traces(model, connected, fault):
    with serving(model) as server:
        engine = connected(server)
        server.always = fault
        with pytest.raises(
            ModelError, match=r"stopped scoring served: .*Nothing of this part was kept"
        ):
            engine.token_scores(some(9, count=40))
        assert len(server.bodies) < 40 * (RETRIES + 1)  # it gives up on the rest
        server.always = None
        assert all(isinstance(one, TokenScores) for one in engine.token_scores(some(9)))


def test_a_server_that_is_gone(model, connected):
    with serving(model) as server:
        engine = connected(server)
    with pytest.raises(ModelError, match="stopped scoring served: no answer: ConnectError"):
        engine.token_scores(some(10))


def test_a_server_that_names_a_time_is_not_asked_before_it(model, connected):
    (sequence,) = some(11, count=1)
    with serving(model) as server:
        engine = connected(server)
        begun = datetime.now(UTC)
        at = (begun + timedelta(seconds=4)).replace(microsecond=0)
        server.faults[tuple(ids_of(sequence))] = [
            Status(429, {"Retry-After": "1"}),
            Status(503, {"Retry-After": format_datetime(at, usegmt=True)}),
        ]
        engine.token_scores([sequence])
        assert server.times[-2] >= begun + timedelta(seconds=1)
        assert server.times[-1] >= at


# Answers that are not what they seem


def prompt_logprobs(answer):
    return answer["choices"][0]["prompt_logprobs"]


def first_of(answer, place):
    return next(iter(prompt_logprobs(answer)[place].values()))


def put(place, **entry):
    return Tweak(lambda answer: first_of(answer, place).update(entry))


WRONG = {
    "cut at the end": (
        Tweak(lambda a: prompt_logprobs(a).pop()),
        "one per token sent, got 23",
    ),
    "one too many": (
        Tweak(lambda a: prompt_logprobs(a).append(None)),
        "one per token sent, got 25",
    ),
    "shifted": (
        Tweak(lambda a: prompt_logprobs(a).append(prompt_logprobs(a).pop(0))),
        "expected null as the first of prompt_logprobs",
    ),
    "of another token": (
        Tweak(lambda a: prompt_logprobs(a).__setitem__(9, {"3": {"logprob": -1.0}})),
        r"token 9 of 24 was sent as \d+, came as \['3'\]",
    ),
    "null inside": (Tweak(lambda a: prompt_logprobs(a).__setitem__(9, None)), "came as None"),
    "positive": (put(9, logprob=0.5), r"at most 0, got 0\.5"),
    "no number": (put(9, logprob="-1"), "expected a log-probability, got '-1'"),
    "a truth value": (put(9, logprob=True), "expected a log-probability, got True"),
    "nothing": (put(9, logprob=None), "expected a log-probability, got None"),
    "none at all": (
        Tweak(lambda a: a["choices"][0].pop("prompt_logprobs")),
        "expected prompt_logprobs of the prompt, got None",
    ),
    "two choices": (Tweak(lambda a: a["choices"].append({})), "expected 1 choice, got 2"),
    "no choice": (Tweak(lambda a: a["choices"].clear()), "expected 1 choice, got 0"),
    "another object": (Answer(["x"]), r"expected a completion, got \['x'\]"),
    "no JSON": (Answer(b"<html>"), "200, but not JSON"),
}


@pytest.mark.parametrize("how", WRONG)
def test_a_wrong_answer_is_an_error_and_never_a_number(faulty, how):
    server, engine = faulty
    wrong, message = WRONG[how]
    batch = some(12, count=3)
    batch[0] = TokenSequence(batch[0].prompt_ids, batch[0].response_ids[:20])
    server.faults[tuple(ids_of(batch[0]))] = [wrong]
    error, *others = engine.token_scores(batch)
    with pytest.raises(AssertionError, match=message):
        logprobs(error)
    assert error.startswith("endpoint_error: ")
    assert f"({server.url}/completions)" in error
    assert all(isinstance(one, TokenScores) for one in others)


ECHO_WRONG = {
    "cut": (
        Tweak(lambda a: a["choices"][0]["logprobs"].update(token_logprobs=[None] + [-1.0] * 22)),
        "one per token sent, got 23",
    ),
    "null inside": (
        Tweak(lambda a: a["choices"][0]["logprobs"]["token_logprobs"].__setitem__(9, None)),
        "expected a log-probability, got None",
    ),
    "no first null": (
        Tweak(lambda a: a["choices"][0]["logprobs"]["token_logprobs"].__setitem__(0, -1.0)),
        "expected null as the first",
    ),
    "fewer read": (
        Tweak(lambda a: a["usage"].update(prompt_tokens=23)),
        "24 tokens were sent, the server read 23",
    ),
    "others read": (
        Tweak(lambda a: a["choices"][0]["prompt_token_ids"].reverse()),
        "24 token ids were sent, others came back",
    ),
    "no word of what was read": (
        Tweak(lambda a: (a.pop("usage"), a["choices"][0].pop("prompt_token_ids"))),
        "neither usage.prompt_tokens nor prompt_token_ids",
    ),
    "a list in place of logprobs": (
        Tweak(lambda a: a["choices"][0].update(logprobs=[1])),
        "expected usage and logprobs as objects",
    ),
    "a list in place of usage": (
        Tweak(lambda a: a.update(usage=[1])),
        "expected usage and logprobs as objects",
    ),
    "no logprobs": (
        Tweak(lambda a: a["choices"][0].update(logprobs=None)),
        "expected logprobs.token_logprobs of the prompt, got None",
    ),
}


@pytest.mark.parametrize("how", ECHO_WRONG)
def test_a_wrong_echo_is_an_error_and_never_a_number(model, connected, how):
    wrong, message = ECHO_WRONG[how]
    (sequence,) = some(13, count=1)
    with serving(model, dialects=("echo",)) as server:
        engine = connected(server)
        server.faults[tuple(ids_of(sequence))] = [wrong]
        (error,) = engine.token_scores([sequence])
    with pytest.raises(AssertionError, match=message):
        logprobs(error)


@pytest.mark.parametrize("dialect", ["vllm", "echo"])
def test_a_server_that_cuts_long_prompts_is_found_out(model, connected, dialect):
    short, long = some(14, count=1, length=40) + some(15, count=1, length=90)
    for cut in (lambda ids: ids[-80:], lambda ids: ids[:80]):
        with serving(model, rewrite=cut, dialects=(dialect,), max_model_len=None) as server:
            fine, error = connected(server).token_scores([short, long])
        assert logprobs(fine).size == 40
        assert isinstance(error, str)
        assert error.startswith("endpoint_error: ")


def test_what_is_not_finite_is_the_traces_error(model, connected, encoder):
    trace = Trace([{"role": "user", "content": "6 x 7?"}], "It is 42!", [(0, 9)])
    sequence = encoder.encode(trace.messages, trace.response).sequence
    with serving(model) as server:
        scorer = ModelScorer(encoder, connected(server), 1000)
        last = len(sequence) - 1
        server.faults[tuple(ids_of(sequence))] = [put(last, logprob=-9999.0)]
        (error,) = scorer.tokens([trace])
    assert str(error).startswith("nonfinite_score: 1 of ")


# Which model it is


def key_of(folder, *, revision=None, **endpoint):
    config = ModelConfig(
        model=str(folder),
        revision=revision,
        engine="openai",
        endpoint={"url": "http://a/v1"} | endpoint,
    )
    return identity_of(config).key


def test_the_key_is_of_the_tokenizer_and_the_served_model(model_folder, tmp_path):
    folder = model_folder()
    bare = Path(shutil.copytree(folder, tmp_path / "bare" / folder.name))
    (bare / "model.safetensors").unlink()
    key = key_of(folder, model="m")
    assert key_of(bare, model="m") == key
    assert key_of(folder, model="m", url="https://b:1/v1", dialect="echo", concurrency=2) == key
    others = [
        key_of(folder, model="n"),
        key_of(folder),
        key_of(folder, model="m", revision="v1"),
        key_of(folder, model="m", revision="v2"),
    ]
    (bare / "tokenizer.json").write_text((bare / "tokenizer.json").read_text() + "\n")
    assert len({key, *others, key_of(bare, model="m")}) == 6
