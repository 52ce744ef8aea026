"""What Flux does with what is published: changes arrive, broken ones are kept out and told, tenants stay where they are, everything leaves a trail."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from harness.live.faults import LABEL, applied, patched, suspended
from harness.live.findings import expect
from harness.live.reach.forwards import Client
from harness.live.reach.wait import Waiter, WaitTimeoutError, wait
from harness.live.rules.changes import APPEARS, CONFINED, KEPT, REPORTED, RESUMED, TRAIL
from harness.live.sync.readiness import Key
from harness.live.sync.reconcile import attempted, condition, history, look, plural, reconciled, revision, said
from harness.live.sync.scratch import config_map, scratch_of, tree
from harness.live.sync.trail import FLUX, audited, explained, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.live.bringup import Platform
    from harness.live.reach.kubectl import Kubectl
    from harness.live.sync.scratch import Scratch

pytestmark = pytest.mark.proof(uses=("flux", "flux-network", "policies-multi-tenancy", "tenant-b"))

TENANT, OTHER = "tenant-b", "tenant-a"
ACCOUNT = f"flux-{TENANT}"
#: Seconds from a new artifact until it is applied, beyond the source's interval, on a machine that has much else to do.
WORK = 90.0
#: Seconds after which what a broken hop should have brought is taken not to come.
SHORT = 15.0


def version(kubectl: Kubectl, scratch: Scratch) -> str:
    """What the ConfigMap of a scratch source says."""
    return str(((kubectl.get("configmaps", scratch.name, scratch.namespace) or {}).get("data") or {}).get("version", ""))


def publish(scratch: Scratch, *, missing: str = "") -> str:
    """Push the next version, and return its revision."""
    return scratch.push(tree(config_map(scratch.name, scratch.namespace, version=str(scratch.pushed + 1)), missing=missing)).revision


def arrives(kubectl: Kubectl, scratch: Scratch, patience: float) -> str:
    """Publish a version and say what is there instead of it after ``patience`` seconds; empty when it came."""
    publish(scratch)
    waiter: Waiter[str] = Waiter(lambda: version(kubectl, scratch))
    try:
        waiter.wait(lambda seen: seen == str(scratch.pushed), successes=1, timeout=patience)
    except WaitTimeoutError as error:
        return f"{patience:g} s after version {scratch.pushed} was pushed the cluster has version {error.status or 'none'}"
    return ""


@contextmanager
def running(platform: Platform, kubectl: Kubectl, *, interval: int = 5) -> Iterator[Scratch]:
    """A scratch source of the tenant's whose first version is applied."""
    scratch = scratch_of(platform, TENANT, ACCOUNT, interval=interval)
    publish(scratch)
    try:
        with applied(kubectl, *scratch.objects):
            wait(lambda: version(kubectl, scratch) == "1", timeout=WORK, what="the first version", status=lambda: said(look(kubectl, scratch.kustomization)))
            yield scratch
    finally:
        kubectl.delete("configmaps", scratch.name, scratch.namespace)


def test_pushed_change_appears(platform: Platform, kubectl: Kubectl) -> None:
    with running(platform, kubectl) as scratch:
        started = time.monotonic()
        late = arrives(kubectl, scratch, scratch.interval + WORK)
        took = time.monotonic() - started
        platform.notes.append(f"flux: a change of a source with an interval of {scratch.interval} s was applied {took:.0f} s after it was pushed")
        expect(APPEARS, str(scratch.kustomization), not late, found=late, expected=f"within {scratch.interval} s, and the time to apply it")
        platform.red(
            "registry -> source-controller -> kustomize-controller",
            "the source suspended",
            suspended(kubectl, scratch.source),
            lambda: arrives(kubectl, scratch, SHORT + 2 * took),
            mended_within=2 * WORK,
        )


@pytest.mark.proof(breaks=("tenant-b",), uses=("kube-prometheus-stack",))
def test_broken_revision_is_told_and_changes_nothing(platform: Platform, kubectl: Kubectl) -> None:
    alertmanager = Client(platform.forwards, "svc/kube-prometheus-stack-alertmanager", 9093, "monitoring")
    with running(platform, kubectl) as scratch:

        def broken() -> str:
            """Publish a revision that cannot be built, and return its revision once Flux has met it."""
            pushed = publish(scratch, missing=f"missing-{scratch.pushed}.yaml")
            waiter = Waiter(lambda: look(kubectl, scratch.kustomization), said)
            waiter.wait(
                lambda body: attempted(body) == pushed and condition(body, "Ready").get("status") == "False",
                successes=1,
                timeout=scratch.interval + WORK,
                what="Flux to meet the broken revision",
            )
            return pushed

        def is_told(patience: float) -> str:
            pushed = broken()

            def names_it() -> bool:
                return any(pushed in str(alert) for alert in told(alertmanager, kind="Kustomization", namespace=scratch.namespace, name=scratch.name))

            try:
                wait(names_it, timeout=patience)
            except WaitTimeoutError:
                return f"{patience:g} s after {scratch.kustomization} failed, no alert in Alertmanager names {pushed}"
            return ""

        before = kubectl.get("configmaps", scratch.name, scratch.namespace)
        silent = is_told(SHORT * 2)
        expect(REPORTED, str(scratch.kustomization), not silent, found=silent, expected="an alert with the object and the revision")
        after = kubectl.get("configmaps", scratch.name, scratch.namespace)
        expect(KEPT, str(scratch.kustomization), after == before, found=f"the ConfigMap of the last good revision is now {after}", expected="unchanged")
        reason = str(condition(look(kubectl, scratch.kustomization), "Ready").get("reason"))
        expect(KEPT, str(scratch.kustomization), reason == "BuildFailed", found=f"Ready: False for the reason {reason}", expected="BuildFailed")
        late = arrives(kubectl, scratch, scratch.interval + WORK)
        expect(KEPT, str(scratch.kustomization), not late, found=late, expected="the next sound revision is applied")
        platform.red(
            "kustomize-controller -> notification-controller -> Alertmanager",
            "the Alert of the namespace suspended",
            patched(
                kubectl,
                "alerts.notification.toolkit.fluxcd.io",
                "flux-errors",
                TENANT,
                {"spec": {"suspend": True}},
                suspending=[Key("Kustomization", "flux-system", TENANT)],
            ),
            lambda: is_told(SHORT),
            mended_within=WORK,
        )


def test_suspended_is_left_alone_and_catches_up(platform: Platform, kubectl: Kubectl) -> None:
    def suspend(scratch: Scratch, value: str) -> None:
        kubectl("patch", plural("Kustomization"), scratch.name, f"--namespace={TENANT}", "--type=merge", f'--patch={{"spec":{{"suspend":{value}}}}}')

    @contextmanager
    def resumed(scratch: Scratch) -> Iterator[None]:
        suspend(scratch, "null")
        try:
            yield
        finally:
            suspend(scratch, "true")

    def left_alone(scratch: Scratch) -> str:
        had, pushed = version(kubectl, scratch), publish(scratch)
        wait(lambda: revision(look(kubectl, scratch.source)) == pushed, timeout=scratch.interval + WORK, what="the source to have the new revision")
        try:
            wait(lambda: version(kubectl, scratch) != had, timeout=SHORT)
        except WaitTimeoutError:
            return ""
        return f"version {version(kubectl, scratch)} was applied over {had}"

    with running(platform, kubectl) as scratch:
        suspend(scratch, "true")
        changed = left_alone(scratch)
        expect(RESUMED, str(scratch.kustomization), not changed, found=f"suspended: {changed}", expected="nothing applied")
        suspend(scratch, "null")
        waiter: Waiter[str] = Waiter(lambda: version(kubectl, scratch))
        try:
            caught_up = waiter.wait(lambda seen: seen == str(scratch.pushed), successes=1, timeout=WORK)
        except WaitTimeoutError as error:
            caught_up = error.status
        expect(
            RESUMED, str(scratch.kustomization), caught_up == str(scratch.pushed), found=f"resumed: version {caught_up}", expected=f"version {scratch.pushed}"
        )
        suspend(scratch, "true")
        platform.red("spec.suspend", "the Kustomization resumed", resumed(scratch), lambda: left_alone(scratch), mended_within=WORK)


@pytest.mark.proof(uses=("tenant-a",))
def test_tenant_stays_in_its_namespace(platform: Platform, kubectl: Kubectl) -> None:
    def refused(namespace: str) -> str:
        """Publish, as the tenant, an object of a namespace; say what came of it unless it was refused."""
        name = f"{scratch.name}-{scratch.pushed}"
        item = config_map(name, namespace) if namespace else {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        own = config_map(scratch.name, TENANT, version=str(scratch.pushed + 1))
        pushed = scratch.push(tree(own, item)).revision
        reconciled(kubectl, scratch.source, timeout=WORK)
        body = reconciled(kubectl, scratch.kustomization, timeout=WORK)
        if attempted(body) != pushed:
            return f"Flux has not tried {pushed}: {said(body)}"
        there = kubectl.get("namespaces" if not namespace else "configmaps", name, namespace)
        if there is not None:
            return f"{item['kind']} {namespace}/{name} was made: {said(body)}"
        return "" if "forbidden" in said(body) else f"it was not made, for another reason than rights: {said(body)}"

    with running(platform, kubectl) as scratch:
        for namespace in (OTHER, "flux-system", ""):
            seen = refused(namespace)
            where = f"the namespace {namespace}" if namespace else "the cluster"
            expect(CONFINED, str(scratch.kustomization), not seen, found=seen, expected=f"refused: {ACCOUNT} has no rights in {where}")
        subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": TENANT}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": scratch.name}
        rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch", "create", "patch", "update", "delete"]}]
        metadata = {"name": scratch.name, "namespace": OTHER}
        rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": metadata}

        @contextmanager
        def granted() -> Iterator[None]:
            with applied(kubectl, {**rbac, "kind": "Role", "rules": rules}, {**rbac, "kind": "RoleBinding", "roleRef": role, "subjects": [subject]}):
                try:
                    yield
                finally:
                    for made in kubectl.list("configmaps", namespace=OTHER, selector=LABEL):
                        if made["metadata"]["name"].startswith(scratch.name):
                            kubectl.delete("configmaps", made["metadata"]["name"], OTHER)

        platform.red(f"rights of {TENANT}/{ACCOUNT}", f"a RoleBinding in {OTHER} for the account", granted(), lambda: refused(OTHER), mended_within=WORK)


def test_changes_leave_a_trail(platform: Platform, kubectl: Kubectl) -> None:
    with running(platform, kubectl) as scratch:
        body = reconciled(kubectl, scratch.kustomization, timeout=WORK)
        entries = history(body)
        names = [(entry.revision, entry.origin, entry.status) for entry in entries]
        wanted = (revision(look(kubectl, scratch.source)), f"proof@sha1:{1:040x}", "ReconciliationSucceeded")
        expect(TRAIL, str(scratch.kustomization), wanted in names, found=f"its history has {names}", expected=f"{wanted}")
        made = audited(platform.cluster, "configmaps", TENANT, scratch.name)
        acting = f"system:serviceaccount:{TENANT}:{ACCOUNT}"
        first = made[0] if made else None
        by = first is not None and (first.user, first.acting) == (FLUX, acting)
        expect(TRAIL, f"ConfigMap/{TENANT}/{scratch.name}", by, found=f"the audit log has: {first or 'nothing'}", expected=f"made by {FLUX} as {acting}")
        events = kubectl.list("events", namespace=TENANT)
        about = [event for event in events if event["involvedObject"]["name"] == scratch.name and event["involvedObject"]["kind"] == "Kustomization"]
        marks = [str(event["metadata"].get("annotations")) for event in about]
        expect(TRAIL, str(scratch.kustomization), any(wanted[0] in mark for mark in marks), found=f"annotations of its events: {marks}", expected=wanted[0])

        def leads_to_a_commit() -> str:
            made = audited(platform.cluster, "configmaps", TENANT, scratch.name)
            return explained(made[-1] if made else None, history(look(kubectl, scratch.kustomization)))

        @contextmanager
        def changed_by_hand() -> Iterator[None]:
            patch = '--patch={"data":{"version":"by hand"}}'
            with suspended(kubectl, scratch.kustomization):
                kubectl("patch", "configmaps", scratch.name, f"--namespace={TENANT}", "--type=merge", patch)
                yield

        platform.red("change -> audit log -> history -> commit", "the object changed by hand", changed_by_hand(), leads_to_a_commit, mended_within=WORK)
