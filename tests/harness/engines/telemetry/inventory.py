"""Which series a cluster has: those of the components that are scraped, and those that recording rules make.

What a component exposes is written down by people (``tests/intent/metrics.yaml``, schema in ``metrics.schema.json``); which of it arrives, and with which
labels, follows from the scrape: target labels are added, an own label of the same name becomes ``exported_<name>`` unless the job honours labels
(Prometheus 3.13 ``scrape/scrape.go`` mutateSampleLabels), and ``metric_relabel_configs`` drop and add.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from harness.engines.telemetry.promql import Node, read, result_labels
from harness.engines.telemetry.relabel import RelabelError, anchored, relabel
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.engines.telemetry.rule_groups import AlertingRule
    from harness.engines.telemetry.scrape import Target
    from harness.engines.telemetry.scraping import Scrape, Scraping

#: The series of a histogram or summary beyond its own name, with the label each adds.
_SUFFIXES: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "histogram": {"_bucket": frozenset({"le"}), "_sum": frozenset(), "_count": frozenset()},
    "summary": {"": frozenset({"quantile"}), "_sum": frozenset(), "_count": frozenset()},
}
#: Labels of targets whose values only a cluster knows.
_UNKNOWN_VALUES: Final = frozenset({"instance", "node", "pod", "uid"})


@dataclass(frozen=True, slots=True)
class Series:
    """One name that can be read. ``type`` is that of the samples (``counter`` for ``_count``), ``recorded`` for what a rule makes.

    ``labels`` is None when they are not all known. ``own`` are the labels of the series itself. ``missing`` says why it does not arrive; empty when it does.
    """

    name: str
    type: str
    labels: frozenset[str] | None
    own: frozenset[str] = frozenset()
    component: str = ""
    missing: str = ""
    dropped: bool = False
    targets: tuple[Target, ...] = ()


@dataclass(eq=False)
class Inventory:
    """The series of one cluster. ``components`` is the body of the file; without it nothing is known of what is scraped."""

    components: Mapping[str, Any]
    scraping: Scraping
    recorded: Sequence[AlertingRule] = ()
    _known: dict[str, Series | None] = field(default_factory=dict, repr=False)
    _asked: set[str] = field(default_factory=set, repr=False)

    @cached_property
    def _metrics(self) -> dict[str, tuple[str, str, str, frozenset[str]]]:
        """Every name of the file, suffixes included: component, declared name, type, added labels."""
        found: dict[str, tuple[str, str, str, frozenset[str]]] = {}
        for component, body in self.components.items():
            for name, declared in mapping(mapping(body).get("metrics")).items():
                kind = text(declared).partition(" ")[0]
                for suffix, added in _SUFFIXES.get(kind, {"": frozenset()}).items():
                    found.setdefault(name + suffix, (component, name, "counter" if suffix in ("_bucket", "_sum", "_count") else kind, added))
        return found

    @cached_property
    def _records(self) -> dict[str, list[AlertingRule]]:
        found: dict[str, list[AlertingRule]] = {}
        for rule in self.recorded:
            found.setdefault(rule.name, []).append(rule)
        return found

    @property
    def names(self) -> list[str]:
        """Every name that is known, whether it arrives or not."""
        return sorted({*self._metrics, *self._records})

    def find(self, name: str) -> Series | None:
        """What is known of a name; None when nobody says that it exists."""
        if name not in self._known:
            if name in self._asked:
                # A recording rule that reads what it makes.
                return Series(name, "recorded", None)
            self._asked.add(name)
            self._known[name] = self._find(name)
            self._asked.discard(name)
        return self._known[name]

    def _find(self, name: str) -> Series | None:
        if name in self._records:
            labels: frozenset[str] | None = frozenset()
            for rule in self._records[name]:
                root = read(rule.expression).root
                made = None if root is None else result_labels(root, self.labels_of)
                labels = None if labels is None or made is None else labels | made | frozenset(rule.labels)
            return Series(name, "recorded", labels)
        entry = self._metrics.get(name)
        return self._exposed(name, *entry) if entry is not None else None

    def condition(self, name: str) -> str:
        """Under which condition a component's series is there (``when``); empty for what always is, or what nobody knows."""
        entry = self._metrics.get(name)
        return text(mapping(mapping(self.components[entry[0]]).get("when")).get(entry[1])) if entry is not None else ""

    def labels_of(self, selector: Node) -> frozenset[str] | None:
        """The labels of what a selector selects; None when they are not known."""
        series = self.find(selector.name) if selector.name else None
        return series.labels if series is not None else None

    def scrapes_of(self, component: str) -> list[tuple[Scrape, Target]]:
        """The targets that bring a component's series."""
        body = mapping(self.components.get(component))
        jobs, path = text(body.get("jobs")), text(body.get("path"))
        found = []
        for scrape in self.scraping.taken:
            for target in scrape.result.targets:
                try:
                    named = not jobs or anchored(jobs).fullmatch(target.labels.get("job", ""))
                except RelabelError:
                    named = None
                if named and path in ("", target.path):
                    found.append((scrape, target))
        return found

    def _exposed(self, name: str, component: str, declared: str, kind: str, added: frozenset[str]) -> Series:
        body = mapping(self.components[component])
        parts = text(mapping(body["metrics"])[declared]).split()[1:]
        own = (frozenset(parts) - {"*"}) | frozenset(str(label) for label in items(body.get("labels"))) | added
        every = "*" in parts
        if text(body.get("pushed")):
            return Series(name, kind, None if every else own, own, component)
        scrapes = self._by_component(component)
        if not scrapes:
            jobs = text(body.get("jobs")) or "any job"
            return Series(name, kind, None if every else own, own, component, missing=f"no job {jobs} is scraped")
        labels: set[str] = set()
        dropped = True
        for scrape, target in scrapes:
            kept = _kept(name, scrape)
            if kept is not None:
                dropped = False
                clash = frozenset() if scrape.job.honor_labels else own & target.labels.keys()
                labels |= own | target.labels.keys() | {f"exported_{label}" for label in clash} | kept
        known = None if every or any(scrape.result.unknown for scrape, _ in scrapes) else frozenset(labels)
        why = f"the metricRelabelings of {scrapes[0][0].job.name} drop it" if dropped else ""
        return Series(name, kind, known if not dropped else own, own, component, why, dropped, tuple(target for _, target in scrapes))

    def _by_component(self, component: str) -> list[tuple[Scrape, Target]]:
        found = self._components.get(component)
        if found is None:
            found = self._components[component] = self.scrapes_of(component)
        return found

    @cached_property
    def _components(self) -> dict[str, list[tuple[Scrape, Target]]]:
        return {}


def _kept(name: str, scrape: Scrape) -> frozenset[str] | None:
    """The labels that a job's metric relabelling adds to a series; None when it drops the series whatever its labels are."""
    added: set[str] = set()
    for step in scrape.job.metric_steps:
        if step.action in ("keep", "drop") and step.source == ("__name__",):
            try:
                if relabel({"__name__": name}, [step]) is None:
                    return None
            except RelabelError:
                continue
        elif step.target and "$" not in step.target:
            added.add(step.target)
    return frozenset(added)


def selects_nothing(selector: Node, series: Series) -> bool:
    """Whether no target can have what a selector demands of the labels of targets (job, namespace, service, endpoint, container …)."""
    if not series.targets or series.missing:
        return False
    known = frozenset().union(*(target.labels for target in series.targets)) - _UNKNOWN_VALUES - series.own
    # What an own label of the same name became (exported_namespace), and what a metric relabelling made, is no target's.
    demands = [matcher for matcher in selector.matchers if matcher.name in known]
    if not demands:
        return False
    return not any(all(_holds(matcher.op, target.labels.get(matcher.name, ""), matcher.value) for matcher in demands) for target in series.targets)


def _holds(op: str, value: str, wanted: str) -> bool:
    if op in ("=", "!="):
        return (value == wanted) == (op == "=")
    try:
        return (anchored(wanted).fullmatch(value) is not None) == (op == "=~")
    except RelabelError:
        return True
