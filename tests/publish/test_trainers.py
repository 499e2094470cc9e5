"""What is published, read by Axolotl, LLaMA-Factory and verl, where their wheels are installed.

tests/publish/trainers/install.sh says how to install them; RDPT_TRAINERS says where.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from rdpt_ray.publish.release_files import make_release
from rdpt_ray.publish_config import PublishConfig
from tests.publish.finished_run import classes_of, finished_run, rows_of, sums

PLACE = os.environ.get("RDPT_TRAINERS")
HERE = Path(__file__).parent / "trainers"
STUDENT = str(Path(__file__).parents[2] / "examples/miniature/student")
FORMATS = ["messages", "sharegpt", "alpaca", "axolotl"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PLACE is None, reason="RDPT_TRAINERS is not set (trainers/install.sh)"),
]


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    place = tmp_path_factory.mktemp("release")
    run = finished_run(place / "run", sums(8, 4))
    return make_release(run, place / "dataset", PublishConfig(formats=FORMATS)), run


def read_by(trainer, *arguments, tmp_path):
    """The rows that a trainer's own code makes: their text, and the part of it that carries loss."""
    done = subprocess.run(
        [f"{PLACE}/bin/python", str(HERE / f"read_{trainer}.py"), *arguments],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "HF_HOME": str(tmp_path),
            "PYTHONPATH": f"{PLACE}/for-{trainer}",
            "AXOLOTL_DO_NOT_TRACK": "1",
            "DISABLE_VERSION_CHECK": "1",
        },
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def asked(row):
    return f"<|im_start|>user\n{row['messages'][0]['content']}<|im_end|>\n<|im_start|>assistant\n"


def said(row):
    response, start = row["response"], row["answer_start"]
    return f"<think>\n{response[: start - 2]}\n</think>\n\n{response[start:]}"


def test_axolotl_puts_loss_on_teacher_sentences_only(release, tmp_path):
    made, run = release
    rows = read_by("axolotl", str(made.folder), "axolotl", STUDENT, tmp_path=tmp_path)
    for row, read in zip(rows_of(run, "selected"), rows, strict=True):
        assert read["all"] == f"{asked(row)}{said(row)}<|im_end|>\n"
        assert read["trained"] == f"{taught(row)}<|im_end|>"


def taught(row):
    """The markup and the Teacher sentences, each with the blank in front of it and its line feeds behind."""
    response, answer_start = row["response"], row["answer_start"]
    reasoning = answer = blank = ""
    for sentence, name in zip(row["sentences"], classes_of(row), strict=True):
        text = response[sentence["start"] : sentence["end"]]
        inner = text if text.endswith("\n") else text.rstrip(" ")
        if name == "TEACHER" and sentence["start"] < answer_start:
            reasoning += blank + inner.removesuffix("\n\n")
        elif name == "TEACHER":
            answer += blank + inner
        blank = "" if text.endswith("\n") else text[len(inner) :]
    return f"<think>\n{reasoning}\n</think>\n\n{answer}"


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("sharegpt", {"formatting": "sharegpt"}),
        (
            "alpaca",
            {
                "formatting": "alpaca",
                "columns": {
                    "prompt": "instruction",
                    "query": "input",
                    "response": "output",
                    "system": "system",
                    "history": "history",
                },
            },
        ),
        (
            "default",
            {
                "formatting": "openai",
                "columns": {"messages": "messages"},
                "tags": {
                    "role_tag": "role",
                    "content_tag": "content",
                    "user_tag": "user",
                    "assistant_tag": "assistant",
                    "system_tag": "system",
                },
            },
        ),
    ],
)
def test_llamafactory_trains_on_the_response(release, tmp_path, config, told):
    made, run = release
    info = {"script_url": str(made.folder), "subset": config, **told}
    rows = read_by("llamafactory", json.dumps(info), STUDENT, tmp_path=tmp_path)
    for row, read in zip(rows_of(run, "selected"), rows, strict=True):
        assert read["all"].endswith(f"{asked(row)}{said(row)}<|im_end|>\n")
        assert read["trained"] == f"{said(row)}<|im_end|>\n"


def test_verl_trains_on_the_response(release, tmp_path):
    made, run = release
    shards = sorted(str(path) for path in (made.folder / "data").iterdir())
    rows = read_by("verl", STUDENT, *shards, tmp_path=tmp_path)
    for row, read in zip(rows_of(run, "selected"), rows, strict=True):
        assert read["all"] == f"{asked(row)}{said(row)}<|im_end|>\n"
        assert read["trained"] == f"{said(row)}<|im_end|>\n"
