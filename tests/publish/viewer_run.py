"""The tables of a run whose every candidate is spelled out, as files, without a model."""

from dataclasses import dataclass, field
from itertools import accumulate

import pyarrow as pa

from rdpt_ray.method.pruning import rank_key
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.schemas import PROVENANCE, SELECTED

THREE_WAY = {"T": (0.9, 0.1), "C": (0.5, 0.45), "S": (0.1, 0.9), "U": (None, 0.5)}
FOUR_WAY = {
    "T": (0.9, 0.1, 0.8),
    "B": (0.5, 0.45, 0.9),
    "H": (0.5, 0.45, 0.5),
    "S": (0.1, 0.9, 0.2),
    "U": (0.5, 0.5, None),
}
NAMES = {"T": "TEACHER", "C": "COMMON", "S": "STUDENT", "H": "SHARED", "B": "BOOSTED", "U": None}
ROLES = ("teacher", "student", "distilled")


@dataclass
class Told:
    """One candidate."""

    letters: str
    """A class per sentence, by the letters of NAMES."""
    texts: list | None = None
    """Its sentences; None: some."""
    drop_reason: str | None = None
    """Why it is not ranked at all."""
    correct: bool | None = None
    trace_id: str | None = None
    facts: dict = field(default_factory=dict)
    """Other columns."""

    def sentences(self):
        return self.texts or [f"Sentence {n} is {x}. " for n, x in enumerate(self.letters)]


def write_run(uri, prompts, *, selects=True, four_way=False, num_buckets=2):
    """Write the tables; of each prompt the candidate with the most T is selected.

    Args:
        uri: The run's folder.
        prompts: prompt_id, or (prompt_id, messages) -> its candidates.
        selects: Whether anything is selected.
        four_way: Whether there is a distilled model.
        num_buckets: Over which prompts are dealt out.
    """
    run = open_root(str(uri))
    tables = {
        (table, bucket): []
        for table in ("selected", "rejected", "provenance")
        for bucket in range(num_buckets)
    }
    for number, (key, candidates) in enumerate(sorted(prompts.items(), key=lambda each: str(each))):
        prompt_id, messages = key if isinstance(key, tuple) else (key, f"The prompt {key}?")
        bucket = number % num_buckets
        rows = [
            _row(prompt_id, messages, at, told, four_way=four_way)
            for at, told in enumerate(candidates)
        ]
        for row in rows:
            tables["provenance", bucket].append(row)
        for row in _ranked(rows) if selects else [row | {"selected": True} for row in rows]:
            tables["selected" if row["selected"] else "rejected", bucket].append(row)
    for (table, bucket), rows in tables.items():
        rows.sort(key=lambda row: (row["prompt_id"], row["candidate"]))
        schema = PROVENANCE if table == "provenance" else SELECTED
        made = pa.Table.from_pylist(rows, schema=schema)
        run.write_table(f"{table}/bucket={bucket:04d}.parquet", made)
    return run


def _row(prompt_id, messages, at, told, *, four_way):
    texts = told.sentences()
    ends = list(accumulate(map(len, texts)))
    spans = zip([0, *ends[:-1]], ends, strict=True)
    known = FOUR_WAY if four_way else THREE_WAY
    probs = dict(zip(ROLES, zip(*(known[x] for x in told.letters), strict=True), strict=False))
    is_read = told.drop_reason != "pruned"
    content = [("user", messages)] if isinstance(messages, str) else messages
    row = {
        "file": "s3://somebody:secret@bucket/in/traces.parquet?token=secret",
        "row": 1000 + at,
        "item": 0,
        "trace_id": told.trace_id or f"{prompt_id}-{at}",
        "prompt_id": prompt_id,
        "messages": [{"role": role, "content": text} for role, text in content],
        "response": "".join(texts),
        "answer_start": 0,
        "sentences": [{"start": start, "end": end} for start, end in spans],
        "candidate": at,
        "complete": True,
        "correct": told.correct,
        "num_sentences": len(texts),
        "num_teacher": told.letters.count("T") if is_read else None,
        "drop_reason": told.drop_reason,
        "selected": False,
        "provenance": [NAMES[letter] for letter in told.letters] if is_read else None,
        "student_prob": list(probs["student"]),
        "teacher_prob": list(probs["teacher"]) if is_read else None,
        "distilled_prob": list(probs["distilled"]) if four_way else None,
    }
    return row | told.facts


def _ranked(rows):
    """The same rows with their ranks, by the project's own order."""
    ranked = sorted(
        (row for row in rows if row["drop_reason"] is None),
        key=lambda row: rank_key(row["num_teacher"], row["num_sentences"], row["trace_id"]),
    )
    for place, row in enumerate(ranked, start=1):
        row |= {
            "rank": place,
            "selection_score": float(row["num_teacher"]),
            "selected": place == 1,
            "drop_reason": None if place == 1 else "outranked",
        }
    return rows
