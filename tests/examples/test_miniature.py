import random
import re
import sys
import warnings
from collections import Counter
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

# The scripts import each other by bare name.
sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "miniature"))

from accuracy import accuracy
from sample import sample
from task import Problem, apply, distinct_problems, given_answer, problems, write
from train import RECIPES, train
from vocabulary import student_tokenizer, teacher_tokenizer

MINIATURE = Path(__file__).parents[2] / "examples" / "miniature"
SIGNS = {"plus": "+", "minus": "-", "times": "x"}
NAMES = ["teacher", "student", "distilled"]
BROKEN = {
    44: "response is null",
    205: "response is empty",
    366: "response is all blanks",
    527: "cut by the token limit: the think block is never closed",
    688: "prompt is null",
    849: "exact duplicate of the row before",
    1010: "response is not valid UTF-8",
    1171: "cut by the token limit: the think block is never closed",
}


def loaded(name):
    model = AutoModelForCausalLM.from_pretrained(MINIATURE / name).eval()
    return model, AutoTokenizer.from_pretrained(MINIATURE / name)


@pytest.fixture(scope="module")
def models():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return {name: loaded(name) for name in NAMES}


@pytest.fixture(scope="module")
def rows():
    table = pq.read_table(MINIATURE / "traces.parquet")
    columns = [table[name].combine_chunks().view(pa.binary()) for name in table.column_names]
    return [
        dict(zip(table.column_names, row, strict=True))
        for row in zip(*(column.to_pylist() for column in columns), strict=True)
    ]


def test_a_problem_worked_by_hand():
    problem = Problem(3, (("+", 9), ("x", 7), ("-", 6)))
    assert problem.question == "Modulo ten, what is left of 3 plus 9, times 7, minus 6?"
    assert problem.values == [3, 2, 4, 8]
    assert problem.answer == "8"


@pytest.mark.parametrize("style", ["teacher", "student"])
def test_both_styles_say_only_true_things(style):
    rng = random.Random(0)
    for problem in islice(problems("train", seed=0), 300):
        reasoning, answer = write(problem, style, rng)
        assert given_answer(answer) == problem.answer
        for line in reasoning.split("\n"):
            assert line[0].isupper()
            assert line.endswith(".")
            if " leaves " in line:
                value, *operands, result = map(int, re.findall(r"\d", line))
                words = re.findall("plus|minus|times", line)
                for word, operand in zip(words, operands, strict=True):
                    value = apply(value, SIGNS[word], operand)
                assert value == result


def test_the_splits_share_no_problem():
    drawn = [
        set(distinct_problems(split, 0, 300)) for split in ("train", "test", "curate", "trace")
    ]
    assert len(set.union(*drawn)) == 1200


def test_the_vocabularies_are_made_again_as_shipped(models):
    for name, make in [("teacher", teacher_tokenizer), ("student", student_tokenizer)]:
        shipped = models[name][1]
        assert make().backend_tokenizer.to_str() == shipped.backend_tokenizer.to_str()


def test_teacher_and_student_read_differently(models):
    teacher, student, distilled = (models[name][1] for name in NAMES)
    text = "Now 2 times 7 leaves 4.\nCheck that 7 times 2 leaves 4."
    assert len(teacher) != len(student)
    assert len(teacher(text).input_ids) != len(student(text).input_ids)
    assert teacher.chat_template != student.chat_template
    assert distilled.get_vocab() == student.get_vocab()
    assert distilled.chat_template == student.chat_template


def test_only_the_teacher_thinks(models):
    asked = [{"role": "user", "content": "Why?"}]
    rendered = {
        name: tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        for name, (_, tokenizer) in models.items()
    }
    assert rendered["teacher"] == "<|begin|><|user|>\nWhy?<|end|>\n<|assistant|>\n<think>\n"
    assert rendered["student"] == "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"


@given(text=st.text())
def test_any_text_comes_back_whole(models, text):
    for _, tokenizer in models.values():
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert tokenizer.decode(ids) == text


def test_every_file_is_small():
    assert all(path.stat().st_size < 1.4e6 for path in MINIATURE.rglob("*") if path.is_file())


def test_the_readme_repeats_the_cards():
    readme = (MINIATURE / "README.md").read_text()
    for name in NAMES:
        card = (MINIATURE / name / "README.md").read_text()
        greedy, sampled = re.findall(r"[\d.]+%", card)
        assert re.search(rf"\[{name}\].*\| {greedy} \| {sampled} \|", readme)


def test_the_teacher_solves_new_problems(models):
    assert accuracy(*models["teacher"], temperature=0, num_problems=100, seed=9) >= 0.97


def test_distilling_helped(models):
    student, distilled = (
        accuracy(*models[name], temperature=0, num_problems=200, seed=9) for name in NAMES[1:]
    )
    assert student + 0.2 < distilled < 0.97


def test_a_row_is_sampled_alike_whatever_stands_beside_it(models):
    asked = [problem.question for problem in distinct_problems("test", 5, 24)]
    together = sample(*models["teacher"], asked, temperature=1, seed=3)
    apart = sample(*models["teacher"], asked, temperature=1, seed=3, batch_size=1)
    assert together == apart
    assert together != sample(*models["teacher"], asked, temperature=1, seed=4)


def test_the_teacher_is_sampled_in_its_native_form(models):
    asked = [problem.question for problem in distinct_problems("test", 6, 50)]
    written = sample(*models["teacher"], asked, temperature=1, seed=0)
    assert all(s.text.count("\n</think>\n\n") == 1 for s in written if s.ended)


def test_broken_rows_stand_where_the_readme_says(rows):
    readme = (MINIATURE / "README.md").read_text()
    assert all(f"| {place} | {why} |" in readme for place, why in BROKEN.items())
    assert rows[44]["response"] is None
    assert rows[205]["response"] == b""
    assert rows[366]["response"].strip() == b""
    assert rows[688]["prompt"] is None
    assert rows[849] == rows[848]
    with pytest.raises(UnicodeDecodeError):
        rows[1010]["response"].decode()
    for place in (527, 1171):
        assert rows[place]["response"].startswith(b"<think>\n")
        assert b"</think>" not in rows[place]["response"]


def test_all_other_rows_are_good(rows):
    good = [row for place, row in enumerate(rows) if place not in BROKEN]
    candidates = Counter(row["prompt"] for row in good)
    assert len(candidates) >= 320
    assert set(candidates.values()) == {4}
    assert len({(row["prompt"], row["response"]) for row in good}) == len(good)
    for row in good:
        reasoning, closed, answer = row["response"].decode().partition("\n</think>\n\n")
        assert reasoning.startswith("<think>\n")
        assert closed
        assert given_answer(answer) is not None
    right = sum(
        given_answer(row["response"].decode()) == row["reference_answer"].decode() for row in good
    )
    assert 0.5 < right / len(good) < 1


def test_rows_of_a_prompt_stand_together(rows):
    asked = [row["prompt"] for row in rows if row["prompt"] is not None]
    assert len(list(groupby(asked))) == len(set(asked))


def test_distilled_traces_have_no_markup():
    rows = pq.read_table(MINIATURE / "distilled_traces.parquet").to_pylist()
    assert len({row["prompt"] for row in rows}) == len(rows) >= 300
    for row in rows:
        assert "think>" not in row["response"]
        assert row["response"].count("\n\n") == 1


def test_training_repeats_bit_for_bit():
    torch.set_num_threads(1)
    recipe = replace(RECIPES["student"], num_steps=4, batch_size=8)
    (first, _, effort), (second, _, again) = train(recipe), train(recipe)
    assert effort == again
    assert effort["steps"] == 4
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name])
    other, _, _ = train(replace(recipe, seed=recipe.seed + 1))
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)
