"""ResourceSets (fluxcd.controlplane.io/v1), rendered: inputs, their combination, and Go templates between ``<<`` and ``>>``.

Source: ResourceSet v1 and ResourceSetInputProvider v1 documentation (flux-operator 0.58). The templates are translated to Helm's
delimiters and rendered by helm as a chart, so that Go's template engine and its functions decide, and not an imitation of them.
"""

from __future__ import annotations

import itertools
import json
import re
import tempfile
import unicodedata
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import yaml

from harness.flux.cache import Cache, digest
from harness.flux.makers import mapping
from harness.flux.tools import ToolError, Tools, run
from harness.model import Link, Location, NotEvaluated, Object, ObjectId, Origin, Pointer, Problem, group_of
from harness.source.yaml import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.flux.rendered import View

_FORMAT: Final = 1
_GROUP: Final = "fluxcd.controlplane.io"
PROVIDER: Final = "ResourceSetInputProvider.fluxcd.controlplane.io"
_MAX_SETS: Final = 10_000
_ACTION: Final = re.compile(r"<<(-?)((?:\"(?:\\.|[^\"\\])*\"|`[^`]*`|.)*?)(-?)>>", re.DOTALL)
_STRING: Final = re.compile(r"\"(?:\\.|[^\"\\])*\"|`[^`]*`")
_INPUTS: Final = re.compile(r"(?<![.$\w])inputs(?!\w)")
_SLUGIFY: Final = re.compile(r"(?<![.$\w])slugify(?!\w)")
_PATH: Final = re.compile(r"(?<![.$\w])inputs((?:\.[A-Za-z_]\w*)+)")
_SLUG: Final = re.compile(r"plimsollslug((?:[0-9a-f]{2})*)x")
_SOURCE: Final = re.compile(r"^# Source: set/templates/(\d+)-(\d+)\.yaml$", re.MULTILINE)


@runtime_checkable
class Lister(Protocol):
    """A view that can list the objects of a kind, for input providers chosen by labels."""

    def of(self, *kinds: str) -> Sequence[Object]:
        """The objects of some kinds (``Kind.group``) found so far."""


@dataclass(frozen=True, slots=True)
class RenderedSet:
    """What a ResourceSet gives its cluster. Its problems: ``resourceset-input``, ``resourceset-render``."""

    objects: tuple[Object, ...] = ()
    problems: tuple[Problem, ...] = ()
    not_evaluated: tuple[NotEvaluated, ...] = ()


@dataclass(frozen=True, slots=True)
class _Template:
    """One template of the set: its text, where it stands, and whether pointers into what it gives are pointers into it."""

    text: str
    pointer: Pointer
    structured: bool


class _InputError(Exception):
    """The inputs cannot be combined."""


def render_resource_set(item: Object, view: View, tools: Tools, cache: Cache) -> RenderedSet:
    """What a ResourceSet gives its cluster. Never raises for what the repository holds."""
    if str(item.annotations.get(f"{_GROUP}/reconcile", "")).lower() == "disabled":
        return RenderedSet(not_evaluated=(NotEvaluated(str(item.id), "the objects of a ResourceSet", "its reconciliation is disabled by annotation"),))
    gaps: list[NotEvaluated] = []
    try:
        sets = _combined(item, view, gaps)
    except _InputError as error:
        return RenderedSet(problems=(Problem("resourceset-input", str(item.id), item.locate("spec", "inputsFrom"), str(error)),), not_evaluated=tuple(gaps))
    templates = list(_templates(item))
    if not sets and item.get("spec", "inputsFrom"):
        return RenderedSet(not_evaluated=tuple(gaps))
    problems = list(_missing(item, templates, sets))
    if problems:
        return RenderedSet(problems=tuple(problems), not_evaluated=tuple(gaps))
    bodies, failure = _rendered(templates, sets or [{}], tools, cache)
    if failure:
        return RenderedSet(problems=(Problem("resourceset-render", str(item.id), item.locate("spec"), failure),), not_evaluated=tuple(gaps))
    return RenderedSet(tuple(_objects(item, templates, bodies, view, disabled_too=not sets)), (), tuple(gaps))


def _templates(item: Object) -> Iterator[_Template]:
    steps = item.get("spec", "steps")
    holders: list[Pointer] = [("spec", "steps", index) for index in range(len(steps))] if isinstance(steps, list) else [("spec",)]
    for holder in holders:
        resources = item.get(*holder, "resources")
        for index, resource in enumerate(resources if isinstance(resources, list) else []):
            yield _Template(_dump(resource), (*holder, "resources", index), structured=True)
        text = item.get(*holder, "resourcesTemplate")
        if isinstance(text, str) and text.strip():
            yield _Template(text, (*holder, "resourcesTemplate"), structured=False)


# Inputs


def _combined(item: Object, view: View, gaps: list[NotEvaluated]) -> list[dict[str, Any]]:
    """The input sets: those of the ResourceSet, then those of its providers by name; concatenated or permuted."""
    inline = item.get("spec", "inputs")
    exported: list[tuple[str, list[dict[str, Any]]]] = [(item.name, [_provided(each, item) for each in _mappings(inline)])]
    for provider in sorted(_providers(item, view, gaps), key=lambda each: (each.namespace, each.name)):
        if provider.get("spec", "type") == "Static":
            defaults = provider.get("spec", "defaultValues")
            # The id is made from the provider's UID, which only a cluster gives.
            identity = str(zlib.adler32(f"{provider.namespace}/{provider.name}".encode()))
            exported.append((provider.name, [_provided({"id": identity, **(defaults if isinstance(defaults, dict) else {})}, provider)]))
        else:
            why = f"ResourceSetInputProvider {provider.name} ({provider.get('spec', 'type')}) asks another system for them"
            gaps.append(NotEvaluated(str(item.id), "objects made from inputs", why))
            exported.append((provider.name, []))
    strategy = item.get("spec", "inputStrategy", "name") or "Flatten"
    if strategy != "Permute":
        return [each for _, inputs in exported for each in inputs]
    return _permuted(exported, keep_empty=item.get("spec", "inputStrategy", "includeEmptyProviders") is True)


def _mappings(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _permuted(exported: Sequence[tuple[str, list[dict[str, Any]]]], *, keep_empty: bool) -> list[dict[str, Any]]:
    named = [(_key(name), inputs) for name, inputs in exported if inputs or keep_empty]
    total = 1
    for name, inputs in named:
        total *= len(inputs)
        if not name:
            raise _InputError("a provider's name has no letters or digits, so its inputs have no key")
        if total > _MAX_SETS:
            raise _InputError(f"the inputs have more than {_MAX_SETS} permutations")
    if not named:
        return []
    result: list[dict[str, Any]] = []
    for combination in itertools.product(*(inputs for _, inputs in named)):
        chosen = {name: inputs for (name, _), inputs in zip(named, combination, strict=True)}
        identity = str(zlib.adler32(json.dumps(chosen, sort_keys=True).encode()))
        result.append({"id": identity, **chosen})
    return result


def _key(name: str) -> str:
    """A provider's name as a key for templates: lower case, words joined by underscores."""
    return "_".join(re.findall(r"[a-z0-9]+", re.sub(r"[^\w\s.\-/:,;!?@#&*()'\"\\]", "", name.lower()).replace("_", " ")))


def _provided(inputs: Mapping[str, Any], provider: Object) -> dict[str, Any]:
    reference = {"apiVersion": provider.api_version, "kind": provider.kind, "name": provider.name, "namespace": provider.namespace}
    return {**inputs, "provider": reference}


def _providers(item: Object, view: View, gaps: list[NotEvaluated]) -> list[Object]:
    found: dict[tuple[str, str], Object] = {}
    for reference in _mappings(item.get("spec", "inputsFrom")):
        if reference.get("name"):
            provider = view.find(PROVIDER, item.namespace, str(reference["name"]))
            if provider is None:
                raise _InputError(f"ResourceSetInputProvider {item.namespace}/{reference['name']} is nowhere in this cluster")
            found[provider.namespace, provider.name] = provider
        elif not isinstance(view, Lister):
            gaps.append(NotEvaluated(str(item.id), "inputs of providers chosen by labels", "this view of the cluster cannot list objects"))
        else:
            chosen = [each for each in view.of(PROVIDER) if each.namespace == item.namespace and _selects(reference.get("selector"), each.labels)]
            found.update({(each.namespace, each.name): each for each in chosen})
    return list(found.values())


def _selects(selector: Any, labels: Mapping[str, str]) -> bool:
    """A Kubernetes label selector."""
    selector = selector if isinstance(selector, dict) else {}
    wanted = selector.get("matchLabels")
    if any(labels.get(key) != value for key, value in (wanted if isinstance(wanted, dict) else {}).items()):
        return False
    for expression in _mappings(selector.get("matchExpressions")):
        key, values = str(expression.get("key")), expression.get("values") or []
        match expression.get("operator"):
            case "In":
                holds = labels.get(key) in values
            case "NotIn":
                holds = labels.get(key) not in values
            case "Exists":
                holds = key in labels
            case _:
                holds = key not in labels
        if not holds:
            return False
    return True


# Templates


def _missing(item: Object, templates: Sequence[_Template], sets: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    """Inputs that templates name and a set does not have: flux-operator renders with missingkey=error, helm does not."""
    for template in templates:
        for path in sorted({match[1] for action in _ACTION.finditer(template.text) for match in _PATH.finditer(_STRING.sub('""', action[2]))}):
            keys = path.strip(".").split(".")
            for number, inputs in enumerate(sets or [{}]):
                here: Any = inputs
                for depth, key in enumerate(keys):
                    if not isinstance(here, dict):
                        break
                    if key not in here:
                        name = ".".join(keys[: depth + 1])
                        message = f"the template uses inputs.{name}, which input set {number} does not have"
                        yield Problem("resourceset-input", str(item.id), item.locate(*template.pointer), message)
                        return
                    here = here[key]


def _translate(text: str) -> str:
    """A template of a ResourceSet as one of Helm's, with the input set in ``$inputs``."""

    def in_action(match: re.Match[str]) -> str:
        body = match[2]
        parts: list[str] = []
        position = 0
        for string in _STRING.finditer(body):
            parts += [_functions(body[position : string.start()]), string[0]]
            position = string.end()
        parts.append(_functions(body[position:]))
        # Helm's lexer wants a space between a trim marker and what is inside.
        return "{{" + (match[1] and "- ") + "".join(parts) + (match[3] and " -") + "}}"

    pieces: list[str] = []
    position = 0
    for match in _ACTION.finditer(text):
        pieces += [_escape(text[position : match.start()]), in_action(match)]
        position = match.end()
    pieces.append(_escape(text[position:]))
    return "".join(pieces)


def _escape(text: str) -> str:
    return text.replace("{{", '{{ "{{" }}')


def _functions(code: str) -> str:
    # Helm has no slugify: its argument goes through as hexadecimal digits, and is made a slug in the output.
    return _SLUGIFY.sub('printf "plimsollslug%xx"', _INPUTS.sub("$inputs", code))


def _literal(value: Any) -> str:
    """Data as an expression of Go's templates; helm's own values would turn integers into floats."""
    if isinstance(value, dict):
        return "(dict" + "".join(f" {json.dumps(str(key))} {_literal(item)}" for key, item in value.items()) + ")"
    if isinstance(value, list):
        return "(list" + "".join(f" {_literal(item)}" for item in value) + ")"
    if value is None:
        return '(fromJson "{}").none'
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value)


def _rendered(
    templates: Sequence[_Template], sets: Sequence[Mapping[str, Any]], tools: Tools, cache: Cache
) -> tuple[list[tuple[int, int, dict[str, Any]]], str]:
    """The objects as (template, input set, body) in flux-operator's order, or why there are none."""
    key = digest("resourceset", _FORMAT, tools.helm_version, [template.text for template in templates], list(sets))
    kept = cache.get_json("resourceset", key)
    if isinstance(kept, list):
        return [(template, number, body) for template, number, body in kept], ""
    with tempfile.TemporaryDirectory(prefix="plimsoll-set-") as folder:
        Path(folder, "templates").mkdir()
        Path(folder, "Chart.yaml").write_text("apiVersion: v2\nname: set\nversion: 0.0.1\n", encoding="utf-8")
        for index, template in enumerate(templates):
            for number, inputs in enumerate(sets):
                text = "{{- $inputs := " + _literal(dict(inputs)) + " -}}\n" + _translate(template.text)
                Path(folder, "templates", f"{index}-{number}.yaml").write_text(text, encoding="utf-8")
        try:
            output = run(tools.helm, ["template", "set", folder])
        except ToolError as error:
            return [], str(error)
    if output.code != 0:
        lines = [line.strip() for line in output.stderr.splitlines() if line.strip() and not line.startswith(("Use --debug", "level="))]
        return [], "the templates do not render: " + " ".join(lines).removeprefix("Error: ")[:500]
    bodies: list[tuple[int, int, dict[str, Any]]] = []
    for document in parse(_SLUG.sub(lambda match: slugify(bytes.fromhex(match[1]).decode("utf-8", "replace")), output.stdout), "", strict=False).documents:
        source = _SOURCE.search(document.text)
        if source is not None:
            bodies.append((int(source[1]), int(source[2]), document.body))
    bodies.sort(key=lambda entry: entry[:2])
    cache.put_json("resourceset", key, bodies)
    return bodies, ""


def slugify(text: str) -> str:
    """A text as a name of at most 63 characters: lower case ASCII, words joined by dashes, cut between words."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower().replace("&", " and ").replace("@", " at ")
    slug = "-".join(re.findall(r"[a-z0-9_]+", plain)).strip("-_")
    if len(slug) <= 63:
        return slug
    cut = slug[:63]
    return (cut if slug[63] == "-" else cut.rpartition("-")[0] or cut).strip("-_")


def _objects(
    item: Object, templates: Sequence[_Template], bodies: Sequence[tuple[int, int, dict[str, Any]]], view: View, *, disabled_too: bool
) -> Iterator[Object]:
    seen: set[ObjectId] = set()
    chain = (*item.origin.chain, Link(item.kind, item.namespace, item.name))
    for index, _, body in bodies:
        metadata = body.get("metadata")
        if not isinstance(metadata, dict) or not isinstance(body.get("kind"), str) or not isinstance(body.get("apiVersion"), str):
            continue
        if mapping(metadata.get("annotations")).get(f"{_GROUP}/reconcile") == "disabled" and not disabled_too:
            continue
        identity = ObjectId(item.id.cluster, group_of(body["apiVersion"]), body["kind"], str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))
        if identity in seen:
            continue
        seen.add(identity)
        yield Object(identity, _labelled(item, _copied(body, metadata, view), metadata), Origin(_locator(item, templates[index]), chain))


def _copied(body: dict[str, Any], metadata: Mapping[str, Any], view: View) -> dict[str, Any]:
    """A ConfigMap or Secret with the data of the one it is a copy of (annotation copyFrom), or, where that is not in Git, without a type that asks for data."""
    annotations = metadata.get("annotations")
    origin = annotations.get(f"{_GROUP}/copyFrom") if isinstance(annotations, dict) else None
    if not isinstance(origin, str) or body["kind"] not in {"ConfigMap", "Secret"}:
        return body
    namespace, _, name = origin.partition("/")
    source = view.find(body["kind"], namespace, name)
    if source is None:
        return {key: value for key, value in body.items() if key != "type"}
    return {**body, **{key: value for key, value in source.body.items() if key in {"data", "stringData", "binaryData", "type"}}}


def _locator(item: Object, template: _Template) -> Any:
    def locate(pointer: Pointer) -> Location:
        return item.locate(*template.pointer, *(pointer if template.structured else ()))

    return locate


def _labelled(item: Object, body: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    common = mapping(item.get("spec", "commonMetadata"))
    owner = {f"resourceset.{_GROUP}/name": item.name, f"resourceset.{_GROUP}/namespace": item.namespace}
    labels = {**mapping(metadata.get("labels")), **mapping(common.get("labels")), **owner}
    annotations = {**mapping(metadata.get("annotations")), **mapping(common.get("annotations"))}
    return {**body, "metadata": {**metadata, "labels": labels, **({"annotations": annotations} if annotations else {})}}


class _Dumper(yaml.SafeDumper):
    """YAML as Go's library writes it: texts of several lines as blocks, so that templates in them stay templates."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def _dump(resource: Any) -> str:
    return yaml.dump(resource, Dumper=_Dumper, width=2**20, allow_unicode=True, default_flow_style=False)
