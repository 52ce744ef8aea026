"""What is left behind when something failed: why, in a few lines, and a folder with everything, secrets taken out.

Nothing in here fails: what cannot be had is said in the place where it would stand.
"""

from __future__ import annotations

import base64
import binascii
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import yaml

from harness.live import redact
from harness.live.reach.kubectl import UnreadableAnswerError
from harness.live.reach.run import RunError
from harness.live.sync.readiness import KINDS, Tree
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from harness.live.reach.kubectl import Kubectl
    from harness.live.sync.readiness import Status

#: Kinds that one question asks for at a time.
_CHUNK: Final = 15
_NAMED: Final = re.compile(r"\b[A-Z][A-Za-z]+/([a-z0-9-]+)/[a-z0-9.-]+")
#: Asked for apart, or worth nothing: definitions are long, and the charts have them.
_SKIPPED: Final = (
    *("events", "events.events.k8s.io", "componentstatuses", "leases.coordination.k8s.io", "endpointslices.discovery.k8s.io", "endpoints"),
    "customresourcedefinitions.apiextensions.k8s.io",
)
_WEBHOOKS: Final = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")
_LINES: Final = 400
#: Pods whose logs are read at the same time.
_AT_ONCE: Final = 8
#: The C one writes the same ten times as fast.
_DUMPER: Final = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
#: Conditions that are good when they are False.
_BAD: Final = ("NetworkUnavailable", "Stalled", "Progressing", "Failed", "Reconciling", "Terminating")


def explain(kubectl: Kubectl, status: Status, *, lines: int = 8) -> str:
    """Why one object is not ready: its conditions, its events, and the last log lines of the pods around it that are not ready."""
    plural = next((kind for kind in KINDS if kind.startswith(status.key.kind.lower())), status.key.kind.lower())
    known = secrets_of(_asked(lambda: kubectl.list("secrets"), []))
    found = [str(status)]
    body = _asked(lambda: kubectl.get(plural, status.key.name, status.key.namespace), None) or {}
    conditions = map(mapping, items(mapping(body.get("status")).get("conditions")))
    found += [f"  condition {item.get('type')}={item.get('status')} {item.get('reason')}: {text(item.get('message'))[:400]}" for item in conditions]
    events = _asked(lambda: kubectl.list("events", namespace=status.key.namespace), [])
    own = [event for event in events if mapping(event.get("involvedObject")).get("name") == status.key.name]
    found += [f"  event {line}" for line in _event_lines(own)[-lines:]]
    namespaces = sorted({status.key.namespace, text(mapping(body.get("spec")).get("targetNamespace")), *_NAMED.findall(status.message)} - {""})
    for namespace in namespaces:
        for pod in _asked(lambda namespace=namespace: kubectl.list("pods", namespace=namespace), []):  # type: ignore[misc]
            for container, why in unready_containers(pod):
                name = text(mapping(pod.get("metadata")).get("name"))
                found.append(f"  pod {namespace}/{name} {container}: {why}")
                if container:
                    found += [f"    | {line}" for line in kubectl.logs(name, namespace, container=container, lines=lines).splitlines()[-lines:]]
    return redact.text("\n".join(found), known)


def unready_containers(pod: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The containers of a pod that keep it from being ready, each with why; one without a name stands for a pod that was not scheduled."""
    status = mapping(pod.get("status"))
    if status.get("phase") == "Succeeded":
        return
    for condition in map(mapping, items(status.get("conditions"))):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield "", f"not scheduled: {text(condition.get('message'))}"
    # Containers start only after every init container; sidecars count like containers.
    for container in map(mapping, [*items(status.get("initContainerStatuses")), *items(status.get("containerStatuses"))]):
        state = mapping(container.get("state"))
        waiting, ended = mapping(state.get("waiting")), mapping(state.get("terminated"))
        if container.get("ready") is True or ended.get("reason") == "Completed":
            continue
        last = mapping(mapping(container.get("lastState")).get("terminated"))
        what = text(waiting.get("reason")) or (f"ended with {ended.get('exitCode')}" if ended else "running, not ready")
        said = text(waiting.get("message")) or text(ended.get("message"))
        before = f", ended before with {last.get('exitCode')} ({last.get('reason')})" if last else ""
        yield text(container.get("name")), f"{what}{before}{f': {said[:300]}' if said else ''}"


def bundle(kubectl: Kubectl, folder: Path, *, known: Iterable[str] = (), notes: Mapping[str, str] | None = None) -> Path:
    """Write what the cluster looks like to a folder. ``known``: secrets that must appear nowhere; ``notes``: further texts by file name."""
    secret_objects = _asked(lambda: kubectl.list("secrets"), [])
    secrets = {*known, *secrets_of(secret_objects)}

    def write(path: str, content: str) -> None:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(redact.text(content, secrets) + "\n", encoding="utf-8")

    def write_objects(path: str, objects: Iterable[Mapping[str, Any]]) -> None:
        write(path, yaml.dump_all([redact.body(item, secrets) for item in objects], Dumper=_DUMPER, sort_keys=False, width=2**20))

    for name, note in (notes or {}).items():
        write(name, note)
    tree = _asked(lambda: Tree(kubectl.list(*KINDS)), None)
    write("flux.txt", "Flux could not be asked" if tree is None else "\n".join([tree.report(), "", *map(str, tree)]))
    if tree is not None:
        write("causes.txt", "\n\n".join(explain(kubectl, cause, lines=40) for cause in tree.causes()[:10]) or "everything is ready")
    write("events.txt", "\n".join(_event_lines(_asked(lambda: kubectl.list("events"), []))))
    write("nodes.txt", _asked(lambda: kubectl("describe", "nodes"), "nodes could not be asked"))
    write("helm.txt", "\n".join(helm_history(secret_objects)))
    write_objects("webhooks.yaml", _asked(lambda: kubectl.list(*_WEBHOOKS), []))
    write_objects("networkpolicies.yaml", _asked(lambda: kubectl.list("networkpolicies.networking.k8s.io"), []))
    objects = list(_everything(kubectl))
    write("conditions.txt", "\n".join(bad_conditions(objects)) or "no object reports anything bad")
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for item in objects:
        by_kind.setdefault(text(item.get("kind")) or "unknown", []).append(item)
    for kind, members in sorted(by_kind.items()):
        write_objects(f"objects/{kind.lower()}.yaml", members)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for found in threads.map(lambda pod: list(_logs(kubectl, pod)), by_kind.get("Pod", [])):
            for path, content in found:
                write(path, content)
    return folder


def _logs(kubectl: Kubectl, pod: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The logs of a pod, each with the path it goes to; those before the last restart too where something is not ready."""
    metadata = mapping(pod.get("metadata"))
    namespace, name = text(metadata.get("namespace")), text(metadata.get("name"))
    troubled = [container for container, _why in unready_containers(pod)]
    yield f"logs/{namespace}/{name}.log", kubectl.logs(name, namespace, lines=_LINES if troubled else _LINES // 4)
    for container in filter(None, troubled):
        yield f"logs/{namespace}/{name}.{container}.previous.log", kubectl.logs(name, namespace, container=container, lines=_LINES, previous=True)


def secrets_of(objects: Iterable[Mapping[str, Any]]) -> set[str]:
    """Every value of some Secrets, decoded and as it stands, and each line of 16 characters or more of those with several.

    Helm's own records are left out: they hold manifests, not secrets, and are never shown.
    """
    found: set[str] = set()
    for item in objects:
        if text(item.get("type")).startswith("helm.sh/release"):
            continue
        for value in mapping(item.get("data")).values():
            if not isinstance(value, str):
                continue
            found.add(value)
            try:
                plain = base64.b64decode(value, validate=True).decode()
            except (binascii.Error, ValueError):
                continue
            found.add(plain)
            found |= {line.strip() for line in plain.splitlines() if len(line.strip()) >= 16 and not line.startswith("-----")}
    return {value for value in found if len(value) >= 6 and value not in _COMMON}


#: Values of Secrets that are no secrets, and would make everything else unreadable.
_COMMON: Final = frozenset({"default", "kube-system", "flux-system", "monitoring"})


def helm_history(secrets: Iterable[Mapping[str, Any]]) -> list[str]:
    """Helm's releases by their records' labels: release, revision, state, when."""
    rows = []
    for item in secrets:
        metadata = mapping(item.get("metadata"))
        labels = mapping(metadata.get("labels"))
        if labels.get("owner") == "helm":
            version = text(labels.get("version"))
            name = f"{text(metadata.get('namespace'))}/{text(labels.get('name'))}"
            rows.append((name, int(version) if version.isdigit() else 0, text(labels.get("status")), text(metadata.get("creationTimestamp"))))
    return [f"{name} v{version} {state} {when}" for name, version, state, when in sorted(rows)]


def bad_conditions(objects: Iterable[Mapping[str, Any]]) -> list[str]:
    """The conditions of all objects that say that something is wrong."""
    found = []
    for item in objects:
        metadata = mapping(item.get("metadata"))
        name = "/".join(part for part in (text(item.get("kind")), text(metadata.get("namespace")), text(metadata.get("name"))) if part)
        for condition in map(mapping, items(mapping(item.get("status")).get("conditions"))):
            kind, state = text(condition.get("type")), condition.get("status")
            good = "False" if kind.endswith("Pressure") or kind in _BAD else "True"
            if state != good and not (kind == "Progressing" and condition.get("reason") == "NewReplicaSetAvailable"):
                found.append(f"{name}: {kind}={state} {text(condition.get('reason'))}: {text(condition.get('message'))}")
    return found


def _everything(kubectl: Kubectl) -> Iterator[dict[str, Any]]:
    kinds = [kind for kind in _asked(lambda: kubectl("api-resources", "--verbs=list", "--output=name"), "").split() if kind not in _SKIPPED]
    for start in range(0, len(kinds), _CHUNK):
        chunk = kinds[start : start + _CHUNK]
        try:
            yield from kubectl.list(*chunk)
        except (RunError, UnreadableAnswerError):
            # One kind that cannot be listed must not hide the others.
            for kind in chunk:
                yield from _asked(lambda kind=kind: kubectl.list(kind), [])  # type: ignore[misc]


def _event_lines(events: Iterable[Mapping[str, Any]]) -> list[str]:
    rows = []
    for event in events:
        about = mapping(event.get("involvedObject"))
        when = text(event.get("lastTimestamp")) or text(event.get("eventTime")) or text(mapping(event.get("metadata")).get("creationTimestamp"))
        name = "/".join(part for part in (text(about.get("kind")), text(about.get("namespace")), text(about.get("name"))) if part)
        rows.append(f"{when} {text(event.get('type'))} {name} {text(event.get('reason'))}: {' '.join(text(event.get('message')).split())[:500]}")
    return sorted(rows)


def _asked(ask: Callable[[], Any], instead: Any) -> Any:
    try:
        return ask()
    except (RunError, UnreadableAnswerError):
        return instead
