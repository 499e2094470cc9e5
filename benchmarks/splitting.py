"""Quality, speed and worst case of the sentence splitter; about half a minute on one core.

python benchmarks/splitting.py
"""

import json
import random
import re
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from rdpt_ray.method.sentences import SPLITTERS, Span, split_sentences, splitter_id

ROOT = Path(__file__).resolve().parents[1]
GOLD = ROOT.parent / "shared" / "gold" / "segmentation.jsonl"
OWN = ROOT / "tests" / "method" / "data" / "sentences.jsonl"

Labelled = list[tuple[str, list[Span]]]

HOSTILE = [*'.`$ \n\t()[]|\\"*_>-a1\u3002\u2026\u300c\u201c']
HOSTILE += [
    ". ",
    ".\n",
    "! ",
    "?!",
    "!)",
    "1. ",
    "1.\n",
    "a ",
    "A. ",
    "e.g. ",
    ". . ",
    "(a",
    "$x",
    "$x$ ",
]
HOSTILE += [
    "$$",
    "\\(",
    "\\)",
    "\\[",
    "\\]",
    "\n|",
    "\n- ",
    "```",
    "\n```",
    "```a\n",
    "~~~\n",
    "http://",
]
HOSTILE += ["\\begin{align}", "\\end{align}", "**a.** ", "(a.b)", "!)" * 50 + " "]


def labelled(path: Path) -> Labelled:
    """Texts with their sentence spans, given as spans or as the sentences themselves."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    texts: Labelled = []
    for row in rows:
        if "spans" in row:
            texts.append((row["text"], [(start, end) for start, end in row["spans"]]))
        else:
            ends = [sum(map(len, row["sentences"][: i + 1])) for i in range(len(row["sentences"]))]
            texts.append(("".join(row["sentences"]), list(pairwise([0, *ends]))))
    return texts


def f1(texts: Labelled, split: Callable[[str], list[Span]]) -> float:
    """F1 over the inner boundaries of all texts together."""
    hits = guesses = labels = 0
    for text, spans in texts:
        gold, found = {start for start, _ in spans[1:]}, {start for start, _ in split(text)[1:]}
        hits, guesses, labels = hits + len(gold & found), guesses + len(found), labels + len(gold)
    return round(2 * hits / (guesses + labels), 4)


def traces(texts: Labelled, count: int, length: int) -> Iterator[str]:
    """Snippets in random order, with other digits each time, so that no memo has seen them."""
    draw = random.Random(0)
    for _ in range(count):
        pieces: list[str] = []
        while sum(map(len, pieces)) < length:
            pieces.append(re.sub(r"\d", lambda _: str(draw.randrange(10)), draw.choice(texts)[0]))
        yield "\n\n".join(pieces)


def seconds(split: Callable[[str], list[Span]], text: str) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    split(text)
    return time.process_time() - start


def main() -> None:
    """Prints the figures as one JSON object."""
    gold = labelled(GOLD) if GOLD.exists() else None
    own = labelled(OWN)
    split_sentences("Load. The model.")
    corpus = list(traces(gold or own, count=200, length=20_000))
    megabytes = sum(len(text.encode()) for text in corpus) / 1e6
    speed = {
        name: round(megabytes / sum(seconds(split, text) for text in corpus), 2)
        for name, split in SPLITTERS.items()
    }
    hostile = {
        size: max((seconds(split_sentences, (unit * size)[:size]), unit[:8]) for unit in HOSTILE)
        for size in (100_000, 1_000_000)
    }
    figures = {
        "splitter": splitter_id(),
        "f1_gold": f1(gold, split_sentences) if gold else None,
        "f1_paper_regex": f1(gold, SPLITTERS["paper_regex"]) if gold else None,
        "f1_own": f1(own, split_sentences),
        "f1_own_paper_regex": f1(own, SPLITTERS["paper_regex"]),
        "mb_per_s": speed["sentence"],
        "mb_per_s_paper_regex": speed["paper_regex"],
        "worst_hostile_s": round(hostile[100_000][0], 3),
        "worst_hostile_unit": hostile[100_000][1],
        "worst_hostile_1m_s": round(hostile[1_000_000][0], 3),
        "worst_hostile_1m_unit": hostile[1_000_000][1],
    }
    if gold is None:
        figures["why"] = f"no gold labels at {GOLD}"
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
