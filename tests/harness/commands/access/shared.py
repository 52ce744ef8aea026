"""What the commands about access share: how subjects and resources are written, and how a rule is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.commands.common import CommandError, warn
from harness.engines.rbac.dangers import rights_of
from harness.engines.rbac.rules import Request
from harness.engines.rbac.subjects import parse_subject
from harness.flux.access import Access, access_of
from harness.rules import rbc_odd

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from harness.engines.rbac.policy import Held
    from harness.engines.rbac.roles import Grant
    from harness.engines.rbac.rules import Rule
    from harness.engines.rbac.subjects import Subject
    from harness.flux.world import World


def add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print (default: text)")


def add_request(parser: argparse.ArgumentParser) -> None:
    """What is asked about; :func:`request_of` reads it."""
    parser.add_argument("verb", metavar="VERB", help="get, list, watch, create, update, patch, delete, deletecollection, or a special verb such as bind")
    parser.add_argument(
        "resource", metavar="RESOURCE", help="deployments.apps, pods/log, deployments.apps/scale, or a URL path such as /metrics; the plural, as rules write it"
    )
    parser.add_argument("-n", "--namespace", metavar="NAME", default="", help="in this namespace (default: in all of them, or outside of namespaces)")
    parser.add_argument("--name", metavar="NAME", default="", help="the object of this name; with list and watch, by the field selector metadata.name")
    parser.add_argument("--subresource", metavar="NAME", default="", help="of this subresource, if RESOURCE does not say it")


def subject_of(text: str) -> Subject:
    """The subject that a text names. Raises CommandError when it names none."""
    try:
        return parse_subject(text)
    except ValueError as error:
        raise CommandError(str(error)) from error


def request_of(options: argparse.Namespace, access: Access) -> Request:
    """The request that the arguments of :func:`add_request` describe, as the API server would put it. Raises CommandError for what is none.

    Creating and deleting whole collections have no name for the authorizer; a name that is given is left out, with a word about it.
    """
    verb, text = options.verb, options.resource
    if text.startswith("/"):
        return Request(verb, path=text)
    words, _, subresource = text.partition("/")
    resource, _, group = words.partition(".")
    subresource = options.subresource or subresource
    if not resource:
        raise CommandError(f"{text!r} is no resource: write deployments.apps, pods/log or /metrics")
    if not group and not access.resources.near(resource) and resource != "*":
        plural = next((name for name in _plurals(resource) if access.resources.near(name)), resource)
        if plural != resource:
            warn(f"{resource}: taken as {plural}")
            resource = plural
    if not group and resource != "*" and access.resources.exists("", resource) is False:
        homes = access.resources.near(resource)
        if len(homes) > 1:
            raise CommandError(f"there are {', '.join(f'{resource}.{home}' for home in homes)}: say which")
        if homes:
            group = homes[0]
            warn(f"{resource} is in the API group {group}: taken as {resource}.{group}")
    if access.resources.exists(group, f"{resource}/{subresource}" if subresource else resource) is False and resource != "*":
        warn(f"no API server has {resource}{'.' + group if group else ''}{'/' + subresource if subresource else ''}: only a rule with a wildcard allows it")
    name = options.name
    if name and not subresource and verb in ("create", "deletecollection"):
        warn(f"{verb} has no name when it is authorized: {name} is left out")
        name = ""
    scope = access.resources.scope(group, resource)
    if options.namespace and scope is False and (group, resource) != ("", "namespaces"):
        warn(f"{resource} are outside of namespaces: {options.namespace} is left out")
        return Request(verb, group, resource, subresource, name, "")
    return Request(verb, group, resource, subresource, name, options.namespace)


_SHORT: Final = {
    "cj": "cronjobs",
    "cm": "configmaps",
    "crd": "customresourcedefinitions",
    "csr": "certificatesigningrequests",
    "deploy": "deployments",
    "ds": "daemonsets",
    "ep": "endpoints",
    "ev": "events",
    "hpa": "horizontalpodautoscalers",
    "ing": "ingresses",
    "netpol": "networkpolicies",
    "no": "nodes",
    "ns": "namespaces",
    "pdb": "poddisruptionbudgets",
    "po": "pods",
    "pv": "persistentvolumes",
    "pvc": "persistentvolumeclaims",
    "rs": "replicasets",
    "sa": "serviceaccounts",
    "sts": "statefulsets",
    "svc": "services",
}


def _plurals(word: str) -> Iterator[str]:
    """What a short name, a singular or a kind may be in the plural."""
    lower = word.lower()
    yield from (_SHORT.get(lower, lower), f"{lower}s", f"{lower}es", f"{lower.removesuffix('y')}ies")


def access_to(world: World) -> Access:
    """The access of a world. What stands in the way of a whole answer goes to standard error: no RBAC at all, other authorizers, objects from elsewhere."""
    access = world.derive(access_of)
    if not any(binding.object is not None for binding in access.policy.bindings) and not any(role.object is not None for role in access.policy.roles.values()):
        warn("not evaluated: there is no Role and no binding in what was given; only the API server's own are known")
    for entry in rbc_odd.not_evaluated(world):
        warn(f"not evaluated: {entry.what}: {entry.why}")
    return access


def told(request: Request) -> str:
    """A request in words."""
    if request.path:
        return f"{request.verb} {request.path}"
    group = f".{request.group}" if request.group else ""
    sub = f"/{request.subresource}" if request.subresource else ""
    named = f" {request.name}" if request.name else ""
    where = f"in {request.namespace}" if request.namespace else "everywhere"
    return f"{request.verb} {request.resource}{group}{sub}{named} {where}"


def rule_text(rule: Rule) -> str:
    """A rule on one line."""
    what = ", ".join(rule.urls) if rule.urls else ", ".join(_qualified(group, resource) for group in rule.groups for resource in rule.resources)
    named = f" named {', '.join(rule.names)}" if rule.names else ""
    return f"{', '.join(rule.verbs)}: {what}{named}"


def _qualified(group: str, resource: str) -> str:
    base, slash, subresource = resource.partition("/")
    return f"{base}{'.' + group if group else ''}{slash}{subresource}"


def grant_json(grant: Grant) -> dict[str, Any]:
    where = grant.locate()
    return {"role": str(grant.role), "rule": grant.position, "at": str(where) if where is not None else "built in", "text": rule_text(grant.rule)}


def held_json(held: Held) -> dict[str, Any]:
    where = held.binding.locate()
    entry = held.binding.subjects[held.position]
    return {
        "binding": str(held.binding),
        "at": str(where) if where is not None else "built in",
        "subject": str(entry) if entry is not None else "",
        "namespace": held.namespace or "*",
        "grant": grant_json(held.grant),
    }


def lent(held: Held) -> list[str]:
    """What a rule lends beyond its words, one line for each danger."""
    rights = (right for right in rights_of(held.rule) if not (right.danger.outside and held.namespace))
    return list(dict.fromkeys(f"{right.danger.id}: {right.danger.says}" for right in rights))


def held_lines(held: Held) -> list[str]:
    """How somebody comes by a rule, in two lines."""
    shown = held_json(held)
    return [f"  by {shown['binding']} for {shown['subject']} at {shown['at']}", f"  rule {held.grant}: {rule_text(held.rule)}"]
