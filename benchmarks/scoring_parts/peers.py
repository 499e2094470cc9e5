"""How others score the same traces: from their own package where it is there, else their algorithm.

Every function takes a plain transformers model and the traces in order of arrival, and returns one array
of float32 log-probabilities per trace (lm-evaluation-harness keeps only their sum).
"""

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from rdpt_ray.scoring.engine import RANK_CAP, TokenSequence

BATCH = 4
"""Traces of a padded batch. The peers' defaults are 1 to 8; on a CPU a larger one only adds padding."""

Scores = list[NDArray[np.float32]]


@torch.inference_mode()
def one_by_one(model: PreTrainedModel, traces: Sequence[TokenSequence]) -> Scores:
    """The loop everyone writes first: one trace, all its logits, log-softmax, gather."""
    return [_logprobs(model, trace) for trace in traces]


def _logprobs(model: PreTrainedModel, trace: TokenSequence) -> NDArray[np.float32]:
    ids = torch.tensor([*trace.prompt_ids, *trace.response_ids], device=model.device)
    logits = model(input_ids=ids[None], use_cache=False).logits[0]
    logprobs = torch.log_softmax(logits.float(), dim=-1)
    first = len(trace.prompt_ids)
    return logprobs[first - 1 : -1].gather(1, ids[first:, None]).squeeze(1).cpu().numpy()


@torch.inference_mode()
def padded_sorted(
    model: PreTrainedModel, traces: Sequence[TokenSequence], batch: int = BATCH
) -> Scores:
    """lm-evaluation-harness's algorithm: longest first, padded on the right, no mask, full log-softmax."""
    order = sorted(range(len(traces)), key=lambda index: -len(traces[index]))
    scores: dict[int, NDArray[np.float32]] = {}
    for places in _batches(order, batch):
        ids, _ = _padded([traces[place] for place in places], model.device)
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        logprobs = torch.log_softmax(logits, dim=-1)
        for row, place in enumerate(places):
            first, end = len(traces[place].prompt_ids), len(traces[place])
            wanted = logprobs[row, first - 1 : end - 1]
            found = wanted.gather(1, ids[row, first:end, None]).squeeze(1).float()
            scores[place] = found.cpu().numpy()
        del logits, logprobs
    return [scores[place] for place in range(len(traces))]


@torch.inference_mode()
def padded_ranked(
    model: PreTrainedModel, traces: Sequence[TokenSequence], batch: int = BATCH
) -> Scores:
    """RankSurprisalRatio's algorithm: order of arrival, padded, masked, all logits, a float32 copy, top 100.

    Source: https://github.com/UmeanNever/RankSurprisalRatio, rsr_cal.py. Its ranks are computed and
    dropped here: only the time is of interest.
    """
    scores: Scores = []
    for places in _batches(range(len(traces)), batch):
        ids, mask = _padded([traces[place] for place in places], model.device)
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        for row, place in enumerate(places):
            first, end = len(traces[place].prompt_ids), len(traces[place])
            own = logits[row, first - 1 : end - 1].float()
            targets = ids[row, first:end, None]
            logprobs = torch.log_softmax(own, dim=-1).gather(1, targets).squeeze(1)
            top = own.topk(RANK_CAP, dim=-1).indices
            torch.where((top == targets).any(1), (top == targets).int().argmax(1) + 1, RANK_CAP)
            scores.append(logprobs.cpu().numpy())
        del logits
    return scores


def _batches(order: Sequence[int], batch: int = BATCH) -> list[Sequence[int]]:
    return [order[start : start + batch] for start in range(0, len(order), batch)]


def _padded(
    traces: Sequence[TokenSequence], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(len(trace) for trace in traces)
    ids = torch.zeros(len(traces), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, trace in enumerate(traces):
        ids[row, : len(trace)] = torch.tensor([*trace.prompt_ids, *trace.response_ids])
        mask[row, : len(trace)] = 1
    return ids.to(device), mask.to(device)


def useful_fraction(traces: Sequence[TokenSequence], *, by_length: bool) -> float:
    """Share of a padded batch's positions that hold a token."""
    lengths = [len(trace) for trace in traces]
    if by_length:
        lengths.sort(reverse=True)
    padded = sum(max(batch) * len(batch) for batch in _batches(lengths))
    return sum(lengths) / padded


def lm_eval_package(folder: Path | None) -> Callable[..., Any] | None:
    """`HFLM` of an installed lm-evaluation-harness, or None.

    Args:
        folder: Where `pip install --target` put it; looked at last, so that torch and transformers stay
            the project's.
    """
    if folder is not None and str(folder) not in sys.path:
        sys.path.append(str(folder))
    try:
        from lm_eval.models.huggingface import HFLM  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    return HFLM


def lm_eval(
    hflm: Callable[..., Any], model: PreTrainedModel
) -> Callable[[Sequence[TokenSequence]], Scores]:
    """The package's own `_loglikelihood_tokens` on a model, as a function of the traces.

    Its tokenizer is never asked for anything: token ids go in.
    """
    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>")),
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
    )
    harness = hflm(pretrained=model, tokenizer=tokenizer, batch_size=BATCH, max_length=65_536)

    def score(traces: Sequence[TokenSequence]) -> Scores:
        requests = [(("", ""), trace.prompt_ids, trace.response_ids) for trace in traces]
        sums = harness._loglikelihood_tokens(requests, disable_tqdm=True)
        return [np.array([total], dtype=np.float32) for total, _ in sums]

    return score
