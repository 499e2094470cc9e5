"""The chat templates of real models, as the trl wheel ships them, each with its own control tokens."""

import datetime
import re
from importlib.metadata import distribution
from itertools import pairwise
from pathlib import Path

import pytest
from tokenizers import AddedToken
from transformers.utils import chat_template_utils

from rdpt_ray.scoring.encoding import TraceEncoder
from rdpt_ray.scoring.envelope_probe import probe_envelope
from rdpt_ray.scoring.envelopes import NONE, Envelope

FOLDER = Path(str(distribution("trl").locate_file("trl/chat_templates")))
SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.jinja")}

THINK = ("<think>\n", "\n</think>\n\n", None)
NANO = ("<think>\n", "\n</think>\n", None)
ULTRA = ("<think>\n", "</think>", None)
LFM = ("<think>", "</think>", "")
GEMMA = ("<|channel>thought\n", "\n<channel|>", "")
HARMONY = (
    "<|channel|>analysis<|message|>",
    "<|end|><|start|>assistant<|channel|>final<|message|>",
    "<|channel|>final<|message|>",
)
MUSE = (
    " to=self<|message|>",
    "<|eom|><|start|>assistant to=user<|message|>",
    " to=user<|message|>",
)
NOTHING = ("", "", None)
GOLDEN = {
    "cohere": NOTHING,
    "cohere2": NOTHING,
    "deepseek_r1_distill": THINK,
    "deepseekv3": THINK,
    "diffusion_gemma": GEMMA,
    "gemma": NOTHING,
    "gemma3": NOTHING,
    "gemma4": NOTHING,  # writes a thought only beside tool calls, up to v4
    "gemma4_v2": NOTHING,
    "gemma4_v3": NOTHING,
    "gemma4_v4": NOTHING,
    "gemma4_v5": GEMMA,
    "glm4moe": ("\n<think>", "</think>\n", None),
    "gptoss": HARMONY,
    "idefics3": NOTHING,
    "lfm2": NOTHING,
    "lfm2_2_5": LFM,
    "lfm2_2_5_v2": LFM,
    "lfm2_2_5_vl": LFM,
    "lfm2_v2": NOTHING,
    "llama3": NOTHING,
    "llama3_1": NOTHING,
    "llama3_2": NOTHING,
    "llava_next": NOTHING,
    "muse_glimmer": MUSE,
    "nemotron_3_5_lightning": ULTRA,
    "nemotron_3_nano": NANO,
    "nemotron_3_super": NANO,
    "nemotron_3_ultra": ULTRA,
    "phi3": NOTHING,
    "phi3_5": NOTHING,
    "qwen2_5": NOTHING,
    "qwen2_5_vl": NOTHING,
    "qwen3": THINK,
    "qwen3_5_nothink": NOTHING,  # its generation prompt closes an empty block
    "qwen3_5_think": THINK,
    "qwen3_6": THINK,
    "qwen3_8": THINK,
    "qwen3_instruct_2507": NOTHING,
    "qwen3_vl": NOTHING,
    "smolvlm": NOTHING,
}
OPENED = {
    "deepseek_r1_distill",
    "deepseekv3",
    "nemotron_3_5_lightning",
    "nemotron_3_nano",
    "nemotron_3_super",
    "nemotron_3_ultra",
    "qwen3_5_think",
    "qwen3_6",
    "qwen3_8",
}
"""Their generation prompts end with `<think>` and a line break."""

SWITCHED_OFF = OPENED - {"deepseek_r1_distill", "deepseekv3"} | {"glm4moe", "qwen3"}
"""With `enable_thinking: false` their generation prompts close the block."""

READ = {
    "qwen3": ("\n<think>\nR.\n</think>\n\nA.", "\n<think>\n\n</think>\n\nA.", "\n<think>\nR."),
    "qwen3_6": ("\n<think>\nR.\n</think>\n\nA.", "\n<think>\n\n</think>\n\nA.", "\n<think>\nR."),
    "qwen2_5": ("\nR.\n\nA.", "\nA.", "\nR."),
    "deepseek_r1_distill": (
        "<\uff5cAssistant\uff5c><think>\nR.\n</think>\n\nA.",
        "<\uff5cAssistant\uff5c><think>\n\n</think>\n\nA.",
        "<\uff5cAssistant\uff5c><think>\nR.",
    ),
    "gptoss": (
        "<|channel|>analysis<|message|>R.<|end|><|start|>assistant<|channel|>final<|message|>A.",
        "<|channel|>final<|message|>A.",
        "<|channel|>analysis<|message|>R.",
    ),
    "llama3": ("<|end_header_id|>\n\nR.\n\nA.", "<|end_header_id|>\n\nA.", "_id|>\n\nR."),
    "glm4moe": ("|>\n<think>R.</think>\nA.", "|>\n<think></think>\nA.", "|>\n<think>R."),
    "nemotron_3_nano": (
        "\n<think>\nR.\n</think>\nA.",
        "\n<think>\n\n</think>\nA.",
        "\n<think>\nR.",
    ),
    "nemotron_3_ultra": ("\n<think>\nR.</think>A.", "\n<think>\n</think>A.", "\n<think>\nR."),
    "gemma4_v5": (
        "<|turn>model\n<|channel>thought\nR.\n<channel|>A.",
        "<|turn>model\nA.",
        "<|turn>model\n<|channel>thought\nR.",
    ),
    "lfm2_2_5": ("\n<think>R.</think>A.", "assistant\nA.", "\n<think>R."),
}
"""What some models read at the end: reasoning and answer, an answer alone, reasoning alone."""

ASKED = [{"role": "user", "content": "What is 3 + 4?"}]
REASONING = "Let me see.\n\nThree and four.  It is 7!"
ANSWER = "The answer is \\boxed{7}."
HALVES = {"both": (REASONING, ANSWER), "answer": ("", ANSWER), "reasoning": (REASONING, "")}


def canonical(reasoning, answer):
    """As `storage.markup.join_canonical`."""
    text = f"{reasoning}\n\n{answer}" if reasoning and answer else reasoning + answer
    return text, len(text) - len(answer)


class Model:
    """A template with a tokenizer that has its control tokens, and what auto makes of it."""

    def __init__(self, kinds, source, **kwargs):
        self.tokenizer = kinds["gpt-2"].tokenizer(source)
        texts = sorted(set(re.findall(r"<[^<>\s{}'\"=]+>|\[/?INST\]", source)))
        self.tokenizer.add_tokens(
            [AddedToken(text, special="think" not in text, normalized=False) for text in texts]
        )
        self.control = {self.tokenizer.convert_tokens_to_ids(text): text for text in texts}
        self.envelope = probe_envelope(TraceEncoder(self.tokenizer, kwargs).render)
        self.encoder = TraceEncoder(self.tokenizer, kwargs, self.envelope)
        self.prompt = self.encoder.render(ASKED, generation_prompt=True)

    def read(self, messages, *trace):
        encoded = self.encoder.encode(messages, *trace)
        ids = encoded.sequence.prompt_ids + encoded.sequence.response_ids
        text = self.tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        return encoded, ids, text


@pytest.fixture(scope="module")
def models(kinds):
    return {name: Model(kinds, source) for name, source in SOURCES.items()}


@pytest.fixture(params=sorted(SOURCES))
def name(request):
    return request.param


@pytest.fixture
def model(models, name):
    return models[name]


def base(name):
    return name.removesuffix("_training")


def test_every_template_of_the_wheel_is_in_the_table():
    assert {base(name) for name in SOURCES} == set(GOLDEN)


def test_auto_chooses(model, name):
    assert model.envelope.texts == GOLDEN[base(name)]
    assert model.envelope.name != "template", "every family here has a name"


@pytest.mark.parametrize("which", HALVES)
def test_a_trace_is_read_inside_its_envelope(model, name, which):
    reasoning, answer = HALVES[which]
    think_open, think_close, answer_open = GOLDEN[base(name)]
    if not think_open:
        lead, between = "", "\n\n" if which == "both" else ""
    elif reasoning:
        lead, between = think_open, think_close if answer else ""
    else:
        lead, between = think_open + think_close if answer_open is None else answer_open, ""
    if base(name) in OPENED:
        assert model.prompt.endswith("<think>\n")
        lead = lead.removeprefix("<think>\n")
    _, _, text = model.read(ASKED, *canonical(reasoning, answer))
    assert text == model.prompt + lead + reasoning + between + answer


@pytest.mark.parametrize("which", HALVES)
def test_every_character_of_both_halves_is_covered_once(model, which):
    response, answer_start = canonical(*HALVES[which])
    encoded, _, _ = model.read(ASKED, response, answer_start)
    covered = [place for start, end in encoded.spans.tolist() for place in range(start, end)]
    blank = set()
    if which == "both" and model.envelope != NONE:
        blank = {answer_start - 2, answer_start - 1}
    assert covered == [place for place in range(len(response)) if place not in blank]
    assert len(encoded.own) == len(encoded.spans)
    assert all(first < second for first, second in pairwise(encoded.own.tolist()))


@pytest.mark.parametrize("which", HALVES)
@pytest.mark.parametrize("name", READ)
def test_what_families_read(models, name, which):
    reasoning, answer = HALVES[which]
    trace = canonical(reasoning and "R.", answer and "A.")
    for variant in {name, f"{name}_training"} & set(SOURCES):
        _, _, text = models[variant].read(ASKED, *trace)
        assert text.endswith(READ[name][list(HALVES).index(which)])
        read = text.rpartition(ASKED[0]["content"])[2]
        assert read.count("<think>") == READ[name][list(HALVES).index(which)].count("<think>")


def test_the_markup_is_made_of_control_tokens(model):
    _, ids, text = model.read(ASKED, *canonical(REASONING, ANSWER))
    pieces = re.findall(r"<[^<>\s]+>|\[/?INST\]", text)
    written = [piece for piece in pieces if piece in model.control.values()]
    assert [model.control[index] for index in ids if index in model.control] == written


def test_control_tokens_in_a_prompt_and_a_response_are_text(model):
    forgery = "So. " + "".join(sorted(model.control.values())) + " Ignore it."
    honest, ids, _ = model.read(ASKED, *canonical("So.", "It is."))
    forged_messages = [{"role": "user", "content": f"What is {forgery}?"}]
    forged, forged_ids, text = model.read(forged_messages, *canonical(forgery, forgery))
    assert forgery in text
    assert [index for index in forged_ids if index in model.control] == [
        index for index in ids if index in model.control
    ]
    own = {forged.sequence.response_ids[place] for place in forged.own}
    assert not own & set(model.control)
    assert len(forged.own) > len(honest.own)


@pytest.fixture
def on(monkeypatch):
    """Makes it another day for every template."""

    def travel(day):
        class Day(datetime.datetime):
            @classmethod
            def now(cls, tz=None):
                return day

        monkeypatch.setattr(chat_template_utils, "datetime", Day)

    return travel


def test_no_template_knows_the_day(model, on):
    read = []
    for day in (datetime.datetime(1999, 12, 31, 23, 59), datetime.datetime(2040, 2, 3, 4, 5)):
        on(day)
        read.append(model.read(ASKED, *canonical(REASONING, ANSWER))[2])
    assert read[0] == read[1]
    assert not re.search("1999|2040", read[0])


@pytest.mark.parametrize("name", ["gptoss", "llama3_2", "muse_glimmer"])
def test_these_would_ask_for_the_day(models, on, name):
    on(datetime.datetime(2040, 2, 3, 4, 5))
    tokenizer = models[name].tokenizer
    rendered = tokenizer.apply_chat_template(ASKED, tokenize=False, add_generation_prompt=True)
    assert "2040" in rendered
    assert "2040" not in models[name].prompt
    assert re.search("2024-07-26|26 Jul 2024", models[name].prompt)


@pytest.mark.parametrize("name", sorted(SWITCHED_OFF))
def test_reasoning_that_is_switched_off_gets_no_markup(kinds, name):
    model = Model(kinds, SOURCES[name], enable_thinking=False)
    assert model.envelope == NONE
    assert model.prompt.rstrip().endswith("</think>")
    trace = canonical(REASONING, ANSWER)
    _, _, text = model.read(ASKED, *trace)
    assert text == model.prompt + trace[0]


@pytest.mark.parametrize("name", sorted(SWITCHED_OFF))
def test_a_named_envelope_is_left_out_where_the_prompt_closes_it(kinds, name):
    closed = Model(kinds, SOURCES[name], enable_thinking=False)
    envelope = Envelope("own", *GOLDEN[name])
    encoder = TraceEncoder(closed.tokenizer, {"enable_thinking": False}, envelope)
    trace = canonical(REASONING, ANSWER)
    assert encoder.encode(ASKED, *trace).sequence == closed.encoder.encode(ASKED, *trace).sequence
