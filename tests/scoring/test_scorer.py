"""The central proof: sentence sums equal a slow reference that knows only the rule and bytes."""

import unicodedata
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Gemma2Config

from rdpt_ray.method.alignment import sentence_of_token
from rdpt_ray.method.sentences import split_sentences
from rdpt_ray.scoring.encoding import TraceEncoder
from rdpt_ray.scoring.engine import TokenScores
from rdpt_ray.scoring.scorer import ModelScorer
from rdpt_ray.scoring.traces import Trace, sentence_scores
from rdpt_ray.scoring.transformers_engine import TransformersEngine

PROMPT = [
    {"role": "system", "content": "Think step by step."},
    {"role": "user", "content": "What is 6 x 7?\nCaf\u00e9? \u7b54"},
]
TEXTS = {
    "plain": "Let me think. The sum is 42. 7 of 9 say so! Is it? Yes.",
    "digits after blanks": "So it is.  42 of them. 7 is odd.   9 too.",
    "paragraph merges": "That is right.\n\nSo we go on.\n\n\nTherefore:\n- one.\n- two.\n\nDone.",
    "emoji families": (
        "Hi \U0001f468\u200d\U0001f469\u200d\U0001f467. Next \U0001f3f3\ufe0f\u200d\U0001f308! "
        "\U0001f600\U0001f600 So. End\U0001f600"
    ),
    "combining marks": "Cafe\u0301 is nai\u0308ve. E\u0301t\u0301e\u0301. A\u030a x\u0301\u0302 b. \u00c9nd.",
    "cjk": "答案是四十二。所以选乙。\n第二句\uff01漢字ですか\uff1fはい。",
    "unknown runs": "漢字です。実は。\nきょう\uff01\u0416\u0436.\n\u0416\u0436\u0414. \u2211\u222b\n\n\u221e",
    "latex": "We have $x^2 + y^2 = 25$. Then \\[\\frac{1}{2} < \\sqrt{3}.\\]\nSo \\boxed{12}. Done!",
    "tabs": "\tfor i in x:\n\t\tprint(i)\t# say.\n\n\tSo it ends.\tYes.",
    "trailing blanks": "It is so. And this.  \n\n \t ",
    "leading blanks": "  \n It is so. And this.",
    "odd blanks": "One.\u00a0Two.\u2003Three.\r\nFour.\u3000Five.\x0bSix.",
    "one character": "x",
    "one emoji": "\U0001f600",
    "blanks alone": " \n ",
    "markers in words": "U+2581 is \u2581. The \u2581answer. <0x4 <unk.",
    "200 sentences": "".join(f"Step {number} gives {number * 7}. " for number in range(200)),
}


# The reference. It knows a token's bytes from how its piece is spelt, and no offsets.


# GPT-2's table: printable bytes stand for themselves, the others for U+0100 and up.
PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
OTHERS = [byte for byte in range(256) if byte not in PRINTABLE]
BYTE_OF = {chr(byte): byte for byte in PRINTABLE} | {
    chr(256 + rank): byte for rank, byte in enumerate(OTHERS)
}


def piece_bytes(kind, piece):
    if kind.byte_level:
        return bytes(BYTE_OF[letter] for letter in piece)
    if len(piece) == 6 and piece.startswith("<0x"):
        return bytes([int(piece[3:5], 16)])
    return piece.replace("\u2581", " ").encode()


def clusters(text, normal_form):
    """(what the tokenizer reads, the characters it stands for), one character each without a form."""
    if normal_form is None:
        return [(text[place], [place]) for place in range(len(text))]
    edges = [place for place in range(len(text)) if not unicodedata.combining(text[place])]
    edges = sorted({0, *edges, len(text)})
    return [
        (unicodedata.normalize(normal_form, text[start:end]), list(range(start, end)))
        for start, end in pairwise(edges)
    ]


def characters_of_tokens(kind, text, pieces):
    """For each token, the characters that its bytes lie in."""
    owners = []
    for read, places in clusters(text, "NFC" if kind.name == "qwen" else None):
        read = read if kind.byte_level else read.replace("\u2581", " ")
        owners += [places] * len(read.encode())
    read = [piece_bytes(kind, piece) for piece in pieces]
    prefix = sum(map(len, read)) - len(owners)
    assert prefix in (0, 1), (
        "the pieces are the text, after at most one blank of the tokenizer's own"
    )
    owners = [[]] * prefix + owners
    result, position = [], 0
    for token in read:
        touched = [place for places in owners[position : position + len(token)] for place in places]
        result.append(sorted(set(touched)) or [0])
        position += len(token)
    return result


def owner_by_the_rule(text, sentences, characters):
    inked = [place for place in characters if not text[place].isspace()]
    place = inked[0] if inked else characters[0]
    (owner,) = [index for index, (start, end) in enumerate(sentences) if start <= place < end]
    return owner


def reference(model, kind, messages, text, sentences):
    """(sum or None, tokens) per sentence, one token at a time."""
    tokenizer = kind.tokenizer()
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    prompt_ids = tokenizer(rendered, add_special_tokens=False)["input_ids"]
    encoding = kind.backend.encode(text, add_special_tokens=False)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt_ids + encoding.ids])).logits[0]
    logprobs = logits.double().log_softmax(-1)
    sums, counts = [0.0] * len(sentences), [0] * len(sentences)
    tokens = zip(encoding.ids, characters_of_tokens(kind, text, encoding.tokens), strict=True)
    for position, (token, characters) in enumerate(tokens, start=len(prompt_ids)):
        owner = owner_by_the_rule(text, sentences, characters)
        sums[owner] += logprobs[position - 1, token].item()
        counts[owner] += 1
    return [total if count else None for total, count in zip(sums, counts, strict=True)], counts


def trace(text, messages=PROMPT, sentences=None):
    return Trace(messages, text, split_sentences(text) if sentences is None else sentences)


def assert_equal_to_reference(scores, model, kind, traces):
    for score, one in zip(scores, traces, strict=True):
        assert score.error is None
        sums, counts = reference(model, kind, one.messages, one.response, one.sentences)
        assert score.num_tokens.tolist() == counts
        assert np.isnan(score.sum_logprob).tolist() == [value is None for value in sums]
        expected = np.array([np.nan if value is None else value for value in sums])
        np.testing.assert_allclose(score.sum_logprob, expected, rtol=0, atol=1e-4)


@pytest.fixture(scope="session")
def plain_model(tiny_model, llama_config):
    """The engine's model once more, in the attention that transformers gives it."""
    return tiny_model(llama_config())


def test_sums_equal_the_reference(kind, engine, plain_model):
    assert engine.packs
    traces = [trace(text) for text in TEXTS.values()]
    scores = ModelScorer(TraceEncoder(kind.tokenizer(), {}), engine, token_budget=1000).score(
        traces
    )
    assert_equal_to_reference(scores, plain_model, kind, traces)
    assert sum(score.sum_logprob.sum() for score in scores) < -1000, "the model has opinions"


def test_sums_equal_the_reference_on_the_plain_path(kinds, tiny_model, llama_config):
    sizes = llama_config().to_dict()
    kept = ("hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size", "pad_token_id")
    config = Gemma2Config(
        **{name: sizes[name] for name in kept},
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=12,
        sliding_window=32,
    )
    engine = TransformersEngine(tiny_model(config))
    assert not engine.packs
    traces = [trace(text) for name, text in TEXTS.items() if name != "200 sentences"]
    scores = ModelScorer(TraceEncoder(kinds["qwen"].tokenizer(), {}), engine, 1000).score(traces)
    assert_equal_to_reference(scores, tiny_model(config), kinds["qwen"], traces)


def test_no_token_budget_and_no_order_changes_a_bit(kind, engine):
    traces = [trace(text) for text in TEXTS.values()]
    encoder = TraceEncoder(kind.tokenizer(), {})
    alone = [ModelScorer(encoder, engine, 1).score([one])[0] for one in traces]
    for token_budget in (1, 60, 333, 100_000):
        order = np.random.default_rng(token_budget).permutation(len(traces))
        together = ModelScorer(encoder, engine, token_budget).score(
            [traces[place] for place in order]
        )
        for place, score in zip(order, together, strict=True):
            np.testing.assert_array_equal(score.sum_logprob, alone[place].sum_logprob)
            np.testing.assert_array_equal(score.num_tokens, alone[place].num_tokens)
            assert score.num_prompt_tokens == alone[place].num_prompt_tokens > 0


def test_a_response_of_one_token_is_scored_alike_in_any_company(make_scorer):
    traces = [trace("x"), trace("xy"), trace("x y z"), trace("The answer is 42. " * 40)]
    together = make_scorer().score(traces)
    for one, score in zip(traces, together, strict=True):
        assert make_scorer().score([one])[0].sum_logprob.tolist() == score.sum_logprob.tolist()


class Recorded:
    """An engine that knows each token's number by heart: no model, so sums come out exact."""

    context_length = None

    def token_scores(self, batch):
        return [
            TokenScores(-(np.array(one.response_ids, np.float32) % 64 + 1) / 8) for one in batch
        ]


FRAGMENTS = [
    *"ab7. \n\t\u00a0\u00e9\u0301\u0416\u2581$\\",
    "7 ",
    ". ",
    ".\n\n",
    "  ",
    "答。",
    "\u0416。",
    "\U0001f600\u200d",
    "the answer is",
]


@st.composite
def tiled_texts(draw):
    """Text and any tiling of it in which a sentence begins with a character that stands by itself."""
    text = "".join(draw(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=25)))
    starts = [
        place
        for place in range(1, len(text))
        if not text[place].isspace() and not unicodedata.combining(text[place])
    ]
    cuts = draw(st.sets(st.sampled_from(starts))) if starts else set()
    return text, list(pairwise([0, *sorted(cuts), len(text)]))


@pytest.fixture(scope="session")
def recorded(kinds):
    return {
        name: ModelScorer(TraceEncoder(kind.tokenizer(), {}), Recorded(), 100)
        for name, kind in kinds.items()
    }


@given(tiled_texts())
def test_every_token_of_any_text_lands_by_the_rule(kinds, recorded, case):
    text, sentences = case
    for kind in kinds.values():
        encoding = kind.backend.encode(text, add_special_tokens=False)
        expected = [0.0] * len(sentences)
        for token, places in zip(
            encoding.ids, characters_of_tokens(kind, text, encoding.tokens), strict=True
        ):
            expected[owner_by_the_rule(text, sentences, places)] -= (token % 64 + 1) / 8
        (score,) = recorded[kind.name].score([trace(text, sentences=sentences)])
        sums = [total if total else None for total in expected]
        got = [None if np.isnan(value) else value for value in score.sum_logprob.tolist()]
        assert (kind.name, got) == (kind.name, sums)


def test_signals_are_added_up_like_log_probabilities(kinds, tiny_model, llama_config):
    text = TEXTS["200 sentences"][:400]
    encoder = TraceEncoder(kinds["gpt-2"].tokenizer(), {})
    engine = TransformersEngine(tiny_model(llama_config()), signals=["rank", "brier"])
    one = trace(text)
    (tokens,) = ModelScorer(encoder, engine, 1000).tokens([one])
    score = sentence_scores(one, tokens)
    owners = sentence_of_token(text, one.sentences, tokens.spans)
    for index in range(len(one.sentences)):
        mine = owners == index
        assert score.first_logprob[index] == tokens.scores.logprobs[mine][0]
        assert score.sum_rank[index] == tokens.scores.ranks[mine].sum()
        assert score.sum_brier[index] == pytest.approx(tokens.scores.briers[mine].sum(), rel=1e-5)
    assert score.sum_rank.sum() > len(owners), "not every token is the likeliest"


def test_signals_not_asked_for_are_not_there(make_scorer):
    (score,) = make_scorer().score([trace("One. Two.")])
    assert (score.sum_rank, score.sum_brier) == (None, None)
    assert len(score.first_logprob) == 2
