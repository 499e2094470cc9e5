"""Real distributions on sys.path that declare policies: found, named with their version, or refused."""

import sys

import numpy as np
import pytest

from rdpt_ray.errors import ConfigError
from rdpt_ray.method.extensions import extension, extension_names
from rdpt_ray.method.selection import Candidate, RoleScores, needs, policy_named, rank_candidates

POLICIES = "rdpt_ray.policies"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """(name, version, module's source, declared) -> a distribution that importlib.metadata finds."""
    before = set(sys.modules)

    def put(name, version, source, **declared):
        site = tmp_path / name
        info = site / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (site / f"{name}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [f"{entry} = {target}" for entry, target in declared.items()]
        (info / "entry_points.txt").write_text(f"[{POLICIES}]\n" + "\n".join(lines) + "\n")
        monkeypatch.syspath_prepend(str(site))

    yield put
    for module in set(sys.modules) - before:
        del sys.modules[module]


LATEST = """
def latest(candidates):
    return [float(int(each.trace_id)) for each in candidates]

latest.needs = frozenset()

def plain(candidates):
    return [0.0 for each in candidates]

def greedy(candidates):
    return [0.0 for each in candidates]

greedy.needs = {"rank", "gradients"}

number = 7
"""


@pytest.fixture
def latest(install):
    install(
        "c1_latest",
        "1.2.3",
        LATEST,
        latest="c1_latest:latest",
        plain="c1_latest:plain",
        greedy="c1_latest:greedy",
        number="c1_latest:number",
        gone="c1_latest:gone",
        longest="c1_latest:plain",
    )


@pytest.mark.usefixtures("latest")
def test_a_distributions_policy_selects_like_any_other():
    nothing = RoleScores(np.array([]), np.array([], np.int64))
    candidates = [
        Candidate(name, 1, np.array([], np.int8), nothing, nothing) for name in ("10", "9", "11")
    ]
    ranking = rank_candidates(candidates, policy_named("latest", seed=4))
    assert [one.trace_id for one in ranking] == ["11", "10", "9"]


@pytest.mark.usefixtures("latest")
def test_it_comes_with_its_distribution_and_version():
    policy, origin = extension(POLICIES, "latest")
    assert (policy.__name__, origin) == ("latest", "c1_latest==1.2.3")
    assert {"latest", "plain", "gone"} <= set(extension_names(POLICIES))


@pytest.mark.usefixtures("latest")
def test_what_it_needs_is_what_it_declares_or_the_teacher():
    assert needs("latest") == frozenset()
    assert needs("plain") == {"teacher"}
    with pytest.raises(ConfigError, match="greedy says that it needs gradients: expected some of"):
        needs("greedy")


@pytest.mark.usefixtures("latest")
def test_a_built_in_name_is_never_taken_over():
    assert policy_named("longest").__module__ == "rdpt_ray.method.policies"


@pytest.mark.usefixtures("latest")
def test_an_unknown_name_names_the_nearest():
    with pytest.raises(ConfigError, match=r"did you mean 'latest'.*known: .*plain"):
        extension(POLICIES, "lattest")
    with pytest.raises(KeyError, match=r"did you mean 'latest'.*known: .*teacher_count"):
        policy_named("lattest")


@pytest.mark.usefixtures("latest")
def test_what_is_declared_but_not_there_names_its_distribution():
    with pytest.raises(
        ConfigError, match=r"c1_latest==1\.2\.3 declares 'gone' .* cannot be loaded"
    ):
        extension(POLICIES, "gone")


@pytest.mark.usefixtures("latest")
def test_what_is_no_function_is_no_policy():
    with pytest.raises(
        ConfigError, match=r"c1_latest==1\.2\.3 declares the policy number, an object of type int"
    ):
        policy_named("number")


@pytest.mark.parametrize("source", ["import c1_no_such_module\n", "def broken(:\n"])
def test_a_module_that_cannot_be_imported_names_its_distribution(install, source):
    install("c1_broken", "0.1", source, broken="c1_broken:broken")
    with pytest.raises(ConfigError, match=r"c1_broken==0\.1 declares 'broken' .* cannot be loaded"):
        extension(POLICIES, "broken")


def test_two_distributions_with_one_name_are_refused(install):
    for name in ("c1_one", "c1_two"):
        install(name, "1.0", "def twin(candidates):\n    return []\n", twin=f"{name}:twin")
    with pytest.raises(ConfigError, match=r"c1_one==1\.0 and c1_two==1\.0 both declare 'twin'"):
        extension(POLICIES, "twin")


def test_an_empty_group_says_so():
    with pytest.raises(
        ConfigError, match=r"'x' in the entry point group rdpt_ray\.splitters: known"
    ):
        extension("rdpt_ray.splitters", "x")
