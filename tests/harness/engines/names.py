"""Syntax of names, labels and ports. Each function returns what is wrong with a text; nothing wrong is an empty list.

Source: ``k8s.io/apimachinery/pkg/util/validation`` (validation.go) and ``pkg/api/validation/generic.go``, v0.34.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

Check = Callable[[str], list[str]]

_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", re.ASCII)
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_SUBDOMAIN_UNDERSCORE = re.compile(r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*", re.ASCII)
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_PORT_NAME = re.compile(r"[-a-z0-9]+", re.ASCII)
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+", re.ASCII)
_PERCENT = re.compile(r"[0-9]+%", re.ASCII)
_HEADER = re.compile(r"[-A-Za-z0-9]+", re.ASCII)
_HTTP_PATH = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", re.ASCII)

_LABEL_ERROR = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character"
_SUBDOMAIN_ERROR = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"
)
_LABEL_1035_ERROR = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character"
)
_QUALIFIED_ERROR = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
_LABEL_VALUE_ERROR = f"a valid label must be an empty string or {_QUALIFIED_ERROR.removeprefix('must ')}"


def _too_long(limit: int) -> str:
    return f"must be no more than {limit} characters"


def _size(text: str) -> int:
    """Go counts bytes."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


@lru_cache(maxsize=8192)
def _dns1123_label(text: str) -> tuple[str, ...]:
    errors = [_too_long(63)] if _size(text) > 63 else []
    if not _LABEL.fullmatch(text):
        errors.append("must not contain dots" if _SUBDOMAIN.fullmatch(text) else _LABEL_ERROR)
    return tuple(errors)


def dns1123_label(text: str) -> list[str]:
    return list(_dns1123_label(text))


@lru_cache(maxsize=8192)
def _dns1123_subdomain(text: str) -> tuple[str, ...]:
    errors = [_too_long(253)] if _size(text) > 253 else []
    if not _SUBDOMAIN.fullmatch(text):
        errors.append(_SUBDOMAIN_ERROR)
    return tuple(errors)


def dns1123_subdomain(text: str) -> list[str]:
    return list(_dns1123_subdomain(text))


def dns1123_subdomain_with_underscore(text: str) -> list[str]:
    errors = [_too_long(253)] if _size(text) > 253 else []
    if not _SUBDOMAIN_UNDERSCORE.fullmatch(text):
        errors.append(_SUBDOMAIN_ERROR.replace("'-' or", "'_', '-' or"))
    return errors


def wildcard_dns1123_subdomain(text: str) -> list[str]:
    errors = [_too_long(253)] if _size(text) > 253 else []
    if not (text.startswith("*.") and _SUBDOMAIN.fullmatch(text[2:])):
        errors.append("a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain")
    return errors


def dns1035_label(text: str) -> list[str]:
    errors = [_too_long(63)] if _size(text) > 63 else []
    if not _LABEL_1035.fullmatch(text):
        errors.append(_LABEL_1035_ERROR)
    return errors


@lru_cache(maxsize=8192)
def _qualified_name(text: str) -> tuple[str, ...]:
    parts = text.split("/")
    errors: list[str] = []
    if len(parts) > 2:
        return (f"a qualified name {_QUALIFIED_ERROR} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",)
    if len(parts) == 2:
        errors += ["prefix part must be non-empty"] if not parts[0] else [f"prefix part {error}" for error in dns1123_subdomain(parts[0])]
    name = parts[-1]
    if not name:
        errors.append("name part must be non-empty")
    elif _size(name) > 63:
        errors.append(f"name part {_too_long(63)}")
    if not _QUALIFIED.fullmatch(name):
        errors.append(f"name part {_QUALIFIED_ERROR}")
    return tuple(errors)


def qualified_name(text: str) -> list[str]:
    """Label keys, annotation keys (in lower case), resource names, finalizers."""
    return list(_qualified_name(text))


@lru_cache(maxsize=8192)
def _label_value(text: str) -> tuple[str, ...]:
    errors = [_too_long(63)] if _size(text) > 63 else []
    if text and not _QUALIFIED.fullmatch(text):
        errors.append(_LABEL_VALUE_ERROR)
    return tuple(errors)


def label_value(text: str) -> list[str]:
    return list(_label_value(text))


def path_segment(text: str) -> list[str]:
    """Names of kinds without a stricter rule, RBAC objects and custom resources' embedded objects (``pkg/api/validation/path``)."""
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{mark}'" for mark in "/%" if mark in text]


def port_name(text: str) -> list[str]:
    """IANA service names, as container and Service ports use them."""
    errors = [_too_long(15)] if _size(text) > 15 else []
    if not _PORT_NAME.fullmatch(text):
        errors.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not any("a" <= char <= "z" for char in text):
        errors.append("must contain at least one letter (a-z)")
    if "--" in text:
        errors.append("must not contain consecutive hyphens")
    if text and "-" in (text[0], text[-1]):
        errors.append("must not begin or end with a hyphen")
    return errors


def config_key(text: str) -> list[str]:
    """Keys of ConfigMaps and Secrets."""
    errors = [_too_long(253)] if _size(text) > 253 else []
    if not _CONFIG_KEY.fullmatch(text):
        errors.append("a valid config key must consist of alphanumeric characters, '-', '_' or '.'")
    return errors + _no_parent(text)


def env_name(text: str) -> list[str]:
    """Names of environment variables, by the relaxed rule of Kubernetes 1.30 and later (gate RelaxedEnvironmentVariableValidation)."""
    if not text:
        return ["environment variable name must be non-empty"]
    if not (text.isascii() and text.isprintable()) or "=" in text:
        return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
    return []


def percent(text: str) -> list[str]:
    return [] if _PERCENT.fullmatch(text) else ["a valid percent string must be a numeric string followed by an ending '%'"]


def http_header(text: str) -> list[str]:
    return [] if _HEADER.fullmatch(text) else ["a valid HTTP header must consist of alphanumeric characters or '-'"]


def domain_prefixed_path(text: str) -> list[str]:
    host, _, path = text.partition("/")
    if not host or not path:
        return ['must be a domain-prefixed path (such as "acme.io/foo")']
    return dns1123_subdomain(host) + ([] if _HTTP_PATH.fullmatch(path) else ["Invalid path"])


def mask_trailing_dash(text: str) -> str:
    """What of a generateName is checked: a trailing dash is allowed, since a suffix follows."""
    return f"{text[:-2]}a" if len(text) > 1 and text.endswith("-") else text


def _no_parent(text: str) -> list[str]:
    if text in (".", ".."):
        return [f"must not be '{text}'"]
    return ["must not start with '..'"] if text.startswith("..") else []
