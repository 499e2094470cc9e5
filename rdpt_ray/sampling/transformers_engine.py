"""The reference engine: transformers' own `generate`, with its cache and all its architectures.

Rows are padded on the left and drawn by `draw.Draw`. `generate` computes a row that has ended for as long as
another goes on; so it is asked for `SEGMENT` steps at a time, and in between the rows that have ended are
taken out of the cache. Only models whose whole cache is keys and values can do that.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache, GenerationConfig, LogitsProcessorList, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from rdpt_ray.sample_config import SamplingConfig
from rdpt_ray.sampling.batches import plan_batches
from rdpt_ray.sampling.draw import Draw
from rdpt_ray.sampling.engine import Ask, Drawn
from rdpt_ray.scoring.transformers_engine import end_if_device_is_lost, memory_errors
from rdpt_ray.scoring.weights import context_length

SEGMENT = 64
"""Steps between two looks at which rows have ended."""


class TransformersSampler:
    """Hosts one model; see `SamplingEngine`."""

    def __init__(
        self,
        model: PreTrainedModel,
        sampling: SamplingConfig,
        end_ids: Sequence[int],
        *,
        num_threads: int | None = None,
    ) -> None:
        """Take a loaded model; it is the engine's from here on.

        Args:
            model: In evaluation mode, on its device.
            sampling: How to draw, and how large a cache may be.
            end_ids: Tokens that end a turn, at least one.
            num_threads: Compute threads on CPU, pinned at every batch; None leaves them as they are.
        """
        self.after_step: Callable[[], None] = lambda: None
        self._model: Any = model
        self._sampling = sampling
        self._end_ids = sorted(set(end_ids))
        self._num_threads = num_threads
        self._embeddings: Any = model.get_input_embeddings()
        self._context_length = context_length(model)
        # What the checkpoint says here (a penalty for repetition, say) would change what is drawn.
        model.generation_config = GenerationConfig()
        self._drops_rows = _drops_rows(model)

    @property
    def context_length(self) -> int | None:
        """Longest sequence the config allows, in tokens."""
        return self._context_length

    def draw(self, asks: Sequence[Ask]) -> list[Drawn | str]:
        """Draw in batches of like length; one that does not fit the memory halves the cache for the rest."""
        if self._num_threads is not None:
            torch.set_num_threads(self._num_threads)
        done = {row: fault for row, ask in enumerate(asks) if (fault := self._fault(ask))}
        results: dict[int, Drawn | str] = dict(done)
        cache_tokens = self._sampling.cache_tokens
        while len(results) < len(asks):
            left = [row for row in range(len(asks)) if row not in results]
            lengths = [len(asks[row].prompt_ids) for row in left]
            limits = [asks[row].max_tokens for row in left]
            for batch in plan_batches(lengths, limits, cache_tokens):
                rows = [left[place] for place in batch]
                try:
                    results |= self._halving(rows, asks)
                except MemoryError:
                    longest = max(lengths[place] for place in batch)
                    longest += max(limits[place] for place in batch)
                    cache_tokens = len(batch) * longest // 2
                    break
        return [results[row] for row in range(len(asks))]

    def _fault(self, ask: Ask) -> str:
        """Checked here: on CUDA the lookup would end the process's device context, and all that follows."""
        largest, there = max(ask.prompt_ids), self._embeddings.weight.shape[0]
        if largest >= there:
            return f"engine_error: token id {largest}, the model has {there} embeddings"
        return ""

    def _halving(self, rows: list[int], asks: Sequence[Ask]) -> dict[int, Drawn | str]:
        """One batch; where it fails, two of half the size, down to the rows that fail alone.

        Raises:
            MemoryError: if several rows do not fit the memory together.
        """
        try:
            with memory_errors():
                drawn = self.batch([asks[row] for row in rows])
        except MemoryError as error:
            if len(rows) > 1:
                raise
            length = len(asks[rows[0]].prompt_ids) + asks[rows[0]].max_tokens
            return {rows[0]: f"out_of_memory: up to {length} tokens: {error}"[:500]}
        except (RuntimeError, IndexError) as error:
            if isinstance(error, RuntimeError):
                end_if_device_is_lost(self._embeddings.weight.device, error)
            if len(rows) == 1:
                return {rows[0]: f"engine_error: {error!r}"[:500]}
            middle = len(rows) // 2
            return self._halving(rows[:middle], asks) | self._halving(rows[middle:], asks)
        return dict(zip(rows, drawn, strict=True))

    @torch.inference_mode()
    def batch(self, asks: Sequence[Ask]) -> list[Drawn | str]:
        """Draw rows together, left-padded.

        Raises:
            RuntimeError: if the pass failed as a whole; torch's errors of memory are among them.
        """
        device = self._embeddings.weight.device
        width = max(len(ask.prompt_ids) for ask in asks)
        ids = torch.full((len(asks), width), self._end_ids[0], device=device)
        mask = torch.zeros_like(ids)
        for row, ask in enumerate(asks):
            ids[row, width - len(ask.prompt_ids) :] = torch.tensor(ask.prompt_ids, device=device)
            mask[row, width - len(ask.prompt_ids) :] = 1
        draw = Draw(asks, self._sampling, self._end_ids[0], self._told)
        cache = DynamicCache(config=self._model.config) if self._drops_rows else None
        longest = max(ask.max_tokens for ask in asks)
        pieces: list[list[tuple[NDArray[np.int32], NDArray[np.float32]]]] = [[] for _ in asks]
        rows = list(range(len(asks)))
        done = 0
        while rows:
            steps = min(SEGMENT, longest - done) if self._drops_rows else longest
            out: Any = self._model.generate(
                ids,
                attention_mask=mask,
                past_key_values=cache,
                logits_processor=LogitsProcessorList([draw]),
                generation_config=self._config(steps),
            )
            tokens_SB, given_SB = draw.take()
            done += len(tokens_SB)
            open_rows: list[int] = []
            for place, row in enumerate(rows):
                length, goes_on = self._length(tokens_SB[:, place], asks[row].max_tokens, done)
                pieces[row].append((tokens_SB[:length, place], given_SB[:length, place]))
                if goes_on:
                    open_rows.append(place)
            if not self._drops_rows:
                break
            index = torch.tensor(open_rows, dtype=torch.long)  # layers may be on several devices
            ids = out.sequences[index]
            mask = torch.cat([mask, mask.new_ones(len(mask), len(tokens_SB))], 1)[index]
            if cache is not None and len(open_rows) < len(rows):
                cache.batch_select_indices(index)
                draw.keep(open_rows)
            rows = [rows[place] for place in open_rows]
        return [self._drawn(each) for each in pieces]

    def _told(self) -> None:
        self.after_step()

    def _config(self, steps: int) -> GenerationConfig:
        return GenerationConfig(
            do_sample=False,  # the processor has drawn
            max_new_tokens=steps,
            eos_token_id=self._end_ids,
            pad_token_id=self._end_ids[0],
            return_dict_in_generate=True,
            use_cache=True,
        )

    def _length(self, tokens_S: NDArray[np.int32], max_tokens: int, done: int) -> tuple[int, bool]:
        """How many of the last steps' tokens are a row's own, and whether it goes on behind them."""
        room = max_tokens - (done - len(tokens_S))
        ends = np.flatnonzero(np.isin(tokens_S, self._end_ids))
        if len(ends) and ends[0] < room:
            return int(ends[0]) + 1, False
        return min(room, len(tokens_S)), room > len(tokens_S)

    def _drawn(self, pieces: list[tuple[NDArray[np.int32], NDArray[np.float32]]]) -> Drawn | str:
        tokens, given = (np.concatenate(each) for each in zip(*pieces, strict=True))
        num_bad = int(np.count_nonzero(~np.isfinite(given)))
        if num_bad:
            return f"nonfinite_score: {num_bad} of {len(given)} log-probabilities"
        return Drawn(tokens, given, bool(np.isin(tokens[-1], self._end_ids)))


def _drops_rows(model: Any) -> bool:
    """Whether all that a model remembers is one set of keys and values per row and layer."""
    if not model._supports_default_dynamic_cache():
        return False
    layers = DynamicCache(config=model.config).layers
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)
