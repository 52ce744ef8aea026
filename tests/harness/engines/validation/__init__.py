"""What the API server checks of its own kinds, beyond their schema.

One module per area; each rule names the function of the API server that it follows. ``fields.py`` holds the checks of single fields as
data. An object that these modules refuse must be one that the server refuses: where the server's answer depends on something that is not in
the object (a gate, another object, the old version), nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.engines.validation import access, admission, configuration, custom, networking, pods, resources, services, storage, workloads
from harness.engines.validation.context import Check, Json

if TYPE_CHECKING:
    from harness.engines.report import Report

_Rule = Callable[[Json, Check], None]

#: (apiVersion, kind) → its rules.
RULES: dict[tuple[str, str], _Rule] = {
    ("v1", "ConfigMap"): configuration.validate_config_map,
    ("v1", "Endpoints"): services.validate_endpoints,
    ("v1", "LimitRange"): resources.validate_limit_range,
    ("v1", "Namespace"): configuration.validate_namespace,
    ("v1", "Node"): configuration.validate_node,
    ("v1", "PersistentVolume"): storage.validate_volume,
    ("v1", "PersistentVolumeClaim"): storage.validate_claim,
    ("v1", "Pod"): pods.validate_pod,
    ("v1", "PodTemplate"): pods.validate_pod_template_object,
    ("v1", "ReplicationController"): workloads.validate_replication_controller,
    ("v1", "ResourceQuota"): resources.validate_quota,
    ("v1", "Secret"): configuration.validate_secret,
    ("v1", "Service"): services.validate_service,
    ("apps/v1", "DaemonSet"): workloads.validate_daemon_set,
    ("apps/v1", "Deployment"): workloads.validate_deployment,
    ("apps/v1", "ReplicaSet"): workloads.validate_replica_set,
    ("apps/v1", "StatefulSet"): workloads.validate_stateful_set,
    ("batch/v1", "CronJob"): workloads.validate_cron_job,
    ("batch/v1", "Job"): workloads.validate_job,
    ("autoscaling/v1", "HorizontalPodAutoscaler"): access.validate_autoscaler,
    ("autoscaling/v2", "HorizontalPodAutoscaler"): access.validate_autoscaler,
    ("policy/v1", "PodDisruptionBudget"): access.validate_disruption_budget,
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): access.validate_cluster_role,
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): access.validate_cluster_role_binding,
    ("rbac.authorization.k8s.io/v1", "Role"): access.validate_role,
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): access.validate_role_binding,
    ("scheduling.k8s.io/v1", "PriorityClass"): access.validate_priority_class,
    ("networking.k8s.io/v1", "Ingress"): networking.validate_ingress,
    ("networking.k8s.io/v1", "IngressClass"): networking.validate_ingress_class,
    ("networking.k8s.io/v1", "NetworkPolicy"): networking.validate_network_policy,
    ("discovery.k8s.io/v1", "EndpointSlice"): services.validate_endpoint_slice,
    ("node.k8s.io/v1", "RuntimeClass"): storage.validate_runtime_class,
    ("storage.k8s.io/v1", "CSIDriver"): storage.validate_csi_driver_object,
    ("storage.k8s.io/v1", "CSIStorageCapacity"): storage.validate_storage_capacity,
    ("storage.k8s.io/v1", "StorageClass"): storage.validate_storage_class,
    ("storage.k8s.io/v1", "VolumeAttributesClass"): storage.validate_volume_attributes_class,
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"): admission.validate_webhooks,
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"): admission.validate_webhooks,
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"): admission.validate_admission_policy,
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"): admission.validate_policy_binding,
    ("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy"): admission.validate_admission_policy,
    ("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicyBinding"): admission.validate_policy_binding,
    ("apiregistration.k8s.io/v1", "APIService"): admission.validate_api_service,
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): custom.validate_definition,
}


def validate_builtin(body: Json, api_version: str, kind: str, minor: int, report: Report) -> None:
    """Adds every error of an object of a built-in kind. ``minor``: the cluster's Kubernetes minor."""
    rule = RULES.get((api_version, kind))
    if rule is not None:
        rule(body, Check(report, minor))
