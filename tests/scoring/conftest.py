"""Tokenizers of every kind, trained here, and tiny models with sharp opinions; nothing is downloaded."""

import json
from dataclasses import dataclass

import pytest
import torch
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from rdpt_ray.scoring.encoding import TraceEncoder
from rdpt_ray.scoring.scorer import ModelScorer
from rdpt_ray.scoring.transformers_engine import TransformersEngine

CORPUS = [
    "Let me think about this. The sum of the digits is 42, so we have $x^2 + y^2 = 25$.\n\n",
    "Wait, that is not right.\n\nTherefore the answer is \\boxed{12}. Is it? 7 of 9 say so!\n",
    "\tfor i in range(10):\n\t\tprint(i)    # four blanks\n\nSo \\frac{1}{2} < \\sqrt{3}.\n\n",
    "\u7b54\u6848\u662f\u56db\u5341\u4e8c\u3002\u6240\u4ee5\u6211\u4eec\u9009\u62e9\u7b2c\u4e8c\u4e2a\u3002",
    "Caf\u00e9 na\u00efve r\u00e9sum\u00e9 \U0001f600 fine. ",
] * 8
VOCABULARY = 420
CONTROL = ("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>")
"""Ids 0 to 4 of every tokenizer. The turn markers are not flagged special, as in many a real one."""

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN.replace(r"\p{N}|", r"\p{N}{1,3}|")


@dataclass(frozen=True)
class Kind:
    """A way of cutting text, and how its pieces spell bytes."""

    name: str
    backend: Tokenizer
    byte_level: bool
    """Pieces are letters that stand for bytes; otherwise text with U+2581 for a blank and <0xNN>."""

    def tokenizer(self, chat_template=CHATML):
        """A fresh one; an encoder may keep it."""
        loaded = PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer.from_str(self.backend.to_str()),
            unk_token="<unk>",
            bos_token="<s>",
            eos_token="</s>",
        )
        loaded.chat_template = chat_template
        return loaded


def _added(texts=CONTROL):
    return [AddedToken(text, special=not text.startswith("<|"), normalized=False) for text in texts]


def _byte_level(name, *, pattern=None, normalizer=None, trim=False, prefix=False):
    backend = Tokenizer(models.BPE())
    if normalizer is not None:
        backend.normalizer = normalizer
    letters = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=pattern is None)
    cut = [] if pattern is None else [pre_tokenizers.Split(Regex(pattern), behavior="isolated")]
    backend.pre_tokenizer = pre_tokenizers.Sequence([*cut, letters])
    backend.post_processor = processors.ByteLevel(trim_offsets=trim, add_prefix_space=prefix)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(CONTROL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS, trainer)
    return Kind(name, _reflagged(backend), byte_level=True)


def _reflagged(backend):
    """The same with the flags of `_added`; a trainer flags all its tokens as special."""
    tree = json.loads(backend.to_str())
    for token in tree["added_tokens"]:
        token["special"] = not token["content"].startswith("<|")
    return Tokenizer.from_str(json.dumps(tree))


def _byte_pieces(start):
    return {f"<0x{byte:02X}>": start + byte for byte in range(256)}


def _piece_level(name, normalizer, pre_tokenizer):
    """SentencePiece's BPE as Llama 2 and Gemma have it: U+2581 for blanks, unknown characters in bytes."""
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.normalizer, trained.pre_tokenizer = normalizer, pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 256, special_tokens=list(CONTROL), show_progress=False
    )
    trained.train_from_iterator([line for text in CORPUS for line in text.split("\n")], trainer)
    model = json.loads(trained.to_str())["model"]
    vocabulary = model["vocab"] | _byte_pieces(len(model["vocab"]))
    backend = Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=[tuple(pair) for pair in model["merges"]],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    backend.normalizer, backend.pre_tokenizer = normalizer, pre_tokenizer
    backend.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    backend.add_tokens(_added())
    return Kind(name, backend, byte_level=False)


def _unigram(name):
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY - 256,
        special_tokens=list(CONTROL),
        unk_token="<unk>",
        show_progress=False,
    )
    trained.train_from_iterator([line for text in CORPUS for line in text.split("\n")], trainer)
    pieces = [tuple(pair) for pair in json.loads(trained.to_str())["model"]["vocab"]]
    pieces += [(text, -20.0) for text in _byte_pieces(0)]
    backend = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    backend.add_tokens(_added())
    return Kind(name, backend, byte_level=False)


def _llama2():
    prepend = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    return _piece_level("llama-2", prepend, None)


BUILDERS = {
    "gpt-2": lambda: _byte_level("gpt-2"),
    "qwen": lambda: _byte_level("qwen", pattern=QWEN, normalizer=normalizers.NFC()),
    "llama-3, trimmed": lambda: _byte_level("llama-3, trimmed", pattern=LLAMA3, trim=True),
    "roberta": lambda: _byte_level("roberta", trim=True, prefix=True),
    "llama-2": _llama2,
    "gemma": lambda: _piece_level("gemma", normalizers.Replace(" ", "\u2581"), None),
    "metaspace": lambda: _piece_level(
        "metaspace", None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    ),
    "unigram": lambda: _unigram("unigram"),
}


@pytest.fixture(scope="session")
def kinds():
    """Name -> Kind, all of them."""
    return {name: build() for name, build in BUILDERS.items()}


@pytest.fixture(scope="session", params=BUILDERS)
def kind(request, kinds):
    """Each kind of tokenizer in turn."""
    return kinds[request.param]


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Sums come out equal to the bit only where the threads are pinned, as an actor pins them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def build(config, *, factor=8.0, dtype=torch.float32):
    """A random model whose weights are large enough that each position and token matters."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(factor)
    return model.to(dtype).eval()


def llama(**changes):
    """The config of the model that most tests use; its vocabulary covers every kind."""
    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 20_000,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return LlamaConfig(**(sizes | changes))


@pytest.fixture(scope="session")
def tiny_model():
    """Builds a random model from a config."""
    return build


@pytest.fixture(scope="session")
def llama_config():
    """Builds a Llama config, with changes."""
    return llama


@pytest.fixture(scope="session")
def engine():
    """One packed engine for all tests that need only some model."""
    return TransformersEngine(build(llama()))


@pytest.fixture
def make_scorer(kinds, engine):
    """A scorer of the shared engine and a fresh tokenizer, with changes."""

    def make(kind="gpt-2", *, engine=engine, template=CHATML, token_budget=1000, **kwargs):
        encoder = TraceEncoder(kinds[kind].tokenizer(template), kwargs)
        return ModelScorer(encoder, engine, token_budget)

    return make


@pytest.fixture
def model_folder(tmp_path, kinds):
    """Saves a model with its tokenizer, as a user's local folder."""

    def save(name="model", *, model=None, kind="gpt-2", template=CHATML):
        folder = tmp_path / name
        (model or build(llama())).save_pretrained(folder)
        kinds[kind].tokenizer(template).save_pretrained(folder)
        return folder

    return save
