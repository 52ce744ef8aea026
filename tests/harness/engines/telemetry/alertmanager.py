"""Alertmanager: its configuration, and which receivers an alert reaches.

Source: Alertmanager 0.34 ``config/config.go``, ``dispatch/route.go`` (Route.Match), ``inhibit/inhibit.go``; prometheus-operator 0.93
``pkg/alertmanager/amcfg.go`` (AlertmanagerConfig: receivers and routes get the namespace's name, sub-routes come before those of the base).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.engines.telemetry.matchers import AlertMatcher, all_match, custom_matchers, read_matchers
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.model import Location, Object, Pointer

    Labels = Mapping[str, str | None]

#: The settings of a receiver that tell somebody.
_TELLS: Final = ("_configs", "Configs")


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A node of the routing tree, with what it inherits. ``locate`` finds its lines."""

    receiver: str
    matchers: list[AlertMatcher]
    goes_on: bool
    children: tuple[Route, ...]
    repeat_interval: str
    muted: tuple[str, ...]
    active: tuple[str, ...]
    locate: Callable[..., Location]


@dataclass(frozen=True, slots=True)
class Reached:
    """One receiver that an alert reaches. ``certain`` is false when it depends on a label whose value only a cluster knows."""

    receiver: str
    certain: bool
    route: Route


@dataclass(frozen=True, slots=True, eq=False)
class Receiver:
    """Somebody to tell; ``tells`` is false for one without any integration."""

    name: str
    tells: bool
    locate: Callable[..., Location]


@dataclass(frozen=True, slots=True, eq=False)
class Inhibition:
    """Alerts that ``source`` matches silence those that ``target`` matches, where the labels ``equal`` agree."""

    source: list[AlertMatcher]
    target: list[AlertMatcher]
    equal: tuple[str, ...]
    locate: Callable[..., Location]


@dataclass(eq=False)
class Configuration:
    """One Alertmanager's configuration. ``faults`` are what it refuses to load, or what leads nowhere."""

    object: Object
    root: Route
    receivers: dict[str, Receiver] = field(default_factory=dict)
    inhibitions: list[Inhibition] = field(default_factory=list)
    intervals: frozenset[str] = frozenset()
    faults: list[tuple[Location, str]] = field(default_factory=list)

    def routes(self) -> Iterator[Route]:
        """Every route, the root first."""
        pending = [self.root]
        while pending:
            route = pending.pop(0)
            yield route
            pending += route.children

    def reached(self, labels: Labels) -> list[Reached]:
        """The receivers that an alert reaches, in order, each once. A label's value None is one that is not known."""
        first: dict[str, Reached] = {}
        for each in _match(self.root, labels, certain=True):
            first.setdefault(each.receiver, each)
        return list(first.values())

    def silenced_by(self, labels: Labels, firing: Mapping[str, str]) -> bool:
        """Whether an alert with some labels is inhibited while another one fires. An alert that a rule matches on both sides does not silence itself."""
        for rule in self.inhibitions:
            if all_match(rule.target, labels) and all_match(rule.source, firing) and all(labels.get(name, "") == firing.get(name, "") for name in rule.equal):
                both = all_match(rule.source, labels) and all_match(rule.target, firing)
                if not both:
                    return True
        return False


def _match(route: Route, labels: Labels, *, certain: bool) -> list[Reached]:
    found: list[Reached] = []
    for child in route.children:
        matched = all_match(child.matchers, labels)
        if matched is False:
            continue
        sure = certain and matched is True
        found += _match(child, labels, certain=sure)
        if matched is True and not child.goes_on:
            return found
        if matched is None:
            # It may go on from here as if the child had not matched.
            certain = certain and child.goes_on
    settled = any(each.certain for each in found)
    return found if settled else [*found, Reached(route.receiver, certain and not found, route)]


def read_configuration(body: Mapping[str, Any], item: Object, locate: Callable[..., Location]) -> Configuration:
    """A configuration as Alertmanager loads it. Never raises."""
    faults: list[tuple[Location, str]] = []
    intervals = frozenset(
        text(mapping(entry).get("name")) for key in ("time_intervals", "mute_time_intervals") for entry in items(body.get(key)) if mapping(entry).get("name")
    )
    receivers: dict[str, Receiver] = {}
    for index, entry in enumerate(items(body.get("receivers"))):
        name = text(mapping(entry).get("name"))
        place = _below(locate, ("receivers", index))
        if not name:
            faults.append((place(), "a receiver without a name"))
        elif name in receivers:
            faults.append((place(), f"a second receiver {name}"))
        receivers[name] = Receiver(name, _tells(mapping(entry)), place)
    if not isinstance(body.get("route"), dict):
        faults.append((locate(), "no route"))
    root = _route(mapping(body.get("route")), None, _below(locate, ("route",)), faults)
    if root.matchers:
        faults.append((root.locate(), "the first route has matchers: it must take every alert"))
    found = Configuration(item, root, receivers, [], intervals, faults)
    for index, entry in enumerate(items(body.get("inhibit_rules"))):
        place = _below(locate, ("inhibit_rules", index))
        source, first = read_matchers(mapping(entry), prefix="source_")
        target, second = read_matchers(mapping(entry), prefix="target_")
        faults += [(place(*pointer), fault) for pointer, fault in (*first, *second)]
        found.inhibitions.append(Inhibition(source, target, tuple(str(name) for name in items(mapping(entry).get("equal"))), place))
    for route in found.routes():
        if route.receiver not in receivers:
            faults.append((route.locate(), f"receiver {route.receiver or '(none)'} does not exist"))
        faults += [(route.locate(), f"time interval {name} does not exist") for name in (*route.muted, *route.active) if name not in intervals]
    return found


def _tells(receiver: Mapping[str, Any]) -> bool:
    return any(key.endswith(_TELLS) and bool(value) for key, value in receiver.items())


def _below(locate: Callable[..., Location], at: Pointer) -> Callable[..., Location]:
    return lambda *pointer: locate(*at, *pointer)


def _route(body: Mapping[str, Any], parent: Route | None, locate: Callable[..., Location], faults: list[tuple[Location, str]]) -> Route:
    matchers, wrong = read_matchers(body)
    faults += [(locate(*pointer), fault) for pointer, fault in wrong]
    made = Route(
        receiver=text(body.get("receiver")) or (parent.receiver if parent is not None else ""),
        matchers=matchers,
        goes_on=body.get("continue") is True,
        children=(),
        repeat_interval=text(body.get("repeat_interval")) or (parent.repeat_interval if parent is not None else "4h"),
        muted=tuple(str(name) for name in items(body.get("mute_time_intervals"))),
        active=tuple(str(name) for name in items(body.get("active_time_intervals"))),
        locate=locate,
    )
    children = tuple(
        _route(mapping(child), made, _below(locate, ("routes", index)), faults)
        for index, child in enumerate(items(body.get("routes")))
        if isinstance(child, dict)
    )
    return Route(made.receiver, matchers, made.goes_on, children, made.repeat_interval, made.muted, made.active, locate)


def with_custom(base: Configuration, item: Object, strategy: str) -> Configuration:
    """A configuration with an AlertmanagerConfig's routes, receivers and inhibitions before its own.

    ``strategy`` is the Alertmanager's: with ``OnNamespace`` an AlertmanagerConfig sees alerts of its own namespace only.
    """
    prefix = f"{item.namespace}/{item.name}/"
    own = strategy == "None" or (strategy == "OnNamespaceExceptForAlertmanagerNamespace" and item.namespace == base.object.namespace)
    narrowed = [] if own else [AlertMatcher("namespace", "=", item.namespace)]
    faults = list(base.faults)
    receivers = dict(base.receivers)
    for index, entry in enumerate(items(item.spec.get("receivers"))):
        name = prefix + text(mapping(entry).get("name"))
        receivers[name] = Receiver(name, _tells(mapping(entry)), _below(item.locate, ("spec", "receivers", index)))
    intervals = base.intervals | {prefix + text(mapping(entry).get("name")) for entry in items(item.spec.get("muteTimeIntervals"))}
    inhibitions = list(base.inhibitions)
    for index, entry in enumerate(items(item.spec.get("inhibitRules"))):
        body, place = mapping(entry), _below(item.locate, ("spec", "inhibitRules", index))
        source, target = custom_matchers(body.get("sourceMatch")), custom_matchers(body.get("targetMatch"))
        inhibitions.append(Inhibition([*source, *narrowed], [*target, *narrowed], tuple(str(name) for name in items(body.get("equal"))), place))
    children = base.root.children
    if isinstance(item.spec.get("route"), dict):
        route = _custom_route(mapping(item.spec["route"]), prefix, narrowed, base.root, _below(item.locate, ("spec", "route")), faults, receivers)
        children = (route, *children)
    root = base.root
    return Configuration(
        base.object,
        Route(root.receiver, root.matchers, root.goes_on, children, root.repeat_interval, root.muted, root.active, root.locate),
        receivers,
        inhibitions,
        intervals,
        faults,
    )


def _custom_route(
    body: Mapping[str, Any], prefix: str, narrowed: list[AlertMatcher], parent: Route, locate: Callable[..., Location],
    faults: list[tuple[Location, str]], receivers: Mapping[str, Receiver],
) -> Route:  # fmt: skip
    top = not parent.receiver.startswith(prefix)
    receiver = prefix + text(body.get("receiver")) if text(body.get("receiver")) else parent.receiver
    if receiver not in receivers:
        faults.append((locate(), f"receiver {receiver.removeprefix(prefix) or '(none)'} does not exist"))
    made = Route(
        receiver,
        [*(narrowed if top else []), *custom_matchers(body.get("matchers"))],
        # The operator lets alerts go on after an AlertmanagerConfig's first route.
        True if top else body.get("continue") is True,
        (),
        text(body.get("repeatInterval")) or parent.repeat_interval,
        tuple(prefix + str(name) for name in items(body.get("muteTimeIntervals"))),
        tuple(prefix + str(name) for name in items(body.get("activeTimeIntervals"))),
        locate,
    )
    children = tuple(
        _custom_route(mapping(child), prefix, narrowed, made, _below(locate, ("routes", index)), faults, receivers)
        for index, child in enumerate(items(body.get("routes")))
        if isinstance(child, dict)
    )
    return Route(made.receiver, made.matchers, made.goes_on, children, made.repeat_interval, made.muted, made.active, locate)
