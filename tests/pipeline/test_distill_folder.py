"""The folder of a distilled model."""

import subprocess
import sys

import pytest

from rdpt_ray.errors import ConfigError
from rdpt_ray.pipeline.distill_folder import BEGUN, model_folder
from rdpt_ray.storage.runs import read_json, write_json
from rdpt_ray.storage.sessions import this_process

NAME_ITSELF = (
    "from rdpt_ray.storage.sessions import this_process; print(this_process(), flush=True); input()"
)


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    folder = model_folder(str(tmp_path / "model"), {"seed": 1})
    with subprocess.Popen(
        [sys.executable, "-c", NAME_ITSELF],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        write_json(folder.root, BEGUN, {"process": other.stdout.readline().strip()})
        assert folder.record() is None
        with pytest.raises(
            ConfigError, match=r"distill\.to: another training is at work in .*model"
        ):
            folder.begin()
        other.kill()
    folder.begin()
    folder.begin()  # this process's own, tried again
    assert read_json(folder.root, BEGUN) == {"process": this_process()}
