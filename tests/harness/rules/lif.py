"""Rules about the life of components: retired ones, release lines past their end, charts that ask for another Kubernetes (LIF2xx).

Where a repository has a register of its own (``tests/intent/lifecycle.yaml``) that names a component, LIF301 judges its release lines by it, and the
rules here by the facts of the harness only what the register does not name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from harness.flux.kinds import HELM_RELEASE
from harness.flux.semver import parse, parse_range
from harness.model import Location, Severity
from harness.rules.base import Clusters, Objects, Registry, Violation, violation
from harness.rules.hlm_common import RELEASES, claimed, items, mapping, text
from harness.rules.lif_charts import chart_at, chart_name
from harness.rules.lif_facts import FLUX, KUBERNETES, PRODUCTS, RETIRED, Product, Retired
from harness.rules.lif_intent import judges, judges_image
from harness.rules.order_needs import POD_TEMPLATES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from harness.flux.world import World
    from harness.model import Object, Pointer

LIF: Final = Registry()

_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)")
_RETIRED_KINDS: Final = tuple(sorted({kind for retired in RETIRED for kind in retired.kinds}))


@LIF.rule(
    "LIF201",
    title="no release installs a chart its publisher has deprecated",
    why="a deprecated chart gets no fixes: not for the software in it, not for new Kubernetes versions (Helm: Chart.yaml, deprecated)",
    fix="move to the chart that replaces it; its README names one",
    scope=Objects(RELEASES),
    severity=Severity.WARNING,
    controls=("NIST-SA-22",),
)
def chart_not_deprecated(release: Object, world: World) -> Iterator[Violation]:
    found = world.releases.get((release.namespace, release.name))
    if found is not None and found.chart is not None and found.chart.deprecated:
        yield violation(release, *chart_at(release), found=f"chart {found.chart.name} {found.chart.version} is marked deprecated", expect="a maintained chart")


@LIF.rule(
    "LIF202",
    title="every chart allows the cluster's Kubernetes version",
    why="Helm refuses to install a chart whose kubeVersion excludes the cluster (Helm: Chart.yaml, kubeVersion)",
    fix="take a version of the chart that supports the cluster's Kubernetes",
    scope=Objects(RELEASES),
    controls=("NIST-SA-22",),
    claims=("helm-kube-version",),
)
def chart_allows_kubernetes(release: Object, world: World) -> Iterator[Violation]:
    known = claimed(release, world, f"a chart that allows Kubernetes {world.kubernetes_version}", "helm-kube-version")
    if known:
        yield from known
        return
    found = world.releases.get((release.namespace, release.name))
    wanted = found.chart.kube_version if found is not None and found.chart is not None else ""
    limits, actual = parse_range(wanted) if wanted else None, parse(_three(world.kubernetes_version))
    if found is not None and found.chart is not None and limits is not None and actual is not None and not limits.holds(actual):
        name = f"{found.chart.name} {found.chart.version}"
        yield violation(release, *chart_at(release), found=f"chart {name} wants Kubernetes {wanted}", expect=f"a chart that allows {world.kubernetes_version}")


def _three(version: str) -> str:
    plain = version.removeprefix("v").partition("-")[0]
    return plain if plain.count(".") > 1 else f"{plain}.0"


@LIF.rule(
    "LIF203",
    title="nothing runs a component that is retired",
    why="a retired component gets no security fixes; what is found in it stays open (dates and sources: tests/harness/rules/lif_facts.py)",
    fix="replace it by what the finding names",
    scope=Objects((*RELEASES, *POD_TEMPLATES, *_RETIRED_KINDS)),
    severity=Severity.WARNING,
    controls=("NIST-SA-22", "NIST-SI-2"),
)
def not_retired(item: Object, world: World) -> Iterator[Violation]:
    for retired in RETIRED:
        if retired.since > world.today:
            continue
        if str(item.group_kind) in retired.kinds:
            yield _retired(item, ("kind",), item.kind, retired)
        elif str(item.group_kind) == HELM_RELEASE:
            name = chart_name(item, world)
            if name in retired.charts:
                yield _retired(item, chart_at(item), f"chart {name}", retired)
        elif not _chart_is_named(item, retired, world):
            for pointer, image in images(item):
                if is_image(repository(image), retired.images):
                    yield _retired(item, pointer, f"image {image}", retired)


def _retired(item: Object, pointer: Pointer, what: str, retired: Retired) -> Violation:
    found = f"{what}: {retired.name} is retired since {retired.since.isoformat()}"
    return violation(item, *pointer, found=found, expect=retired.instead, fix=f"replace it by {retired.instead} ({retired.source})")


def _chart_is_named(item: Object, retired: Retired, world: World) -> bool:
    """Whether the finding about the release that renders an object already says it."""
    applier = item.applier
    release = world.find(HELM_RELEASE, applier.namespace, applier.name) if applier is not None and applier.kind == "HelmRelease" else None
    return release is not None and chart_name(release, world) in retired.charts


def images(item: Object) -> Iterator[tuple[Pointer, str]]:
    """The images of the containers of a workload, with their pointers."""
    base = POD_TEMPLATES.get(str(item.group_kind))
    spec: dict[str, Any] = mapping(item.get(*base)) if base is not None else {}
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(items(spec.get(group))):
            image = text(mapping(container).get("image"))
            if image and base is not None:
                yield (*base, group, index, "image"), image


def repository(image: str) -> str:
    """An image without tag and digest."""
    name = image.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name


def _tag(image: str) -> str:
    name = image.partition("@")[0]
    return name.removeprefix(repository(image)).lstrip(":")


def is_image(name: str, ends: tuple[str, ...]) -> bool:
    """``grafana/loki`` is the end of ``docker.io/grafana/loki``; ``bitnamilegacy/*`` is anything below that part."""
    for end in ends:
        if end.endswith("/*"):
            if f"/{end[:-1]}" in f"/{name}":
                return True
        elif name == end or name.endswith(f"/{end}"):
            return True
    return False


def ended(product: Product, version: str, today: date) -> str:
    """Why the release line of a version is over, or nothing when it is supported or not known."""
    match = _VERSION.match(version)
    if match is None or not product.cycles:
        return ""
    line = f"{match[1]}.{match[2]}"
    known = {cycle.version: cycle for cycle in product.cycles}
    if line in known:
        ends = known[line].ends
        if ends is not None:
            return f"{product.name} {line} ended on {ends.isoformat()}" if ends <= today else ""
        undated = [cycle.version for cycle in product.cycles if cycle.ends is None]
        return (
            ""
            if line in undated[: product.newest]
            else f"{product.name} {line} is followed by {undated[0]}, and only the newest {product.newest} are supported"
        )
    oldest = min(product.cycles, key=lambda cycle: _key(cycle.version))
    return f"{product.name} {line} is older than {oldest.version}, the oldest release line on record" if _key(line) < _key(oldest.version) else ""


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


@LIF.rule(
    "LIF204",
    title="no container runs a release line that is past its end",
    why="a release line past its end gets no security fixes (dates and sources: tests/harness/rules/lif_facts.py)",
    fix="upgrade to a supported release line",
    scope=Objects(tuple(POD_TEMPLATES)),
    severity=Severity.WARNING,
    controls=("NIST-SA-22", "NIST-SI-2"),
)
def supported_release(item: Object, world: World) -> Iterator[Violation]:
    for pointer, image in images(item):
        if judges_image(image, world):
            continue
        for product in PRODUCTS:
            if is_image(repository(image), product.images):
                reason = ended(product, _tag(image), world.today)
                if reason:
                    yield violation(item, *pointer, found=f"image {image}: {reason}", expect=f"a supported release line of {product.name} ({product.source})")


@LIF.rule(
    "LIF205",
    title="the cluster's Kubernetes version is supported",
    why="a Kubernetes minor gets fixes for fourteen months; after that its vulnerabilities stay open (kubernetes.io/releases/patch-releases)",
    fix="upgrade the cluster, and set KUBERNETES_VERSION in its cluster-vars.yaml to what it then runs",
    scope=Clusters(),
    severity=Severity.WARNING,
    controls=("NIST-SA-22", "CIS-1"),
)
def supported_kubernetes(world: World) -> Iterator[Violation]:
    reason = ended(KUBERNETES, world.kubernetes_version, world.today)
    if reason and not judges(world, variable="KUBERNETES_VERSION"):
        yield Violation(reason, "a supported version", _version_at(world))


def _version_at(world: World) -> Location:
    """Where the version is stated: the variable KUBERNETES_VERSION, else the cluster's folder."""
    for item in world.of("ConfigMap"):
        if text(mapping(item.body.get("data")).get("KUBERNETES_VERSION")):
            return item.locate("data", "KUBERNETES_VERSION")
    return Location(world.cluster.path)


@LIF.rule(
    "LIF206",
    title="the cluster's Flux is a supported release",
    why="Flux supports its three newest minor releases; older controllers get no fixes and serve other API versions (fluxcd.io/flux/releases)",
    fix="upgrade Flux one minor at a time",
    scope=Objects(("Deployment.apps",), where=lambda item: item.labels.get("app.kubernetes.io/part-of") == "flux"),
    severity=Severity.WARNING,
    controls=("NIST-SA-22",),
)
def supported_flux(item: Object, world: World) -> Iterator[Violation]:
    version = text(item.labels.get("app.kubernetes.io/version"))
    reason = ended(FLUX, version, world.today)
    if reason and not judges(world, part_of="flux"):
        yield violation(item, "metadata", "labels", "app.kubernetes.io/version", found=reason, expect="one of the three newest minors")


RULES: Final = tuple(LIF.rules)
