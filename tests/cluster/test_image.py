"""The image: linted, pinned, not root, and made of files that are there."""

import re
import subprocess
import sys
from pathlib import Path

from tests.cluster.conftest import CLUSTER, REPOSITORY

DOCKERFILE = (CLUSTER / "Dockerfile").read_text()


def test_dockerfile_passes_hadolint():
    lint = [str(Path(sys.executable).with_name("hadolint")), "--failure-threshold=style", "-"]
    checked = subprocess.run(lint, input=DOCKERFILE, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_base_is_pinned_and_the_user_is_not_root():
    bases = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.M))
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", bases.pop())
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.+)$", last, re.M) == ["1000:1000"]  # the manifests' runAsUser


def test_versions_come_from_the_lock_file():
    install = re.search(r"^RUN pip install .*--prefix(?:.|\n)*?(?<!\\)\n", DOCKERFILE, re.M)
    assert install
    assert "--constraint requirements.lock" in install[0]
    extras = re.search(r"^ARG EXTRAS=(.+)$", DOCKERFILE, re.M)
    pyproject = (REPOSITORY / "pyproject.toml").read_text()
    assert extras
    assert all(re.search(rf"^{extra} = \[", pyproject, re.M) for extra in extras[1].split(","))
    assert all(
        f"--extra {extra}" in (REPOSITORY / "Makefile").read_text()
        for extra in extras[1].split(",")
    )


def test_what_is_copied_exists_and_is_not_ignored():
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.M)
        for name in line.split()[:-1]
    }
    allowed = {
        line.removeprefix("!")
        for line in (REPOSITORY / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert copied == allowed
    assert all((REPOSITORY / name).exists() for name in copied)
