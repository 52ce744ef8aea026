# ruff: noqa: E501 - one shape a line
"""Credentials that tell themselves by their shape: private keys, tokens with a known prefix, addresses with a password in them.

Sources: the token formats that the issuers document (most of them made for scanners: a prefix, an alphabet, a length). A match that repeats a few
characters only (``ghp_xxxx…``), or says of itself that it is an example, is none.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Leak(NamedTuple):
    """Something secret: where it begins in the text, and what it is. It never holds the secret."""

    offset: int
    what: str


class _Shape(NamedTuple):
    what: str
    hints: tuple[str, ...]
    """Texts of which one must be there; a plain search for them is all that most files cost."""
    pattern: re.Pattern[str]
    """What the whole match is, or its group ``secret``, is looked at by ``check``."""
    check: Callable[[str], bool]


_EXAMPLE: Final = re.compile(r"(?i)example|placeholder|dummy|changeme|redacted|x{6}|0{12}|1234567890|abcdefgh")


def _various(secret: str) -> bool:
    """Not a row of the same characters, and not named an example."""
    return len(set(secret)) >= min(8, len(secret) // 2) and not _EXAMPLE.search(secret)


def _any(_secret: str) -> bool:
    return True


def decoded(value: str) -> str:
    """Base64 as text, with what is no text replaced; empty when it is not base64."""
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def _encoded_key(value: str) -> bool:
    return "PRIVATE KEY" in decoded(value[: len(value) // 4 * 4])


def _docker_auth(value: str) -> bool:
    user, colon, password = decoded(value).partition(":")
    return bool(colon) and user.isprintable() and password.isprintable() and "\ufffd" not in password and is_literal_password(password)


#: What stands where a password could and is none: a variable, a template, a reference, a mask, a word for "put yours here".
_NO_PASSWORD: Final = re.compile(
    r"(?i)[$%{<*\[(.]|[*x.•]+|(?:your|my|the|some)[-_ ][\w-]*|(?:user(?:name)?[-_:])?pass(?:word|wd)?|pwd|secret|token|(?:db|user)[-_]?pass(?:word)?|example|placeholder|redacted|todo"
)


def is_literal_password(value: str) -> bool:
    """Whether a text in a password's place is one, and no variable, mask or example."""
    return (
        len(value) >= 3 and not _NO_PASSWORD.fullmatch(value) and not value.startswith(("$", "{{", "<", "%(", "*")) and "${" not in value and "{{" not in value
    )


def _bearer(value: str) -> bool:
    return _various(value) and bool(re.search(r"\d", value)) and bool(re.search(r"[A-Za-z]", value))


_START: Final = r"(?<![A-Za-z0-9_-])"
_END: Final = r"(?![A-Za-z0-9_-])"


def _token(what: str, body: str, *hints: str) -> _Shape:
    return _Shape(what, hints, re.compile(_START + body + _END), _various)


# fmt: off
_SHAPES: Final = (
    _Shape(
        "a private key",
        ("PRIVATE KEY",),
        re.compile(r"-----BEGIN (?:[A-Z0-9]+ ){0,2}PRIVATE KEY(?: BLOCK)?-----(?:\\[nr]|\s|[\w-]+: [^\n\\]*(?:\\n|\n)){0,20}(?P<secret>(?:[A-Za-z0-9+/=]|\\[nr]|[ \t\n\r]){48,})"),
        lambda body: len(set(body)) >= 12,
    ),
    _Shape("a private key in base64", ("LS0tLS1CRUdJTi",), re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/]{60,}"), _encoded_key),
    _token("an AWS access key", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}", "AKIA", "ASIA", "ABIA", "ACCA"),
    _token("a GitHub token", r"(?:gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9_]{60,90})", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    _token("a GitLab token", r"(?:gl(?:pat|ptt|dt|rt|cbt|soat|ft|imt|agent|oas)-[A-Za-z0-9_.-]{20,}|GR1348941[A-Za-z0-9_-]{20})", "glpat-", "glptt-", "gldt-", "glrt-", "glcbt-", "glsoat-", "glft-", "glimt-", "glagent-", "gloas-", "GR1348941"),
    _token("a Slack token", r"(?:xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-\d-[A-Z0-9]+-\d+-[A-Za-z0-9]+)", "xox", "xapp-"),
    _Shape("a Slack webhook", ("hooks.slack.com/",), re.compile(r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[A-Za-z0-9+/]{30,})"), _various),
    _Shape("a Discord webhook", ("/api/webhooks/",), re.compile(r"discord(?:app)?\.com/api/webhooks/\d+/(?P<secret>[A-Za-z0-9_-]{40,})"), _various),
    _Shape("a Teams webhook", (".webhook.office.com/",), re.compile(r"\.webhook\.office\.com/webhookb2/(?P<secret>[A-Za-z0-9@/-]{60,})"), _various),
    _token("a Stripe key", r"(?:[sr]k_(?:test|live|prod)_[A-Za-z0-9]{10,99}|whsec_[A-Za-z0-9+/=]{24,})", "sk_", "rk_", "whsec_"),
    _token("a JSON Web Token", r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}", "eyJ"),
    _token("a Vault token", r"hv[sbr]\.[A-Za-z0-9_-]{24,}", "hvs.", "hvb.", "hvr."),
    _token("a Terraform Cloud token", r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,}", ".atlasv1."),
    _token("an npm token", r"npm_[A-Za-z0-9]{36}", "npm_"),
    _token("a PyPI token", r"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}", "pypi-AgEI"),
    _token("an age key", r"AGE-SECRET-KEY-1[0-9A-Z]{58}", "AGE-SECRET-KEY-1"),
    _token("a Google API key", r"AIza[A-Za-z0-9_-]{35}", "AIza"),
    _token("a Google OAuth secret", r"GOCSPX-[A-Za-z0-9_-]{28}", "GOCSPX-"),
    _Shape("an Azure storage key", ("AccountKey=",), re.compile(r"AccountKey=(?P<secret>[A-Za-z0-9+/]{86}==)"), _various),
    _token("an Azure client secret", r"[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34}", "Q~"),
    _token("a DigitalOcean token", r"do[opr]_v1_[a-f0-9]{64}", "dop_v1_", "doo_v1_", "dor_v1_"),
    _token("a Docker Hub token", r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,}", "dckr_"),
    _token("a Doppler token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{40,}", "dp."),
    _token("a Databricks token", r"dapi[a-f0-9]{32}(?:-\d)?", "dapi"),
    _token("a SendGrid key", r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}", "SG."),
    _Shape("a Telegram bot token", (":AA",), re.compile(r"(?<!\d)\d{8,10}:AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])"), _various),
    _token("a Grafana token", r"(?:glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}|glc_[A-Za-z0-9+/]{32,}={0,2}|eyJrIjoi[A-Za-z0-9+/=]{50,})", "glsa_", "glc_", "eyJrIjoi"),
    _token("a Hugging Face token", r"hf_[A-Za-z0-9]{34,}", "hf_"),
    _token("an API key of a language model", r"(?:sk-ant-[A-Za-z0-9_-]{60,}|sk-[A-Za-z0-9_-]{20,}T3BlbkFJ[A-Za-z0-9_-]{20,})", "sk-ant-", "T3BlbkFJ"),
    _token("a New Relic key", r"NR(?:AK|JS|II)-[A-Za-z0-9_-]{19,}", "NRAK-", "NRJS-", "NRII-"),
    _token("a Sentry token", r"sntry[su]_[A-Za-z0-9+/=_-]{60,}", "sntrys_", "sntryu_"),
    _token("a Shopify token", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}", "shpat_", "shpca_", "shppa_", "shpss_"),
    _token("an Atlassian token", r"ATATT3[A-Za-z0-9_=-]{100,}", "ATATT3"),
    _token("a Tailscale key", r"tskey-(?:auth|api|client|scim|webhook)-[A-Za-z0-9]+-[A-Za-z0-9]{20,}", "tskey-"),
    _token("a 1Password service account token", r"ops_eyJ[A-Za-z0-9_=-]{100,}", "ops_eyJ"),
    _token("a Pulumi token", r"pul-[a-f0-9]{40}", "pul-"),
    _token("a Linear key", r"lin_(?:api|oauth)_[A-Za-z0-9]{32,}", "lin_"),
    _token("a PlanetScale password", r"pscale_(?:pw|tkn|oauth)_[A-Za-z0-9_.=-]{32,}", "pscale_"),
    _token("a Fly.io token", r"fo1_[A-Za-z0-9_-]{43}", "fo1_"),
    _token("a Cloudflare origin key", r"v1\.0-[a-f0-9]{24}-[a-f0-9]{146}", "v1.0-"),
    _Shape("registry credentials", ('"auth"', '\\"auth\\"'), re.compile(r'\\?"auth\\?"\s*:\s*\\?"(?P<secret>[A-Za-z0-9+/]{8,}={0,2})\\?"'), _docker_auth),
    _Shape("an authorization header", ("uthorization", "UTHORIZATION"), re.compile(r"(?i)authorization[\"']?\s*[:=]\s*[\"']?(?:basic|bearer|token)\s+(?P<secret>[A-Za-z0-9+/=._~-]{16,})"), _bearer),
    _Shape(
        "an address with a password in it",
        ("://",),
        re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@'\"<>(){}`\\,]{0,64}:(?P<secret>[^\s/@'\"<>`\\]{3,128})@(?=[\w\[$.-])"),
        is_literal_password,
    ),
)
# fmt: on
#: What people put on a line that a scanner has to leave alone.
_ALLOWED: Final = ("gitleaks:allow", "pragma: allowlist secret", "nosec", "trufflehog:ignore")


def shapes(text: str) -> Iterator[Leak]:
    """Every credential of a known shape, in the order of the shapes; one on a line that says it may stay is none."""
    for shape in _SHAPES:
        if not any(hint in text for hint in shape.hints):
            continue
        for match in shape.pattern.finditer(text):
            secret = match["secret"] if "secret" in match.re.groupindex else match.group()
            if shape.check(secret) and not is_allowed(text, match.start()):
                yield Leak(match.start(), shape.what)


def is_allowed(text: str, offset: int) -> bool:
    """Whether the line at an offset carries a mark for scanners to leave it alone."""
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    line = text[start : end if end >= 0 else len(text)]
    return any(mark in line for mark in _ALLOWED)
