"""Which built-in kinds are cluster-scoped, and which pre-release APIs are served without being switched on.

Source: ``NamespaceScoped()`` of the kinds' registry strategies (``k8s.io/kubernetes/pkg/registry``), and
``DefaultAPIResourceConfigSource`` in ``pkg/controlplane/instance.go`` of 1.25 to 1.36.
"""

from __future__ import annotations

#: Group → cluster-scoped kinds, of every version since 1.16. All other built-in kinds are namespaced.
CLUSTER_SCOPED: dict[str, frozenset[str]] = {
    "": frozenset({"Namespace", "Node", "PersistentVolume", "ComponentStatus"}),
    "admissionregistration.k8s.io": frozenset(
        {
            "MutatingWebhookConfiguration",
            "ValidatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
        }
    ),
    "apiextensions.k8s.io": frozenset({"CustomResourceDefinition"}),
    "apiregistration.k8s.io": frozenset({"APIService"}),
    "auditregistration.k8s.io": frozenset({"AuditSink"}),
    "authentication.k8s.io": frozenset({"TokenReview", "SelfSubjectReview"}),
    "authorization.k8s.io": frozenset({"SubjectAccessReview", "SelfSubjectAccessReview", "SelfSubjectRulesReview"}),
    "certificates.k8s.io": frozenset({"CertificateSigningRequest", "ClusterTrustBundle"}),
    "extensions": frozenset({"PodSecurityPolicy"}),
    "flowcontrol.apiserver.k8s.io": frozenset({"FlowSchema", "PriorityLevelConfiguration"}),
    "internal.apiserver.k8s.io": frozenset({"StorageVersion"}),
    "networking.k8s.io": frozenset({"IngressClass", "ClusterCIDR", "IPAddress", "ServiceCIDR"}),
    "node.k8s.io": frozenset({"RuntimeClass"}),
    "policy": frozenset({"PodSecurityPolicy"}),
    "rbac.authorization.k8s.io": frozenset({"ClusterRole", "ClusterRoleBinding"}),
    "resource.k8s.io": frozenset({"ResourceClass", "DeviceClass", "ResourceSlice", "DeviceTaintRule", "ResourcePoolStatusRequest"}),
    "scheduling.k8s.io": frozenset({"PriorityClass"}),
    "storage.k8s.io": frozenset({"StorageClass", "VolumeAttachment", "CSIDriver", "CSINode", "VolumeAttributesClass"}),
    "storagemigration.k8s.io": frozenset({"StorageVersionMigration"}),
}

#: (group, beta version) → kind → last minor that serves it by default. Everything else in beta is off by default since 1.24.
SERVED_BY_DEFAULT: dict[tuple[str, str], dict[str, int]] = {
    ("autoscaling", "v2beta2"): {"HorizontalPodAutoscaler": 25},
    ("flowcontrol.apiserver.k8s.io", "v1beta2"): {"FlowSchema": 28, "PriorityLevelConfiguration": 28},
    ("flowcontrol.apiserver.k8s.io", "v1beta3"): {"FlowSchema": 31, "PriorityLevelConfiguration": 31},
    ("storage.k8s.io", "v1beta1"): {"CSIStorageCapacity": 26},
}


def is_cluster_scoped(group: str, kind: str) -> bool:
    """Whether objects of a built-in kind have no namespace."""
    return kind in CLUSTER_SCOPED.get(group, frozenset())
