"""Asks a cluster for its verdict on every case of every policy: the policies that run, one at a time.

Several policies refuse what most cases hold, and the API server passes on what the fastest of them said. So for the time of the proof there is an exception for
each policy, which exempts requests that say they are about another one: each case is judged by the policy that it is about, as it runs, and nobody else's
requests are exempted from anything. A policy that only audits is judged by a copy that denies.
"""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from harness.live.admission.cases import EXTRA, NOBODY, Stage, UnservedKindError, accounts, ask, located, staged
from harness.live.admission.verdicts import Outcome, Verdict, complaint, verdict_of
from harness.live.faults import ALLOW_DELETION, LABEL, marked_as_temporary
from harness.live.reach.api import User
from harness.live.reach.wait import Clock, Waiter, WaitError
from harness.live.reach.web import WebError
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from harness.engines.policy import Result
    from harness.live.reach.api import Api
    from harness.source.policycases import PolicyCase

Json = dict[str, Any]

#: The kinds of Kyverno's policies that say yes or no.
JUDGES: Final = ("validatingpolicies.policies.kyverno.io", "imagevalidatingpolicies.policies.kyverno.io")
#: Where Kyverno reads exceptions.
_HOME: Final = "kyverno"
#: How long what is temporary counts at most, should nobody remove it.
_EXPIRES: Final = timedelta(minutes=20)
#: What interrupted runs leave behind.
_SWEPT: Final = (
    "/apis/policies.kyverno.io/v1/validatingpolicies",
    "/apis/policies.kyverno.io/v1/namespaces/kyverno/policyexceptions",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/api/v1/namespaces",
)
_AT_ONCE: Final = 6
#: Seconds in which what was created takes effect everywhere.
_SETTLE: Final = 90.0
#: Whoever sets the stage: no policy looks at what it does.
STAGEHAND: Final = User("system:serviceaccount:flux-system:kustomize-controller", ("system:masters", "system:authenticated"), {EXTRA: NOBODY})


@dataclass(frozen=True, slots=True)
class Judged:
    """What a cluster said of a case, and how that differs from what the offline engine says (empty: it does not)."""

    case: PolicyCase
    verdict: Verdict
    complaint: str = ""


@dataclass
class Verdicts:
    """All of them. ``unserved`` are cases about kinds that the cluster does not have, with the reason."""

    judged: list[Judged] = field(default_factory=list)
    unserved: list[tuple[PolicyCase, str]] = field(default_factory=list)

    @property
    def wrong(self) -> list[Judged]:
        """Where the cluster's policy and the offline engine disagree."""
        return [each for each in self.judged if each.complaint and each.verdict.outcome is not Outcome.REFUSED]

    @property
    def refused(self) -> list[Judged]:
        """What somebody else refused, so that no policy was asked, though the case has it let through or refused by a policy."""
        return [each for each in self.judged if each.complaint and each.verdict.outcome is Outcome.REFUSED]


def exceptions(policies: Iterable[Mapping[str, Any]], run: str, now: datetime) -> list[Json]:
    """For each policy, an exception for requests about another one (or none)."""
    return [marked_as_temporary(_exception(policy, run, now)) for policy in policies]


def _exception(policy: Mapping[str, Any], run: str, now: datetime) -> Json:
    name = text(mapping(policy.get("metadata")).get("name"))
    until = (now + _EXPIRES).strftime("%Y-%m-%dT%H:%M:%SZ")
    about = f"has(request.userInfo.extra) && '{EXTRA}' in request.userInfo.extra && !('{name}' in request.userInfo.extra['{EXTRA}'])"
    return {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "PolicyException",
        "metadata": {"name": f"proof-{run}-{name}", "namespace": _HOME, "annotations": {"plimsoll.io/owner": "live tier"}},
        "spec": {
            "expiresAt": until,
            "policyRefs": [{"kind": policy.get("kind"), "name": name}],
            "matchConditions": [
                {"name": "has-not-ended", "expression": f"time.now() < timestamp('{until}')"},
                {"name": "is-about-another-policy", "expression": about},
            ],
        },
    }


def denying(policy: Mapping[str, Any], run: str) -> Json:
    """A copy of a policy that denies, and only requests that say they are about it."""
    metadata, spec = mapping(policy.get("metadata")), copy.deepcopy(dict(mapping(policy.get("spec"))))
    name = alias(text(metadata.get("name")), run)
    about = {
        "name": "is-about-this-policy",
        "expression": f"has(request.userInfo.extra) && '{EXTRA}' in request.userInfo.extra && '{name}' in request.userInfo.extra['{EXTRA}']",
    }
    spec["validationActions"] = ["Deny"]
    spec["matchConditions"] = [about, *items(spec.get("matchConditions"))]
    spec["evaluation"] = {"admission": {"enabled": True}, "background": {"enabled": False}}
    body = {"apiVersion": policy.get("apiVersion"), "kind": policy.get("kind"), "metadata": {"name": name}, "spec": spec}
    return marked_as_temporary(body)


def alias(policy: str, run: str) -> str:
    """The name of a policy's copy."""
    return f"proof-{run}-{policy}"


def denies(policy: Mapping[str, Any]) -> bool:
    """Whether a policy refuses, and does not only report."""
    return "Deny" in (items(mapping(policy.get("spec")).get("validationActions")) or ["Deny"])


@dataclass
class Court:
    """Where cases are judged. ``offline`` gives the offline engine's word on a case."""

    api: Api
    run: str
    clock: Clock = field(default_factory=Clock)
    aliases: dict[str, str] = field(default_factory=dict)
    _made: list[str] = field(default_factory=list)
    """The paths of what was created, in order."""

    def sweep(self, now: datetime) -> list[str]:
        """Remove what interrupted runs left, once it is too old to be of one that runs. Returns the paths."""
        found = []
        for collection in _SWEPT:
            for item in items(self.api.json("GET", collection, {"labelSelector": f"{LABEL}=true"}).get("items")):
                name, created = item["metadata"]["name"], datetime.fromisoformat(item["metadata"]["creationTimestamp"])
                if "proof-" in name and not name.startswith("plimsoll-") and now - created > _EXPIRES:
                    found.append(f"{collection}/{name}")
        self._each(self._delete, found)
        return found

    def sit(self, policies: Sequence[Mapping[str, Any]]) -> None:
        """Let each policy be asked alone. Raises WebError."""
        audits = [policy for policy in policies if not denies(policy)]
        for policy in audits:
            name = text(mapping(policy.get("metadata")).get("name"))
            self.aliases[name] = alias(name, self.run)
        made = [denying(policy, self.run) for policy in audits] + exceptions(filter(denies, policies), self.run, datetime.now(UTC))
        self._each(self.create, made)

    def set_up(self, stages: Sequence[Stage]) -> None:
        """Create what the cases need. Raises WebError or WaitError when the cluster does not let that happen."""
        spaces = {text(body["metadata"]["name"]): body for stage in stages for body in stage.namespaces}
        # The exceptions have to take effect first: a namespace of a case would be refused by several policies.
        self._each(self._soon, spaces.values())
        needed = accounts(stage.case for stage in stages)
        self._each(self._soon, [marked_as_temporary(body) for body in needed] + [body for stage in stages for body in stage.before])
        for stage in stages:
            if stage.leaving:
                for body in stage.before:
                    self.api.json("DELETE", located(body, self.api.resource), {"gracePeriodSeconds": "0"}, user=STAGEHAND)

    def create(self, body: Json) -> None:
        """Create an object, and remember it. Raises WebError."""
        place = located(body, self.api.resource)
        answer = self.api.ask("POST", located(body, self.api.resource, collection=True), body=body, user=STAGEHAND)
        if 200 <= answer.status < 300:
            self._made.append(place)
        elif answer.status != 409 or "already exists" not in answer.message:
            # What is there already is somebody else's, and stays.
            raise WebError(f"{place}: status {answer.status}: {answer.message}")

    def judge(self, stages: Sequence[Stage], offline: Mapping[str, Result | None]) -> Verdicts:
        """Ask for every case, and again for those that may only be early: webhooks and exceptions take effect one after the other."""
        found = Verdicts()
        done: dict[str, Judged] = {}
        pending = list(stages)

        def look() -> list[Stage]:
            for stage, said in zip(pending, self._each(lambda stage: self._ask(stage, offline), pending), strict=True):
                if isinstance(said, str):
                    found.unserved.append((stage.case, said))
                else:
                    done[stage.case.path] = said
            pending[:] = [stage for stage in pending if stage.case.path in done and _early(done[stage.case.path])]
            return pending

        waiter: Waiter[list[Stage]] = Waiter(look, lambda left: f"{len(left)} cases", clock=self.clock)
        # What is left at the end is no longer early: it is wrong.
        with suppress(WaitError):
            waiter.wait(lambda left: not left, successes=1, timeout=_SETTLE, delay=2)
        found.judged = [done[stage.case.path] for stage in stages if stage.case.path in done]
        return found

    def strike(self, stages: Sequence[Stage] = ()) -> None:
        """Remove everything that was created, whatever of it is there, and wait until it is gone."""
        for stage in stages:
            for body in stage.before:
                if mapping(body.get("metadata")).get("finalizers"):
                    self.api.ask("PATCH", located(body, self.api.resource), body={"metadata": {"finalizers": None}}, user=STAGEHAND)
        last = [path for path in self._made if "/policies.kyverno.io/" in path]
        spaces = [path for path in self._made if _is_namespace(path)]
        first = [path for path in reversed(self._made) if path not in last and path not in spaces]
        homes = {path.rpartition("/")[2] for path in spaces}
        self._each(self._delete, [path for path in first if "/pods/" in path])
        # What is in a namespace of the proof goes with it.
        self._each(self._delete, [path for path in first if "/pods/" not in path and _home(path) not in homes])
        self._each(self._delete, spaces)
        waiter: Waiter[list[str]] = Waiter(lambda: [path for path in spaces if self.api.ask("GET", path).status != 404], ", ".join, clock=self.clock)
        try:
            waiter.wait(lambda left: not left, successes=1, timeout=90, what="the namespaces of the proof are gone")
        finally:
            self._each(self._delete, last)
            self._made.clear()

    def _ask(self, stage: Stage, offline: Mapping[str, Result | None]) -> Judged | str:
        policy = self.aliases.get(stage.case.policy, stage.case.policy)
        try:
            wanted = ask(stage.case, self.api.resource, policy=policy)
        except UnservedKindError as error:
            return str(error)
        answer = self.api.ask(wanted.method, wanted.path, wanted.query, body=wanted.body, user=wanted.user)
        verdict = verdict_of(answer, connect=stage.case.operation == "CONNECT")
        return Judged(stage.case, verdict, complaint(offline[stage.case.path], verdict, policy))

    def _soon(self, body: Json) -> None:
        def refused() -> str:
            try:
                self.create(body)
            except WebError as error:
                return str(error)
            return ""

        Waiter(refused, clock=self.clock).wait(lambda why: not why, successes=1, timeout=_SETTLE, what="the cluster of the cases is set up")

    def _delete(self, path: str) -> None:
        if _is_namespace(path) or "/customresourcedefinitions/" in path:
            self.api.ask("PATCH", path, body={"metadata": {"annotations": {ALLOW_DELETION: path.rpartition("/")[2]}}}, user=STAGEHAND)
        self.api.ask("DELETE", path, {"gracePeriodSeconds": "0"} if "/pods/" in path else None, user=STAGEHAND)

    def _each(self, function: Any, values: Iterable[Any]) -> list[Any]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(function, values))


@contextmanager
def court(api: Api, run: str, policies: Sequence[Mapping[str, Any]], stages: Sequence[Stage]) -> Iterator[Court]:
    """A court with everything that some cases need, gone at the end."""
    sitting = Court(api, run)
    try:
        sitting.sweep(datetime.now(UTC))
        sitting.sit(policies)
        sitting.set_up(stages)
        yield sitting
    finally:
        sitting.strike(stages)


def stages_of(cases: Iterable[PolicyCase], cluster: Sequence[Json], run: str) -> list[Stage]:
    """All cases, each with what it needs."""
    return [staged(case, cluster, run, number) for number, case in enumerate(cases)]


def _early(judged: Judged) -> bool:
    """Whether a verdict may be another one in a moment."""
    return bool(judged.complaint) and (judged.verdict.outcome is not Outcome.REFUSED or "not found" in judged.verdict.message)


def _is_namespace(path: str) -> bool:
    return path.startswith("/api/v1/namespaces/") and path.count("/") == 4


def _home(path: str) -> str:
    """The namespace that an object's path leads through."""
    return path.partition("/namespaces/")[2].partition("/")[0]
