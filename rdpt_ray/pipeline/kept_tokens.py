"""Between what a scorer gives and what the store keeps: token scores."""

from collections.abc import Collection, Sequence

import numpy as np

from rdpt_ray.scoring.engine import TokenScores
from rdpt_ray.scoring.traces import Trace, TraceTokens
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.token_scores import StoredTokens, read_tokens, tokens_table


def keep_tokens(
    store: Root, name: str, traces: Sequence[Trace], tokens: Sequence[TraceTokens | str]
) -> None:
    """Write token scores under a name of `token_scores.token_name`.

    Args:
        store: Where.
        name: The file.
        traces: The traces that were scored; none for a part that needed none.
        tokens: Per trace its scores or its error.
    """
    pairs = zip(traces, tokens, strict=True)
    store.write_table(name, tokens_table({trace.trace_id: _stored(each) for trace, each in pairs}))


def kept_tokens(
    store: Root, names: Collection[str], trace_ids: Collection[str]
) -> dict[str, TraceTokens | str]:
    """What the store holds of these traces in these files: trace_id -> its scores or its error.

    Raises:
        StoreError: if one of the files is unreadable.
    """
    if not names:
        return {}
    found = read_tokens(store, names, trace_ids)
    return {trace_id: _scored(each) for trace_id, each in found.items()}


def _stored(tokens: TraceTokens | str) -> StoredTokens:
    if isinstance(tokens, str):
        nothing = np.empty((0, 2), np.int64)
        return StoredTokens(nothing, np.empty(0, np.float32), None, None, 0, tokens)
    scores = tokens.scores
    return StoredTokens(
        tokens.spans, scores.logprobs, scores.ranks, scores.briers, tokens.num_prompt_tokens
    )


def _scored(tokens: StoredTokens) -> TraceTokens | str:
    if tokens.error is not None:
        return tokens.error
    scores = TokenScores(tokens.logprobs, tokens.ranks, tokens.briers)
    return TraceTokens(tokens.spans, scores, tokens.num_prompt_tokens)
