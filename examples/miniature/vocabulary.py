"""Two byte-level BPE tokenizers, trained on the task's own text, each with its chat template."""

import random
from collections.abc import Iterator
from itertools import islice

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, processors, trainers
from tokenizers.pre_tokenizers import ByteLevel, PreTokenizer, Sequence
from tokenizers.pre_tokenizers import Split as SplitBy
from transformers import PreTrainedTokenizerFast

from task import Style, problems, write

MAX_LENGTH = 2048

# The teacher's words: every digit alone, line ends glued to the full stop before them.
TEACHER_WORDS = (
    r"[^\r\n\p{L}\p{N}]?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEACHER_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    r"{{ '<|' + message.role + '|>\n' + message.content + eos_token + '\n' }}"
    "{% endfor %}"
    r"{% if add_generation_prompt %}{{ '<|assistant|>\n<think>\n' }}{% endif %}"
)
STUDENT_TEMPLATE = (
    "{% for message in messages %}"
    r"{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{% endfor %}"
    r"{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def teacher_tokenizer() -> PreTrainedTokenizerFast:
    """The teacher's: own word pattern, offsets without the leading blank, think tokens."""
    words = Sequence(
        [
            SplitBy(Regex(TEACHER_WORDS), behavior="isolated"),
            ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    special = ["<|pad|>", "<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    tokenizer = _trained("teacher", words, special, num_tokens=384, trim_offsets=True)
    think = [AddedToken(tag, special=False, normalized=False) for tag in ("<think>", "</think>")]
    tokenizer.add_tokens(think)
    return _wrapped(tokenizer, TEACHER_TEMPLATE, bos="<|begin|>", eos="<|end|>", pad="<|pad|>")


def student_tokenizer() -> PreTrainedTokenizerFast:
    """The student's: GPT-2 words, offsets with the leading blank, no think syntax."""
    words = ByteLevel(add_prefix_space=False, use_regex=True)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = _trained("student", words, special, num_tokens=368, trim_offsets=False)
    return _wrapped(
        tokenizer, STUDENT_TEMPLATE, bos="<|im_start|>", eos="<|im_end|>", pad="<|endoftext|>"
    )


def prompt_ids(tokenizer: PreTrainedTokenizerFast, question: str) -> list[int]:
    """The question in the model's own template, ready for the response."""
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
    )
    return tokenizer(str(text), add_special_tokens=False).input_ids


def response_ids(tokenizer: PreTrainedTokenizerFast, response: str) -> list[int]:
    """The response alone, ended by the model's end token."""
    return tokenizer(response + str(tokenizer.eos_token), add_special_tokens=False).input_ids


def corpus(style: Style, num_texts: int = 5000) -> Iterator[str]:
    """Questions and solutions with their roles, nine in ten in the given style."""
    rng = random.Random(f"corpus {style}")
    other: Style = "student" if style == "teacher" else "teacher"
    for problem in islice(problems("train", seed=0), num_texts):
        reasoning, answer = write(problem, style if rng.random() < 0.9 else other, rng)
        yield f"user\n{problem.question}"
        yield f"assistant\n{reasoning}\n\n{answer}"


def _trained(
    style: Style, words: PreTokenizer, special: list[str], *, num_tokens: int, trim_offsets: bool
) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = words
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim_offsets)
    trainer = trainers.BpeTrainer(
        vocab_size=num_tokens,
        special_tokens=special,
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(style), trainer)
    return tokenizer


def _wrapped(
    tokenizer: Tokenizer, template: str, *, bos: str, eos: str, pad: str
) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        chat_template=template,
        bos_token=bos,
        eos_token=eos,
        pad_token=pad,
        model_max_length=MAX_LENGTH,
        clean_up_tokenization_spaces=False,
    )
