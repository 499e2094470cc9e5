"""Pages with a trace viewer: runs of a few prompts, each with something of its own."""

from rdpt_ray.method.provenance import NAMES as CLASS_NAMES
from rdpt_ray.method.provenance import classify_codes
from rdpt_ray.method.summary import Example, Point, Summary
from rdpt_ray.publish.facts import InputFacts, ModelFacts, RunFacts
from rdpt_ray.publish.report import render_report
from rdpt_ray.publish.viewer_traces import sample_traces
from tests.publish.viewer_run import Told, write_run

PROMPTS = {
    ("clear", "What is two plus two?"): [
        Told("CTTTTT", correct=True, facts={"reference_answer": "4", "teacher_name": "big"}),
        Told("TC", correct=True),
        Told("CS", correct=False),
    ],
    ("filtered", "Which planet is the largest?"): [
        Told("TTC", texts=["Jupiter is large. ", "Saturn is not. ", "So Jupiter."]),
        Told("TUC", drop_reason="filter: complete"),
        Told("TS", drop_reason="pruned"),
    ],
    ("tied", "Say something."): [Told("TTC", correct=False), Told("TTCC"), Told("C")],
    ("alone", "A prompt with one answer."): [Told("STS")],
}
FOUR_WAY = {
    "first": [Told("TBHSU")],
    "second": [Told("TTHHB" * 8)],
    "third": [Told("S")],
}


def page_of(folder, prompts=None, *, kind="curate", max_traces=1_000, total=None, **changed):
    """The HTML of a run's report."""
    is_trace = kind == "trace"
    prompts = prompts or (FOUR_WAY if is_trace else PROMPTS)
    run = write_run(folder, prompts, selects=not is_trace, four_way=is_trace)
    traces = sample_traces(run, max_traces=max_traces)
    facts = RunFacts(
        **{
            "run_id": "demo-0001",
            "name": "demo",
            "kind": kind,
            "created_at": "2026-01-02 03:04:05 UTC",
            "policy": None if is_trace else "teacher_count",
            "per_prompt": 1,
            "alpha": 0.1,
            "beta": 0.1,
            "models": tuple(
                ModelFacts(role, f"models/{role}", "f" * 40, "float32", 9, 0, 900)
                for role in ("student", "teacher", *(["distilled"] if is_trace else []))
            ),
            "inputs": (InputFacts("in.jsonl", 9),),
            **changed,
        }
    )
    return render_report(summary_of(traces, total), facts, traces)


def summary_of(traces, total=None):
    """Counts that fit the traces, and one of them as an example."""
    every = [trace for prompt in traces.prompts for trace in prompt.traces]
    selected = sum(trace.selected for trace in every)
    summary = Summary(rows_read=total or len(every), num_prompts=len(traces.prompts))
    summary.selected, summary.rejected = selected, (total or len(every)) - selected
    teacher, student = [0.9, 0.5], [0.1, 0.5]
    codes = classify_codes(teacher, student)
    classes = [str(CLASS_NAMES[code]) for code in codes]
    example = Example(
        "e", "Why?", "One. Two.", [(0, 5), (5, 9)], classes, teacher, student, None, 1, True
    )
    summary.add_trace(codes, Point("e", 9, 2, 1, True), example)
    return summary


def entries(page):
    return page.locator("#viewer-list .entry .entry-prompt").all_inner_texts()


def found(page):
    return page.locator("#viewer-count").inner_text()


def titles(page):
    return page.locator(".candidate h4").all_inner_texts()


def search(page, text):
    page.locator("#viewer-search").fill(text)
    page.wait_for_timeout(150)


def active(page):
    return page.locator(".candidate.active")


def readout(page):
    return " ".join(active(page).locator(".readout").inner_text().split())
