"""Rules about secrets in Git and the security of namespaces (SEC1xx)."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any, Final

from harness.model import Location, Severity
from harness.rules.base import Files, Objects, Registry, Violation, violation
from harness.rules.hlm_common import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object, Pointer
    from harness.rules.context import Context
    from harness.source.yaml import Document

SEC: Final = Registry()

_ENFORCE: Final = "pod-security.kubernetes.io/enforce"
_LEVELS: Final = frozenset({"privileged", "baseline", "restricted"})
_REFERENCE: Final = re.compile(r"\$\{[A-Za-z_]\w*\}|(?:op|ref\+\w+)://[^\n]+|\{\{\s*op://[^{}]+\}\}|<path:[^<>]+>")
_TENANT: Final = "toolkit.fluxcd.io/tenant"
_PRUNE: Final = "kustomize.toolkit.fluxcd.io/prune"
#: Namespaces the API server makes: their labels are the cluster administrator's, but nothing prunes them.
_BUILT_IN: Final = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})


@SEC.rule(
    "SEC101",
    title="no Secret stands in Git with its content",
    why="whoever can read the repository, its clones and its history has the secret for ever; base64 is no encryption",
    fix="seal it (SealedSecret), take it from Vault (VaultStaticSecret), let cert-manager make it, or encrypt it with SOPS; then rotate it: Git keeps it",
    scope=Files(),
    controls=("CIS-5.4.1", "NIST-IA-5", "NIST-SC-28"),
)
def no_plain_secret(path: str, context: Context) -> Iterator[Violation]:
    for document in context.repository.documents(path):
        body = mapping(document.body)
        if body.get("kind") == "List" or text(body.get("kind")).endswith("List"):
            for index, item in enumerate(items(body.get("items"))):
                yield from _plain(document, mapping(item), ("items", index))
        else:
            yield from _plain(document, body, ())


def _plain(document: Document, body: dict[str, Any], at: Pointer) -> Iterator[Violation]:
    if body.get("kind") == "Secret" and body.get("apiVersion") == "v1":
        for field in ("data", "stringData"):
            keys = sorted(key for key, value in mapping(body.get(field)).items() if value and not (_encrypted(body, value) or _is_reference(value)))
            if keys:
                name = text(mapping(body.get("metadata")).get("name"))
                yield Violation(f"Secret {name} with {field}: {', '.join(keys)}", "no content of a Secret in Git", document.locate((*at, field)))
    elif _is_kustomization(document.path, body):
        for index, entry in enumerate(items(body.get("secretGenerator"))):
            generator = mapping(entry)
            names = sorted(text(literal).partition("=")[0] for literal in items(generator.get("literals")))
            if names:
                where = document.locate((*at, "secretGenerator", index, "literals"))
                yield Violation(f"secretGenerator {text(generator.get('name'))} with literals: {', '.join(names)}", "no literals in a secretGenerator", where)


def _encrypted(body: dict[str, Any], value: object) -> bool:
    """SOPS leaves ``ENC[...]`` for every encrypted value and a ``sops`` section with the keys that can open it."""
    return bool(body.get("sops")) and text(value).startswith("ENC[")


def _is_reference(value: object) -> bool:
    """A value that only names where the secret is: a variable of Flux, or a reference that a tool resolves before it applies (1Password, vals, AVP)."""
    return _REFERENCE.fullmatch(text(value).strip()) is not None


def _is_kustomization(path: str, body: dict[str, Any]) -> bool:
    return posixpath.basename(path) in {"kustomization.yaml", "kustomization.yml", "Kustomization"} or text(body.get("apiVersion")).startswith(
        "kustomize.config.k8s.io/"
    )


@SEC.rule(
    "SEC103",
    title="a namespace states its Pod Security level and its tenant, and Git cannot prune it",
    why=(
        "without an enforce label every pod is admitted at the cluster's default, usually privileged; without a tenant label nobody answers for it; and a line "
        "removed from Git would delete the namespace with every volume in it (Kubernetes: Pod Security Admission; Flux: kustomizations.md, Prune)"
    ),
    fix=f"label the Namespace {_ENFORCE}: restricted and {_TENANT}: <team>, annotate it {_PRUNE}: disabled",
    scope=Objects(("Namespace",), where=lambda item: not item.origin.synthesised),
    severity=Severity.WARNING,
    controls=("CIS-5.2.1", "NIST-AC-6", "NIST-CP-9"),
)
def namespace_security(namespace: Object, world: World) -> Iterator[Violation]:
    labels, annotations = namespace.labels, namespace.annotations
    where = namespace.locate("metadata", "labels")
    level = labels.get(_ENFORCE)
    if level is None:
        yield Violation(f"no label {_ENFORCE}", "restricted, baseline or privileged", where)
    elif text(level) not in _LEVELS:
        yield violation(namespace, "metadata", "labels", _ENFORCE, found=f"{_ENFORCE}: {level}", expect="restricted, baseline or privileged")
    if not labels.get(_TENANT) and _names_tenants(world):
        yield Violation(f"no label {_TENANT}", "the team that answers for the namespace", where)
    if namespace.name not in _BUILT_IN and "disabled" not in (labels.get(_PRUNE), annotations.get(_PRUNE)) and _is_pruned(namespace, world):
        yield Violation(f"nothing keeps Flux from pruning it: no annotation {_PRUNE}", "disabled", _metadata(namespace))


def _names_tenants(world: World) -> bool:
    """Whether the cluster uses the label at all."""
    return any(item.labels.get(_TENANT) for item in world.of("Namespace"))


def _metadata(namespace: Object) -> Location:
    return namespace.locate("metadata", "annotations") if namespace.annotations else namespace.locate("metadata")


def _is_pruned(namespace: Object, world: World) -> bool:
    """Whether what applies the namespace deletes what is gone from Git; unknown appliers do."""
    applier = world.order.nodes.get(namespace.applier) if namespace.applier is not None else None
    return applier is None or applier.kind != "Kustomization" or applier.spec.get("prune") is not False


RULES: Final = tuple(SEC.rules)
