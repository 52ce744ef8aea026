"""Rules about what helm-controller does with a release: retries, remediation, waiting, history (HLM3xx)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.model import Severity
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.hlm_common import RELEASES, has_comment, mapping, seconds, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object

HLM: Final = Registry()

_RELEASE_DOCS: Final = "fluxcd/helm-controller docs/spec/v2/helmreleases.md"
_ACTIONS: Final = ("install", "upgrade")
_MAX_HISTORY: Final = 20
_MAX_TIMEOUT: Final = 3600.0
#: Switches that turn off a check of Helm's, and what is lost with each.
_SWITCHES: Final = {
    "disableWait": "Ready no longer means that anything runs, so nothing that depends on the release waits for it",
    "disableWaitForJobs": "Ready no longer means that its Jobs are done",
    "disableHooks": "the chart's hooks (migrations, certificates) do not run",
    "disableOpenAPIValidation": "manifests the API server would refuse are sent anyway",
    "disableSchemaValidation": "values are not checked against the chart's schema",
    "force": "objects are replaced instead of patched",
}


@HLM.rule(
    "HLM301",
    title="remediation is used where it counts and cannot go round for ever",
    why=(
        "RetryOnFailure ignores remediation; with RemediateOnFailure negative retries uninstall and reinstall (or roll back) without end, none leave a failed "
        "install failed until someone changes it, and the strategy uninstall deletes a running application because an upgrade failed "
        f"({_RELEASE_DOCS}, Install remediation, Upgrade remediation)"
    ),
    fix="use strategy RetryOnFailure without remediation, or RemediateOnFailure with remediation.retries of 1 to 10",
    scope=Objects(RELEASES),
    severity=Severity.WARNING,
    controls=("NIST-SI-13",),
)
def remediation(release: Object, world: World) -> Iterator[Violation]:
    for action in _ACTIONS:
        settings = mapping(release.spec.get(action))
        name = text(mapping(settings.get("strategy")).get("name"))
        remedy = mapping(settings.get("remediation"))
        retries = remedy.get("retries", 0)
        at = ("spec", action, "remediation")
        if name == "RetryOnFailure" and remedy:
            yield violation(release, *at, found=f"spec.{action}.remediation with strategy RetryOnFailure, which ignores it", expect="one of the two")
        elif isinstance(retries, int) and retries < 0:
            yield violation(release, *at, "retries", found=f"spec.{action}.remediation.retries: {retries}, which is without end", expect="1 to 10")
        elif name == "RemediateOnFailure" and not retries:
            yield violation(
                release, "spec", action, found=f"spec.{action} remediates without retries: the first failure is final", expect="remediation.retries of 1 to 10"
            )
        if action == "upgrade" and name != "RetryOnFailure" and remedy.get("strategy") == "uninstall":
            yield violation(release, *at, "strategy", found="a failed upgrade uninstalls the release", expect="rollback")
        if remedy and retries and release.get("spec", "test", "enable") is True and not _ignores_tests(release, remedy):
            yield violation(
                release,
                *at,
                found=f"a failed Helm test is remediated as a failed {action}",
                expect="test.ignoreFailures or remediation.ignoreTestFailures: true",
            )


def _ignores_tests(release: Object, remedy: dict[str, object]) -> bool:
    default = release.get("spec", "test", "ignoreFailures", default=False)
    return bool(remedy.get("ignoreTestFailures", default))


@HLM.rule(
    "HLM302",
    title="a release states its timeout and how many revisions it keeps, both within reason",
    why=(
        "the timeout defaults to 5 minutes, which large charts exceed on a cold node, and maxHistory: 0 keeps every revision as a Secret for ever; with 1 "
        f"there is nothing to roll back to ({_RELEASE_DOCS}, Timeout, Max history)"
    ),
    fix="set spec.timeout (up to 1h) and spec.maxHistory (2 to 20)",
    scope=Objects(RELEASES),
    severity=Severity.WARNING,
)
def bounds(release: Object, world: World) -> Iterator[Violation]:
    timeout = release.spec.get("timeout")
    if timeout is None:
        yield violation(release, "spec", found="no spec.timeout", expect="a timeout, stated")
    for at in (("timeout",), *((action, "timeout") for action in (*_ACTIONS, "rollback", "uninstall", "test"))):
        value = release.get("spec", *at)
        length = seconds(value)
        if length is not None and not 1 <= length <= _MAX_TIMEOUT:
            yield violation(release, "spec", *at, found=f"spec.{'.'.join(at)}: {value}", expect="1s to 1h")
    history = release.spec.get("maxHistory")
    if history is None:
        yield violation(release, "spec", found="no spec.maxHistory", expect="a number, stated")
    elif isinstance(history, int) and not 2 <= history <= _MAX_HISTORY:
        yield violation(release, "spec", "maxHistory", found=f"spec.maxHistory: {history}", expect=f"2 to {_MAX_HISTORY}")


@HLM.rule(
    "HLM303",
    title="Helm tests are off in the platform's releases",
    why="test hooks run unhardened images with moving tags, outside of every rule here, and a failing test fails the release; the e2e tier tests instead",
    fix="set spec.test.enable: false",
    scope=Objects(RELEASES),
    own_only=True,
    controls=("NIST-CM-7",),
)
def tests_off(release: Object, world: World) -> Iterator[Violation]:
    enabled = release.get("spec", "test", "enable")
    if enabled is not False:
        at = ("spec", "test", "enable") if enabled is not None else ("spec",)
        yield violation(release, *at, found=f"spec.test.enable: {'true' if enabled else 'not stated'}", expect="spec.test.enable: false")


@HLM.rule(
    "HLM304",
    title="a switch that turns off one of Helm's checks says why",
    why=f"each of them hides failures that would otherwise stop an upgrade ({_RELEASE_DOCS}, Install configuration, Upgrade configuration)",
    fix="delete the switch, or put a comment beside it that says what goes wrong without it",
    scope=Objects(RELEASES),
    severity=Severity.WARNING,
    controls=("NIST-CM-6",),
)
def switches(release: Object, world: World) -> Iterator[Violation]:
    for action in (*_ACTIONS, "rollback", "uninstall"):
        for name, loss in _SWITCHES.items():
            at = ("spec", action, name)
            if release.get(*at) is True and not has_comment(world, release.locate(*at)):
                yield violation(release, *at, found=f"spec.{action}.{name}: true without a comment: {loss}", expect="no switch, or the reason beside it")


@HLM.rule(
    "HLM305",
    title="a release is what Git says: not suspended, no preserved values, no dead options",
    why=(
        "a suspended release is never reconciled, preserveValues mixes what was once set on the cluster into every upgrade, and rollback.recreate has no "
        f"effect since Flux 2.8 ({_RELEASE_DOCS}, Suspend, Upgrade configuration, Rollback configuration)"
    ),
    fix="delete the field",
    scope=Objects(RELEASES),
    severity=Severity.WARNING,
    controls=("NIST-CM-2", "NIST-CM-3"),
)
def declarative(release: Object, world: World) -> Iterator[Violation]:
    for at, meaning in (
        (("suspend",), "nothing of it is reconciled"),
        (("upgrade", "preserveValues"), "the values of earlier revisions stay in force"),
        (("rollback", "recreate"), "it has no effect"),
    ):
        if release.get("spec", *at) is True:
            yield violation(release, "spec", *at, found=f"spec.{'.'.join(at)}: true: {meaning}", expect=f"no {at[-1]}")


RULES: Final = tuple(HLM.rules)
