"""Both paths give what a plain forward pass of the model gives, whatever its architecture."""

import json
import logging

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import DynamicCache

from rdpt_ray.errors import ModelError
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.scoring import probe
from rdpt_ray.scoring.engine import TokenSequence
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.scoring.transformers_engine import TransformersEngine, load_engine

VOCABULARY = 300
HIDDEN = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
GROUPED = HIDDEN | {"num_key_value_heads": 2, "head_dim": 12}
SLIDING = ["sliding_attention", "full_attention"]
LONGROPE = {
    "rope_type": "longrope",
    "short_factor": [1.0] * 6,
    "long_factor": [4.0] * 6,
    "rope_theta": 10_000.0,
}

PACKS = {
    "Llama": GROUPED,
    "Llama, biased head": GROUPED | {"attention_bias": True, "mlp_bias": True},
    "Mistral": GROUPED | {"sliding_window": 16},
    "Qwen2": GROUPED | {"sliding_window": 33, "use_sliding_window": True, "layer_types": SLIDING},
    "Qwen3": GROUPED,
    "Gemma3Text": GROUPED | {"sliding_window": 8, "layer_types": SLIDING},
    "GPT2": {"n_embd": 48, "n_layer": 2, "n_head": 4},
    "GPTNeoX": HIDDEN,
    "Phi3": GROUPED,
    "Granite": GROUPED | {"residual_multiplier": 0.5, "attention_multiplier": 0.2},
    "Mixtral": GROUPED | {"num_local_experts": 4, "sliding_window": None},
    "GptOss": GROUPED | {"num_local_experts": 4, "sliding_window": 8},
    "Gemma3Text, capped": GROUPED | {"final_logit_softcapping": 5.0},
    "Gemma3Text, a cap that hardly shows": GROUPED | {"final_logit_softcapping": 1000.0},
    "Granite, scaled": GROUPED | {"logits_scaling": 8.0},
    "Cohere": GROUPED,
}

DECLINES = {
    "Gemma2": (GROUPED, "NotImplementedError: soft-capped attention scores"),
    "Gemma2, no cap on logits": (
        GROUPED | {"final_logit_softcapping": None},
        "NotImplementedError: soft-capped attention scores",
    ),
    "Mamba": (
        {"hidden_size": 48, "num_hidden_layers": 2},
        "it does not support transformers' attention interface",
    ),
    "Electra": (
        HIDDEN | {"embedding_size": 24, "is_decoder": True},
        "its head is more than one linear map",
    ),
    "Phimoe, windows in masks alone": (
        HIDDEN | {"num_key_value_heads": 2, "num_local_experts": 4, "sliding_window": 40},
        "it does not tell its attention how wide the window is",
    ),
    "Qwen2Moe, windows in masks alone": (
        GROUPED
        | {"num_experts": 4, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 24}
        | {"use_sliding_window": True, "sliding_window": 40, "layer_types": SLIDING},
        "it does not tell its attention how wide the window is",
    ),
    "Phi3, longrope": (
        GROUPED
        | {"rope_parameters": LONGROPE, "original_max_position_embeddings": 64}
        | {"max_position_embeddings": 256},
        "its rotary frequencies (longrope) follow the longest trace of a pass",
    ),
    "Llama, dynamic": (
        GROUPED
        | {"rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10_000.0}},
        "its rotary frequencies (dynamic) follow the longest trace of a pass",
    ),
    "RecurrentGemma": (
        HIDDEN | {"num_key_value_heads": 1, "lru_width": 48, "attention_window_size": 16},
        "it has layers of type",
    ),
}


def config_of(name, fields):
    kind = getattr(transformers, f"{name.split(',')[0]}Config")
    ends = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return kind(**({"vocab_size": VOCABULARY} | ends | fields))


def random_sequences(lengths, seed=1, vocabulary=VOCABULARY):
    generator = np.random.default_rng(seed)
    return [
        TokenSequence(
            generator.integers(3, vocabulary, prompt).tolist(),
            generator.integers(3, vocabulary, response).tolist(),
        )
        for prompt, response in lengths
    ]


SEQUENCES = random_sequences([(5, 40), (3, 7), (1, 1), (9, 120), (2, 2)])


def one_by_one(model, sequence):
    """Float64 log-probabilities of the response, one token at a time from a plain forward pass."""
    ids = torch.tensor([sequence.prompt_ids + sequence.response_ids])
    with torch.no_grad():
        logprobs = model(input_ids=ids, use_cache=False).logits[0].double().log_softmax(-1)
    first = len(sequence.prompt_ids)
    return np.array(
        [
            logprobs[first + place - 1, token].item()
            for place, token in enumerate(sequence.response_ids)
        ]
    )


def assert_right(engine, model, sequences=SEQUENCES, tolerance=1e-5):
    """Together and alone, each sequence gets what the plain model gives it."""
    together = logprobs(engine, sequences)
    for sequence, values in zip(sequences, together, strict=True):
        assert (values.dtype, values.shape) == (np.float32, (len(sequence.response_ids),))
        assert (values <= 0).all()
        expected = one_by_one(model, sequence)
        np.testing.assert_allclose(values, expected, rtol=0, atol=tolerance)
        (alone,) = logprobs(engine, [sequence])
        np.testing.assert_allclose(alone, values, rtol=0, atol=tolerance)
    assert np.concatenate(together).min() < -4, "the model has opinions"


def logprobs(engine, sequences):
    return [scores.logprobs for scores in engine.token_scores(sequences)]


@pytest.fixture
def declined(caplog):
    """Reasons in the log why models are not packed."""
    caplog.set_level(logging.WARNING, logger="rdpt_ray")
    return lambda: [
        record.message.split("is scored one trace at a time: ")[1]
        for record in caplog.records
        if "one trace at a time" in record.message
    ]


@pytest.mark.parametrize("name", PACKS)
def test_models_that_pack(name, tiny_model, declined):
    model = tiny_model(config_of(name, PACKS[name]))
    if "biased head" in name:
        model.lm_head.bias = torch.nn.Parameter(torch.randn(VOCABULARY))
    engine = TransformersEngine(model)
    assert (engine.packs, declined()) == (True, [])
    plain = tiny_model(config_of(name, PACKS[name]))
    if "biased head" in name:
        plain.lm_head.bias = model.lm_head.bias
    assert_right(engine, plain)


@pytest.mark.parametrize("name", DECLINES)
def test_models_that_do_not_pack_say_why_and_are_right(name, tiny_model, declined):
    fields, reason = DECLINES[name]
    engine = TransformersEngine(tiny_model(config_of(name, fields)))
    assert not engine.packs
    (said,) = declined()
    assert said.startswith(reason)
    assert_right(engine, tiny_model(config_of(name, fields)))


class Bigrams(torch.nn.Embedding):
    """Adds the embedding of the token before: across traces, if they lie in one row."""

    def forward(self, ids):
        embedded = super().forward(ids)
        return embedded + torch.nn.functional.pad(embedded, (0, 0, 1, 0))[:, :-1]


def test_what_no_config_tells_is_measured(tiny_model, declined):
    models = [tiny_model(config_of("Llama", GROUPED)) for _ in range(2)]
    for model in models:
        weight = model.get_input_embeddings().weight
        model.set_input_embeddings(Bigrams(*weight.shape, _weight=weight.detach()))
    engine = TransformersEngine(models[0])
    assert not engine.packs
    (said,) = declined()
    assert said.startswith("it changes its log-probabilities by ")
    assert float(said.split()[-1]) > 0.1
    assert_right(engine, models[1])


def test_rounding_that_adds_up_over_many_layers_is_no_reason(tiny_model, declined):
    """A bound of 0.25 nats had an 8-billion-parameter model read its traces one by one on an H100."""
    config = config_of("Llama", GROUPED | {"num_hidden_layers": 36})
    model = tiny_model(config, factor=12.0, dtype=torch.bfloat16)
    traces = probe.sequences(model)
    own = probe.own_logprobs(model, traces)
    engine = TransformersEngine(model)
    assert (engine.packs, engine.chunks, declined()) == (True, True, [])
    packed = np.concatenate(logprobs(engine, traces))
    assert np.abs(packed - own).max() > 0.25


def test_one_leaked_token_is_found_in_bfloat16_too(tiny_model, declined):
    model = tiny_model(config_of("Llama", GROUPED), factor=4.0, dtype=torch.bfloat16)
    weight = model.get_input_embeddings().weight
    model.set_input_embeddings(Bigrams(*weight.shape, _weight=weight.detach()))
    assert not TransformersEngine(model).packs
    assert declined()[0].startswith("it changes its log-probabilities by ")


def test_packing_is_no_matter_of_rounding_in_a_dense_model(engine):
    """To the bit in float32 on one thread; experts see other numbers of tokens, so Mixtral is only close."""
    sequences = random_sequences(
        [(p, r) for p in (1, 2, 3, 17) for r in (1, 2, 3, 5, 64, 200, 511)], vocabulary=400
    )
    alone = [logprobs(engine, [sequence])[0] for sequence in sequences]
    for seed in range(4):
        generator = np.random.default_rng(seed)
        chosen = generator.permutation(len(sequences))[: generator.integers(2, len(sequences))]
        together = logprobs(engine, [sequences[place] for place in chosen])
        for place, values in zip(chosen, together, strict=True):
            np.testing.assert_array_equal(values, alone[place])


READS_IN_CHUNKS = PACKS | {
    name: DECLINES[name][0] for name in ("Gemma2", "Phimoe, windows in masks alone")
}


@pytest.mark.parametrize("name", READS_IN_CHUNKS)
def test_a_trace_above_the_budget_is_read_in_chunks(name, tiny_model):
    config = config_of(name, READS_IN_CHUNKS[name])
    engine = TransformersEngine(tiny_model(config), token_budget=24)
    assert engine.chunks
    plain = tiny_model(config)
    lengths = [(5, 100), (40, 9), (24, 1), (23, 2), (1, 71), (3, 8)]
    for sequence in random_sequences(lengths):
        (values,) = logprobs(engine, [sequence])
        np.testing.assert_allclose(values, one_by_one(plain, sequence), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["Phi3, longrope", "Llama, dynamic"])
@pytest.mark.parametrize("token_budget", [24, 64, 100])
def test_positions_that_follow_the_length_are_never_read_in_chunks(name, token_budget, tiny_model):
    """A first chunk within the original length would be read by other frequencies than the whole."""
    config = config_of(name, DECLINES[name][0] | {"max_position_embeddings": 256})
    engine = TransformersEngine(tiny_model(config), token_budget=token_budget)
    assert not engine.chunks
    (sequence,) = random_sequences([(50, 100)])
    (values,) = logprobs(engine, [sequence])
    np.testing.assert_allclose(values, one_by_one(tiny_model(config), sequence), rtol=0, atol=1e-5)


class Forgetful(DynamicCache):
    """A cache that gives back only what it was just given."""

    def update(self, key_states, value_states, *args, **kwargs):
        return key_states, value_states


def test_a_cache_that_does_not_give_back_is_not_used(tiny_model, monkeypatch, caplog):
    monkeypatch.setattr("rdpt_ray.scoring.transformers_engine.DynamicCache", Forgetful)
    engine = TransformersEngine(tiny_model(config_of("Llama", GROUPED)), token_budget=24)
    assert (engine.packs, engine.chunks) == (True, False)
    assert "reads a trace of any length in one pass: it changes its log-prob" in caplog.text
    assert_right(engine, tiny_model(config_of("Llama", GROUPED)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Llama", "Gemma3Text"])
def test_32k_tokens_over_a_cache(name, tiny_model):
    config = config_of(name, PACKS[name] | {"max_position_embeddings": 40_000})
    (sequence,) = random_sequences([(1000, 31_768)])
    assert len(sequence) == 32_768
    (values,) = logprobs(TransformersEngine(tiny_model(config), token_budget=4096), [sequence])
    whole = TransformersEngine(tiny_model(config), token_budget=40_000)
    (expected,) = logprobs(whole, [sequence])
    np.testing.assert_allclose(values, expected, rtol=0, atol=2e-5)
    tail = TokenSequence([*sequence.prompt_ids, *sequence.response_ids[:-9]], [])
    ids = torch.tensor([[*tail.prompt_ids, *sequence.response_ids[-9:]]])
    plain = tiny_model(config)
    with torch.no_grad():
        hidden = plain.base_model(input_ids=ids, use_cache=False).last_hidden_state[0, -10:-1]
        own = plain.lm_head(hidden).double().log_softmax(-1)[range(9), ids[0, -9:]]
    np.testing.assert_allclose(values[-9:], own.numpy(), rtol=0, atol=2e-5)


class LittleMemory(torch.nn.Module):
    """A body that runs out of memory above a number of tokens, as a GPU would."""

    def __init__(self, body, limit, error=None):
        super().__init__()
        self.body, self.limit, self.seen = body, limit, []
        self.error = error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    def forward(self, input_ids, **kwargs):
        self.seen.append(input_ids.shape[1])
        if input_ids.shape[1] > self.limit:
            raise self.error
        return self.body(input_ids, **kwargs)


def test_memory_that_runs_out_makes_the_chunks_smaller(tiny_model):
    config = config_of("Llama", GROUPED)
    model = tiny_model(config)
    engine = TransformersEngine(model, token_budget=8192)
    model.model = small = LittleMemory(model.model, limit=600)
    (sequence,) = random_sequences([(300, 1500)])
    (values,) = logprobs(engine, [sequence])
    np.testing.assert_allclose(values, one_by_one(tiny_model(config), sequence), rtol=0, atol=1e-5)
    assert small.seen == [1800, 900, 450, 450, 450, 450]
    with pytest.raises(MemoryError, match="Tried to allocate 2 GiB"):
        engine.token_scores([sequence, sequence])
    small.limit = 100
    with pytest.raises(MemoryError, match="Tried to allocate 2 GiB"):
        engine.token_scores([sequence])


@pytest.mark.parametrize(
    "said",
    [
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)",
        "could not create a memory object",
    ],
)
def test_every_librarys_way_of_saying_so_makes_the_chunks_smaller(tiny_model, said):
    model = tiny_model(config_of("Llama", GROUPED))
    engine = TransformersEngine(model)
    model.model = small = LittleMemory(model.model, limit=600, error=RuntimeError(said))
    engine.token_scores(random_sequences([(300, 600)]))
    assert small.seen == [900, 450, 450]
    small.error = RuntimeError("shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="shapes"):
        engine.token_scores(random_sequences([(300, 600)]))


def test_signals_come_with_the_pass_and_change_no_logprob(tiny_model):
    config = config_of("Llama", GROUPED)
    model = tiny_model(config)
    engine = TransformersEngine(tiny_model(config), signals=["rank", "brier"], token_budget=50)
    plain = logprobs(TransformersEngine(tiny_model(config), token_budget=50), SEQUENCES)
    alone = [engine.token_scores([sequence])[0] for sequence in SEQUENCES]
    for sequence, scores, other, without in zip(
        SEQUENCES, engine.token_scores(SEQUENCES), alone, plain, strict=True
    ):
        assert scores.logprobs.tolist() == without.tolist()
        ids = torch.tensor([sequence.prompt_ids + sequence.response_ids])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, len(sequence.prompt_ids) - 1 : -1]
        target = logits.gather(1, ids[0, len(sequence.prompt_ids) :, None])
        ranks = (1 + (logits > target).sum(1)).clamp(max=100)
        np.testing.assert_allclose(scores.ranks, ranks, atol=0)
        assert (scores.briers >= 0).all()
        assert (scores.briers <= 2).all()
        assert other.ranks.tolist() == ranks.tolist()
        np.testing.assert_allclose(other.briers, scores.briers, atol=1e-5)


@pytest.mark.parametrize("name", ["Llama", "Gemma3Text, capped"])
def test_weights_can_stay_as_they_lie_in_the_file(name, tiny_model):
    config = config_of(name, PACKS[name])
    model = tiny_model(config)
    places = {parameter.data_ptr() for parameter in model.parameters()}
    engine = TransformersEngine(model, packs_weights=False)
    assert places <= {parameter.data_ptr() for parameter in model.parameters()}
    assert engine.packs
    assert_right(engine, tiny_model(config))


class Late(transformers.LlamaForCausalLM):
    """Sharpens its logits from position 24 on: as a short look at its head does not show."""

    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        output.logits[:, 24:] *= 2.0
        return output


def test_a_head_that_is_not_what_it_seemed_is_left_to_the_model(declined):
    torch.manual_seed(0)
    model = Late(config_of("Llama", GROUPED)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 8.0
    engine = TransformersEngine(model)
    assert (engine.packs, engine.chunks) == (False, False)
    assert declined() == ["its head is more than one linear map"]
    assert_right(engine, model, tolerance=1e-4)
    with pytest.raises(ModelError, match=r"signals \['rank'\] need a head"):
        TransformersEngine(model, signals=["rank"])


def test_signals_need_a_head_that_is_linear(tiny_model):
    with pytest.raises(ModelError, match=r"signals \['rank'\] need a head that is one linear map"):
        TransformersEngine(
            tiny_model(config_of("Electra", DECLINES["Electra"][0])), signals=["rank"]
        )


def test_yarn_reads_as_far_as_it_stretches(tiny_model):
    yarn = {"rope_type": "yarn", "factor": 4.0, "rope_theta": 10_000.0}
    for original, positions in ((64, 64), (64, 256), (None, 64)):
        rope = yarn | ({"original_max_position_embeddings": original} if original else {})
        fields = GROUPED | {"rope_parameters": rope, "max_position_embeddings": positions}
        engine = TransformersEngine(tiny_model(config_of("Llama", fields)))
        assert engine.context_length == 256


@pytest.mark.parametrize("name", ["Llama", "Gemma3Text", "Gemma2"])
def test_bfloat16_is_close_on_both_paths(name, tiny_model):
    fields = PACKS.get(name) or DECLINES[name][0]
    config = config_of(name, fields)
    model = tiny_model(config, factor=4.0, dtype=torch.bfloat16)
    engine = TransformersEngine(model)
    assert engine.packs == (name in PACKS)
    exact = tiny_model(config, factor=4.0)
    for sequence, values in zip(SEQUENCES, logprobs(engine, SEQUENCES), strict=True):
        assert values.dtype == np.float32
        difference = np.abs(values - one_by_one(exact, sequence))
        assert difference.max() < 0.3
        assert difference.mean() < 0.03


def test_the_context_length_is_the_configs(tiny_model):
    for name, fields, expected in (
        ("Llama", GROUPED | {"max_position_embeddings": 123}, 123),
        ("GPT2", PACKS["GPT2"] | {"n_positions": 77}, 77),
        ("Mamba", DECLINES["Mamba"][0], None),
    ):
        engine = TransformersEngine(tiny_model(config_of(name, fields)))
        assert engine.context_length == expected


@pytest.mark.parametrize("name", ["Llama", "Mamba"])
def test_an_id_the_model_lacks_is_an_index_error_before_any_pass(name, tiny_model):
    fields = PACKS.get(name) or DECLINES[name][0]
    engine = TransformersEngine(tiny_model(config_of(name, fields)))
    for sequence in (TokenSequence([300], [5]), TokenSequence([5], [7, 300])):
        with pytest.raises(IndexError, match="token id 300, the model has 300 embeddings"):
            logprobs(engine, [TokenSequence([4], [5]), sequence])


# Loading.


def load(folder, **changes):
    asked = {"model": str(folder), "dtype": "float32", "pool": {"num_gpus": 0}} | changes
    num_threads = asked.pop("num_threads", 1)
    identity = ModelIdentity(str(folder), str(folder), "", True, asked["dtype"], "", {}, None)
    return load_engine(ModelConfig(**asked), identity, num_threads=num_threads)


@pytest.fixture
def folder(tmp_path, tiny_model):
    tiny_model(config_of("Llama", GROUPED)).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def edit_config(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def edit_weights(folder, **tensors):
    path = folder / "model.safetensors"
    kept = {name: value for name, value in (load_file(path) | tensors).items() if value is not None}
    save_file(kept, path, metadata={"format": "pt"})


def test_a_loaded_model_is_the_saved_one(folder, tiny_model):
    engine = load(folder)
    assert engine.packs
    assert_right(engine, tiny_model(config_of("Llama", GROUPED)))
    half = load(folder, dtype="bfloat16")
    for one, other in zip(logprobs(engine, SEQUENCES), logprobs(half, SEQUENCES), strict=True):
        assert 0 < np.abs(one - other).max() < 3


def test_tied_embeddings_are_no_missing_weights(tmp_path, tiny_model):
    config = config_of("Llama", GROUPED | {"tie_word_embeddings": True})
    tiny_model(config).save_pretrained(tmp_path)
    assert_right(load(tmp_path), tiny_model(config))


def test_threads_are_pinned(folder):
    load(folder, num_threads=2)
    assert torch.get_num_threads() == 2
    load(folder, num_threads=1)
    assert torch.get_num_threads() == 1


def only_pickled(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


UP = "model.layers.1.mlp.up_proj.weight"
RANDOM = f"1 tensors of LlamaForCausalLM .* would be random numbers \\({UP} is one\\)"
UNUSABLE = {
    "pickled weights": (only_pickled, "model.safetensors"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "config.json"),
    "a config that is no JSON": (lambda folder: (folder / "config.json").write_text("{"), "JSON"),
    "an unknown model": (lambda folder: edit_config(folder, model_type="nosuch"), "nosuch"),
    "no language model": (
        lambda folder: edit_config(folder, model_type="t5"),
        "AutoModelForCausalLM",
    ),
    "a size that is no number": (
        lambda folder: edit_config(folder, hidden_size="big"),
        "hidden_size",
    ),
    "a quantisation that is not installed": (
        lambda folder: edit_config(folder, quantization_config={"quant_method": "gptq", "bits": 4}),
        "optimum",
    ),
    "half a file": (
        lambda folder: (folder / "model.safetensors").write_bytes(
            (folder / "model.safetensors").read_bytes()[:2000]
        ),
        "header",
    ),
    "a tensor of another shape": (
        lambda folder: edit_weights(folder, **{UP: torch.zeros(3, 3)}),
        RANDOM,
    ),
    "a tensor that is not there": (lambda folder: edit_weights(folder, **{UP: None}), RANDOM),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_what_cannot_be_loaded_is_named(folder, what):
    spoil, said = UNUSABLE[what]
    spoil(folder)
    with pytest.raises(ModelError, match=said) as caught:
        load(folder)
    assert str(caught.value).startswith(f"model {folder}: ")


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match="nowhere: cannot be loaded"):
        load(tmp_path / "nowhere")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_gpu_that_is_not_there(folder):
    with pytest.raises(ModelError, match=r"pool\.num_gpus > 0, but this actor sees no CUDA device"):
        load(folder, pool={"num_gpus": 1})


@pytest.mark.parametrize("model_type", ["llama", "evil"])
def test_no_code_of_the_folder_runs(folder, model_type):
    canary = folder.parent / "canary"
    (folder / "evil.py").write_text(
        f"open({str(canary)!r}, 'w').close()\n"
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "class EvilConfig(LlamaConfig): model_type = 'evil'\n"
        "class Evil(LlamaForCausalLM): config_class = EvilConfig\n"
    )
    auto_map = {"AutoConfig": "evil.EvilConfig", "AutoModelForCausalLM": "evil.Evil"}
    edit_config(folder, auto_map=auto_map, model_type=model_type, architectures=["Evil"])
    if model_type == "llama":
        assert load(folder).packs
    else:
        with pytest.raises(ModelError, match="trust_remote_code"):
            load(folder)
    assert not canary.exists()
