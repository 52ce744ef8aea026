"""Who is told of what in one cluster: the Alertmanagers' configurations, and each alert's labels on the way there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.engines.selectors import selector_matches
from harness.engines.telemetry.alertmanager import Configuration, read_configuration, with_custom
from harness.engines.telemetry.promql import Node, read, result_labels
from harness.engines.telemetry.rule_groups import is_told
from harness.model import NotEvaluated
from harness.model.shapes import mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from harness.engines.telemetry.discovery import Discovery
    from harness.engines.telemetry.inventory import Inventory
    from harness.engines.telemetry.rule_groups import AlertingRule
    from harness.engines.telemetry.texts import Text
    from harness.model import Object

#: Keys of a Secret or ConfigMap that hold an Alertmanager's configuration.
_KEYS: Final = ("alertmanager.yaml", "alertmanager.yml", "config.yml", "config.yaml")


@dataclass(eq=False)
class Alerting:
    """The Alertmanagers of one cluster and what cannot be told of them."""

    configurations: list[Configuration] = field(default_factory=list)
    not_evaluated: list[NotEvaluated] = field(default_factory=list)


def alerting_of(objects: Sequence[Object], texts: Iterable[Text], discovery: Discovery) -> Alerting:
    """The configurations of a cluster: of each Alertmanager its Secret and the AlertmanagerConfigs it takes, and of ConfigMaps that hold one."""
    found = Alerting()
    by_place = {(each.object.kind, each.object.namespace, each.object.name, str(each.at[-1])): each for each in texts}
    taken = set()
    for item in objects:
        if item.kind != "Alertmanager" or item.group != "monitoring.coreos.com":
            continue
        name = text(item.spec.get("configSecret")) or f"alertmanager-{item.name}"
        written = next((by_place[place] for key in _KEYS if (place := ("Secret", item.namespace, name, key)) in by_place), None)
        chosen = text(mapping(item.spec.get("alertmanagerConfiguration")).get("name"))
        if written is None or chosen:
            why = f"AlertmanagerConfig {chosen} is its whole configuration" if chosen else f"Secret {name} with its configuration is not in Git in the clear"
            found.not_evaluated.append(NotEvaluated(str(item.id), "who it tells", why))
            continue
        taken.add(id(written))
        configuration = read_configuration(written.body, item, written.locate)
        strategy = text(mapping(item.spec.get("alertmanagerConfigMatcherStrategy")).get("type")) or "OnNamespace"
        for custom in objects:
            if custom.kind == "AlertmanagerConfig" and _takes(item, custom, discovery):
                configuration = with_custom(configuration, custom, strategy)
        found.configurations.append(configuration)
    for place, each in by_place.items():
        if id(each) not in taken and "receivers" in each.body and isinstance(each.body.get("route"), dict) and place[3] in _KEYS:
            found.configurations.append(read_configuration(each.body, each.object, each.locate))
    return found


def _takes(alertmanager: Object, custom: Object, discovery: Discovery) -> bool:
    selector, namespaces = alertmanager.spec.get("alertmanagerConfigSelector"), alertmanager.spec.get("alertmanagerConfigNamespaceSelector")
    if not isinstance(selector, dict) or selector_matches(selector, custom.labels) is not True:
        return False
    if not isinstance(namespaces, dict):
        return custom.namespace == alertmanager.namespace
    return selector_matches(namespaces, discovery.namespaces.get(custom.namespace, {})) is True


def labels_of_alert(rule: AlertingRule, inventory: Inventory | None, external: Mapping[str, Any]) -> dict[str, str | None]:
    """The labels that an alert arrives with; None for those whose value only the series know.

    What the expression fixes by an equality is known, as are the rule's own labels (unless they are templates) and the external ones.
    """
    found: dict[str, str | None] = {}
    root = read(rule.expression).root if is_told(rule) else None
    if root is not None:
        kept = result_labels(root, inventory.labels_of) if inventory is not None else None
        fixed = dict(_fixed(root))
        # Without an inventory every label may be there; those that routes ask for most are said to be unknown.
        for name in sorted(kept) if kept is not None else ("namespace", "job", "pod", "service", "instance", "container", "node", *fixed):
            found[name] = fixed.get(name)
    for name, value in external.items():
        found.setdefault(str(name), str(value))
    found.update({name: None if "{{" in value else value for name, value in rule.labels.items()})
    found["alertname"] = rule.name
    return found


def _fixed(root: Node) -> Iterator[tuple[str, str]]:
    """The labels that every selector of an expression fixes to the same value."""
    demands = [{matcher.name: matcher.value for matcher in node.matchers if matcher.op == "="} for node, _ in root.walk() if node.kind == "selector"]
    for name, value in demands[0].items() if demands else ():
        if all(each.get(name) == value for each in demands):
            yield name, value


def always_fires(rule: AlertingRule) -> bool:
    """Whether an alert fires from the start and for ever: its expression is a constant that is no comparison."""
    root = read(rule.expression).root if is_told(rule) else None
    return root is not None and root.kind == "call" and root.name == "vector"
