"""Counts of traces that are given as letters."""

from collections.abc import Iterable

import numpy as np

from rdpt_ray.method.correctness import LETTERS, MAX_POSITIONS, Correctness


def counted_prompts(prompts: Iterable[tuple[list[str], list[str]]]) -> Correctness:
    """Of prompts with their wrong and their right traces, all of them in the sample."""
    counts = np.zeros((2, len(LETTERS), MAX_POSITIONS), np.int64)
    sample = {}
    for number, groups in enumerate(prompts):
        sample[f"{number:06d}"] = (tuple(groups[0]), tuple(groups[1]))
        for group, texts in enumerate(groups):
            for text in texts:
                for place, letter in enumerate(text):
                    counts[group, LETTERS.index(letter), place] += 1
    return Correctness(counts, sample, len(sample))


def counted(wrong: list[str], correct: list[str]) -> Correctness:
    """Of traces that each answer a prompt of their own."""
    return counted_prompts([([text], []) for text in wrong] + [([], [text]) for text in correct])
