"""Responses of a model: greedy, or sampled with a random stream of its own for each row."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from vocabulary import prompt_ids

THINK_END = "\n</think>\n\n"


@dataclass(frozen=True)
class Sample:
    """A response as the model wrote it, without its end token; `ended` is False if it was cut."""

    text: str
    ended: bool


def is_whole(written: Sample, answer_mark: str) -> bool:
    """Whether a response ended by itself and the mark parts one reasoning from one answer."""
    breaks = written.text.count("\n\n")
    return written.ended and breaks == 1 == written.text.count(answer_mark)


@torch.inference_mode()
def sample(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    questions: Sequence[str],
    *,
    temperature: float,
    seed: int = 0,
    max_tokens: int = 160,
    batch_size: int = 256,
) -> list[Sample]:
    """One response for each question, in order. Temperature 0 is greedy.

    Rows of equal prompt length go together, so nothing is padded. Row i draws its numbers from the
    stream (seed, i), whatever rows it shares a batch with.
    """
    prompts = [prompt_ids(tokenizer, question) for question in questions]
    barred = format_bar(tokenizer)
    samples: dict[int, Sample] = {}
    for rows in _equal_lengths(prompts, batch_size):
        draws = np.stack([np.random.default_rng([seed, row]).random(max_tokens) for row in rows])
        ids = torch.tensor([prompts[row] for row in rows])
        written = _decode(model, ids, torch.from_numpy(draws), temperature, barred)
        for row, response in zip(rows, written, strict=True):
            samples[row] = Sample(str(tokenizer.decode(response)), ended=len(response) < max_tokens)
    return [samples[row] for row in range(len(questions))]


@dataclass(frozen=True)
class FormatBar:
    """Tokens that must not come before `opener` has come."""

    tokens: torch.Tensor
    opener: int


def format_bar(tokenizer: PreTrainedTokenizerFast) -> FormatBar | None:
    """For a thinking model: no paragraph break before `</think>`.

    The teacher was taught both its native form and the form without markup; this holds it to the
    native one. None for a model without think syntax.
    """
    vocabulary = tokenizer.get_vocab()
    if "</think>" not in vocabulary:
        return None
    breaks = [i for i in vocabulary.values() if "\n\n" in tokenizer.decode([i])]
    return FormatBar(torch.tensor(breaks), vocabulary["</think>"])


def _decode(
    model: LlamaForCausalLM,
    prompt: torch.Tensor,
    draws: torch.Tensor,
    temperature: float,
    barred: FormatBar | None,
) -> list[list[int]]:
    """Response ids of each row up to its end token.

    Shapes: prompt int64[rows, length], draws float64[rows, max_tokens].
    """
    num_rows, end = len(prompt), model.config.eos_token_id
    cache, step_ids = None, prompt
    open_rows = torch.ones(num_rows, dtype=torch.bool)
    thinking = torch.full((num_rows,), barred is not None)
    written: list[list[int]] = [[] for _ in range(num_rows)]
    for column in draws.T:
        out = model(step_ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache, logits = out.past_key_values, out.logits[:, -1].double()
        if barred is not None:
            logits[thinking.nonzero(), barred.tokens] = -torch.inf
        chosen = _choose(logits, column, temperature)
        open_rows &= chosen != end
        if barred is not None:
            thinking &= chosen != barred.opener
        for row in open_rows.nonzero().flatten().tolist():
            written[row].append(int(chosen[row]))
        if not open_rows.any():
            break
        step_ids = chosen[:, None]
    return written


def _choose(logits: torch.Tensor, draws: torch.Tensor, temperature: float) -> torch.Tensor:
    """The next token of each row, int64[rows]: the inverse of the cumulative distribution."""
    if temperature == 0:
        return logits.argmax(-1)
    cumulative = (logits / temperature).softmax(-1).cumsum(-1)
    reached = (draws * cumulative[:, -1])[:, None]
    return torch.searchsorted(cumulative, reached, right=True)[:, 0]


def _equal_lengths(prompts: Sequence[Sequence[int]], batch_size: int) -> Iterable[list[int]]:
    by_length: dict[int, list[int]] = defaultdict(list)
    for row, prompt in enumerate(prompts):
        by_length[len(prompt)].append(row)
    for _, rows in sorted(by_length.items()):
        for begin in range(0, len(rows), batch_size):
            yield rows[begin : begin + batch_size]
