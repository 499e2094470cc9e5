import json
import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256

import pytest

from rdpt_ray.method.summary import Summary
from rdpt_ray.publish.report import render_report
from rdpt_ray.publish.untrusted import visible
from rdpt_ray.publish.viewer import SCRIPTS, viewer_script
from rdpt_ray.publish.viewer_traces import sample_traces
from tests.publish.test_report import HOSTILE, skeleton
from tests.publish.viewer_run import Told, write_run


@pytest.fixture
def page(read_page, tmp_path, summary, facts):
    """Prompts -> the page, with a summary of as many traces, and the viewer's data."""

    def of(prompts, *, max_traces=1_000, selects=True, four_way=False, total=None, **changed):
        run = write_run(tmp_path, prompts, selects=selects, four_way=four_way)
        traces = sample_traces(run, max_traces=max_traces)
        summary.selected, summary.rejected = total or traces.num_traces, 0
        known = replace(facts, kind="trace" if four_way else "curate", **changed)
        if not selects:
            known = replace(known, policy=None)
        html = render_report(summary, known, traces)
        whole = read_page(html.encode().decode())
        return whole, json.loads(whole.by_id("viewer-data").text)

    return of


def test_the_data_hold_what_the_viewer_shows(page):
    prompts = {"p": [Told("TTU", correct=True, facts={"reference_answer": "7"}), Told("TS")]}
    _, data = page(prompts)
    assert (data["selects"], data["policy"], data["beta"]) == (True, "teacher_count", 0.15)
    assert data["roles"] == ["teacher", "student"]
    assert data["classes"][0] == ["T", "Teacher"]
    (prompt,) = data["prompts"]
    assert prompt["messages"] == [["user", "The prompt p?", 0]]
    assert prompt["answer"] == "7"
    assert "shownBecause" not in prompt
    first, second = prompt["traces"]
    assert first["selected"] is True
    assert first["correct"] is True
    assert "correct" not in second
    assert "selected" not in second
    assert second["reason"] == "outranked"
    assert first["classes"] == "TTU"
    assert first["tally"] == {"T": 2, "U": 1}
    assert first["probs"] == {"teacher": [90, 90, None], "student": [10, 10, 50]}
    assert first["text"][0] == "Sentence 0 is T. "


def test_beta_is_told_only_where_probabilities_are_compared(page):
    _, data = page({"p": [Told("T")]}, divergence="log_ratio")
    assert data["beta"] is None


def test_a_four_way_run_has_five_classes(page):
    whole, data = page({"p": [Told("TBHSU")]}, selects=False, four_way=True)
    assert data["selects"] is False
    assert data["prompts"][0]["traces"][0]["classes"] == "TBHSU"
    assert [name for _, name in data["classes"]] == [
        "Teacher", "Boosted", "Shared", "Student", "Unscored",
    ]  # fmt: skip
    assert "Pick a trace to read it sentence by sentence." in whole.by_id("traces").text


def test_the_page_says_whether_it_holds_everything(page):
    prompts = {f"p{n:02}": [Told("T"), Told("C")] for n in range(30)}
    words = " ".join(page(prompts)[0].by_id("traces").one("p", "words").text.split())
    assert "All 60 traces of the run are here." in words
    whole, data = page(prompts, max_traces=10, total=1_203_554)
    words = " ".join(whole.by_id("traces").one("p", "words").text.split())
    assert "10 of 1,203,554 traces are here, of 5 of 2 prompts: at least half" in words
    assert data["prompts"][0]["shownBecause"]


def test_the_policy_admits_one_script_by_its_hash_and_no_data_are_run(page):
    whole, _ = page({"p": [Told("T")]})
    (policy,) = [
        meta.attrs["content"]
        for meta in whole.all("meta")
        if meta.attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    data, script = whole.all("script")
    assert data.attrs == {"type": "application/json", "id": "viewer-data"}
    assert script.attrs == {}
    digest = b64encode(sha256(script.text.encode()).digest()).decode()
    assert "default-src 'none'; style-src 'sha256-" in policy
    assert f"; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'" in policy
    assert "unsafe" not in policy
    assert script.text == viewer_script()


def test_the_page_has_no_handlers_styles_or_sources(page):
    whole, _ = page({"p": [Told("T"), Told("C")]})
    for element in whole.all():
        assert element.tag not in {"link", "img", "iframe", "object", "base", "form", "use"}
        assert not {"src", "srcset", "style", "action", "data"} & element.attrs.keys()
        assert not [name for name in element.attrs if name.startswith("on")]
        assert element.attrs.get("href", "#").startswith("#")


def test_the_script_makes_nodes_and_never_markup():
    script = viewer_script()
    for way in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function("):
        assert way not in script
    for way in ("fetch(", "XMLHttp", "WebSocket", "EventSource", "sendBeacon", "import(", ".src"):
        assert way not in script
    assert "</script" not in script
    assert len(SCRIPTS) == len(set(SCRIPTS))


def everywhere(text):
    """A run that holds the text in every field that an input can fill."""
    facts = dict.fromkeys(("file", "reference_answer", "teacher_name", "source", "license"), text)
    told = [
        Told("TC", texts=[text, " End."], trace_id=text, facts=facts),
        Told("C", texts=[text], trace_id=f"{text}2", drop_reason=text, facts=facts),
    ]
    return {(text, ((text, text), ("user", text))): told}


@pytest.mark.parametrize("text", [text for text in HOSTILE if "\ud83d" not in text])
def test_hostile_text_stays_data(page, text):
    plain, _ = page(everywhere("x" * len(text)))
    whole, data = page(everywhere(text))
    assert skeleton(whole) == skeleton(plain)
    (prompt,) = data["prompts"]
    assert prompt["messages"][1] == ["user", visible(text), 0]
    assert prompt["traces"][0]["text"] == [visible(text), " End."]
    assert not set("<>&") & set(whole.by_id("viewer-data").text)


def test_a_page_without_traces_has_no_script(read_page, summary, facts, tmp_path):
    empty = sample_traces(write_run(tmp_path, {}))
    assert render_report(summary, facts, empty) == render_report(summary, facts)


@pytest.mark.slow
@pytest.mark.parametrize("unit", ['"', "<", "\0", "\U0001f600", "word "])
@pytest.mark.parametrize(
    ("num_prompts", "per_prompt", "num_sentences"), [(250, 4, 200), (1_000, 1, 40), (15, 70, 60)]
)
def test_a_thousand_long_traces_stay_below_five_megabytes(
    add, facts, tmp_path, unit, num_prompts, per_prompt, num_sentences
):
    texts = [unit * 60 for _ in range(num_sentences)]
    labels = dict.fromkeys(("source", "license", "teacher_name", "reference_answer"), unit * 999)
    told = [
        Told("TBHS" * (num_sentences // 4), texts=texts, facts=labels) for _ in range(per_prompt)
    ]
    prompts = {(f"{n:05}", unit * 20_000): told for n in range(num_prompts)}
    run = write_run(tmp_path, prompts, four_way=True)
    traces = sample_traces(run)
    assert traces.num_traces >= 900
    summary = Summary(num_examples=10)
    add(summary, unit * 900, "TBHSU" * 500, prompt=unit * 100_000, texts=[unit * 99] * 2_500)
    summary.most_teacher *= 10
    summary.least_teacher *= 10
    html = render_report(summary, replace(facts, kind="trace"), traces)
    assert len(html.encode()) < 5_000_000


def test_every_id_that_the_script_looks_up_is_in_the_page(page):
    whole, _ = page({"p": [Told("T"), Told("C")]})
    ids = {element.attrs["id"] for element in whole.all() if "id" in element.attrs}
    asked = set(re.findall(r'byId\("([a-z-]+)"\)', viewer_script()))
    assert {f"viewer-{name}" for name in asked} <= ids
