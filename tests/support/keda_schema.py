"""What KEDA 2.17 to 2.22 take in a ScaledObject that asks Temporal: as much of it as our manifests use, and no more."""

from typing import Any

_TEXT = {"type": "string", "minLength": 1}
_COUNT = {"type": "integer", "minimum": 0}


def _closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


# All of a trigger's metadata are texts, numbers too.
_NUMBER = {"type": "string", "pattern": "^[0-9]+$"}
_TEMPORAL = _closed(
    {
        "endpoint": {"type": "string", "pattern": "^[^:/]+:[0-9]+$"},
        "namespace": _TEXT,
        "taskQueue": _TEXT,
        "queueTypes": {"type": "string", "pattern": "^(workflow|activity|nexus)(,(workflow|activity|nexus))*$"},
        "targetQueueSize": _NUMBER,
        "activationTargetQueueSize": _NUMBER,
        "workerDeploymentName": _TEXT,
        "workerDeploymentBuildId": _TEXT,
        "minConnectTimeout": _NUMBER,
        "unsafeSsl": {"enum": ["true", "false"]},
        "tlsServerName": _TEXT,
    },
    "endpoint",
    "taskQueue",
) | {
    "dependentRequired": {
        "workerDeploymentName": ["workerDeploymentBuildId"],
        "workerDeploymentBuildId": ["workerDeploymentName"],
    }
}
_TRIGGER = _closed(
    {
        "type": {"const": "temporal"},
        "name": _TEXT,
        "metadata": _TEMPORAL,
        "authenticationRef": _closed({"name": _TEXT, "kind": _TEXT}, "name"),
        "metricType": {"enum": ["AverageValue", "Value", "Utilization"]},
    },
    "type",
    "metadata",
)
SCALED_OBJECT = {
    "type": "object",
    "properties": {
        "apiVersion": {"const": "keda.sh/v1alpha1"},
        "kind": {"const": "ScaledObject"},
        "metadata": {"type": "object", "required": ["name"]},
        "spec": _closed(
            {
                "scaleTargetRef": _closed({"apiVersion": _TEXT, "kind": _TEXT, "name": _TEXT}, "name"),
                "pollingInterval": _COUNT,
                "cooldownPeriod": _COUNT,
                "minReplicaCount": _COUNT,
                "maxReplicaCount": _COUNT,
                "advanced": _closed(
                    {
                        "restoreToOriginalReplicaCount": {"type": "boolean"},
                        "horizontalPodAutoscalerConfig": _closed({"name": _TEXT, "behavior": {"type": "object"}}),
                    }
                ),
                "triggers": {"type": "array", "minItems": 1, "items": _TRIGGER},
            },
            "scaleTargetRef",
            "triggers",
        ),
    },
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
}
