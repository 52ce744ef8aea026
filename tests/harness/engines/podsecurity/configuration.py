"""The configuration of the admission plugin: what namespaces without labels get, and whom it leaves alone.

Source: ``admission/api`` of k8s.io/pod-security-admission (``PodSecurityConfiguration``), by itself or inside an ``AdmissionConfiguration``.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from harness.engines.podsecurity.admission import Exemptions
from harness.engines.podsecurity.levels import DEFAULTS, MODES, PREFIX, Policy, policy_of
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Mapping

_GROUP: Final = "pod-security.admission.config.k8s.io/"
_VERSIONS: Final = ("v1", "v1beta1", "v1alpha1")
_EXEMPTIONS: Final = ("usernames", "namespaces", "runtimeClasses")


class InvalidConfigurationError(ValueError):
    """The API server would not start with this configuration."""


NOBODY: Final = Exemptions()


class Configuration(NamedTuple):
    """Defaults for namespaces without labels, and exemptions."""

    defaults: Policy = DEFAULTS
    exemptions: Exemptions = NOBODY


def read(body: Mapping[str, object]) -> Configuration:
    """The configuration that a document holds. Raises InvalidConfigurationError when it is none, or one that the API server refuses."""
    if body.get("kind") == "AdmissionConfiguration":
        plugins = [mapping(plugin) for plugin in items(body.get("plugins"))]
        found = next((plugin for plugin in plugins if plugin.get("name") == "PodSecurity"), None)
        if found is None:
            return Configuration()
        if found.get("path"):
            raise InvalidConfigurationError(f"the configuration of PodSecurity stands in {found['path']}: give that file")
        return read(mapping(found.get("configuration")))
    version = text(body.get("apiVersion")).removeprefix(_GROUP)
    if body.get("kind") != "PodSecurityConfiguration" or version not in _VERSIONS:
        raise InvalidConfigurationError(f"expected a PodSecurityConfiguration or an AdmissionConfiguration, got {body.get('kind') or 'something else'}")
    stated = {key: value for key, value in mapping(body.get("defaults")).items() if value not in (None, "")}
    known = [f"{mode}{part}" for mode in MODES for part in ("", "-version")]
    for key in stated:
        if key not in known:
            raise InvalidConfigurationError(f"defaults has no field {key}: {', '.join(known)}")
    policy = policy_of({f"{PREFIX}{key}": value for key, value in stated.items()})
    if policy.faults:
        fault = policy.faults[0]
        raise InvalidConfigurationError(f"defaults.{fault.label.removeprefix(PREFIX)}: {fault.value}: {fault.message}")
    # Unlike a label, a default for enforce says nothing of warn.
    warn = policy.warn if "warn" in stated else DEFAULTS.warn._replace(version=policy.warn.version if "warn-version" in stated else DEFAULTS.warn.version)
    return Configuration(Policy(policy.enforce, policy.audit, warn), _exemptions(mapping(body.get("exemptions"))))


def _exemptions(stated: Mapping[str, object]) -> Exemptions:
    lists: dict[str, list[str]] = {}
    for key in stated:
        if key not in _EXEMPTIONS:
            raise InvalidConfigurationError(f"exemptions has no field {key}: {', '.join(_EXEMPTIONS)}")
    for key in _EXEMPTIONS:
        names = [text(name) for name in items(stated.get(key))]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if "" in names or twice:
            raise InvalidConfigurationError(f"exemptions.{key}: {f'{twice[0]} is listed twice' if twice and twice[0] else 'a name is empty'}")
        lists[key] = names
    return Exemptions(frozenset(lists["usernames"]), frozenset(lists["namespaces"]), frozenset(lists["runtimeClasses"]))
