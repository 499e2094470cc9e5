"""The reference engine: any causal language model that transformers loads, on CPU or CUDA.

The fast path packs traces without padding or mask and walks the vocabulary in tiles; a trace longer than
the token budget is read in chunks over the model's cache, so memory follows the budget. Whether a model
allows that (its layers must not mix packed traces, its head must be one linear map, its cache must give
back what it took) is not assumed from its name: it is measured once, when the model is loaded, against
the model's own plain forward pass. What differs is not used, and the log says so.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache, PreTrainedModel

from rdpt_ray.errors import ModelError
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.scoring import attention, probe
from rdpt_ray.scoring.allocator import keep_freed_pages
from rdpt_ray.scoring.engine import Signal, TokenScores, TokenSequence
from rdpt_ray.scoring.faster import quicken
from rdpt_ray.scoring.head import MIN_ROWS, HeadScores, TiledHead, plain_logprobs
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.scoring.packing import adaptive_rotary, num_windowed_layers, obstacle
from rdpt_ray.scoring.weights import context_length, load_model

logger = logging.getLogger(__name__)

PROBE_CHUNK = 7
"""Tokens of a chunk when chunking is tried out on short traces."""

OUT_OF_MEMORY = (
    "can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "could not create a memory object",
)
"""How the libraries below torch say so: malloc, cuBLAS, oneDNN."""

MIN_CHUNK = 256
"""Tokens of the smallest chunk that is tried when memory runs out."""


class TransformersEngine:
    """Hosts one model; see the module for its paths."""

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        token_budget: int = 8192,
        signals: Collection[Signal] = (),
        num_threads: int | None = None,
        packs_weights: bool = True,
    ) -> None:
        """Take a loaded model and find out which paths it allows.

        Args:
            model: In evaluation mode, on its device, with its own attention implementation. It is the
                engine's from here on: its layers are replaced by faster twins.
            token_budget: Tokens of one forward pass; a longer trace is read in chunks of so many.
            signals: What to measure beside log-probabilities.
            num_threads: Compute threads on CPU, pinned at every pass; None leaves them as they are.
            packs_weights: Whether layers may be replaced by faster twins; on CPU their weights are copied
                into the layout that is multiplied fastest. Without, processes of one machine that loaded
                the same file share its pages.

        Raises:
            ModelError: if signals are asked of a model whose head is not one linear map.
        """
        self._token_budget = token_budget
        self._num_threads = num_threads
        self._context_length = context_length(model)
        self._model = model
        self._embeddings: Any = model.get_input_embeddings()
        self._num_embeddings: int = self._embeddings.weight.shape[0]
        self._packs_weights = packs_weights
        self._head = _tiled_head(model, signals, packs_weights)
        self._packs = self._chunks = False
        self._find_paths(signals)

    def _find_paths(self, signals: Collection[Signal]) -> None:
        """Try the fast paths on two short traces, against the model's own forward pass."""
        model, traces = self._model, probe.sequences(self._model)
        expected = probe.own_logprobs(model, traces)
        if self._head is not None and probe.disagreement(
            model, expected, lambda: [self.whole(trace) for trace in traces]
        ):
            _refuse(signals, model)
            self._head = None
        reason = self._obstacle_to_packing(traces, expected)
        self._packs = reason is None
        if reason is not None:
            logger.warning(
                "%s is scored one trace at a time: %s", model.config.name_or_path, reason
            )
        if self._packs and self._packs_weights:
            if self._embeddings.weight.device.type == "cpu":
                keep_freed_pages()
            quicken(model.base_model)
            reason = probe.disagreement(model, expected, lambda: self.packed(traces))
            if reason is not None:
                raise ModelError(
                    f"model {model.config.name_or_path}: with faster layers {reason}; pack_weights: false"
                    " leaves its own"
                )
        reason = self._obstacle_to_chunks(traces, expected)
        self._chunks = reason is None
        if reason is not None:
            logger.warning(
                "%s reads a trace of any length in one pass: %s", model.config.name_or_path, reason
            )

    def _obstacle_to_chunks(
        self, traces: list[TokenSequence], expected: NDArray[np.float32]
    ) -> str | None:
        """Why a trace must be read in one pass, however long."""
        if self._head is None:
            return "its head is more than one linear map"
        return adaptive_rotary(self._model.config.get_text_config()) or probe.disagreement(
            self._model,
            expected,
            lambda: [self.chunked(trace, PROBE_CHUNK) for trace in traces],
        )

    def _obstacle_to_packing(
        self, traces: list[TokenSequence], expected: NDArray[np.float32]
    ) -> str | None:
        """Why traces cannot share a pass; None leaves packed attention switched on."""
        model = self._model
        if self._head is None:
            return "its head is more than one linear map"
        reason = obstacle(model)
        if reason is not None:
            return reason
        own_attention: Any = model.config._attn_implementation
        windows_seen: list[int] = []
        model.set_attn_implementation(attention.NAME)
        reason = probe.disagreement(model, expected, lambda: self.packed(traces, windows_seen))
        if reason is None and len(windows_seen) < num_windowed_layers(
            model.config.get_text_config()
        ):
            reason = "it does not tell its attention how wide the window is"
        if reason is not None:
            model.set_attn_implementation(own_attention)
        return reason

    @property
    def context_length(self) -> int | None:
        """Longest trace the config allows, in tokens."""
        return self._context_length

    @property
    def packs(self) -> bool:
        """Whether traces share a forward pass."""
        return self._packs

    @property
    def chunks(self) -> bool:
        """Whether a trace above the token budget is read in chunks."""
        return self._chunks

    @torch.inference_mode()
    def token_scores(self, batch: Sequence[TokenSequence]) -> list[TokenScores | str]:
        """Score a batch; see `Engine.token_scores`.

        Raises:
            IndexError: for a token id that the model has no embedding for. Raised here, because on CUDA
                the lookup itself would end the process's device context, and every later trace with it.
            MemoryError: if the batch does not fit; for a single trace, not even in small chunks.
        """
        largest = max(max(*sequence.prompt_ids, *sequence.response_ids) for sequence in batch)
        if largest >= self._num_embeddings:
            raise IndexError(f"token id {largest}, the model has {self._num_embeddings} embeddings")
        if self._num_threads is not None:
            torch.set_num_threads(self._num_threads)
        try:
            if self._packs and len(batch) > 1:
                with memory_errors():
                    return [*self.packed(batch)]
            return [self._alone(sequence) for sequence in batch]
        except RuntimeError as error:
            end_if_device_is_lost(self._embeddings.weight.device, error)
            raise

    def _alone(self, sequence: TokenSequence) -> TokenScores:
        """One trace, in chunks if it is longer than the budget, smaller ones where memory runs out."""
        size = self._token_budget
        while True:
            try:
                with memory_errors():
                    if self._chunks and len(sequence) > size:
                        return self.chunked(sequence, size)
                    return self.packed([sequence])[0] if self._packs else self.whole(sequence)
            except MemoryError:
                size = min(size, len(sequence)) // 2
                if size < MIN_CHUNK or not self._chunks:
                    raise

    def packed(
        self, batch: Sequence[TokenSequence], windows_seen: list[int] | None = None
    ) -> list[TokenScores]:
        """All sequences in one row; the head sees only positions that predict a response token."""
        tokens = [i for sequence in batch for i in (*sequence.prompt_ids, *sequence.response_ids)]
        segments = [len(sequence) for sequence in batch]
        if len(tokens) < MIN_ROWS:
            segments.append(MIN_ROWS - len(tokens))
            tokens += [0] * segments[-1]
        ids = torch.tensor(tokens, device=self._embeddings.weight.device)
        positions = torch.cat([torch.arange(length) for length in segments]).to(ids.device)
        hidden_TE = self._model.base_model(
            input_ids=ids[None],
            position_ids=positions[None],
            use_cache=False,
            segments=segments,
            windows_seen=windows_seen,
        ).last_hidden_state[0]
        predicts: list[torch.Tensor] = []
        start = 0
        for sequence in batch:
            first = start + len(sequence.prompt_ids) - 1
            predicts.append(torch.arange(first, first + len(sequence.response_ids)))
            start += len(sequence)
        rows = torch.cat(predicts).to(ids.device)
        scores = self._tiles(hidden_TE[rows.to(hidden_TE.device)], ids[rows + 1])
        return _cut(scores, [len(sequence.response_ids) for sequence in batch])

    def chunked(self, sequence: TokenSequence, size: int) -> TokenScores:
        """One sequence, `size` tokens at a time over the model's cache, to its end or until it gives up."""
        ids = torch.tensor(
            [*sequence.prompt_ids, *sequence.response_ids], device=self._embeddings.weight.device
        )
        cache = DynamicCache(config=self._model.config)
        first = len(sequence.prompt_ids) - 1
        pieces: list[HeadScores] = []
        for start in range(0, len(ids), size):
            chunk = ids[start : start + size]
            positions = torch.arange(start, start + len(chunk), device=ids.device)
            hidden = self._model.base_model(
                input_ids=chunk[None],
                position_ids=positions[None],
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state[0]
            targets = ids[max(first, start) + 1 : start + len(chunk) + 1]
            if len(targets):
                begin = max(first - start, 0)
                pieces.append(self._tiles(hidden[begin : begin + len(targets)], targets))
                if sequence.gives_up is not None and sequence.gives_up(_so_far(pieces)):
                    break
        return _cut(_joined(pieces), [sum(len(piece.logprobs) for piece in pieces)])[0]

    def _tiles(self, hidden_RE: torch.Tensor, targets_R: torch.Tensor) -> HeadScores:
        assert self._head is not None, "only a model with such a head packs or chunks"
        return self._head(hidden_RE, targets_R)

    def whole(self, sequence: TokenSequence) -> TokenScores:
        """One sequence through the model's own forward pass."""
        ids = torch.tensor(
            [*sequence.prompt_ids, *sequence.response_ids], device=self._embeddings.weight.device
        )
        first = len(sequence.prompt_ids) - 1
        rows = slice(first, first + len(sequence.response_ids))
        if self._head is not None:
            body = self._model.base_model(input_ids=ids[None], use_cache=False)
            scores = self._head(body.last_hidden_state[0][rows], ids[first + 1 :])
            return _cut(scores, [len(sequence.response_ids)])[0]
        logits_TV = self._model(input_ids=ids[None], use_cache=False).logits[0]
        logprobs = plain_logprobs(logits_TV[rows], ids[first + 1 :].to(logits_TV.device))
        return TokenScores(logprobs.cpu().numpy())


def _tiled_head(
    model: PreTrainedModel, signals: Collection[Signal], packs_weights: bool
) -> TiledHead | None:
    """The model's head in tiles, or None if it is more than one linear map."""
    shape = probe.head_shape(model)
    if shape is not None:
        head: Any = model.get_output_embeddings()
        return TiledHead(
            head.weight, head.bias, shape=shape, signals=signals, packs_weights=packs_weights
        )
    _refuse(signals, model)
    return None


def _refuse(signals: Collection[Signal], model: PreTrainedModel) -> None:
    """Signals are measured tile by tile, which needs a head that comes in tiles."""
    if signals:
        raise ModelError(
            f"model {model.config.name_or_path}: signals {sorted(signals)} need a head that is one linear"
            " map; leave models.<role>.signals empty for it"
        )


def load_engine(
    model: ModelConfig, identity: ModelIdentity, *, num_threads: int
) -> TransformersEngine:
    """Load a model and host it.

    Args:
        model: dtype, token budget, signals, and how many GPUs an actor of its pool has.
        identity: The model pinned down.
        num_threads: Compute threads on CPU; part of what makes results repeat to the bit.

    Raises:
        ModelError: if the model cannot be loaded, naming it and what to change.
    """
    torch.set_num_threads(num_threads)
    return TransformersEngine(
        load_model(identity.location, identity.revision, model.dtype, model.pool.num_gpus),
        token_budget=model.token_budget,
        signals=[signal for signal in model.signals if signal != "unprompted"],
        num_threads=num_threads,
        packs_weights=model.pack_weights,
    )


def end_if_device_is_lost(device: torch.device, error: RuntimeError) -> None:
    """After some CUDA errors nothing works any more in this process, and every trace would be blamed.

    Raises:
        SystemExit: if the device does not answer; the pool starts another process, which finds out which
            trace it was.
    """
    if device.type == "cuda":
        try:
            torch.zeros(1, device=device).add_(1).item()
        except RuntimeError:
            raise SystemExit(f"the GPU does not answer after: {error}") from error


@contextmanager
def memory_errors() -> Iterator[None]:
    """Torch's ways of saying that memory ran out, as MemoryError."""
    try:
        yield
    except RuntimeError as error:
        out_of_memory = isinstance(error, torch.OutOfMemoryError)
        if not out_of_memory and not any(sign in str(error) for sign in OUT_OF_MEMORY):
            raise
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise MemoryError(str(error).splitlines()[0]) from error


def _so_far(pieces: list[HeadScores]) -> NDArray[np.float32]:
    return torch.cat([piece.logprobs for piece in pieces]).cpu().numpy()


def _joined(pieces: list[HeadScores]) -> HeadScores:
    ranks = [piece.ranks for piece in pieces if piece.ranks is not None]
    briers = [piece.briers for piece in pieces if piece.briers is not None]
    return HeadScores(
        torch.cat([piece.logprobs for piece in pieces]),
        torch.cat(ranks) if ranks else None,
        torch.cat(briers) if briers else None,
    )


def _cut(scores: HeadScores, counts: list[int]) -> list[TokenScores]:
    """The rows of each sequence, on the host."""
    logprobs = scores.logprobs.cpu().split(counts)
    ranks = [None] * len(counts) if scores.ranks is None else scores.ranks.int().cpu().split(counts)
    briers = [None] * len(counts) if scores.briers is None else scores.briers.cpu().split(counts)
    return [
        TokenScores(
            logprob.numpy(),
            None if rank is None else rank.numpy(),
            None if one is None else one.numpy(),
        )
        for logprob, rank, one in zip(logprobs, ranks, briers, strict=True)
    ]
