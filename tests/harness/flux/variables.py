"""What ``postBuild`` provides for substitution: ConfigMaps, Secrets, what controllers make of others, and inline values.

Source: kustomize-controller docs/spec/v1/kustomizations.md, "Post build variable substitution": later sources override earlier ones,
and ``substitute`` overrides them all. A value that is encrypted in Git, or made outside of it, is replaced by a text that says so.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.flux.makers import Product, mapping
from harness.model import Object

Find = Callable[[str, str, str], Object | None]
Maker = Callable[[str, str, str], tuple[Object, Product] | None]


@dataclass
class Variables:
    """The variables of one Kustomization.

    ``unknown`` are the stand-ins among the values, for those of encrypted or foreign Secrets; ``outside`` names where these come from;
    ``absent`` names required sources that are nowhere.
    """

    values: dict[str, str] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    absent: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    @property
    def incomplete(self) -> bool:
        """Whether something may provide more variables than are known here."""
        return bool(self.outside or self.absent)

    def take(self, known: Mapping[str, str], hidden: Mapping[str, str], source: str) -> None:
        """Add what a source provides."""
        self.values |= {**known, **hidden}
        self.unknown |= set(hidden.values())
        if hidden:
            self.outside.append(source)


def variables_of(kustomization: Object, find: Find, maker: Maker) -> Variables:
    """The variables a Kustomization gets. ``find`` and ``maker`` answer with what is there so far."""
    found = Variables()
    post = mapping(kustomization.get("spec", "postBuild"))
    references = post.get("substituteFrom")
    for reference in references if isinstance(references, list) else []:
        if not isinstance(reference, dict):
            continue
        kind, name = str(reference.get("kind")), str(reference.get("name"))
        source = find(kind, kustomization.namespace, name)
        made = maker(kind, kustomization.namespace, name)
        if source is not None and kind == "ConfigMap":
            found.values |= {str(key): str(value) for key, value in mapping(source.get("data")).items()}
        elif source is not None:
            found.take(*_of_secret(source), f"Secret {name}")
        elif made is not None:
            found.take(*_of_maker(*made), f"{kind} {name}")
            if f"{kind} {name}" not in found.outside:
                found.outside.append(f"{kind} {name}")
        elif not reference.get("optional"):
            found.absent.append(f"{kind} {kustomization.namespace}/{name}")
    found.values |= {str(key): str(value) for key, value in mapping(post.get("substitute")).items()}
    return found


def stand_in(key: str) -> str:
    """A text that can stand where a name, host or label is expected, for a value that nobody can read here."""
    return f"unknown-{key.lower().replace('_', '-').strip('-.')}"


def _of_secret(secret: Object) -> tuple[dict[str, str], dict[str, str]]:
    """The variables a Secret in Git provides: those that can be read, and stand-ins for those that are encrypted."""
    known: dict[str, str] = {}
    hidden: dict[str, str] = {}
    for key, value in mapping(secret.get("stringData")).items():
        if str(value).startswith("ENC["):
            hidden[str(key)] = stand_in(str(key))
        else:
            known[str(key)] = str(value)
    for key, value in mapping(secret.get("data")).items():
        try:
            known[str(key)] = base64.b64decode(str(value).replace("\r", "").replace("\n", ""), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            hidden[str(key)] = stand_in(str(key))
    return known, hidden


def _of_maker(maker: Object, product: Product) -> tuple[dict[str, str], dict[str, str]]:
    """The variables that a controller's Secret or ConfigMap provides: what its template states in plain text, and stand-ins for its other keys."""
    spec = maker.spec
    templates = (mapping(mapping(spec.get("target")).get("template")), mapping(spec.get("template")))
    stated = {str(key): value for template in templates for key, value in mapping(template.get("data")).items()}
    known = {key: value for key, value in stated.items() if isinstance(value, str) and "{{" not in value}
    hidden = (set(stated) | (product.keys or frozenset())) - set(known)
    return known, {key: stand_in(key) for key in sorted(hidden)}
