"""What can be checked of a cluster file without a cloud. Each check raises one of REFUSALS, with what is wrong.

Ray's schema, Ray's own preparation and validation, the request models of the clouds' libraries, Kubernetes' schemas,
and shellcheck. What only a cloud knows (quotas, whether an image is still there) is not covered.
"""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.loaders  # type: ignore[import-untyped]  # it ships no types
import botocore.model  # type: ignore[import-untyped]  # it ships no types
import botocore.validate  # type: ignore[import-untyped]  # it ships no types
import kubernetes_validate  # type: ignore[import-untyped]  # it ships no types
from google.cloud.compute_v1.types import Instance
from google.protobuf.json_format import ParseError  # type: ignore[import-untyped]  # it ships no types
from jsonschema import ValidationError  # type: ignore[import-untyped]  # it ships no types

REFUSALS = (ValidationError, ValueError, KeyError, ParseError, kubernetes_validate.ValidationError)
KUBERNETES = "1.34"
RAYJOB_FIELDS = {  # of KubeRay 1.6's ray.io/v1, as far as the file uses them; no package offers its schema
    "spec": {"entrypoint", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "backoffLimit", "rayClusterSpec"},
    "rayClusterSpec": {
        "rayVersion", "authOptions", "enableInTreeAutoscaling", "autoscalerOptions", "headGroupSpec",
        "workerGroupSpecs",
    },
    "authOptions": {"mode"},
    "autoscalerOptions": {"idleTimeoutSeconds", "upscalingMode"},
    "headGroupSpec": {"rayStartParams", "template"},
    "workerGroupSpecs": {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"},
}  # fmt: skip

Config = dict[str, Any]


def validate_for_ray(config: Config) -> Config:
    """What `ray up` makes of it before it asks the cloud; ValidationError or ValueError when it would refuse."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared: Config = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    return prepared


def validate_for_aws(config: Config) -> None:
    """Each type's node_config as a RunInstances request; ValueError names what AWS would refuse."""
    service = botocore.model.ServiceModel(botocore.loaders.Loader().load_service_model("ec2", "service-2"))
    shape = service.operation_model("RunInstances").input_shape
    for name, node_type in config["available_node_types"].items():
        request = {**node_type["node_config"], "MinCount": 1, "MaxCount": 1}
        report = botocore.validate.ParamValidator().validate(request, shape)
        wrong = report.generate_report()
        wrong += "".join(f"\nunknown {where}" for where in unknown_members(request, shape, name))
        wrong += "".join(f"\nnot one of its values: {where}" for where in wrong_enums(request, shape, name))
        if wrong:
            raise ValueError(f"{name}: {wrong}")


def unknown_members(value: Any, shape: Any, where: str) -> list[str]:
    """Keys below `value` that the shape does not have: botocore itself drops them."""
    if shape.type_name == "structure":
        own = [f"{where}.{key}" for key in value if key not in shape.members]
        return own + [
            deep
            for key, item in value.items()
            if key in shape.members
            for deep in unknown_members(item, shape.members[key], f"{where}.{key}")
        ]
    if shape.type_name == "list":
        return [deep for item in value for deep in unknown_members(item, shape.member, where)]
    return []


def wrong_enums(value: Any, shape: Any, where: str) -> list[str]:
    """Strings that are none of their enumeration."""
    if shape.type_name == "structure":
        members = shape.members
        return [w for key, item in value.items() if key in members for w in wrong_enums(item, members[key], key)]
    if shape.type_name == "list":
        return [wrong for item in value for wrong in wrong_enums(item, shape.member, where)]
    allowed = getattr(shape, "enum", [])
    return [f"{where}: {value}"] if allowed and value not in allowed else []


def validate_for_gcp(config: Config) -> None:
    """Each type's node_config as the body of instances.insert; a ParseError names an unknown field."""
    for node_type in config["available_node_types"].values():
        Instance.from_json(json.dumps(node_type["node_config"]), ignore_unknown_fields=False)


def validate_for_kubernetes(documents: list[Config]) -> None:
    """Pods and claims against Kubernetes' schemas, the RayJob's own fields against a list, and what Ray reads of it."""
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
    from ray.autoscaler._private.util import validate_config

    claims = [document for document in documents if document["kind"] == "PersistentVolumeClaim"]
    (job,) = [document for document in documents if document["kind"] == "RayJob"]
    spec = job["spec"]["rayClusterSpec"]
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    pods = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, **group["template"]} for group in groups]
    for resource in [*claims, *pods]:
        kubernetes_validate.validate(resource, KUBERNETES, strict=True)
    check_fields("spec", job["spec"])
    cluster = {"kind": "RayCluster", "metadata": {"name": "x", "namespace": "default"}, "spec": spec}
    validate_config(_derive_autoscaling_config_from_ray_cr(cluster))


def check_fields(name: str, value: Any) -> None:
    """ValueError for a field of the RayJob that KubeRay does not know."""
    for one in value if isinstance(value, list) else [value]:
        if name not in RAYJOB_FIELDS or not isinstance(one, dict):
            return
        if unknown := set(one) - RAYJOB_FIELDS[name]:
            raise ValueError(f"{name} has no field {', '.join(sorted(unknown))}")
        for key, item in one.items():
            check_fields(key, item)


def lint_shell(path: Path) -> None:
    """CalledProcessError when bash cannot parse it or shellcheck finds something."""
    subprocess.run(["bash", "-n", path], check=True, capture_output=True)
    shellcheck = Path(sys.executable).parent / "shellcheck"
    subprocess.run([shellcheck, path], check=True, capture_output=True, text=True)
