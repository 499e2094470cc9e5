"""Which recorded token is which part of the canonical response: a law, and what must be refused."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from rdpt_ray.errors import ModelError
from rdpt_ray.scoring.recorded_text import (
    MARKUP_TAG,
    RecordedTokenizer,
    load_recorded_tokenizer,
)
from rdpt_ray.storage import markup
from rdpt_ray.storage.markup import join_canonical, split_markup

MINIATURE = Path(__file__).resolve().parents[2] / "examples" / "miniature"
HARMONY = ["<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>"]


def bytes_tokenizer(special=(), merges=()):
    """One token per byte, and what else a test asks for."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: index for index, character in enumerate(alphabet)}
    for left, right in merges:
        vocabulary[left + right] = len(vocabulary)
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    tokenizer.add_special_tokens({"additional_special_tokens": list(special)})
    return tokenizer


TEACHER = AutoTokenizer.from_pretrained(MINIATURE / "teacher")
STUDENT = AutoTokenizer.from_pretrained(MINIATURE / "student")
BYTES = bytes_tokenizer(HARMONY)
LINES = st.text("aZ 7.\n\u00e9\u6f22\U0001f600\t=", max_size=12)


def ids_of(tokenizer, text):
    return tokenizer(text, add_special_tokens=False).input_ids


def tokens_of(tokenizer, response, recorded):
    """The text of each placed token, by its span, beside what its id stands for."""
    ids = ids_of(tokenizer, recorded)
    places, spans = RecordedTokenizer(tokenizer).place(response, ids)
    assert len(places) == len(spans)
    return ids, places, spans


@given(LINES, LINES, st.sampled_from([(TEACHER, "<|end|>"), (STUDENT, "<|im_end|>"), (BYTES, "")]))
def test_every_inked_character_is_covered_and_no_markup_is(reasoning, answer, model):
    tokenizer, end = model
    recorded = f"<think>\n{reasoning}\n</think>\n\n{answer}{end}"
    response, _ = join_canonical(*split_markup(recorded.removesuffix(end), "r")[:2])
    ids, places, spans = tokens_of(tokenizer, response, recorded)
    assert (np.diff(places) > 0).all()
    assert (spans[:, 0] < spans[:, 1]).all()
    assert (np.diff(spans[:, 0]) >= 0).all()
    covered = {at for start, end_ in spans.tolist() for at in range(start, end_)}
    assert {at for at, character in enumerate(response) if not character.isspace()} <= covered
    assert covered <= set(range(len(response)))
    for place, (start, end_) in zip(places, spans.tolist(), strict=True):
        said = tokenizer.decode([ids[place]]).strip()
        if "\ufffd" not in said:
            assert response[start:end_].strip() in said


@given(LINES.filter(str.strip), LINES.filter(str.strip), st.data())
def test_text_that_differs_by_one_character_is_refused_there(reasoning, answer, data):
    response, _ = join_canonical(reasoning, answer)
    at = data.draw(st.integers(0, len(response) - 1).filter(lambda i: not response[i].isspace()))
    other = response[:at] + "#" + response[at + 1 :]
    ids = ids_of(TEACHER, f"{reasoning}\n</think>\n\n{answer}<|end|>")
    with pytest.raises(ValueError, match=rf"at character {at} of {len(response)} .*'#"):
        RecordedTokenizer(TEACHER).place(other, ids)


def test_harmony_channels_are_markup_with_their_names():
    recorded = (
        "<|channel|>analysis<|message|>Think. 2.<|end|><|start|>assistant<|channel|>final<|message|>"
        "The final answer: 2<|return|>"
    )
    response = "Think. 2.\n\nThe final answer: 2"
    _, places, spans = tokens_of(BYTES, response, recorded)
    assert "".join(response[start:end] for start, end in spans.tolist()) == response.replace(
        "\n", ""
    )
    first = len("analysis") + 2
    assert places[0] == first


def test_a_header_that_never_ends_is_no_text():
    with pytest.raises(ValueError, match="nothing more"):
        RecordedTokenizer(BYTES).place("analysis", ids_of(BYTES, "<|channel|>analysis"))


def test_a_token_that_straddles_a_joint_goes_where_its_first_inked_character_is():
    tokenizer = bytes_tokenizer(merges=[(".", "<"), ("\u010a", "S"), (">", "x")])
    assert tokenizer.decode(ids_of(tokenizer, "\nS")) == "\nS"
    response = "A.\n\nSx"
    ids, places, spans = tokens_of(tokenizer, response, "A.</think>\nSx")
    said = [tokenizer.decode([ids[place]]) for place in places]
    assert said == ["A", ".<", "\nS", "x"]
    assert [response[start:end] for start, end in spans.tolist()] == ["A", ".", "S", "x"]
    _, places, spans = tokens_of(tokenizer, "A.\n\nxS", "A.</think>xS")
    assert len(places) == 3, "the token '>x' begins in markup, so it is markup"


def test_tokens_of_one_character_share_its_span():
    _, places, spans = tokens_of(BYTES, "a\U0001f600b", "a\U0001f600b")
    assert places.tolist() == [0, 1, 2, 3, 4, 5]
    assert spans.tolist() == [[0, 1], [1, 2], [1, 2], [1, 2], [1, 2], [2, 3]]


@pytest.mark.parametrize(
    ("response", "recorded", "said"),
    [
        ("One. Two.", "One.", r"at character 4 of 9 the response has ' Two\.', .* nothing more"),
        ("One.", "One. Two.", r"at character 4 of 4 the response has nothing more, .*' Two\.'"),
        ("One.", "", r"at character 0 of 4 the response has 'One\.', .* nothing more"),
        ("One Two", "One  Two", r"at character 4"),
        ("One\n\nTwo", "One Two", r"at character 3"),
        ("One", "<|message|>", r"at character 0"),
    ],
)
def test_other_text_is_refused_with_its_place(response, recorded, said):
    with pytest.raises(ValueError, match=said):
        RecordedTokenizer(BYTES).place(response, ids_of(BYTES, recorded))


def test_an_id_that_the_tokenizer_does_not_have_is_refused():
    ids = [*ids_of(TEACHER, "One."), 10_000]
    with pytest.raises(ValueError, match="no token 10000"):
        RecordedTokenizer(TEACHER).place("One.", ids)


def test_white_space_runs_that_are_added_tokens_are_text():
    """Phi-2 and GPT-NeoX have such tokens; they are not special and no template writes them."""
    tokenizer = bytes_tokenizer()
    tokenizer.add_tokens(["    "])
    tokenizer.chat_template = "{{ '    ' }}"
    _, _, spans = tokens_of(tokenizer, "a    b", "a    b")
    assert spans.tolist() == [[0, 1], [1, 5], [5, 6]]


def test_both_rooms_know_the_same_tags():
    assert all(MARKUP_TAG.fullmatch(tag) for tag in markup._SYMBOLS)
    assert MARKUP_TAG.pattern == markup._TAG.pattern.removeprefix("(").removesuffix(")")
    assert re.compile(markup._TAG).groups == 1


def test_a_folder_without_a_tokenizer_is_named(tmp_path):
    with pytest.raises(ModelError, match=str(tmp_path)):
        load_recorded_tokenizer(str(tmp_path), None)


def test_a_tokenizer_needs_neither_weights_nor_a_template(tmp_path):
    BYTES.save_pretrained(tmp_path)
    tokenizer = load_recorded_tokenizer(str(tmp_path), None)
    assert len(tokenizer.place("One.", ids_of(BYTES, "One."))[0]) == 4


def test_every_kind_of_tokenizer_finds_its_own_words(kind):
    """Byte-level and SentencePiece-like, with and without byte fallback, trimmed offsets, prefixes."""
    reasoning = (
        "Let me think. The sum of the digits is 42.\n\nWait, \U0001f600 caf\u00e9 \u7b54\u6848!"
    )
    answer = "Therefore the answer is \\boxed{12}."
    tokenizer = kind.tokenizer()
    if tokenizer.backend_tokenizer.decoder is None:  # as Llama 2 has it, first blank stripped
        blank = decoders.Replace("\u2581", " ")
        tokenizer.backend_tokenizer.decoder = decoders.Sequence(
            [blank, decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
    ids = ids_of(tokenizer, f"{reasoning}\n</think>\n\n{answer}</s>")
    response, _ = join_canonical(reasoning, answer)
    places, spans = RecordedTokenizer(tokenizer).place(response, ids)
    covered = {at for start, end in spans.tolist() for at in range(start, end)}
    assert {at for at, character in enumerate(response) if not character.isspace()} <= covered
    assert ids[-1] == tokenizer.convert_tokens_to_ids("</s>")
    assert len(ids) - 1 not in places
    for place, (start, end) in zip(places, spans.tolist(), strict=True):
        piece = tokenizer.decode([ids[place]])
        assert "\ufffd" in piece or piece.strip() in ("", response[start:end].strip())
