"""Which rows are sampled together: a pure function of their lengths, so results never depend on workers."""

from collections.abc import Sequence


def plan_batches(
    prompt_lengths: Sequence[int], max_tokens: Sequence[int], cache_tokens: int
) -> list[list[int]]:
    """Rows of like length together, as many as the cache holds when every response is at its longest.

    Args:
        prompt_lengths: Tokens of each row's prompt.
        max_tokens: Tokens of each row's response at most.
        cache_tokens: Tokens of a batch: its rows, times their longest prompt and longest response. A row that
            is longer gets a batch of its own.

    Returns:
        Batches of row numbers; every row comes exactly once.
    """
    batches: list[list[int]] = []
    longest = 0
    for row in sorted(range(len(prompt_lengths)), key=lambda row: (prompt_lengths[row], row)):
        # In this order the newest row has the longest prompt.
        response = max(longest, max_tokens[row])
        if batches and (len(batches[-1]) + 1) * (prompt_lengths[row] + response) <= cache_tokens:
            batches[-1].append(row)
            longest = response
        else:
            batches.append([row])
            longest = max_tokens[row]
    return batches
