"""Who gets through the ingress, and how often: rate limits, access lists, passwords, and the address that is logged.

Sources: nginx's limit_req (a leaky bucket of ``burst`` requests that empties at ``rate``), NGINX Ingress Controller's Policy (k8s.nginx.org/v1), htpasswd
with ``{SHA}`` (RFC 2307).
"""

from __future__ import annotations

import base64
import hashlib
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from harness.live.findings import NotEvaluatedError
from harness.live.ingress.edge import rate_of, targets
from harness.live.reach.forwards import basic
from harness.live.reach.wait import Clock, Waiter, WaitError
from harness.model.shapes import mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.certificates.matrix import Row
    from harness.live.ingress.edge import Edge
    from harness.live.reach.kubectl import Kubectl
    from harness.model import Object

#: What a client may say of itself in X-Forwarded-For: an address of the range for documentation (RFC 5737).
FORGED: Final = "198.51.100.9"
_USER: Final = "plimsoll-proof"
#: Requests beyond the burst: enough that the flood is still on when the bucket is full.
_BEYOND: Final = 80
#: Requests that the count may be off by: those on their way when a second begins and ends.
_SLACK: Final = 3


def limited(edge: Edge, row: Row, policy: Object, *, clock: Clock | None = None) -> str:
    """A flood gets the burst and the rate of its Policy and no more, and a single request is served soon after.

    Raises:
        NotEvaluatedError: this machine cannot send faster than the limit.
    """
    clock = clock or Clock()
    rate, burst, reject = rate_of(policy)
    host = row.listener.host
    # The bucket of an earlier flood empties at the rate.
    clock.sleep(burst / rate + 1)
    statuses, seconds = edge.flood(host, burst + _BEYOND)
    served = sum(status != reject for status in statuses)
    if len(statuses) / seconds < 2 * rate:
        raise NotEvaluatedError(host, "rate limit", f"{len(statuses) / seconds:.0f} requests a second are sent from here at most, the limit is {rate:g}")
    most, least = burst + rate * seconds + _SLACK, burst - _SLACK
    if not least <= served <= most:
        return f"{served} of {len(statuses)} requests within {seconds:.1f} s were served, {least:.0f} to {most:.0f} are declared"
    waiter: Waiter[int] = Waiter(lambda: edge.ask(host).status, clock=clock)
    try:
        waiter.wait(lambda status: status != reject, successes=1, timeout=5, delay=2 / rate, what=f"a request to {host} after the flood")
    except WaitError as error:
        return f"still refused 5 s after the flood: {error.status}"
    return ""


def refused_stranger(edge: Edge, row: Row) -> str:
    """Who is on no list gets 403; who is on it gets something else."""
    host = row.listener.host
    stranger, known = edge.stranger(host), edge.ask(host).status
    wrong = [
        "" if stranger == 403 else f"a client of the pods' network gets {stranger}",
        "" if known != 403 else f"{edge.here}, which is on the list, gets 403",
    ]
    return "; ".join(part for part in wrong if part)


def authenticated(edge: Edge, row: Row, password: str) -> str:
    """Who has the password gets to the Service, and to the fixed answers in Git; who has none, or another one, gets 401 and reaches nobody."""
    host, wrong = row.listener.host, []
    for name, headers in (("without a password", {}), ("with a wrong password", basic(_USER, password[::-1]))):
        answer, line = edge.logged(host, headers=headers)
        if answer.status != 401 or line.get("upstream"):
            wrong.append(f"{name}: status {answer.status} of {line.get('upstream') or 'nginx'}")
    for target in targets(row):
        answer, line = edge.logged(host, target.path, headers=basic(_USER, password))
        if target.service and (answer.status in (401, 403) or not line.get("upstream")):
            wrong.append(f"{target.path} with the password: status {answer.status} of {line.get('upstream') or 'nginx'}")
        if target.status and answer.status != target.status:
            wrong.append(f"{target.path} with the password: status {answer.status}, not {target.status}")
    return "; ".join(wrong)


def named_client(edge: Edge, row: Row) -> str:
    """The access log names the address that the request came from, not the one that the request claims."""
    _answer, line = edge.logged(row.listener.host, headers={"X-Forwarded-For": FORGED})
    wrong = [
        "" if line.get("client") == edge.here else f"client {line.get('client')}, the request came from {edge.here}",
        "" if line.get("forwarded_for") == FORGED else f"forwarded_for {line.get('forwarded_for')}, the request said {FORGED}",
    ]
    return "; ".join(part for part in wrong if part)


@contextmanager
def with_user(kubectl: Kubectl, policy: Object, password: str) -> Iterator[None]:
    """One user more in the Secret of a basicAuth Policy. What was in it is there again at the end; neither gets into an argument of a program."""
    name = text(mapping(policy.spec.get("basicAuth")).get("secret"))
    before = text(mapping(kubectl.json("get", "secrets", name, f"--namespace={policy.namespace}").get("data")).get("htpasswd"))
    digest = base64.b64encode(hashlib.sha1(password.encode(), usedforsecurity=False).digest()).decode()
    lines = base64.b64decode(before).decode().rstrip("\n")
    try:
        _put(kubectl, name, policy.namespace, base64.b64encode(f"{lines}\n{_USER}:{{SHA}}{digest}\n".encode()).decode())
        yield
    finally:
        _put(kubectl, name, policy.namespace, before)


def _put(kubectl: Kubectl, name: str, namespace: str, value: str) -> None:
    patch = json.dumps({"data": {"htpasswd": value}})
    kubectl("patch", "secrets", name, f"--namespace={namespace}", "--type=merge", "--patch-file=/dev/stdin", stdin=patch)
