"""cluster/README.md names what is there, and everything that a stranger must change."""

import re

from tests.cluster.conftest import CLUSTER, IMAGE, REPOSITORY, locked

README = (CLUSTER / "README.md").read_text()
FILES = [path for path in CLUSTER.rglob("*") if path.is_file() and path.suffix != ".md"]


def exit_codes(text):
    return re.findall(r"^\| (\d+) \| (.+) \|$", text, re.M)


def test_every_value_to_change_is_in_the_table():
    table = README.split("## What to change")[1].split("\n## ")[0]
    values = {
        value for path in FILES for value in re.findall(r"YOUR-[A-Z-]*[A-Z]", path.read_text())
    }
    assert values
    assert {value for value in values if f"`{value}`" not in table} == set()
    named = set(re.findall(r"`(YOUR-[A-Z-]+)`", table))
    assert named == values


def test_every_file_is_named_and_every_name_is_a_file():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    missing = [link for link in links if "://" not in link and not (CLUSTER / link).exists()]
    assert missing == []
    assert {path.resolve() for path in FILES} <= {(CLUSTER / link).resolve() for link in links}
    for path in re.findall(r"(?:/app/)?((?:cluster|jobs|examples)/[\w./-]+\.\w+)", README):
        assert (REPOSITORY / path).is_file(), path


def test_exit_codes_are_those_of_the_promises():
    promised = (REPOSITORY / "docs" / "reliability.md").read_text()
    codes = exit_codes(promised.split("## Exit codes")[1].split("\n## ")[0])
    assert len(codes) >= 5
    assert exit_codes(README) == codes
    again = next(code for code, meaning in codes if "asked to leave" in meaning)
    assert f"AGAIN={again} " in (CLUSTER / "slurm.sh").read_text()


def test_versions_are_those_of_the_image(kuberay):
    tags = {
        tag
        for path in [*FILES, CLUSTER / "README.md"]
        for tag in re.findall(r"\S+/rdpt_ray:[\w.]+", path.read_text())
    }
    assert tags == {IMAGE}
    assert set(re.findall(r'"ray\[default\]==([\d.]+)"', README)) == {locked("ray")}
    assert f"one version: {locked('ray')}." in README


def test_secrets_are_made_under_the_names_that_pods_ask_for(kuberay):
    made = set(re.findall(r"create secret generic (\S+) --from-literal=(\w+)=", README))
    spec = kuberay["RayCluster"]["spec"]
    asked = {
        (
            variable["valueFrom"]["secretKeyRef"]["name"],
            variable["valueFrom"]["secretKeyRef"]["key"],
        )
        for variable in spec["headGroupSpec"]["template"]["spec"]["containers"][0]["env"]
        if "valueFrom" in variable
    }
    assert made == asked | {(spec["authOptions"]["secretName"], "auth_token")}
    account = spec["headGroupSpec"]["template"]["spec"]["serviceAccountName"]
    assert f"kubectl create serviceaccount {account}\n" in README
    assert f"service/{kuberay['RayCluster']['metadata']['name']}-head-svc 8265" in README
