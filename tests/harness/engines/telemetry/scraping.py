"""Everything that is scraped in one cluster: which Prometheus takes which monitor, and the targets that result."""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import yaml

from harness.engines.report import is_elided
from harness.engines.telemetry import scrape_config, scrape_monitors
from harness.engines.telemetry.discovery import Discovery
from harness.engines.telemetry.scrape import Job, Result, resolve
from harness.model import NotEvaluated
from harness.model.shapes import mapping, text
from harness.source.yaml import loads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from harness.engines.telemetry.scrape import Target
    from harness.engines.telemetry.texts import Text
    from harness.model import Object

#: What Prometheus' own configuration cannot be without, and what tells its text from others.
_MARK: Final = "scrape_configs"
MONITORS: Final = ("ServiceMonitor", "PodMonitor", "Probe", "ScrapeConfig")


@dataclass(frozen=True, slots=True, eq=False)
class Scrape:
    """A job as one Prometheus runs it. ``prometheus`` is None where no Prometheus takes it (its targets are then what they would be)."""

    job: Job
    prometheus: Object | None
    result: Result


@dataclass(eq=False)
class Scraping:
    """What is scraped in one cluster, and what cannot be told."""

    discovery: Discovery
    prometheuses: tuple[Object, ...]
    scrapes: tuple[Scrape, ...]
    not_evaluated: tuple[NotEvaluated, ...] = ()
    _of: dict[int, list[Scrape]] = field(default_factory=dict, repr=False)

    @cached_property
    def by_object(self) -> dict[int, list[Scrape]]:
        """The scrapes by ``id()`` of the monitor they come from."""
        found: dict[int, list[Scrape]] = defaultdict(list)
        for each in self.scrapes:
            found[id(each.job.object)].append(each)
        return found

    def of(self, monitor: Object) -> list[Scrape]:
        return self.by_object.get(id(monitor), [])

    @cached_property
    def taken(self) -> tuple[Scrape, ...]:
        """What is scraped in truth: the jobs that a Prometheus takes."""
        return tuple(each for each in self.scrapes if each.prometheus is not None)

    @cached_property
    def jobs(self) -> dict[str, list[Target]]:
        """The targets of all that is taken, by the value of the label ``job`` that their series get."""
        found: dict[str, list[Target]] = defaultdict(list)
        for scrape in self.taken:
            for target in scrape.result.targets:
                found[target.labels.get("job", "")].append(target)
        return found

    @property
    def known(self) -> bool:
        """Whether it can be told what is *not* scraped: somebody scrapes, and no part of it is out of sight."""
        return bool(self.taken) and not self.not_evaluated and not any(scrape.result.unknown for scrape in self.taken)


def scraping_of(objects: Sequence[Object], texts: Iterable[Text] = ()) -> Scraping:
    """What is scraped in a cluster of these objects; ``texts`` are their configurations. Never raises."""
    discovery = Discovery(tuple(objects))
    found = scrape_monitors.prometheuses(objects)
    skipped: list[NotEvaluated] = []
    scrapes: list[Scrape] = []
    results: dict[tuple[Any, ...], Result] = {}
    for item in objects:
        if item.group != scrape_monitors.GROUP or item.kind not in MONITORS:
            continue
        takers: list[Object | None] = []
        for prometheus in found:
            taken = scrape_monitors.selects(prometheus, item, discovery)
            if taken:
                takers.append(prometheus)
            elif taken is None:
                skipped.append(NotEvaluated(str(item.id), "whether a Prometheus takes it", f"labels or selectors of {prometheus.id} cannot be told"))
        for taker in takers or [None]:
            scrapes += [Scrape(job, taker, _resolved(job, discovery, results)) for job in scrape_monitors.jobs_of(item, taker)]
    scrapes += [Scrape(job, runner, _resolved(job, discovery, results)) for runner, job in _written(objects, texts, found, skipped)]
    return Scraping(discovery, tuple(found), tuple(scrapes), tuple(skipped))


def _resolved(job: Job, discovery: Discovery, known: dict[tuple[Any, ...], Result]) -> Result:
    """Several Prometheus that take a monitor mostly find the same."""
    key = (job.name, id(job.object), job.steps, tuple((each.role, each.namespaces) for each in job.sought))
    if key not in known:
        known[key] = resolve(job, discovery)
    return known[key]


def _written(objects: Iterable[Object], texts: Iterable[Text], prometheuses: Iterable[Object], skipped: list[NotEvaluated]) -> Iterator[tuple[Object, Job]]:
    """Jobs that stand as text, and what runs them: ConfigMaps, and the Secret that a Prometheus adds to what its operator generates."""
    for each in texts:
        if each.object.kind == "ConfigMap" and _MARK in each.body:
            for job in scrape_config.jobs_of(each.body, each.object, (), each.locate):
                yield each.object, job
    secrets = {(item.namespace, item.name): item for item in objects if item.kind == "Secret" and not item.group}
    for prometheus in prometheuses:
        reference = mapping(prometheus.spec.get("additionalScrapeConfigs"))
        name, key = text(reference.get("name")), text(reference.get("key"))
        if not name:
            continue
        secret = secrets.get((prometheus.namespace, name))
        content = _content(secret, key) if secret is not None else None
        if secret is None or content is None:
            why = f"key {key} of Secret {name} is not in Git in the clear"
            skipped.append(NotEvaluated(str(prometheus.id), "additionalScrapeConfigs", why))
            continue
        for job in _jobs(content, secret, ("stringData" if key in mapping(secret.body.get("stringData")) else "data", key), skipped):
            yield prometheus, job


def _content(secret: Object, key: str) -> str | None:
    plain = mapping(secret.body.get("stringData")).get(key)
    if isinstance(plain, str):
        return None if is_elided(plain) else plain
    encoded = mapping(secret.body.get("data")).get(key)
    if not isinstance(encoded, str) or is_elided(encoded):
        return None
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None


def _jobs(content: str, owner: Object, at: tuple[str, str], skipped: list[NotEvaluated]) -> list[Job]:
    try:
        body = loads(content)
    except (yaml.YAMLError, ValueError) as error:
        skipped.append(NotEvaluated(str(owner.id), f"scrape configuration {at[1]}", f"it is no YAML: {str(error).splitlines()[0]}"))
        return []
    return list(scrape_config.jobs_of(body, owner, at))
