"""The isolated process: what math-verify says of answers of the field, and that nothing hangs it."""

import os
import signal
import sys
import threading
import time

import pytest

from rdpt_ray.errors import ConfigError
from rdpt_ray.method.answer_math import math_pair
from rdpt_ray.pipeline.verifier_process import CRASHED, MEMORY, TIMEOUT, VerifierProcess

pytest.importorskip("math_verify")

RIGHT = [  # reference, text
    ("42", r"\boxed{42}"),
    ("42", "The answer is 42."),
    ("42", "The final answer is $42$."),
    ("42", "#### 42"),
    ("a\n#### 42", r"\boxed{42}"),
    ("1/2", r"\boxed{\frac{1}{2}}"),
    (r"\frac{1}{2}", r"\boxed{0.5}"),
    (r"$\frac12$", r"\boxed{\dfrac{2}{4}}"),
    (r"\frac{\sqrt{3}}{2}", r"\boxed{\frac{3}{2\sqrt{3}}}"),
    (r"-\frac{1}{2}", r"\boxed{\frac{-1}{2}}"),
    (r"2\frac{1}{2}", r"\boxed{\frac{5}{2}}"),
    ("1000", r"\boxed{1,000}"),
    ("1,000", r"\boxed{1000}"),
    (r"1{,}000", r"\boxed{1000}"),
    ("50%", r"\boxed{50\%}"),
    ("50", r"\boxed{50\%}"),
    ("0.5", r"\boxed{50\%}"),
    ("5 apples", r"\boxed{5}"),
    ("5", r"\boxed{5\text{ apples}}"),
    ("5", r"\boxed{5 \text{ cm}}"),
    ("25", r"\boxed{25\text{ cm}^2}"),
    ("90", r"\boxed{90^\circ}"),
    (r"90^\circ", r"\boxed{90}"),
    ("$5", r"\boxed{5}"),
    ("5", r"\boxed{\$5}"),
    ("5", r"\boxed{x=5}"),
    ("x=5", r"\boxed{5}"),
    ("x=5", r"\boxed{x = 5}"),
    ("x^2+1", r"\boxed{1+x^2}"),
    ("(x+1)^2", r"\boxed{x^2+2x+1}"),
    ("2x + 3", r"\boxed{3 + 2x}"),
    ("x^2 + 1", "The answer is $x^2 + 1$."),
    (r"2\pi", r"\boxed{2\pi}"),
    (r"\pi", r"\boxed{\frac{2\pi}{2}}"),
    (r"\sqrt{8}", r"\boxed{2\sqrt{2}}"),
    (r"\sqrt{2}", r"\boxed{2^{1/2}}"),
    (r"\log_2 8", r"\boxed{3}"),
    ("e^2", r"\boxed{e^{2}}"),
    (r"\infty", r"\boxed{\infty}"),
    ("(1,2)", r"\boxed{(1, 2)}"),
    (r"\left(1,2\right)", r"\boxed{(1,2)}"),
    ("[0,1]", r"\boxed{[0, 1]}"),
    ("(0,1]", r"\boxed{\left(0, 1\right]}"),
    (r"(-\infty, 3)", r"\boxed{(-\infty,3)}"),
    (r"(-\infty,0) \cup (1,\infty)", r"\boxed{(-\infty, 0)\cup(1, \infty)}"),
    (r"\{1,2\}", r"\boxed{\{2,1\}}"),
    ("1,2", r"\boxed{2, 1}"),
    ("1, 2", r"$x = \boxed{1}$ or $x = \boxed{2}$"),
    ("x > 3", r"\boxed{3 < x}"),
    (r"x \le 3", r"\boxed{x \leq 3}"),
    ("3+4i", r"\boxed{4i+3}"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\boxed{\begin{pmatrix}1\\2\end{pmatrix}}"),
    (r"1.5 \times 10^{3}", r"\boxed{1500}"),
    (r"10^6", r"\boxed{1000000}"),
    (r"\text{Paris}", r"\boxed{\text{Paris}}"),
    ("Paris", r"\boxed{\text{Paris}}"),
    ("B", r"\boxed{\text{B}}"),
    ("5!", r"\boxed{120}"),
    (r"\binom{5}{2}", r"\boxed{10}"),
    ("0.333333", r"\boxed{\frac{1}{3}}"),
    ("-3", r"\boxed{-3}"),
    ("7", "3 + 4\n= 7"),
]

WRONG = [
    ("42", r"\boxed{43}"),
    ("5", r"\boxed{-5}"),
    ("-5", r"\boxed{5}"),
    (r"\frac{1}{2}", r"\boxed{-\frac{1}{2}}"),
    (r"\frac{1}{3}", r"\boxed{0.33}"),
    ("x^2+1", r"\boxed{x^2-1}"),
    ("x^2 + 1", r"\boxed{1}"),
    ("[0,1]", r"\boxed{(0,1)}"),
    ("(1,2)", r"\boxed{(2,1)}"),
    (r"\{1,2\}", r"\boxed{\{1,3\}}"),
    ("x > 3", r"\boxed{x < 3}"),
    (r"\sqrt{8}", r"\boxed{\sqrt{2}}"),
    ("1000", r"\boxed{100}"),
    ("50%", r"\boxed{5\%}"),
    ("3+4i", r"\boxed{3-4i}"),
]

UNTOLD = [
    ("42", "of 43 pages\nI read 7 already"),
    ("5", r"\boxed{\frac{}{}}"),
    ("5", r"\boxed{))((}"),
]

HOSTILE = {
    "tower": r"\boxed{9^{9^{9^{9}}}}",
    "power": r"\boxed{10^{10^{9}}}",
    "factorial": r"\boxed{99999999!}",
    "binomial": r"\boxed{\binom{10^9}{5\cdot 10^8}}",
    "sum": r"\boxed{\sum_{n=1}^{10^{12}} n^{1/2}}",
    "nested fractions": r"\boxed{" + r"\frac{1}{1+" * 80 + "x" + "}" * 81,
    "nested brackets": r"\boxed{" + "(" * 300 + "1" + ")" * 300 + "}",
    "expansion": r"\boxed{(x+1)^{3000}-x^{3000}}",
    "zeros": r"\boxed{\operatorname{zeros}(100000,100000)}",
    "ones": r"\boxed{\operatorname{ones}(9000,9000)}",
    "digits": "9" * 900,
}

LIMIT_S = 1.0


def said(process, reference, text):
    pair = math_pair(reference, text)
    assert pair is not None
    verdict = process.judge(pair.reference, pair.answer)
    if verdict.correct is False and not pair.certain:
        return None
    return verdict.correct


@pytest.fixture(scope="module")
def process():
    with VerifierProcess("math", "", LIMIT_S) as running:
        yield running


@pytest.mark.parametrize(("reference", "text"), RIGHT)
def test_right(process, reference, text):
    assert said(process, reference, text) is True


@pytest.mark.parametrize(("reference", "text"), WRONG)
def test_wrong(process, reference, text):
    assert said(process, reference, text) is False


@pytest.mark.parametrize(("reference", "text"), UNTOLD)
def test_untold(process, reference, text):
    assert said(process, reference, text) is None


def test_what_is_told_without_mathematics_is_what_mathematics_tells(process):
    told = 0
    for reference, text in RIGHT + WRONG + [("-7", r"\boxed{7}"), ("007", r"\boxed{7}")]:
        pair = math_pair(reference, text)
        assert pair is not None
        if pair.obvious is not None:
            assert process.judge(pair.reference, pair.answer).correct is pair.obvious
            told += 1
    assert told > 10


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_ends_in_time_and_the_next_is_verified(process, name):
    pair = math_pair("5", HOSTILE[name])
    assert pair is not None
    begun = time.monotonic()
    verdict = process.judge(pair.reference, pair.answer)
    assert time.monotonic() - begun < 3 * LIMIT_S + 10  # with a retry's start
    assert verdict.correct is not True
    assert process.judge(r"\boxed{1/2}", r"\boxed{0.5}").correct is True


def test_a_tower_is_called_a_timeout_and_a_huge_matrix_memory(process):
    assert process.judge(r"\boxed{5}", HOSTILE["tower"]).detail == TIMEOUT
    assert process.judge(r"\boxed{5}", HOSTILE["zeros"]).detail == MEMORY


def child_of(process):
    return process._child.pid


def test_what_sleeps_is_killed_by_the_clock():
    with VerifierProcess("math", "", 0.2) as process:
        process.judge(r"\boxed{1}", r"\boxed{1}")
        os.kill(child_of(process), signal.SIGSTOP)
        begun = time.monotonic()
        assert process.judge(r"\boxed{2}", r"\boxed{2}").detail == TIMEOUT
        assert time.monotonic() - begun < 5
        assert process.judge(r"\boxed{2}", r"\boxed{2}").correct is True


def test_a_death_between_two_pairs_is_nobodys_fault():
    with VerifierProcess("math", "", LIMIT_S) as process:
        process.judge(r"\boxed{1}", r"\boxed{1}")
        os.kill(child_of(process), signal.SIGKILL)
        assert process.judge(r"\boxed{2}", r"\boxed{2}").correct is True
        assert process.restarts == 1


def test_a_death_on_the_first_pair_is_that_pairs():
    with VerifierProcess("math", "", 30) as process:
        process._start()
        pid = child_of(process)
        threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
        assert process.judge(r"\boxed{5}", HOSTILE["tower"]).detail == CRASHED


def test_nothing_is_left_behind():
    with VerifierProcess("math", "", LIMIT_S) as process:
        process.judge(r"\boxed{1}", r"\boxed{1}")
        pid = child_of(process)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_process_knows_no_secret(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with VerifierProcess("math", "", LIMIT_S) as process:
        process.judge(r"\boxed{1}", r"\boxed{1}")
        with open(f"/proc/{child_of(process)}/environ", "rb") as environment:
            names = {entry.partition(b"=")[0] for entry in environment.read().split(b"\0")}
    assert names <= {b"PATH", b"PYTHONPATH", b"PYTHONHASHSEED", b"PYTHONDONTWRITEBYTECODE", b""}


@pytest.mark.parametrize(
    "code",
    ["open('/etc/passwd')", "__import__('os').system('true')", "__import__('socket').socket()"],
)
def test_code_that_got_in_could_open_nothing(code):
    """The fence alone, in a process of its own: an audit hook cannot be taken down again."""
    import subprocess

    script = f"""
import sys
from rdpt_ray.pipeline.verifier_child import _refuse_all_but_imports
sys.addaudithook(_refuse_all_but_imports())
{code}
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "PermissionError" in done.stderr


def test_python_is_not_evaluated(process, tmp_path):
    trap = tmp_path / "trap"
    for text in (f"__import__('os').system('touch {trap}')", f"f(open('{trap}','w'))"):
        for wrapped in (text, rf"\boxed{{{text}}}", f"${text}$"):
            process.judge(r"\boxed{1}", wrapped)
    assert not trap.exists()


def test_a_method_that_cannot_start_says_so():
    with (
        VerifierProcess("extension", "no_such_verifier", LIMIT_S) as process,
        pytest.raises(ConfigError, match="did not start"),
    ):
        process.judge("1", "1")


def test_any_text_can_be_sent(process):
    for text in ("\x00" * 8192, "\U0001f600" * 8192, "\ud800", "\n", '"', "\\" * 8192):
        assert process.judge(r"\boxed{1}", text).correct in (None, False)
    assert process.judge(r"\boxed{1}", r"\boxed{1}").correct is True
