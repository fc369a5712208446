"""The shape of KubeRay's RayJob as a strict JSON schema, written by hand.

Source: the field reference of ray.io/v1 that KubeRay generates from its CRDs (docs/reference/api.md at v1.6.2,
Apache-2.0), and the CRD itself (helm-chart/kuberay-operator/crds/ray.io_rayjobs.yaml) for required fields and the
pattern of quantities. Of the CRD's 1.2 MB nearly all is Kubernetes' own pod template, once per place; pod templates
are left open here and checked by the package kubernetes-validate.
"""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
POSITIVE: Schema = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
NUMBER: Schema = {"type": "number", "minimum": 0}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
KUBERNETES: Schema = {"type": "object"}


def words(*allowed: str) -> Schema:
    return {"type": "string", "enum": list(allowed)}


def record(*required: str, **fields: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": fields, "required": list(required)}


def listed(item: Schema) -> Schema:
    return {"type": "array", "items": item}


AUTOSCALER = record(
    resources=KUBERNETES,
    image=TEXT,
    imagePullPolicy=words("Always", "IfNotPresent", "Never"),
    securityContext=KUBERNETES,
    idleTimeoutSeconds=COUNT,
    upscalingMode=words("Default", "Aggressive", "Conservative"),
    version=words("v1", "v2"),
    env=listed(KUBERNETES),
    envFrom=listed(KUBERNETES),
    volumeMounts=listed(KUBERNETES),
)
HEAD_GROUP = record(
    "template",
    template=KUBERNETES,
    headService=KUBERNETES,
    enableIngress=FLAG,
    resources=TEXTS,
    labels=TEXTS,
    rayStartParams=TEXTS,
    serviceType=words("ClusterIP", "NodePort", "LoadBalancer"),
)
WORKER_GROUP = record(
    "groupName",
    "minReplicas",
    "maxReplicas",
    "template",
    suspend=FLAG,
    groupName=TEXT,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    idleTimeoutSeconds=COUNT,
    resources=TEXTS,
    labels=TEXTS,
    rayStartParams=TEXTS,
    template=KUBERNETES,
    scaleStrategy=record(workersToDelete=listed(TEXT)),
    numOfHosts=POSITIVE,
)
CREDENTIAL = record(valueFrom=KUBERNETES, value=TEXT)
RAY_CLUSTER = record(
    "headGroupSpec",
    upgradeStrategy=record(type=words("Recreate", "None")),
    authOptions=record(enableK8sTokenAuth=FLAG, secretName=TEXT, mode=words("disabled", "token")),
    suspend=FLAG,
    managedBy=words("ray.io/kuberay-operator", "kueue.x-k8s.io/multikueue"),
    autoscalerOptions=AUTOSCALER,
    headServiceAnnotations=TEXTS,
    enableInTreeAutoscaling=FLAG,
    gcsFaultToleranceOptions=record(
        "redisAddress",
        redisUsername=CREDENTIAL,
        redisPassword=CREDENTIAL,
        externalStorageNamespace=TEXT,
        redisAddress=TEXT,
    ),
    headGroupSpec=HEAD_GROUP,
    rayVersion=TEXT,
    workerGroupSpecs=listed(WORKER_GROUP),
)
RAY_JOB = record(
    activeDeadlineSeconds=POSITIVE,
    backoffLimit=COUNT,
    rayClusterSpec=RAY_CLUSTER,
    submitterPodTemplate=KUBERNETES,
    metadata=TEXTS,
    clusterSelector=TEXTS,
    submitterConfig=record(backoffLimit=COUNT),
    managedBy=words("ray.io/kuberay-operator", "kueue.x-k8s.io/multikueue"),
    deletionStrategy=KUBERNETES,
    entrypoint=TEXT,
    runtimeEnvYAML=TEXT,
    jobId=TEXT,
    submissionMode=words("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"),
    entrypointResources=TEXT,
    entrypointNumCpus=NUMBER,
    entrypointNumGpus=NUMBER,
    ttlSecondsAfterFinished=COUNT,
    preRunningDeadlineSeconds=POSITIVE,
    shutdownAfterJobFinishes=FLAG,
    suspend=FLAG,
)


def schema() -> Schema:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "RayJob of ray.io/v1 (KubeRay 1.6.2)",
        **record(
            "apiVersion",
            "kind",
            "metadata",
            "spec",
            apiVersion=words("ray.io/v1"),
            kind=words("RayJob"),
            metadata=KUBERNETES,
            spec=RAY_JOB,
        ),
    }
