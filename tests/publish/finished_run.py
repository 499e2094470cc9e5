"""Finished runs of any rows, as files that a job could have left, without a model."""

import hashlib
from collections import Counter

import pyarrow as pa

from rdpt_ray.method.sentences import split_sentences
from rdpt_ray.method.summary import TOTALS, Example, Point, Summary
from rdpt_ray.publish.facts import InputFacts, ModelFacts, RunFacts
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.identity import identify
from rdpt_ray.storage.markup import join_canonical
from rdpt_ray.storage.runs import write_json
from rdpt_ray.storage.schemas import PROVENANCE, QUARANTINE, SELECTED

NUM_BUCKETS = 3
PROBS = {"TEACHER": (0.9, 0.1), "COMMON": (0.5, 0.45), "STUDENT": (0.1, 0.9)}


def candidate(prompt, reasoning, answer, *, messages=None, **facts):
    """What is known of a trace before it is selected."""
    response, answer_start = join_canonical(reasoning, answer)
    messages = messages or [{"role": "user", "content": prompt}]
    turns = [(each["role"], each["content"]) for each in messages]
    trace_id, prompt_id, _ = identify(turns, response, "messages", "response")
    return {
        "file": "in.jsonl",
        "row": 0,
        "item": 0,
        "trace_id": trace_id,
        "prompt_id": prompt_id,
        "messages": messages,
        "response": response,
        "answer_start": answer_start,
        "sentences": [{"start": a, "end": b} for a, b in split_sentences(response)],
        "complete": True,
        "license": "apache-2.0",
        "source": None,
        "teacher_name": None,
        "reference_answer": None,
        "correct": None,
        "metadata": None,
        **facts,
    }


def sums(num_prompts=6, per_prompt=2):
    """Candidates of prompts about sums; the longer ones have more sentences."""
    for prompt in range(num_prompts):
        for step in range(per_prompt):
            thought = " ".join(f"Step {each} of {prompt}." for each in range(step + 1))
            yield candidate(
                f"What is {prompt} + {prompt}?",
                thought,
                f"It is {2 * prompt}.",
                row=prompt * per_prompt + step,
                reference_answer=str(2 * prompt),
                correct=True,
            )


def classes_of(row):
    """Some class for every sentence, always the same."""
    names = list(PROBS)
    digits = hashlib.sha256(row["trace_id"].encode()).digest()
    return [names[digits[at % 32] % 3] for at in range(len(row["sentences"]))]


def finished_run(uri, rows=None, *, report="<html>report</html>", facts=None, **more):
    """Write a finished run's folder; of each prompt the first candidate with most Teacher sentences wins.

    Args:
        uri: The run's folder.
        rows: From `candidate`; None: `sums()`.
        report: Its page; None: there is none.
        facts: Of the manifest; None: some.
        more: Into the manifest.
    """
    run = open_root(str(uri))
    rows = list(sums() if rows is None else rows)
    groups = {}
    for row in rows:
        group = groups.setdefault(row["prompt_id"], [])
        row |= {"candidate": len(group), "num_sentences": len(row["sentences"])}
        group.append(row | {"classes": classes_of(row)})
    summary = Summary(rows_read=len(rows), num_prompts=len(groups), num_examples=2)
    tables = {at: {"selected": [], "rejected": [], "provenance": []} for at in range(NUM_BUCKETS)}
    for prompt_id in sorted(groups):
        _choose(groups[prompt_id], summary, tables[int(prompt_id[:6], 16) % NUM_BUCKETS])
    for bucket, found in tables.items():
        for table, schema in (
            ("selected", SELECTED),
            ("rejected", SELECTED),
            ("provenance", PROVENANCE),
        ):
            made = pa.Table.from_pylist(found[table], schema=schema)
            run.write_table(f"{table}/bucket={bucket:04d}.parquet", made)
        run.write_table(f"quarantine/bucket={bucket:04d}.parquet", QUARANTINE.empty_table())
    summary = summary.finished()
    if report is not None:
        run.write_bytes("report/index.html", report.encode())
    write_json(run, "manifest.json", _manifest(run, summary, facts or made_facts(len(rows)), more))
    return run


def _choose(group, summary, tables):
    """Put a prompt's candidates into the tables and into the summary."""
    best = max(group, key=lambda row: (row["classes"].count("TEACHER"), -row["candidate"]))
    for row in group:
        selected = row is best
        classes = row["classes"]
        num_teacher = classes.count("TEACHER")
        outcome = {
            "num_teacher": num_teacher,
            "selection_score": float(num_teacher),
            "rank": 1 if selected else 2,
            "selected": selected,
            "drop_reason": None if selected else "outranked",
        }
        tables["selected" if selected else "rejected"].append(row | outcome)
        teacher, student = zip(*(PROBS[name] for name in classes), strict=True)
        tables["provenance"].append(
            row | {"provenance": classes, "teacher_prob": teacher, "student_prob": student}
        )
        _count(summary, row, classes, num_teacher, selected, teacher, student)


def _count(summary, row, classes, num_teacher, selected, teacher, student):
    summary.classes.update(classes)
    if selected:
        summary.selected += 1
        summary.classes_selected.update(classes)
    else:
        summary.rejected += 1
        summary.drop_reasons += Counter(["outranked"])
    for position, name in enumerate(classes):
        counts = summary.positions.setdefault(name, [])
        counts.extend([0] * (position + 1 - len(counts)))
        counts[position] += 1
    trace_id, chars = row["trace_id"], len(row["response"])
    summary.points.append(Point(trace_id, chars, len(classes), num_teacher, selected))
    spans = [(each["start"], each["end"]) for each in row["sentences"]]
    example = Example(
        trace_id,
        row["messages"][-1]["content"],
        row["response"],
        spans,
        classes,
        list(teacher),
        list(student),
        None,
        num_teacher,
        selected,
        row["reference_answer"],
    )
    summary.most_teacher.append(example)
    summary.least_teacher.append(example)


def made_facts(num_rows, **more):
    """Facts of a run, clocks and timings included."""
    known = {
        "run_id": "demo-0123456789ab",
        "name": "demo",
        "kind": "curate",
        "created_at": "2026-01-02T03:04:05+00:00",
        "policy": "teacher_count",
        "per_prompt": 1,
        "alpha": 0.1,
        "beta": 0.15,
        "models": (
            ModelFacts("student", "models/student", "aaaa", "float32", 9, 0, 50, tokens_per_s=81.4),
            ModelFacts("teacher", "org/teacher", "bbbb", "bfloat16", 0, 9, 0),
        ),
        "inputs": (InputFacts("hf://datasets/org/traces/data.parquet", num_rows),),
        "wall_s": 12.34,
        "versions": {"rdpt_ray": "0.1.0", "torch": "2.13.0"},
    }
    return RunFacts(**(known | more))


def _manifest(run, summary, facts, more):
    return {
        "schema": 2,
        "facts": facts.to_dict(),
        "finished_at": "2026-01-02T03:05:00+00:00",
        "platform": "Linux-6.1",
        "sessions": [{"host": "node-17.internal", "process": "node-17/123@1"}],
        "config": {"name": "demo", "store": "/home/somebody/store", "input": {"path": "in.jsonl"}},
        "inputs": [{"uri": "hf://datasets/org/traces/data.parquet", "revision": "c0ffee"}],
        "models": {
            "teacher": {"key": "teacher-bbbbbbbbbbbbbbbb", "model": "org/teacher"},
            "student": {"key": "student-aaaaaaaaaaaaaaaa", "model": "models/student"},
        },
        "splitter": "sentence-1",
        "counts": {name: getattr(summary, name) for name in TOTALS},
        "summary": summary.to_dict(),
        "files": {
            name: {"sha256": hashlib.sha256(run.read_bytes(name)).hexdigest()}
            for table in ("selected", "rejected", "provenance", "quarantine")
            for name in run.names(table)
        },
        **more,
    }


def rows_of(run, table):
    """All rows of a run's table, in order."""
    names = run.names(table)
    return [row for name in names for row in run.read_table(name).to_pylist()]
