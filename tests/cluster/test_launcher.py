"""The cluster launcher's files: Ray's own schema and checks, and no secret or open dashboard in them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import ray.autoscaler
from ray.autoscaler._private.util import prepare_config, validate_config

from rdpt_ray.config import CurateConfig
from tests.cluster.conftest import IMAGE, documents, locked

CLOUDS = ("aws", "gcp", "azure")
SCHEMA = json.loads(Path(ray.autoscaler.__file__).with_name("ray-schema.json").read_text())
SPOT = {
    "aws": lambda node: node.get("InstanceMarketOptions") == {"MarketType": "spot"},
    "gcp": lambda node: node.get("scheduling", [{}])[0].get("preemptible", False),
    "azure": lambda node: node["azure_arm_parameters"].get("priority") == "Spot",
}


@pytest.fixture(params=CLOUDS)
def cloud(request):
    (config,) = documents(f"launcher/{request.param}.yaml")
    return request.param, config


def test_file_passes_the_schema_of_ray(cloud):
    name, config = cloud
    assert config["provider"]["type"] == name
    jsonschema.validate(config, SCHEMA)
    # What `ray up` does before it calls the cloud: the defaults are filled in, and all is checked again.
    prepared = prepare_config(config)
    validate_config(prepared)
    # Nothing of the defaults' commands is left, which would install a nightly Ray and open the dashboard.
    commands = [key for key in prepared if key.endswith("_commands")]
    assert {key: prepared[key] for key in commands} == {key: config[key] for key in commands}


def test_a_wrong_key_is_refused(cloud):
    _, config = cloud
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**config, "docker": {**config["docker"], "environment": {}}}, SCHEMA)


def test_nodes_are_those_of_the_manifests(cloud):
    name, config = cloud
    nodes = config["available_node_types"]
    assert set(nodes) == {"head", "cpu", "gpu-spot", "gpu-on-demand"}
    assert config["head_node_type"] == "head"
    assert nodes["head"]["resources"] == {"CPU": 0}
    assert [kind for kind in nodes if SPOT[name](nodes[kind]["node_config"])] == ["gpu-spot"]
    assert nodes["gpu-spot"]["priority"] > nodes["gpu-on-demand"]["priority"]
    for kind in ("gpu-spot", "gpu-on-demand"):
        assert nodes[kind]["labels"] == {"market-type": kind.removeprefix("gpu-")}
        assert nodes[kind]["resources"]["GPU"] == 1
    # Equal but for how they are paid: a job may go on with either.
    assert nodes["gpu-spot"]["resources"] == nodes["gpu-on-demand"]["resources"]


def test_tokens_are_files_and_the_dashboard_is_on_loopback(cloud):
    _, config = cloud
    variables = dict(
        option.removeprefix("--env ").split("=", 1)
        for option in config["docker"]["run_options"]
        if option.startswith("--env ")
    )
    (folder,) = config["file_mounts"]
    assert variables["RAY_AUTH_MODE"] == "token"
    assert variables["RAY_AUTH_TOKEN_PATH"].startswith(f"{folder}/")
    assert variables["HF_TOKEN_PATH"].startswith(f"{folder}/")
    drain_s = CurateConfig.model_fields["drain_s"].default
    assert int(variables["RAY_JOB_STOP_WAIT_TIME_S"]) > drain_s
    head = " ".join(config["head_start_ray_commands"])
    assert "--dashboard-host=127.0.0.1" in head
    assert "0.0.0.0" not in json.dumps(config)
    assert config["docker"]["image"] == IMAGE


def test_what_the_head_installs_fits_the_image():
    """A boto3 of another version would replace the botocore that s3fs needs."""
    (aws,) = documents("launcher/aws.yaml")
    (command,) = aws["head_setup_commands"]
    assert command.split()[-1] == f"boto3=={locked('boto3')}"
    assert locked("boto3") == locked("botocore")
    # The others' clients are those that Ray's own defaults install.
    for name in ("gcp", "azure"):
        defaults = Path(ray.autoscaler.__file__).parent / name / "defaults.yaml"
        (config,) = documents(f"launcher/{name}.yaml")
        pins = re.findall(r"\S+==\S+", config["head_setup_commands"][0])
        assert pins
        assert all(pin in defaults.read_text() for pin in pins)


def test_commands_pass_shellcheck(cloud):
    _, config = cloud
    lines = [
        line for key in config if key.endswith("_commands") for line in config[key]
    ]  # RAY_HEAD_IP is the launcher's, and may be split
    checked = subprocess.run(
        [
            str(Path(sys.executable).with_name("shellcheck")),
            "--shell=bash",
            "--exclude=SC2086",
            "-",
        ],
        input="RAY_HEAD_IP=${RAY_HEAD_IP:?}\n" + "\n".join(lines) + "\n",
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout
