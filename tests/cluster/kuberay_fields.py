"""What KubeRay 1.7.0 allows in its resources, as far as ours use them.

No package carries the CRDs, so this was written by hand from the generated reference at
https://docs.ray.io/en/master/kuberay/references/api.html (KubeRay v1.7.0: docs/reference/api.md of that tag).
All fields of a type are listed, so that a misspelt or a later one is found. A value is the type of the field:
a Python type, a tuple of the strings allowed, the name of another type below, [type] for a list of it, and
"Pod" for a Kubernetes pod template, which is validated by Kubernetes' own schema.
"""

STRINGS = {str: str}

TYPES = {
    "RayCluster": {"apiVersion": str, "kind": str, "metadata": dict, "spec": "RayClusterSpec"},
    "RayJob": {"apiVersion": str, "kind": str, "metadata": dict, "spec": "RayJobSpec"},
    "RayCronJob": {"apiVersion": str, "kind": str, "metadata": dict, "spec": "RayCronJobSpec"},
    "RayCronJobSpec": {
        "jobTemplate": "RayJobSpec",
        "schedule": str,
        "timeZone": str,
        "suspend": bool,
    },
    "RayJobSpec": {
        "activeDeadlineSeconds": int,
        "backoffLimit": int,
        "rayClusterSpec": "RayClusterSpec",
        "submitterPodTemplate": "Pod",
        "metadata": STRINGS,
        "clusterSelector": STRINGS,
        "submitterConfig": {"backoffLimit": int},
        "managedBy": str,
        "deletionStrategy": {"deletionRules": ["DeletionRule"]},
        "entrypoint": str,
        "runtimeEnvYAML": str,
        "jobId": str,
        "submissionMode": ("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"),
        "entrypointResources": str,
        "entrypointNumCpus": float,
        "entrypointNumGpus": float,
        "ttlSecondsAfterFinished": int,
        "preRunningDeadlineSeconds": int,
        "shutdownAfterJobFinishes": bool,
        "suspend": bool,
    },
    "DeletionRule": {
        "policy": ("DeleteCluster", "DeleteWorkers", "DeleteSelf", "DeleteNone"),
        "condition": {
            "jobStatus": ("SUCCEEDED", "FAILED"),
            "jobDeploymentStatus": ("Failed",),
            "ttlSeconds": int,
        },
    },
    "RayClusterSpec": {
        "upgradeStrategy": {"type": ("Recreate", "None")},
        "authOptions": {
            "enableK8sTokenAuth": bool,
            "secretName": str,
            "mode": ("disabled", "token"),
        },
        "suspend": bool,
        "managedBy": str,
        "autoscalerOptions": "AutoscalerOptions",
        "headServiceAnnotations": STRINGS,
        "enableInTreeAutoscaling": bool,
        "gcsFaultToleranceOptions": dict,
        "historyServerOptions": dict,
        "networkPolicy": dict,
        "tlsOptions": {"enabled": bool},
        "headGroupSpec": "HeadGroupSpec",
        "rayVersion": str,
        "workerGroupSpecs": ["WorkerGroupSpec"],
    },
    "AutoscalerOptions": {
        "resources": dict,
        "image": str,
        "imagePullPolicy": str,
        "securityContext": dict,
        "idleTimeoutSeconds": int,
        "upscalingMode": ("Default", "Aggressive", "Conservative"),
        "version": ("v1", "v2"),
        "env": list,
        "envFrom": list,
        "volumeMounts": list,
        "command": list,
        "args": list,
    },
    "HeadGroupSpec": {
        "template": "Pod",
        "headService": dict,
        "enableIngress": bool,
        "ingressOptions": dict,
        "resources": STRINGS,
        "labels": STRINGS,
        "rayStartParams": STRINGS,
        "serviceType": ("ClusterIP", "NodePort", "LoadBalancer"),
    },
    "WorkerGroupSpec": {
        "suspend": bool,
        "groupName": str,
        "replicas": int,
        "minReplicas": int,
        "maxReplicas": int,
        "idleTimeoutSeconds": int,
        "priority": int,
        "resources": STRINGS,
        "labels": STRINGS,
        "rayStartParams": STRINGS,
        "template": "Pod",
        "scaleStrategy": {"workersToDelete": list},
        "numOfHosts": int,
    },
}


def faults(value, kind, where="", pods=None):
    """Yield what a value has that its type does not allow; its pod templates are appended to `pods`."""
    if kind == "Pod":
        if pods is not None:
            pods.append((where, value))
    elif isinstance(kind, list):
        for number, each in enumerate(value):
            yield from faults(each, kind[0], f"{where}[{number}]", pods)
    elif kind is STRINGS:
        for key, each in value.items():
            if not isinstance(each, str):
                yield f"{where}.{key}: expected a string, got {each!r}"
    elif isinstance(kind, tuple):
        if value not in kind:
            yield f"{where}: expected one of {kind}, got {value!r}"
    elif isinstance(kind, type):
        if type(value) is not kind:
            yield f"{where}: expected {kind.__name__}, got {value!r}"
    else:
        fields = TYPES[kind] if isinstance(kind, str) else kind
        for key, each in value.items():
            if key not in fields:
                yield f"{where}.{key}: unknown field"
            else:
                yield from faults(each, fields[key], f"{where}.{key}", pods)
