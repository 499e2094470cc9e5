"""The benchmark runs, and its last line holds what readers of it rely on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "scoring.py"
KEYS = {
    "vs_hf_naive_fp32",
    "vs_lm_eval_fp32",
    "vs_rsr_fp32",
    "vs_vllm_fp32",
    "vs_vllm_fp32_152k",
    "gemm_fraction_fp32_h384",
    "gemm_fraction_fp32_h768",
    "gemm_fraction_bf16_h384",
    "gemm_fraction_bf16_h768",
    "peak_memory_vs_full_logits_152k",
    "max_abs_err_fp32",
    "two_workers_speedup",
    "ray_share",
}


def run(*arguments):
    command = [sys.executable, str(BENCHMARK), "--quick", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


@pytest.mark.slow
def test_the_last_line_has_every_figure_or_says_why_not():
    done = run("--only", "accuracy,flips")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures.keys() >= KEYS
    assert figures["max_abs_err_fp32"] <= 5e-5
    assert figures["alone_equals_batched"] is True
    assert figures["bf16_flip_rate"] <= 0.02
    assert figures["ray_share"] is None
    assert "not asked for" in figures["why"]
    assert all(not isinstance(value, list | dict) for value in figures.values())


@pytest.mark.slow
def test_an_unknown_section_is_refused_with_those_there_are():
    done = run("--only", "races,ries")
    assert done.returncode != 0
    assert "no section ries; there are races, accuracy" in done.stderr
