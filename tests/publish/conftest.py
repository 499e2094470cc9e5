"""Runs small enough to be counted by hand, and a reader of pages that knows only HTML."""

from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import accumulate

import numpy as np
import pytest

from rdpt_ray.method.candidate import RoleScores
from rdpt_ray.method.comparison import compare
from rdpt_ray.method.correctness import count_correctness
from rdpt_ray.method.provenance import NAMES, classify_codes
from rdpt_ray.method.score_columns import ScoreColumns
from rdpt_ray.method.sensitivity import sweep
from rdpt_ray.method.summary import Example, Point, Summary
from rdpt_ray.publish.facts import InputFacts, ModelFacts, RunFacts
from tests.hub.client import turned_to
from tests.hub.server import running_hub

THREE_WAY = {"T": (0.9, 0.1), "C": (0.5, 0.5), "S": (0.1, 0.9), "U": (None, 0.5)}
"""Class letter -> probability under teacher and student."""

FOUR_WAY = {
    "T": (0.9, 0.1, 0.9),
    "B": (0.5, 0.5, 0.9),
    "H": (0.5, 0.5, 0.5),
    "S": (0.1, 0.9, 0.1),
    "U": (0.5, 0.5, None),
}
"""Class letter (H: SHARED) -> probability under teacher, student and distilled model."""


def _add(summary, trace_id, letters, *, selected=False, prompt="What is 2 + 2?", texts=None):
    """Add a trace whose sentences have the classes that the letters name."""
    table = FOUR_WAY if set(letters) & set("BH") else THREE_WAY
    probs = [list(column) for column in zip(*(table[letter] for letter in letters), strict=True)]
    texts = texts or [f"Sentence {number} is {letter}. " for number, letter in enumerate(letters)]
    ends = list(accumulate(map(len, texts)))
    codes = classify_codes(*probs)
    classes = [None if name is None else str(name) for name in NAMES[codes]]
    num_teacher = classes.count("TEACHER")
    response = "".join(texts)
    summary.add_trace(
        codes,
        Point(trace_id, len(response), len(texts), num_teacher, selected),
        Example(
            trace_id=trace_id,
            prompt=prompt,
            response=response,
            sentences=list(zip([0, *ends[:-1]], ends, strict=True)),
            classes=classes,
            teacher_prob=probs[0],
            student_prob=probs[1],
            distilled_prob=probs[2] if len(probs) > 2 else None,
            num_teacher=num_teacher,
            selected=selected,
            reference_answer="4",
        ),
    )


@pytest.fixture(scope="session")
def add():
    return _add


@pytest.fixture
def summary():
    """Six traces of two prompts; nine rows read. Sentences by class: T 5, C 5, S 3, unscored 2."""
    found = Summary(rows_read=9, selected=2, rejected=4, quarantined=3, num_prompts=2)
    found.drop_reasons = Counter({"outranked": 3, "filter: complete": 1})
    found.quarantine_reasons = Counter({"ingest: empty_response": 2, "score: nan": 1})
    chosen = {"t3", "t6"}
    rows = {"t1": "TCS", "t2": "TC", "t3": "TTCS", "t4": "C", "t5": "SU", "t6": "TUC"}
    for trace_id, letters in rows.items():
        _add(found, trace_id, letters, selected=trace_id in chosen)
    return found.finished()


@pytest.fixture
def traced():
    """A run of `rdpt trace`: five traces, four-way, nothing selected away."""
    found = Summary(rows_read=5, selected=5, num_prompts=5)
    for number, letters in enumerate(["TBH", "HHS", "BU", "THT", "SH"]):
        _add(found, f"d{number}", letters, selected=True)
    return found.finished()


@pytest.fixture
def facts():
    return RunFacts(
        run_id="demo-0001",
        name="demo",
        kind="curate",
        created_at="2026-01-02 03:04:05 UTC",
        policy="teacher_count",
        per_prompt=1,
        alpha=0.1,
        beta=0.15,
        models=(
            ModelFacts(
                "student", "models/student", "aaaa", "float32", 1280, 0, 50_000, tokens_per_s=8123.4
            ),
            ModelFacts("teacher", "models/teacher", "bbbb", "bfloat16", 0, 1280, 0),
        ),
        inputs=(InputFacts("data/traces.parquet", 9),),
        wall_s=12.34,
        versions={"rdpt_ray": "0.1.0", "torch": "2.13.0"},
    )


def _columns(letters, *, prompts=None, chars=None, correct=None, prefix="c"):
    """Traces whose sentences differ by 0.6 (T) or by a little less than 0.05 (any other letter)."""
    sentences = "".join(letters)
    ones = np.ones(len(sentences), np.int64)
    teacher = np.where(np.array(list(sentences)) == "T", 0.8, 0.25)
    size = len(letters)
    return ScoreColumns(
        trace_ids=np.array([f"{prefix}{number:03}" for number in range(size)]),
        prompt_ids=np.array(prompts or [f"{prefix}{number:03}" for number in range(size)]),
        num_chars=np.array(chars or [10 * len(text) for text in letters]),
        correct=np.array(correct or [-1] * size, np.int8),
        eligible=np.ones(size, bool),
        teacher_known=np.ones(size, bool),
        offsets=np.cumsum([0, *map(len, letters)]),
        sentence_chars=10 * ones,
        roles={
            "teacher": RoleScores(np.log(teacher), ones),
            "student": RoleScores(3 * np.log(np.full(len(sentences), 0.2)), 3 * ones),
        },
    )


@pytest.fixture(scope="session")
def columns_of():
    return _columns


@pytest.fixture
def five():
    """Prompt p with Teacher sentences 2, 1, 1, 0; and q with one candidate, so without a choice."""
    return _columns(
        ["TTC", "TC", "TCCCC", "C", "T"],
        prompts=list("ppppq"),
        chars=[100, 95, 300, 109, 50],
        correct=[1, 0, 1, -1, 1],
    )


@pytest.fixture
def sixteen():
    """Eight right traces, all Teacher; eight wrong ones whose second sentence is Common."""
    return _columns(["TT"] * 8 + ["TC"] * 8, correct=[1] * 8 + [0] * 8, prefix="s")


@pytest.fixture
def analysed(summary, five, sixteen):
    """The six traces of `summary` beside analyses of other ones."""
    summary.sensitivity = sweep(five)
    summary.comparison = compare(five)
    summary.correctness = count_correctness(sixteen)
    return summary


VOID = {"meta", "br", "input"}
SVG_VOID = {"path", "rect", "circle"}


@dataclass
class Element:
    tag: str
    attrs: dict
    children: list = field(default_factory=list)

    @property
    def text(self):
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, tag=None, cls=None):
        """Every element below with this tag and this class, in the order of the page."""
        for child in self.children:
            if isinstance(child, Element):
                if tag in (None, child.tag) and (
                    cls is None or cls in (child.attrs.get("class") or "").split()
                ):
                    yield child
                yield from child.all(tag, cls)

    def one(self, *args, **kwargs):
        (found,) = self.all(*args, **kwargs)
        return found

    def by_id(self, identity):
        (found,) = [e for e in self.all() if e.attrs.get("id") == identity]
        return found


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.root = Element("page", {})
        self.open = [self.root]

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {tag} {attrs}"
        self.open[-1].children.append(Element(tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(self.open[-1].children[-1])

    def handle_startendtag(self, tag, attrs):
        assert tag in SVG_VOID, tag
        self.open[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag, f"closed out of turn: {tag}"

    def handle_data(self, data):
        self.open[-1].children.append(data)


@pytest.fixture(scope="session")
def read_page():
    """Parse a page into elements; fails where tags do not nest."""

    def read(html):
        reader = _Reader()
        reader.feed(html)
        reader.close()
        assert reader.open == [reader.root]
        return reader.root

    return read


@pytest.fixture
def hub(tmp_path):
    """A Hub on loopback that the client of this process is turned to, logged in as somebody who may write."""
    with running_hub() as server, turned_to(server, tmp_path):
        yield server
