"""What the tree promises about itself: what an import costs, and what a file may be called."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {"ray", "torch", "transformers", "pyarrow", "pandas", "huggingface_hub", "fsspec"}
ROOMS_OF_CODE = ("rdpt_ray", "jobs", "benchmarks", "examples")
SOURCES = sorted(path for room in ROOMS_OF_CODE for path in (ROOT / room).rglob("*.py"))
METHOD = sorted(path.stem for path in (ROOT / "rdpt_ray" / "method").glob("[!_]*.py"))


def modules_loaded_by(code):
    """Top-level modules outside the standard library that a fresh interpreter holds at its end."""
    report = "import sys; print('\\n', *{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()) - sys.stdlib_module_names


def test_importing_the_package_loads_nothing_else():
    nothing = modules_loaded_by("pass")
    assert modules_loaded_by("import rdpt_ray") - nothing == {"rdpt_ray"}


@pytest.mark.parametrize("name", METHOD)
def test_importing_the_method_loads_nothing_heavy(name):
    loaded = modules_loaded_by(f"import rdpt_ray.method.{name}")
    assert "rdpt_ray" in loaded
    assert not loaded & (HEAVY | {"pydantic"})


@pytest.mark.parametrize("stage", ["ingest", "verify", "realign", "repair", "select", "evaluate"])
def test_a_task_without_a_model_does_not_wait_for_torch(stage):
    """Ray imports a task's module in every worker that takes one."""
    loaded = modules_loaded_by(f"import rdpt_ray.pipeline.{stage}")
    assert "ray" in loaded
    assert not loaded & {"torch", "transformers"}


@pytest.mark.parametrize("words", [["--help"], ["curate", "--help"], ["trace", "--help"]])
def test_help_loads_nothing_heavy(words):
    code = f"""
import sys
from rdpt_ray.cli import main
sys.argv = ["rdpt", *{words}]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
"""
    loaded = modules_loaded_by(code)
    assert "typer" in loaded
    assert not loaded & HEAVY


def test_no_file_has_a_name_that_could_hold_anything():
    vague = {"utils", "util", "helpers", "helper", "common", "base", "manager", "handler", "misc"}
    assert SOURCES
    assert [path for path in SOURCES if vague & set(path.stem.split("_"))] == []


def test_no_file_is_longer_than_a_reader_can_hold():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {path: length for path, length in lengths.items() if length > 400} == {}
