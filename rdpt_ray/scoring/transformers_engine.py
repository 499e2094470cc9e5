"""The reference engine: any causal language model that transformers loads, on CPU or CUDA.

The fast path packs traces without padding or mask and walks the vocabulary in tiles. Whether a model
allows that (its layers must not mix packed traces, its head must be one linear map) is not assumed from
its name: it is measured once, when the model is loaded, against the model's own plain forward pass. A
model that differs takes the plain path, one trace at a time, and says so in the log.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from numpy.typing import NDArray
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, PreTrainedModel

from rdpt_ray.config import ModelConfig
from rdpt_ray.errors import ModelError
from rdpt_ray.scoring import attention
from rdpt_ray.scoring.engine import TokenScores, TokenSequence
from rdpt_ray.scoring.head import MIN_ROWS, plain_logprobs, tiled_logprobs
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.scoring.packing import num_windowed_layers, obstacle

logger = logging.getLogger(__name__)

SEMANTICS = "transformers/1"
"""Part of the model key: raise it when the same model would get other numbers."""

PROBE_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.25, torch.float16: 0.1}
"""Largest difference in log-probability that rounding explains; a wrong path differs by whole nats."""

LOAD_FAULTS = (
    OSError,
    ValueError,
    KeyError,
    ImportError,  # a quantised checkpoint without the library that reads it
    RuntimeError,  # tensors that cannot be brought into the model's layout
    SafetensorError,
    StrictDataclassError,  # a config field of the wrong type
)


class TransformersEngine:
    """Hosts one model; see the module for the two paths."""

    def __init__(self, model: PreTrainedModel) -> None:
        """Take a loaded model and find out which path it allows.

        Args:
            model: In evaluation mode, on its device, with its own attention implementation.
        """
        self._model = model
        self._device = next(model.parameters()).device
        config = model.config.get_text_config()
        self._context_length: int | None = getattr(config, "max_position_embeddings", None)
        self._head: Any = model.get_output_embeddings()
        embeddings: Any = model.get_input_embeddings()
        self._num_embeddings: int = embeddings.weight.shape[0]
        self._packs = self._can_pack()

    @property
    def context_length(self) -> int | None:
        """The config's `max_position_embeddings`."""
        return self._context_length

    @property
    def packs(self) -> bool:
        """Whether the fast path is in use."""
        return self._packs

    @torch.inference_mode()
    def token_scores(self, batch: Sequence[TokenSequence]) -> list[TokenScores | str]:
        """Score a batch; see `Engine.token_scores`.

        Raises:
            IndexError: for a token id that the model has no embedding for. Raised here, because on CUDA
                the lookup itself would end the process's device context, and every later trace with it.
        """
        largest = max(max(*sequence.prompt_ids, *sequence.response_ids) for sequence in batch)
        if largest >= self._num_embeddings:
            raise IndexError(f"token id {largest}, the model has {self._num_embeddings} embeddings")
        if self._packs:
            return [TokenScores(values) for values in self._packed(batch)]
        return [TokenScores(self._plain(sequence)) for sequence in batch]

    def _packed(
        self, batch: Sequence[TokenSequence], windows_seen: list[int] | None = None
    ) -> list[NDArray[np.float32]]:
        """All sequences in one row; the head sees only positions that predict a response token."""
        tokens = [i for sequence in batch for i in (*sequence.prompt_ids, *sequence.response_ids)]
        segments = [len(sequence) for sequence in batch]
        if len(tokens) < MIN_ROWS:
            segments.append(MIN_ROWS - len(tokens))
            tokens += [0] * segments[-1]
        ids = torch.tensor(tokens, device=self._device)
        positions = torch.cat([torch.arange(length) for length in segments]).to(self._device)
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
        rows = torch.cat(predicts).to(self._device)
        values = tiled_logprobs(hidden_TE[rows], self._head.weight, self._head.bias, ids[rows + 1])
        counts = [len(sequence.response_ids) for sequence in batch]
        return [piece.cpu().numpy() for piece in values.split(counts)]

    def _plain(self, sequence: TokenSequence) -> NDArray[np.float32]:
        """One sequence through the model's own forward pass and head."""
        ids = torch.tensor([*sequence.prompt_ids, *sequence.response_ids], device=self._device)
        logits_TV = self._model(input_ids=ids[None], use_cache=False).logits[0]
        first = len(sequence.prompt_ids) - 1
        rows = slice(first, first + len(sequence.response_ids))
        return plain_logprobs(logits_TV[rows], ids[first + 1 :]).cpu().numpy()

    def _can_pack(self) -> bool:
        reason = obstacle(self._model) or self._measured_obstacle()
        if reason is not None:
            name = self._model.config.name_or_path
            logger.warning("%s is scored one trace at a time: %s", name, reason)
        return reason is None

    @torch.inference_mode()
    def _measured_obstacle(self) -> str | None:
        """Compare the two paths on two short random sequences; leaves packing switched on if they agree."""
        config = self._model.config.get_text_config()
        ids = np.random.default_rng(0).integers(0, config.vocab_size, size=48).tolist()
        probe = [TokenSequence(ids[:3], ids[3:20]), TokenSequence(ids[20:21], ids[21:])]
        if not self._head_is_linear(ids):
            return "its head is more than one linear map"
        expected = np.concatenate([self._plain(sequence) for sequence in probe])
        own_attention: Any = self._model.config._attn_implementation
        windows_seen: list[int] = []
        self._model.set_attn_implementation(attention.NAME)
        try:
            actual = np.concatenate(self._packed(probe, windows_seen))
            difference = float(np.abs(actual - expected).max())
            reason = None
            if not difference <= PROBE_TOLERANCE[self._model.dtype]:
                reason = f"packing changes its log-probabilities by {difference:.3g}"
            elif len(windows_seen) < num_windowed_layers(config):
                reason = "it does not tell its attention how wide the window is"
        except NotImplementedError as error:
            reason = f"it uses {error}"
        if reason is not None:
            self._model.set_attn_implementation(own_attention)
        return reason

    def _head_is_linear(self, ids: list[int]) -> bool:
        """Whether the logits are the head's product and nothing more, to the bit.

        A soft cap on small logits changes them by less than rounding does, so no tolerance finds it.
        """
        row = torch.tensor([ids], device=self._device)
        hidden = self._model.base_model(input_ids=row, use_cache=False).last_hidden_state
        if hidden.shape[-1] != self._head.in_features:
            return False
        logits = self._model(input_ids=row, use_cache=False).logits
        return torch.equal(self._head(hidden).float(), logits.float())


def load_engine(
    model: ModelConfig, identity: ModelIdentity, *, num_threads: int
) -> TransformersEngine:
    """Load weights (safetensors only, no code from the repository) and host them.

    Args:
        model: dtype, and whether its pool has GPUs.
        identity: The model pinned down.
        num_threads: Compute threads on CPU; part of what makes results repeat to the bit.

    Raises:
        ModelError: if the model cannot be loaded, naming it and what to change.
    """
    name, use_gpu = identity.location, model.pool.num_gpus > 0
    torch.set_num_threads(num_threads)
    try:
        loading: Any = AutoModelForCausalLM.from_pretrained(
            name,
            revision=identity.revision,
            dtype=getattr(torch, model.dtype),
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, by name
        )
    except LOAD_FAULTS as error:
        raise ModelError(f"model {name}: cannot be loaded: {error}") from error
    loaded, info = loading
    random = sorted({*info["missing_keys"], *(entry[0] for entry in info["mismatched_keys"])})
    if random:
        raise ModelError(
            f"model {name}: {len(random)} tensors of {type(loaded).__name__} are not in its files, or in"
            f" another shape, and would be random numbers ({random[0]} is one); is this the whole"
            " checkpoint?"
        )
    if use_gpu and not torch.cuda.is_available():
        raise ModelError(f"model {name}: pool.num_gpus > 0, but this actor sees no CUDA device")
    return TransformersEngine(loaded.eval().to("cuda" if use_gpu else "cpu"))
