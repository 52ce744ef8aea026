"""When API versions were deprecated and removed, as data.

Built-in rows: the ``prerelease-lifecycle-gen`` annotations of ``k8s.io/api`` (v0.34 and before) and the Kubernetes deprecated API migration
guide; rows later than 1.34 are the differences between the releases' OpenAPI documents. Other products: the source is named per block.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One API version of one or more kinds. ``deprecated`` and ``removed`` are releases of the product ("1.22"), empty when there is none."""

    group: str
    version: str
    kinds: tuple[str, ...]
    deprecated: str
    removed: str
    replacement: str


_RBAC = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
_FLOW = ("FlowSchema", "PriorityLevelConfiguration")
_REVIEWS = ("LocalSubjectAccessReview", "SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview")
_WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_VAP = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
_MAP = ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding")
_DRA = ("DeviceClass", "ResourceClaim", "ResourceClaimTemplate", "ResourceSlice")
_ADMISSION = "admissionregistration.k8s.io"
_FLOWCONTROL = "flowcontrol.apiserver.k8s.io"
_AUTHENTICATION = "authentication.k8s.io"
_STORAGE = "storage.k8s.io"
_RESOURCE = "resource.k8s.io"

KUBERNETES: tuple[Row, ...] = (
    # removed in 1.16
    Row("extensions", "v1beta1", ("DaemonSet", "Deployment", "ReplicaSet"), "1.8", "1.16", "apps/v1"),
    Row("extensions", "v1beta1", ("NetworkPolicy",), "1.9", "1.16", "networking.k8s.io/v1"),
    Row("extensions", "v1beta1", ("PodSecurityPolicy",), "1.11", "1.16", "Pod Security admission"),
    Row("apps", "v1beta1", ("ControllerRevision", "Deployment", "StatefulSet"), "1.8", "1.16", "apps/v1"),
    Row("apps", "v1beta2", ("ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"), "1.9", "1.16", "apps/v1"),
    # removed in 1.19 to 1.21
    Row("auditregistration.k8s.io", "v1alpha1", ("AuditSink",), "1.18", "1.19", "none"),
    Row("settings.k8s.io", "v1alpha1", ("PodPreset",), "1.19", "1.20", "a mutating webhook or policy"),
    Row("batch", "v2alpha1", ("CronJob",), "1.8", "1.21", "batch/v1"),
    # removed in 1.22
    Row("extensions", "v1beta1", ("Ingress",), "1.14", "1.22", "networking.k8s.io/v1"),
    Row("networking.k8s.io", "v1beta1", ("Ingress", "IngressClass"), "1.19", "1.22", "networking.k8s.io/v1"),
    Row(_ADMISSION, "v1beta1", _WEBHOOKS, "1.16", "1.22", f"{_ADMISSION}/v1"),
    Row("apiextensions.k8s.io", "v1beta1", ("CustomResourceDefinition",), "1.16", "1.22", "apiextensions.k8s.io/v1"),
    Row("apiregistration.k8s.io", "v1beta1", ("APIService",), "1.19", "1.22", "apiregistration.k8s.io/v1"),
    Row(_AUTHENTICATION, "v1beta1", ("TokenReview",), "1.19", "1.22", f"{_AUTHENTICATION}/v1"),
    Row("authorization.k8s.io", "v1beta1", _REVIEWS, "1.19", "1.22", "authorization.k8s.io/v1"),
    Row("certificates.k8s.io", "v1beta1", ("CertificateSigningRequest",), "1.19", "1.22", "certificates.k8s.io/v1"),
    Row("coordination.k8s.io", "v1beta1", ("Lease",), "1.19", "1.22", "coordination.k8s.io/v1"),
    Row("rbac.authorization.k8s.io", "v1alpha1", _RBAC, "1.17", "1.22", "rbac.authorization.k8s.io/v1"),
    Row("rbac.authorization.k8s.io", "v1beta1", _RBAC, "1.17", "1.22", "rbac.authorization.k8s.io/v1"),
    Row("scheduling.k8s.io", "v1alpha1", ("PriorityClass",), "1.14", "1.22", "scheduling.k8s.io/v1"),
    Row("scheduling.k8s.io", "v1beta1", ("PriorityClass",), "1.14", "1.22", "scheduling.k8s.io/v1"),
    Row(_STORAGE, "v1beta1", ("CSIDriver", "StorageClass", "VolumeAttachment"), "1.19", "1.22", f"{_STORAGE}/v1"),
    Row(_STORAGE, "v1beta1", ("CSINode",), "1.17", "1.22", f"{_STORAGE}/v1"),
    # removed in 1.24 to 1.27
    Row(_STORAGE, "v1alpha1", ("CSIStorageCapacity", "VolumeAttachment"), "1.21", "1.24", f"{_STORAGE}/v1"),
    Row("autoscaling", "v2beta1", ("HorizontalPodAutoscaler",), "1.22", "1.25", "autoscaling/v2"),
    Row("batch", "v1beta1", ("CronJob",), "1.21", "1.25", "batch/v1"),
    Row("discovery.k8s.io", "v1beta1", ("EndpointSlice",), "1.21", "1.25", "discovery.k8s.io/v1"),
    Row("events.k8s.io", "v1beta1", ("Event",), "1.22", "1.25", "events.k8s.io/v1"),
    Row("node.k8s.io", "v1beta1", ("RuntimeClass",), "1.22", "1.25", "node.k8s.io/v1"),
    Row("policy", "v1beta1", ("PodDisruptionBudget",), "1.21", "1.25", "policy/v1"),
    Row("policy", "v1beta1", ("PodSecurityPolicy",), "1.21", "1.25", "Pod Security admission"),
    Row("autoscaling", "v2beta2", ("HorizontalPodAutoscaler",), "1.23", "1.26", "autoscaling/v2"),
    Row(_FLOWCONTROL, "v1beta1", _FLOW, "1.23", "1.26", f"{_FLOWCONTROL}/v1"),
    Row(_STORAGE, "v1beta1", ("CSIStorageCapacity",), "1.24", "1.27", f"{_STORAGE}/v1"),
    Row(_RESOURCE, "v1alpha1", ("PodScheduling", "ResourceClaim", "ResourceClaimTemplate", "ResourceClass"), "", "1.27", f"{_RESOURCE}/v1"),
    # removed in 1.29 to 1.34
    Row(_FLOWCONTROL, "v1beta2", _FLOW, "1.26", "1.29", f"{_FLOWCONTROL}/v1"),
    Row("networking.k8s.io", "v1alpha1", ("ClusterCIDR",), "", "1.29", "none"),
    Row("networking.k8s.io", "v1alpha1", ("IPAddress", "ServiceCIDR"), "", "1.31", "networking.k8s.io/v1"),
    Row(
        _RESOURCE,
        "v1alpha2",
        (
            "PodSchedulingContext",
            "ResourceClaim",
            "ResourceClaimParameters",
            "ResourceClaimTemplate",
            "ResourceClass",
            "ResourceClassParameters",
            "ResourceSlice",
        ),
        "",
        "1.31",
        f"{_RESOURCE}/v1",
    ),
    Row(_FLOWCONTROL, "v1beta3", _FLOW, "1.29", "1.32", f"{_FLOWCONTROL}/v1"),
    Row(_ADMISSION, "v1alpha1", _VAP, "1.29", "1.32", f"{_ADMISSION}/v1"),
    Row(_AUTHENTICATION, "v1alpha1", ("SelfSubjectReview",), "1.29", "1.32", f"{_AUTHENTICATION}/v1"),
    Row("coordination.k8s.io", "v1alpha1", ("LeaseCandidate",), "", "1.32", "coordination.k8s.io/v1beta1"),
    Row(_RESOURCE, "v1alpha3", ("PodSchedulingContext",), "", "1.32", "none"),
    Row(_AUTHENTICATION, "v1beta1", ("SelfSubjectReview",), "1.30", "1.33", f"{_AUTHENTICATION}/v1"),
    Row(_ADMISSION, "v1beta1", _VAP, "1.31", "1.34", f"{_ADMISSION}/v1"),
    Row(_RESOURCE, "v1alpha3", _DRA, "", "1.34", f"{_RESOURCE}/v1"),
    # removed in 1.35 and later
    Row(_STORAGE, "v1alpha1", ("VolumeAttributesClass",), "1.32", "1.35", f"{_STORAGE}/v1"),
    Row("certificates.k8s.io", "v1alpha1", ("PodCertificateRequest",), "", "1.35", "certificates.k8s.io/v1"),
    Row("storagemigration.k8s.io", "v1alpha1", ("StorageVersionMigration",), "1.33", "1.35", "storagemigration.k8s.io/v1beta1"),
    Row("scheduling.k8s.io", "v1alpha1", ("Workload",), "", "1.36", "scheduling.k8s.io/v1alpha2"),
    Row("networking.k8s.io", "v1beta1", ("IPAddress", "ServiceCIDR"), "1.34", "1.37", "networking.k8s.io/v1"),
    Row(_STORAGE, "v1beta1", ("VolumeAttributesClass",), "1.34", "1.37", f"{_STORAGE}/v1"),
    Row("certificates.k8s.io", "v1alpha1", ("ClusterTrustBundle",), "1.34", "1.37", "certificates.k8s.io/v1"),
    Row("scheduling.k8s.io", "v1alpha2", ("PodGroup", "Workload"), "", "1.37", "scheduling.k8s.io/v1beta1"),
    Row(_ADMISSION, "v1alpha1", _MAP, "1.35", "1.38", f"{_ADMISSION}/v1"),
    Row(_ADMISSION, "v1beta1", _MAP, "1.37", "1.40", f"{_ADMISSION}/v1"),
    Row("coordination.k8s.io", "v1alpha2", ("LeaseCandidate",), "1.35", "1.38", "coordination.k8s.io/v1beta1"),
    Row("coordination.k8s.io", "v1beta1", ("LeaseCandidate",), "1.36", "1.39", ""),
    Row("certificates.k8s.io", "v1beta1", ("ClusterTrustBundle",), "1.36", "1.39", "certificates.k8s.io/v1"),
    Row(_RESOURCE, "v1beta1", _DRA, "1.35", "1.38", f"{_RESOURCE}/v1"),
    Row(_RESOURCE, "v1beta2", _DRA, "1.36", "1.39", f"{_RESOURCE}/v1"),
    Row(_RESOURCE, "v1alpha3", ("DeviceTaintRule",), "1.36", "1.39", f"{_RESOURCE}/v1"),
    # deprecated, no removal planned
    Row("", "v1", ("ComponentStatus",), "1.19", "", "the health endpoints of the components"),
    Row("", "v1", ("Endpoints",), "1.33", "", "discovery.k8s.io/v1 EndpointSlice"),
)

_SOURCE = "source.toolkit.fluxcd.io"
_SOURCES = ("Bucket", "GitRepository", "HelmChart", "HelmRepository", "OCIRepository")
_IMAGE = "image.toolkit.fluxcd.io"
_IMAGES = ("ImagePolicy", "ImageRepository", "ImageUpdateAutomation")
_NOTIFICATION = "notification.toolkit.fluxcd.io"

#: Changelogs of source-controller 1.7 and 1.8, kustomize-controller 1.7 and 1.8, helm-controller 1.4 and 1.5, notification-controller 1.7 and
#: 1.9 (Flux 2.7, 2.8 and 2.9); promotions from the changelogs of their 1.0 to 1.6.
FLUX: tuple[Row, ...] = (
    Row(_SOURCE, "v1beta1", ("Bucket", "GitRepository", "HelmChart", "HelmRepository"), "0.28", "2.7", f"{_SOURCE}/v1"),
    Row(_SOURCE, "v1beta2", ("GitRepository",), "2.0", "2.8", f"{_SOURCE}/v1"),
    Row(_SOURCE, "v1beta2", ("HelmChart", "HelmRepository"), "2.3", "2.8", f"{_SOURCE}/v1"),
    Row(_SOURCE, "v1beta2", ("Bucket",), "2.5", "2.8", f"{_SOURCE}/v1"),
    Row(_SOURCE, "v1beta2", ("OCIRepository",), "2.6", "2.8", f"{_SOURCE}/v1"),
    Row("kustomize.toolkit.fluxcd.io", "v1beta1", ("Kustomization",), "0.28", "2.7", "kustomize.toolkit.fluxcd.io/v1"),
    Row("kustomize.toolkit.fluxcd.io", "v1beta2", ("Kustomization",), "2.0", "2.8", "kustomize.toolkit.fluxcd.io/v1"),
    Row("helm.toolkit.fluxcd.io", "v2beta1", ("HelmRelease",), "2.2", "2.7", "helm.toolkit.fluxcd.io/v2"),
    Row("helm.toolkit.fluxcd.io", "v2beta2", ("HelmRelease",), "2.3", "2.8", "helm.toolkit.fluxcd.io/v2"),
    Row(_NOTIFICATION, "v1beta1", ("Alert", "Provider", "Receiver"), "0.38", "2.7", f"{_NOTIFICATION}/v1beta3"),
    Row(_NOTIFICATION, "v1beta2", ("Receiver",), "2.0", "2.9", f"{_NOTIFICATION}/v1"),
    Row(_NOTIFICATION, "v1beta2", ("Alert", "Provider"), "2.2", "2.9", f"{_NOTIFICATION}/v1beta3"),
    Row(_IMAGE, "v1beta1", _IMAGES, "2.2", "2.7", f"{_IMAGE}/v1"),
    Row(_IMAGE, "v1beta2", _IMAGES, "2.7", "2.9", f"{_IMAGE}/v1"),
)

_CERT_MANAGER = ("Certificate", "CertificateRequest", "ClusterIssuer", "Issuer")
_ACME = ("Challenge", "Order")

#: cert-manager's API compatibility page: alpha and beta versions are gone in 1.7, deprecated since 1.4.
CERT_MANAGER: tuple[Row, ...] = tuple(
    Row(group, version, kinds, "1.4", "1.7", f"{group}/v1")
    for group, kinds in (("cert-manager.io", _CERT_MANAGER), ("acme.cert-manager.io", _ACME))
    for version in ("v1alpha2", "v1alpha3", "v1beta1")
)

_LEGACY = "policies.kyverno.io/v1"

#: Kyverno: deprecation in 1.17 and removal of execution in 1.20 (kyverno#17701); alpha versions as the CRDs of chart 3.9.0 mark them.
KYVERNO: tuple[Row, ...] = (
    *(Row("kyverno.io", version, ("ClusterPolicy", "Policy"), "1.17", "1.20", _LEGACY) for version in ("v1", "v2beta1")),
    *(Row("kyverno.io", version, ("CleanupPolicy", "ClusterCleanupPolicy"), "1.17", "1.20", _LEGACY) for version in ("v2", "v2beta1")),
    Row(
        "policies.kyverno.io",
        "v1alpha1",
        ("DeletingPolicy", "GeneratingPolicy", "ImageValidatingPolicy", "MutatingPolicy", "PolicyException", "ValidatingPolicy"),
        "1.19",
        "",
        _LEGACY,
    ),
)

_METALLB = (Row("metallb.io", "v1beta1", ("BGPPeer",), "0.13", "", "metallb.io/v1beta2"),)
_EXTERNAL_SECRETS = (
    Row(
        "external-secrets.io", "v1beta1", ("ClusterExternalSecret", "ClusterSecretStore", "ExternalSecret", "SecretStore"), "0.16", "0.17",
        "external-secrets.io/v1",
    ),
)  # fmt: skip

#: Product → its API versions that are deprecated or gone. Releases are the product's own.
PRODUCTS: dict[str, tuple[Row, ...]] = {
    "kubernetes": KUBERNETES,
    "flux": FLUX,
    "cert-manager": CERT_MANAGER,
    "kyverno": KYVERNO,
    "metallb": _METALLB,
    "external-secrets": _EXTERNAL_SECRETS,
}
