"""The KubeRay manifests: KubeRay's fields, Kubernetes' schemas, and what they promise."""

import copy

import kubernetes_validate
import pytest

from rdpt_ray.config import CurateConfig
from tests.cluster.conftest import IMAGE, REPOSITORY, locked
from tests.cluster.kuberay_fields import faults

KUBERNETES = "1.34"  # the version of the kubectl that cronjob.yaml runs


def cluster_spec(kuberay, kind):
    spec = kuberay[kind]["spec"]
    job = spec.get("jobTemplate", spec)
    return job.get("rayClusterSpec", job)


def pods(kuberay, kind):
    """Every pod template of a document, with the place it stands at."""
    if kind == "CronJob":
        return [("CronJob", kuberay[kind]["spec"]["jobTemplate"]["spec"]["template"])]
    found = []
    assert list(faults(kuberay[kind], kind, kind, found)) == []
    return found


RAY_KINDS = ("RayCluster", "RayJob", "RayCronJob")
POD_KINDS = (*RAY_KINDS, "CronJob")


@pytest.mark.parametrize("kind", RAY_KINDS)
def test_fields_are_those_of_kuberay(kuberay, kind):
    assert kuberay[kind]["apiVersion"] == "ray.io/v1"
    assert list(faults(kuberay[kind], kind, kind)) == []


def test_a_wrong_field_and_a_wrong_type_are_found(kuberay):
    broken = copy.deepcopy(kuberay["RayCronJob"])
    broken["spec"]["concurrencyPolicy"] = "Forbid"
    group = broken["spec"]["jobTemplate"]["rayClusterSpec"]["workerGroupSpecs"][0]
    group["rayStartParams"] = {"num-cpus": 0}
    group["maxReplicas"] = "8"
    assert len(list(faults(broken, "RayCronJob"))) == 3


@pytest.mark.parametrize("kind", POD_KINDS)
def test_pods_pass_the_schema_of_kubernetes(kuberay, kind):
    for where, template in pods(kuberay, kind):
        assert set(template) <= {"metadata", "spec"}, where
        metadata = {"name": "pod", **template.get("metadata", {})}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def test_a_wrong_field_of_a_pod_is_found(kuberay):
    _, template = pods(kuberay, "RayJob")[0]
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {**template["spec"], "gracePeriod": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


@pytest.mark.parametrize(
    "kind", ["CronJob", "ServiceAccount", "Role", "RoleBinding", "NetworkPolicy"]
)
def test_the_rest_passes_the_schema_of_kubernetes(kuberay, kind):
    kubernetes_validate.validate(kuberay[kind], KUBERNETES, strict=True)


@pytest.mark.parametrize("kind", POD_KINDS)
def test_no_pod_is_root_and_each_says_what_it_needs(kuberay, kind):
    for where, template in pods(kuberay, kind):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"], where
        assert spec["securityContext"]["runAsUser"] == 1000, where
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, where
        assert spec["restartPolicy"] == "Never", where  # a Ray node is never the same one again
        for container in spec["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False, where
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, where
            for bound in ("requests", "limits"):
                assert {"cpu", "memory"} <= set(container["resources"][bound]), where


@pytest.mark.parametrize("kind", RAY_KINDS)
def test_ray_pods_run_our_image_and_may_drain(kuberay, kind):
    spec = cluster_spec(kuberay, kind)
    assert spec["rayVersion"] == locked("ray")
    drain_s = CurateConfig.model_fields["drain_s"].default
    for where, template in pods(kuberay, kind):
        (container,) = template["spec"]["containers"]
        assert container["image"] == IMAGE, where
        assert template["metadata"]["labels"] == {"app": "rdpt"}, where  # networkpolicy.yaml's
        if "submitterPodTemplate" in where:
            continue
        values = {variable["name"]: variable.get("value") for variable in container["env"]}
        for name in ("RAY_JOB_STOP_WAIT_TIME_S", "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"):
            assert drain_s < int(values[name]), where
            assert int(values[name]) < template["spec"]["terminationGracePeriodSeconds"], where


@pytest.mark.parametrize("kind", RAY_KINDS)
def test_secrets_are_references(kuberay, kind):
    assert cluster_spec(kuberay, kind)["authOptions"] == {
        "mode": "token",
        "secretName": "rdpt-ray-token",
    }
    for where, template in pods(kuberay, kind):
        for variable in template["spec"]["containers"][0].get("env", []):
            secret = any(word in variable["name"] for word in ("TOKEN", "KEY", "SECRET"))
            assert secret == ("secretKeyRef" in variable.get("valueFrom", {})), where


@pytest.mark.parametrize("kind", RAY_KINDS)
def test_groups_start_empty_and_spot_goes_first(kuberay, kind):
    spec = cluster_spec(kuberay, kind)
    assert spec["enableInTreeAutoscaling"] is True
    assert spec["autoscalerOptions"]["version"] == "v2"
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert spec["headGroupSpec"]["serviceType"] == "ClusterIP"
    groups = {group["groupName"]: group for group in spec["workerGroupSpecs"]}
    assert set(groups) == {"cpu", "gpu-spot", "gpu-on-demand"}
    assert all(group["minReplicas"] == 0 < group["maxReplicas"] for group in groups.values())
    assert groups["gpu-spot"]["priority"] > groups["gpu-on-demand"]["priority"]
    for name in ("gpu-spot", "gpu-on-demand"):
        assert groups[name]["labels"] == {"ray.io/market-type": name.removeprefix("gpu-")}
        limits = groups[name]["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert limits["nvidia.com/gpu"] == "1"


def test_the_three_differ_only_in_what_they_are(kuberay):
    """YAML cannot include a file, so three of them hold the same cluster."""
    job = kuberay["RayJob"]["spec"]
    assert kuberay["RayCronJob"]["spec"]["jobTemplate"] == job
    own = copy.deepcopy(job["rayClusterSpec"])
    hook = own["headGroupSpec"]["template"]["spec"]["containers"][0].pop("lifecycle")
    assert own == kuberay["RayCluster"]["spec"]
    # The hook stops the job that this RayJob submits.
    assert hook["preStop"]["exec"]["command"][-1] == job["jobId"]
    assert hook["preStop"]["exec"]["command"][:3] == ["ray", "job", "stop"]


def test_the_entrypoint_is_a_job_that_exists(kuberay):
    python, script, option, config = kuberay["RayJob"]["spec"]["entrypoint"].split()
    assert (python, option) == ("python", "--config")
    assert script.startswith("/app/jobs/")
    assert (REPOSITORY / script.removeprefix("/app/")).is_file()
    assert config.startswith("s3://YOUR-BUCKET/")


def test_deletion_rules_need_no_second_way_of_cleaning_up(kuberay):
    """KubeRay refuses deletionRules beside shutdownAfterJobFinishes or ttlSecondsAfterFinished."""
    job = kuberay["RayJob"]["spec"]
    assert not {"shutdownAfterJobFinishes", "ttlSecondsAfterFinished"} & set(job)
    ended = {"SUCCEEDED": {}, "Failed": {}}
    for rule in job["deletionStrategy"]["deletionRules"]:
        condition = dict(rule["condition"])
        seconds = condition.pop("ttlSeconds")
        (status,) = condition.values()  # exactly one
        ended[status][rule["policy"]] = seconds
    for rules in ended.values():
        assert rules["DeleteCluster"] < rules["DeleteSelf"]


def test_the_schedule_creates_the_job_of_the_file(kuberay):
    cron = kuberay["CronJob"]["spec"]
    assert cron["concurrencyPolicy"] == "Forbid"
    assert cron["schedule"] == kuberay["RayCronJob"]["spec"]["schedule"]
    pod = cron["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"].split(":v")[1].startswith(KUBERNETES)
    assert container["args"] == ["create", "--filename=/manifest/rayjob.yaml"]
    assert "generateName" not in kuberay["RayJob"]["metadata"]  # the name keeps rounds apart
    assert kuberay["Role"]["rules"] == [
        {"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create"]}
    ]
    assert pod["serviceAccountName"] == kuberay["RoleBinding"]["subjects"][0]["name"]
