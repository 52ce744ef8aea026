"""What an object needs in the cluster before it can do its work: Secrets, ConfigMaps, accounts, classes, sources, issuers.

Only what is required is listed: optional references, and what a controller picks up whenever it comes, are not needs.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from harness.flux.kinds import HELM_RELEASE, KUSTOMIZATION, SOURCE_GROUP
from harness.rules.hlm_common import chart_source, items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.model import Object, Pointer


class Topic(Enum):
    """What a need is about; each topic has a rule."""

    DATA = "data"
    ACCOUNT = "account"
    POD_CLASS = "pod class"
    CLASS = "class"
    SOURCE = "source"
    FLUX_INPUT = "flux input"


class Need(NamedTuple):
    """One thing an object needs: a ``Kind.group`` with namespace and name, and where the object says so."""

    topic: Topic
    kind: str
    namespace: str
    name: str
    pointer: Pointer
    role: str

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind.partition('.')[0]} {where}"


#: Where the pod of a kind stands.
POD_TEMPLATES: Final[dict[str, Pointer]] = {
    "Pod": ("spec",),
    "Deployment.apps": ("spec", "template", "spec"),
    "StatefulSet.apps": ("spec", "template", "spec"),
    "DaemonSet.apps": ("spec", "template", "spec"),
    "ReplicaSet.apps": ("spec", "template", "spec"),
    "ReplicationController": ("spec", "template", "spec"),
    "Job.batch": ("spec", "template", "spec"),
    "CronJob.batch": ("spec", "jobTemplate", "spec", "template", "spec"),
}

#: Names that every cluster has: made by the API server, the controller manager or admission.
_BUILT_IN: Final = frozenset(
    {
        ("ConfigMap", "kube-root-ca.crt"),
        ("PriorityClass.scheduling.k8s.io", "system-node-critical"),
        ("PriorityClass.scheduling.k8s.io", "system-cluster-critical"),
    }
)


def needs(item: Object) -> Iterator[Need]:
    """Everything an object needs, in the order in which it says so. A name with a variable left in it is nobody's."""
    finder = _FINDERS.get(str(item.group_kind))
    if finder is None:
        return
    for need in finder(item):
        if need.name and "${" not in need.name and (need.kind, need.name) not in _BUILT_IN:
            yield need


def _pod(item: Object) -> Iterator[Need]:
    base = POD_TEMPLATES[str(item.group_kind)]
    spec = mapping(item.get(*base))
    yield from _volumes(item, spec, base)
    for group in ("initContainers", "containers"):
        for index, container in enumerate(items(spec.get(group))):
            yield from _container(item, mapping(container), (*base, group, index))
    for index, entry in enumerate(items(spec.get("imagePullSecrets"))):
        yield Need(Topic.DATA, "Secret", item.namespace, text(mapping(entry).get("name")), (*base, "imagePullSecrets", index), "pull secret")
    account = text(spec.get("serviceAccountName")) or text(spec.get("serviceAccount"))
    if account and account != "default":
        yield Need(Topic.ACCOUNT, "ServiceAccount", item.namespace, account, (*base, "serviceAccountName"), "service account of its pods")
    yield Need(Topic.POD_CLASS, "PriorityClass.scheduling.k8s.io", "", text(spec.get("priorityClassName")), (*base, "priorityClassName"), "priority class")
    yield Need(Topic.POD_CLASS, "RuntimeClass.node.k8s.io", "", text(spec.get("runtimeClassName")), (*base, "runtimeClassName"), "runtime class")
    for index, claim in enumerate(items(item.get("spec", "volumeClaimTemplates"))):
        yield _storage(item, mapping(mapping(claim).get("spec")), ("spec", "volumeClaimTemplates", index, "spec"))


def _storage(item: Object, claim: dict[str, object], base: Pointer) -> Need:
    return Need(Topic.CLASS, "StorageClass.storage.k8s.io", "", text(claim.get("storageClassName")), (*base, "storageClassName"), "storage class")


def _volumes(item: Object, spec: dict[str, object], base: Pointer) -> Iterator[Need]:
    for index, entry in enumerate(items(spec.get("volumes"))):
        volume, at = mapping(entry), (*base, "volumes", index)
        projected = [(source, (*at, "projected", "sources", number)) for number, source in enumerate(items(mapping(volume.get("projected")).get("sources")))]
        for source, where in [(volume, at), *projected]:
            for field, kind, key in (("secret", "Secret", "secretName"), ("configMap", "ConfigMap", "name")):
                reference = mapping(mapping(source).get(field))
                if reference and reference.get("optional") is not True:
                    yield Need(Topic.DATA, kind, item.namespace, text(reference.get(key)) or text(reference.get("name")), (*where, field), "mounted")
        csi = mapping(mapping(volume.get("csi")).get("nodePublishSecretRef"))
        if csi:
            yield Need(Topic.DATA, "Secret", item.namespace, text(csi.get("name")), (*at, "csi", "nodePublishSecretRef"), "mounted")


def _container(item: Object, container: dict[str, object], base: Pointer) -> Iterator[Need]:
    for index, entry in enumerate(items(container.get("envFrom"))):
        for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
            reference = mapping(mapping(entry).get(field))
            if reference and reference.get("optional") is not True:
                yield Need(Topic.DATA, kind, item.namespace, text(reference.get("name")), (*base, "envFrom", index, field), "environment")
    for index, entry in enumerate(items(container.get("env"))):
        source = mapping(mapping(entry).get("valueFrom"))
        for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
            reference = mapping(source.get(field))
            if reference and reference.get("optional") is not True:
                yield Need(Topic.DATA, kind, item.namespace, text(reference.get("name")), (*base, "env", index, "valueFrom", field), "environment")


def _claim(item: Object) -> Iterator[Need]:
    yield _storage(item, item.spec, ("spec",))


def _ingress(item: Object) -> Iterator[Need]:
    yield Need(Topic.CLASS, "IngressClass.networking.k8s.io", "", text(item.spec.get("ingressClassName")), ("spec", "ingressClassName"), "ingress class")


def _gateway(item: Object) -> Iterator[Need]:
    yield Need(
        Topic.CLASS, "GatewayClass.gateway.networking.k8s.io", "", text(item.spec.get("gatewayClassName")), ("spec", "gatewayClassName"), "gateway class"
    )


def _certificate(item: Object) -> Iterator[Need]:
    reference = mapping(item.spec.get("issuerRef"))
    kind = text(reference.get("kind")) or "Issuer"
    if text(reference.get("group")) in {"", "cert-manager.io"} and kind in {"Issuer", "ClusterIssuer"}:
        yield Need(
            Topic.CLASS,
            f"{kind}.cert-manager.io",
            "" if kind == "ClusterIssuer" else item.namespace,
            text(reference.get("name")),
            ("spec", "issuerRef"),
            "issuer",
        )


def _kustomization(item: Object) -> Iterator[Need]:
    reference = mapping(item.spec.get("sourceRef"))
    kind = text(reference.get("kind"))
    if kind in {"OCIRepository", "GitRepository", "Bucket"}:
        yield Need(
            Topic.SOURCE,
            f"{kind}.{SOURCE_GROUP}",
            text(reference.get("namespace")) or item.namespace,
            text(reference.get("name")),
            ("spec", "sourceRef"),
            "source",
        )
    for index, entry in enumerate(items(mapping(item.spec.get("postBuild")).get("substituteFrom"))):
        source = mapping(entry)
        if source.get("optional") is not True and text(source.get("kind")) in {"ConfigMap", "Secret"}:
            yield Need(
                Topic.FLUX_INPUT,
                text(source.get("kind")),
                item.namespace,
                text(source.get("name")),
                ("spec", "postBuild", "substituteFrom", index),
                "variables",
            )
    yield from _account(item)
    yield from _secret_reference(item, "decryption", "secretRef")
    yield from _secret_reference(item, "kubeConfig", "secretRef")


def _release(item: Object) -> Iterator[Need]:
    source = chart_source(item)
    if source is not None and source.kind != "ExternalArtifact":
        yield Need(Topic.SOURCE, f"{source.kind}.{SOURCE_GROUP}", source.namespace, source.name, source.pointer, "source of its chart")
    for index, entry in enumerate(items(item.spec.get("valuesFrom"))):
        reference = mapping(entry)
        if reference.get("optional") is not True and text(reference.get("kind")) in {"ConfigMap", "Secret"}:
            yield Need(Topic.FLUX_INPUT, text(reference.get("kind")), item.namespace, text(reference.get("name")), ("spec", "valuesFrom", index), "values")
    yield from _account(item)
    yield from _secret_reference(item, "kubeConfig", "secretRef")


def _account(item: Object) -> Iterator[Need]:
    name = text(item.spec.get("serviceAccountName"))
    if name != "default" and not item.spec.get("kubeConfig"):
        yield Need(Topic.ACCOUNT, "ServiceAccount", item.namespace, name, ("spec", "serviceAccountName"), "service account it acts as")


def _source(item: Object) -> Iterator[Need]:
    for at in (("secretRef",), ("verify", "secretRef"), ("certSecretRef",), ("proxySecretRef",)):
        yield from _secret_reference(item, *at)


def _chart(item: Object) -> Iterator[Need]:
    reference = mapping(item.spec.get("sourceRef"))
    yield Need(Topic.SOURCE, f"{text(reference.get('kind'))}.{SOURCE_GROUP}", item.namespace, text(reference.get("name")), ("spec", "sourceRef"), "source")


def _secret_reference(item: Object, *at: str) -> Iterator[Need]:
    reference = mapping(item.get("spec", *at))
    yield Need(Topic.FLUX_INPUT, "Secret", item.namespace, text(reference.get("name")), ("spec", *at), at[-1])


_FINDERS: Final = {
    **dict.fromkeys(POD_TEMPLATES, _pod),
    "PersistentVolumeClaim": _claim,
    "Ingress.networking.k8s.io": _ingress,
    "Gateway.gateway.networking.k8s.io": _gateway,
    "Certificate.cert-manager.io": _certificate,
    KUSTOMIZATION: _kustomization,
    HELM_RELEASE: _release,
    **dict.fromkeys((f"{kind}.{SOURCE_GROUP}" for kind in ("OCIRepository", "GitRepository", "HelmRepository", "Bucket")), _source),
    f"HelmChart.{SOURCE_GROUP}": _chart,
}
#: The kinds whose needs are known.
NEEDY: Final = tuple(_FINDERS)
