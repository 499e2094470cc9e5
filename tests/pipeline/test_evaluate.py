"""How often a model is right: verdicts on sampled responses, and the whole of it on the miniatures."""

import json
from io import StringIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from rdpt_ray.config import parse_config
from rdpt_ray.errors import ConfigError
from rdpt_ray.method.accuracy import accuracy
from rdpt_ray.pipeline.evaluate import READ, Evaluated, evaluate, judge_samples
from rdpt_ray.pipeline.judge import Judge
from rdpt_ray.selection_config import VerifyConfig
from tests.pipeline.conftest import MINIATURE, QUIET, config_tree, miniature_rows

ASKED = [{"role": "user", "content": "What is 2 plus 3?"}]


def sampled(prompt_id, response, *, candidate=0, complete=True, error=None):
    row = (prompt_id, candidate, ASKED, response, complete, error)
    return dict(zip(READ, row, strict=True))


def judged(*rows, references, num_candidates=4):
    with Judge(VerifyConfig(method="numeric")) as judge:
        return judge_samples(pa.Table.from_pylist(rows), references, num_candidates, judge)


def test_verdicts_by_hand():
    found = judged(
        sampled("a", "<think>\nIs it 6?\n</think>\n\nThe answer is \\boxed{5}."),
        sampled("a", "<think>\nIt is 5.\n</think>\n\nThe answer is \\boxed{6}.", candidate=1),
        sampled("a", "I do not know.", candidate=2),
        sampled("a", None, candidate=3, error="out_of_memory: up to 9 tokens"),
        sampled("b", "<think>\nFirst I think of", complete=False),
        sampled("c", "The answer is \\boxed{5}."),
        references={"a": "5", "b": "5"},
    )
    assert found["verdicts"] == [
        ("a", True),
        ("a", False),
        ("a", None),
        ("a", None),
        ("b", None),
    ]
    assert found["unknown"] == {"unclear": 2, "out_of_memory": 1}
    assert found["cut"] == 1


def test_only_what_is_asked_for_now_counts():
    """The folder may hold responses to more prompts, and more of them, from an earlier evaluation."""
    right = "The answer is \\boxed{5}."
    found = judged(
        sampled("a", right),
        sampled("a", right, candidate=1),
        sampled("b", right),
        references={"a": "5"},
        num_candidates=1,
    )
    assert found["verdicts"] == [("a", True)]


def tree(tmp_path, prompts, **changes):
    ask = {"prompts": {"path": str(prompts)}, "to": str(tmp_path / "answers"), "max_tokens": 160}
    return {
        **config_tree(tmp_path, rows=miniature_rows(0, 1)),
        "verify": {"method": "numeric"},
        "evaluate": {**ask, "roles": ["student", "teacher"], **changes},
    }


@pytest.mark.ray
def test_the_teacher_is_right_and_the_student_guesses(ray_cluster, tmp_path):
    asked = pq.read_table(MINIATURE / "test_prompts.parquet").slice(0, 60)
    pq.write_table(asked, tmp_path / "prompts.parquet")
    config = parse_config(tree(tmp_path, tmp_path / "prompts.parquet"))
    student, teacher = evaluate(config, QUIET)
    assert (student.role, teacher.role) == ("student", "teacher")
    assert student.accuracy.samples == teacher.accuracy.samples == 60
    assert teacher.accuracy.low > 0.8 > 0.5 > student.accuracy.high
    assert set(teacher.unknown) == {"unclosed_reasoning"}, "it forgets some of its think blocks"
    assert student.sampled == teacher.sampled == 60
    assert json.loads(json.dumps(teacher.to_json()))["accuracy"]["correct"] >= 54

    fewer = asked.slice(0, 20).to_pylist()
    fewer[3]["reference_answer"] = fewer[7]["reference_answer"] = None
    pq.write_table(pa.Table.from_pylist(fewer, asked.schema), tmp_path / "prompts.parquet")
    told = StringIO()
    again = evaluate(config, Console(file=told, width=200))
    assert [each.sampled for each in again] == [0, 0], "the answers are there"
    assert [each.accuracy.samples for each in again] == [18, 18]
    assert "2 of 20 prompts have no reference answer and do not count" in told.getvalue()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"verify": None}, "verify: this section is needed"),
        ({"evaluate": None}, "evaluate: this section is needed"),
    ],
)
def test_what_is_missing_is_named(tmp_path, changes, said):
    config = parse_config({**tree(tmp_path, tmp_path), **changes})
    with pytest.raises(ConfigError, match=said):
        evaluate(config, QUIET)


def test_a_role_that_cannot_answer_is_told_before_another_is_asked(tmp_path):
    given = tree(tmp_path, tmp_path, roles=["student", "distiled"])
    with pytest.raises(ConfigError, match=r"models\.distiled: needed for the role distiled"):
        evaluate(parse_config(given), QUIET)


def test_what_is_printed_has_no_login():
    to = "s3://key:secret@bucket/answers/student"
    told = Evaluated("student", "m", to, 0, 0, accuracy([[True]]), {}).to_json()
    assert told["dataset"] == "s3://bucket/answers/student"


@pytest.mark.ray
def test_prompts_without_answers_are_refused(ray_cluster, tmp_path):
    pq.write_table(pa.table({"prompt": ["What is 2 plus 3?"]}), tmp_path / "prompts.parquet")
    config = parse_config(tree(tmp_path, tmp_path / "prompts.parquet"))
    with pytest.raises(ConfigError, match="none of 1 prompts has a reference answer"):
        evaluate(config, QUIET)
