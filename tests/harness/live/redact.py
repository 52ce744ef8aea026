"""Taking secrets out of what is shown or kept: whole values where their place says that they are secret, patterns everywhere else.

What a place says: ``data`` and ``stringData`` of a Secret, the annotation that holds an object's last applied text, values of environment variables and keys
with secret names. What a pattern says: private keys, tokens of Kubernetes and Vault, authorization headers, passwords in addresses, hashes of passwords.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

REDACTED: Final = "(redacted)"
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
#: Keys whose values are secret wherever they stand. ``secretName`` and the like name an object and are not.
_SECRET_KEY: Final = re.compile(
    r"(?i)(?:^|[-_.])(?:password|passwd|passphrase|token|(?:api|private|secret|access|unseal)[-_]?keys?|client[-_]?secret|credentials?|htpasswd"
    r"|root[-_]?token|tls\.key|secret[-_]?id)(?:[-_]?b64)?$|^[a-z]*(?-i:Password|Token|Secret|ApiKey|PrivateKey)$"
)
#: Fields with secret names that hold switches, durations or references.
_HARMLESS: Final = re.compile(r"^(true|false|[0-9.]+[a-z]*|/[\w./-]+|)$")
_PATTERNS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    # To the end of the text when the end is cut off.
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), REDACTED),
    (re.compile(r"\bey[JK][A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?"), REDACTED),
    (re.compile(r"\b(?:hv[sbr]|s|b|r)\.[A-Za-z0-9_-]{20,}"), REDACTED),
    (re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|glpat-[A-Za-z0-9_-]{16,}|xox[abprs]-[A-Za-z0-9-]{10,}|AKIA[0-9A-Z]{12,})"), REDACTED),
    (re.compile(r"(?i)\b((?:proxy-)?authorization['\"]?\s*[:=]\s*['\"]?(?:basic|bearer|negotiate)?\s*)[^\s'\",}]{6,}"), rf"\1{REDACTED}"),
    (re.compile(r"(?i)(\bx-vault-token['\"]?\s*[:=]\s*['\"]?)[^\s'\",}]+"), rf"\1{REDACTED}"),
    (re.compile(r"([a-z][a-z0-9+.-]*://[^/\s:@'\"]*:)[^/\s@'\"]+@"), rf"\1{REDACTED}@"),
    (re.compile(r"\$(?:2[aby]\$\d\d|apr1|5|6|y)\$[./A-Za-z0-9$=,]{8,}|\{SHA\}[A-Za-z0-9+/=]{20,}"), REDACTED),
    (
        re.compile(
            r"(?i)((?:\b|_)(?:password|passwd|passphrase|secret|token|(?:api|private)[-_]?key|client[-_]?secret|unseal[ _-]?key(?: \d+)?)"
            r"(?:\\?[\"'])?\s*(?:[:=]|is)\s*(?:\\?[\"'])?)(?!\(redacted\))[^\s\"'\\,;}&]{6,}"
        ),
        rf"\1{REDACTED}",
    ),
)


def text(value: str, known: Iterable[str] = ()) -> str:
    """A text without what looks secret, and without ``known`` secrets of 6 characters or more in any place."""
    for secret in sorted({item for item in known if len(item) >= 6}, key=len, reverse=True):
        value = value.replace(secret, REDACTED)
    for pattern, by in _PATTERNS:
        value = pattern.sub(by, value)
    return value


def body(value: Mapping[str, Any], known: Iterable[str] = ()) -> dict[str, Any]:
    """An object of the API without secrets: its own copy, of the same shape."""
    secrets = tuple(known)
    found: dict[str, Any] = _walk(dict(value), secrets)
    if value.get("kind") == "Secret":
        for field in ("data", "stringData"):
            if isinstance(found.get(field), dict):
                found[field] = dict.fromkeys(found[field], REDACTED)
    if value.get("kind") == "SecretList" or (value.get("kind") == "List" and isinstance(value.get("items"), list)):
        found["items"] = [body(item, secrets) if isinstance(item, dict) else item for item in value.get("items") or ()]
    return found


def _walk(value: Any, known: tuple[str, ...], key: str = "") -> Any:
    if isinstance(value, dict):
        named = value.get("name")
        # An entry of a list of names and values: an environment variable, a header, a Helm parameter.
        pair = isinstance(named, str) and "value" in value and _SECRET_KEY.search(named)
        secret = {name for name, inner in value.items() if name == _LAST_APPLIED or (pair and name == "value" and inner)}
        return {name: REDACTED if name in secret else _walk(inner, known, str(name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [_walk(inner, known, key) for inner in value]
    if not isinstance(value, str):
        return value
    return REDACTED if _SECRET_KEY.search(key) and not _HARMLESS.match(value) else text(value, known)
