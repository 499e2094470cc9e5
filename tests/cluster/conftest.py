"""The files of `cluster/`, read once, and the versions they must agree with."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
CLUSTER = REPOSITORY / "cluster"
VERSION = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
IMAGE = f"YOUR-REGISTRY/rdpt_ray:{VERSION}"


def locked(package):
    """The version of a package in the lock file."""
    found = re.search(rf"^{package}==(\S+)", (REPOSITORY / "requirements.lock").read_text(), re.M)
    assert found, f"{package} is not in requirements.lock"
    return found[1]


def documents(name):
    """The YAML documents of a file below `cluster/`."""
    return list(yaml.safe_load_all((CLUSTER / name).read_text()))


@pytest.fixture(scope="session")
def kuberay():
    """Kind -> the document of that kind."""
    files = sorted(path.relative_to(CLUSTER) for path in (CLUSTER / "kuberay").iterdir())
    return {document["kind"]: document for name in files for document in documents(name)}
