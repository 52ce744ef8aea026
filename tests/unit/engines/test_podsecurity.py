"""Pod Security: each check in the API server's words, the labels, the decision; random pods against the fields that the standards' page lists."""

from __future__ import annotations

import re
from typing import Any

import pytest
from harness.engines.podsecurity import (
    CHECKS,
    NEWEST,
    Exemptions,
    Level,
    LevelVersion,
    Policy,
    PolicyVersion,
    Request,
    checks_of,
    decide,
    defaulted,
    evaluate,
    message,
    minor_of,
    policy_of,
    strictest,
)
from harness.engines.podsecurity.configuration import Configuration, InvalidConfigurationError, read
from harness.engines.podsecurity.levels import parse_version
from harness.engines.podsecurity.survey import judge
from harness.model import Location, Object, ObjectId, Origin, fixed
from harness.model.pods import PodTemplate, pod_of
from hypothesis import given, settings
from hypothesis import strategies as st

MINORS = range(25, NEWEST + 1)
CONFINED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
SAFE = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def pod(context: dict[str, Any] | None = None, *, annotations: dict[str, str] | None = None, of_pod: dict[str, Any] | None = None, **spec: Any) -> Any:
    """A pod that passes restricted, but for what is given."""
    container = {"name": "web", "image": "web", "securityContext": {**CONFINED, **(context or {})}}
    return {"annotations": annotations or {}}, {"securityContext": {**SAFE, **(of_pod or {})}, "containers": [container], **spec}


def says(found: Any, level: Level = Level.RESTRICTED, minor: int = 36) -> str:
    return message(evaluate(*found, level, minor))


@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.parametrize("level", [*Level])
def test_a_confined_pod_passes_every_level_of_every_version(level: Level, minor: int) -> None:
    assert evaluate(*pod(), level, minor) == ()


BASELINE = {
    "host-namespaces": (pod(hostNetwork=True, hostPID=True, hostIPC=True), "host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)"),
    "privileged": (pod({"privileged": True}), 'privileged (container "web" must not set securityContext.privileged=true)'),
    "capabilities": (
        pod({"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN", "CHOWN", "NET_RAW"]}}),
        'non-default capabilities (container "web" must not include "NET_RAW", "SYS_ADMIN" in securityContext.capabilities.add)',
    ),
    "host-path": (pod(volumes=[{"name": "a", "hostPath": {}}, {"name": "b", "hostPath": {"path": "/"}}]), 'hostPath volumes (volumes "a", "b")'),
    "app-armor": (
        pod({"appArmorProfile": {"type": "Unconfined"}}),
        'forbidden AppArmor profile (container "web" must not set AppArmor profile type to "Unconfined")',
    ),
    "app-armor-annotation": (
        pod(annotations={"container.apparmor.security.beta.kubernetes.io/web": "unconfined"}, of_pod={"appArmorProfile": {"type": "Odd"}}),
        "forbidden AppArmor profiles (pod and annotation must not set AppArmor profile type to "
        '"Odd", "container.apparmor.security.beta.kubernetes.io/web="unconfined"")',
    ),
    "selinux": (
        pod({"seLinuxOptions": {"type": "spc_t", "user": "u", "role": "r"}}),
        'seLinuxOptions (container "web" set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set; role may not be set)',
    ),
    "proc-mount": (pod({"procMount": "Unmasked"}), 'procMount (container "web" must not set securityContext.procMount to "Unmasked")'),
    "seccomp": (
        pod({"seccompProfile": {"type": "Unconfined"}}),
        'seccompProfile (container "web" must not set securityContext.seccompProfile.type to "Unconfined")',
    ),
    "sysctls": (
        pod(of_pod={"sysctls": [{"name": "kernel.msgmax"}, {"name": "net.ipv4.tcp_syncookies"}, {"name": "a"}]}),
        "forbidden sysctls (kernel.msgmax, a)",
    ),
    "host-process": (
        pod({"windowsOptions": {"hostProcess": True}}, of_pod={"windowsOptions": {"hostProcess": True}}),
        'hostProcess (pod and container "web" must not set securityContext.windowsOptions.hostProcess=true)',
    ),
}


@pytest.mark.parametrize(("found", "words"), BASELINE.values(), ids=BASELINE)
def test_baseline_in_the_servers_words(found: Any, words: str) -> None:
    assert says(found, Level.BASELINE) == words


RESTRICTED = {
    "privilege-escalation": (
        pod({"allowPrivilegeEscalation": None}),
        'allowPrivilegeEscalation != false (container "web" must set securityContext.allowPrivilegeEscalation=false)',
    ),
    "capabilities": (
        pod({"capabilities": {"drop": ["all"], "add": ["CHOWN", "NET_BIND_SERVICE"]}}),
        'unrestricted capabilities (container "web" must set securityContext.capabilities.drop=["ALL"]; '
        'container "web" must not include "CHOWN" in securityContext.capabilities.add)',
    ),
    "volumes": (
        pod(volumes=[{"name": "n", "nfs": {}}, {"name": "e", "emptyDir": {}}, {"name": "x", "futureKind": {}}]),
        'restricted volume types (volumes "n", "x" use restricted volume types "nfs", "unknown")',
    ),
    "non-root-missing": (
        pod(of_pod={"runAsNonRoot": None}),
        'runAsNonRoot != true (pod or container "web" must set securityContext.runAsNonRoot=true)',
    ),
    "non-root-false": (
        pod({"runAsNonRoot": False}, of_pod={"runAsNonRoot": False}),
        'runAsNonRoot != true (pod and container "web" must not set securityContext.runAsNonRoot=false)',
    ),
    "user-zero": (pod({"runAsUser": 0}), 'runAsUser=0 (container "web" must not set runAsUser=0)'),
    "seccomp-missing": (
        pod(of_pod={"seccompProfile": None}),
        'seccompProfile (pod or container "web" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
    ),
    "every-list-of-containers": (
        pod(initContainers=[{"name": "first"}], ephemeralContainers=[{"name": "debug", "securityContext": CONFINED}]),
        'allowPrivilegeEscalation != false (container "first" must set securityContext.allowPrivilegeEscalation=false), '
        'unrestricted capabilities (container "first" must set securityContext.capabilities.drop=["ALL"])',
    ),
}


@pytest.mark.parametrize(("found", "words"), RESTRICTED.values(), ids=RESTRICTED)
def test_restricted_in_the_servers_words(found: Any, words: str) -> None:
    assert says(found) == words


def test_a_container_speaks_for_itself() -> None:
    found = pod({"runAsNonRoot": True, "seccompProfile": {"type": "Localhost"}}, of_pod={"runAsNonRoot": None, "seccompProfile": None})
    assert says(found) == ""


def probing(host: str) -> Any:
    metadata, spec = pod()
    spec["containers"][0]["livenessProbe"] = {"httpGet": {"host": host}}
    spec["containers"][0]["lifecycle"] = {"preStop": {"tcpSocket": {"host": host}}}
    return metadata, spec


CHANGES = {
    # what, since when another answer, refused before, refused then
    "host-of-a-probe": (probing("10.0.0.1"), Level.BASELINE, 34, False, True),
    "reserved-ports": (pod(of_pod={"sysctls": [{"name": "net.ipv4.ip_local_reserved_ports"}]}), Level.BASELINE, 27, True, False),
    "keepalive": (pod(of_pod={"sysctls": [{"name": "net.ipv4.tcp_keepalive_time"}]}), Level.BASELINE, 29, True, False),
    "socket-buffers": (pod(of_pod={"sysctls": [{"name": "net.ipv4.tcp_rmem"}]}), Level.BASELINE, 32, True, False),
    "slow-start": (pod(of_pod={"sysctls": [{"name": "net.ipv4.tcp_slow_start_after_idle"}]}), Level.BASELINE, 37, True, False),
    "container-engine": (pod({"seLinuxOptions": {"type": "container_engine_t"}}), Level.BASELINE, 31, True, False),
    "proc-of-a-user-namespace": (pod({"procMount": "Unmasked"}, hostUsers=False), Level.BASELINE, 35, True, False),
    "root-of-a-user-namespace": (pod({"runAsUser": 0, "runAsNonRoot": False}, hostUsers=False), Level.RESTRICTED, 35, True, False),
}


@pytest.mark.parametrize(("found", "level", "since", "before", "then"), CHANGES.values(), ids=CHANGES)
def test_versions_differ(found: Any, level: Level, since: int, before: bool, then: bool) -> None:
    assert [bool(evaluate(*found, level, minor)) for minor in MINORS] == [then if minor >= since else before for minor in MINORS]


def test_restricted_masks_proc_even_in_a_user_namespace() -> None:
    found = evaluate(*pod({"procMount": "Unmasked"}, hostUsers=False), Level.RESTRICTED, 35)
    assert [each.check for each in found] == ["procMount_restricted"]


def test_windows_is_spared_what_means_nothing_there() -> None:
    spec = {"os": {"name": "windows"}, "securityContext": {"runAsNonRoot": True}, "containers": [{"name": "web"}]}
    assert evaluate({}, spec, Level.RESTRICTED, 25) == ()
    assert [each.check for each in evaluate({}, spec, Level.RESTRICTED, 24)] == [
        "allowPrivilegeEscalation",
        "capabilities_restricted",
        "seccompProfile_restricted",
    ]


def test_what_is_newer_than_known_has_the_newest_checks() -> None:
    assert checks_of(Level.RESTRICTED, NEWEST + 5) == checks_of(Level.RESTRICTED, NEWEST)


def test_every_check_is_known_once_and_grows_older_forwards() -> None:
    assert len({check.id for check in CHECKS}) == len(CHECKS) == 19
    assert all([since for since, _ in check.forms] == sorted({since for since, _ in check.forms}) for check in CHECKS)


def test_pointers_lead_to_what_is_wrong() -> None:
    metadata, spec = pod({"runAsUser": 0, "capabilities": {"drop": ["ALL"], "add": ["KILL"]}}, initContainers=[{"name": "first", "ports": [{"hostPort": 1}]}])
    found = {each.check: each.at for each in evaluate(metadata, spec, Level.RESTRICTED, 36)}
    assert found["runAsUser"] == (("spec", "containers", 0, "securityContext", "runAsUser"),)
    assert found["hostPorts"] == (("spec", "initContainers", 0, "ports", 0, "hostPort"),)
    assert found["capabilities_restricted"] == (
        ("spec", "initContainers", 0, "securityContext", "capabilities", "drop"),
        ("spec", "containers", 0, "securityContext", "capabilities", "add", 0),
    )


class TestDefaults:
    def test_a_volume_without_a_source_is_an_empty_folder(self) -> None:
        metadata, spec = pod(volumes=[{"name": "tmp"}, {"name": "run", "emptyDir": None}])
        assert 'volumes "tmp", "run" use restricted volume type "unknown"' in says((metadata, spec))
        assert says((metadata, defaulted(spec))) == ""

    def test_ports_in_the_hosts_network_are_host_ports(self) -> None:
        spec = {"hostNetwork": True, "containers": [{"name": "web", "ports": [{"containerPort": 80}, {"containerPort": 81, "hostPort": 81}]}]}
        assert says(({}, defaulted(spec)), Level.BASELINE) == ('host namespaces (hostNetwork=true), hostPort (container "web" uses hostPorts 80, 81)')

    def test_a_pod_without_either_stays_the_same_object(self) -> None:
        spec = pod(volumes=[{"name": "a", "emptyDir": {}}])[1]
        assert defaulted(spec) is spec


class TestLabels:
    def test_nothing_said(self) -> None:
        assert policy_of({}) == Policy()
        assert policy_of({}).fully_privileged

    def test_everything_said(self) -> None:
        labels = {f"pod-security.kubernetes.io/{key}": value for key, value in (("enforce", "baseline"), ("enforce-version", "v1.31"), ("audit", "restricted"))}
        assert policy_of(labels) == Policy(
            LevelVersion(Level.BASELINE, PolicyVersion(31)), LevelVersion(Level.RESTRICTED), LevelVersion(Level.BASELINE, PolicyVersion(31))
        )

    def test_warn_follows_enforce_only_when_it_says_nothing(self) -> None:
        prefix = "pod-security.kubernetes.io/"
        assert policy_of({f"{prefix}enforce": "restricted", f"{prefix}warn-version": "v1.30"}).warn == LevelVersion(Level.RESTRICTED, PolicyVersion(30))
        assert policy_of({f"{prefix}enforce": "restricted", f"{prefix}warn": "baseline"}).warn.level is Level.BASELINE

    @pytest.mark.parametrize("value", ["Restricted", "", "strict", None, 7])
    def test_enforce_fails_closed_audit_and_warn_open(self, value: object) -> None:
        policy = policy_of({f"pod-security.kubernetes.io/{mode}": value for mode in ("enforce", "audit", "warn")})
        assert (policy.enforce.level, policy.audit.level, policy.warn.level) == (Level.RESTRICTED, Level.PRIVILEGED, Level.PRIVILEGED)
        assert [fault.label for fault in policy.faults] == [f"pod-security.kubernetes.io/{mode}" for mode in ("enforce", "audit", "warn")]

    @pytest.mark.parametrize("value", ["1.31", "v1.031", "v2.1", "v1.31.4", "Latest", "", None])
    def test_a_version_that_cannot_be_read_is_the_latest(self, value: object) -> None:
        policy = policy_of({"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/enforce-version": value})
        assert str(policy.enforce) == "baseline:latest"
        assert [fault.message for fault in policy.faults] == ['must be "latest" or "v1.x"']

    @pytest.mark.parametrize(("version", "cluster", "minor"), [("latest", 36, 36), ("v1.25", 36, 25), ("v1.37", 34, 34), ("latest", 99, NEWEST)])
    def test_a_cluster_runs_no_check_that_is_newer_than_itself(self, version: str, cluster: int, minor: int) -> None:
        found = parse_version(version)
        assert found is not None
        assert found.at(cluster) == minor

    def test_what_is_no_version_of_kubernetes(self) -> None:
        assert [minor_of(text) for text in ("1.36", "v1.36.4", "1.36.4-gke.1")] == [36, 36, 36]
        with pytest.raises(ValueError, match="not a Kubernetes version"):
            minor_of("2.0")


class TestDecision:
    POLICY = policy_of(
        {
            "pod-security.kubernetes.io/enforce": "baseline",
            "pod-security.kubernetes.io/audit": "restricted",
            "pod-security.kubernetes.io/warn": "restricted",
            "pod-security.kubernetes.io/warn-version": "v1.31",
        }
    )
    BARE = ({}, {"hostNetwork": True, "containers": []})

    def test_only_pods_are_refused(self) -> None:
        pod_, template = (decide(Request(kind, *self.BARE), self.POLICY, 36) for kind in ("Pod", "Deployment.apps"))
        assert pod_.denied == 'violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)'
        assert pod_.warnings == ()
        assert template.denied == ""
        assert template.warnings == ('would violate PodSecurity "restricted:v1.31": host namespaces (hostNetwork=true)',)
        assert pod_.audit == template.audit == 'would violate PodSecurity "restricted:latest": host namespaces (hostNetwork=true)'

    def test_other_kinds_are_none_of_its_business(self) -> None:
        assert decide(Request("Rollout.argoproj.io", *self.BARE), self.POLICY, 36) == decide(Request("Pod", *self.BARE), Policy(), 36)

    @pytest.mark.parametrize(
        ("exemptions", "reason"),
        [
            (Exemptions(namespaces=frozenset({"kube-system"})), "namespace"),
            (Exemptions(usernames=frozenset({"system:serviceaccount:kube-system:replicaset-controller"})), "user"),
            (Exemptions(runtime_classes=frozenset({"kata"})), "runtimeClass"),
            (Exemptions(), ""),
        ],
    )
    def test_exemptions(self, exemptions: Exemptions, reason: str) -> None:
        request = Request(
            "Pod",
            {},
            {**self.BARE[1], "runtimeClassName": "kata"},
            "kube-system",
            "system:serviceaccount:kube-system:replicaset-controller",
        )
        found = decide(request, self.POLICY, 36, exemptions)
        assert found.exempt == reason
        assert bool(found.denied) == (not reason)


def configured(**fields: Any) -> Configuration:
    return read({"apiVersion": "pod-security.admission.config.k8s.io/v1", "kind": "PodSecurityConfiguration", **fields})


class TestConfiguration:
    def test_defaults_and_exemptions(self) -> None:
        found = configured(
            defaults={"enforce": "baseline", "enforce-version": "v1.31", "warn": ""}, exemptions={"namespaces": ["kube-system"], "runtimeClasses": ["kata"]}
        )
        assert found.defaults == Policy(LevelVersion(Level.BASELINE, PolicyVersion(31)))
        assert found.exemptions == Exemptions(namespaces=frozenset({"kube-system"}), runtime_classes=frozenset({"kata"}))
        assert policy_of({"pod-security.kubernetes.io/audit": "restricted"}, found.defaults).enforce == LevelVersion(Level.BASELINE, PolicyVersion(31))

    def test_inside_an_admission_configuration(self) -> None:
        inner = {"apiVersion": "pod-security.admission.config.k8s.io/v1beta1", "kind": "PodSecurityConfiguration", "defaults": {"audit": "restricted"}}
        plugins = [{"name": "EventRateLimit"}, {"name": "PodSecurity", "configuration": inner}]
        assert read({"kind": "AdmissionConfiguration", "plugins": plugins}).defaults.audit == LevelVersion(Level.RESTRICTED)
        assert read({"kind": "AdmissionConfiguration", "plugins": plugins[:1]}) == Configuration()

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"defaults": {"enforce": "strict"}}, "defaults.enforce: strict: must be one of"),
            ({"defaults": {"warn-version": "1.31"}}, 'defaults.warn-version: 1.31: must be "latest" or "v1.x"'),
            ({"defaults": {"enforced": "baseline"}}, "defaults has no field enforced"),
            ({"exemptions": {"users": []}}, "exemptions has no field users"),
            ({"exemptions": {"namespaces": ["a", "a"]}}, "exemptions.namespaces: a is listed twice"),
            ({"exemptions": {"usernames": [""]}}, "exemptions.usernames: a name is empty"),
            ({"kind": "Pod"}, "got Pod"),
            ({"kind": "AdmissionConfiguration", "plugins": [{"name": "PodSecurity", "path": "x.yaml"}]}, "stands in x.yaml"),
        ],
    )
    def test_what_the_api_server_refuses(self, fields: dict[str, Any], message: str) -> None:
        with pytest.raises(InvalidConfigurationError, match=re.escape(message)):
            configured(**fields)


def template(spec: Any) -> PodTemplate:
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": {"spec": spec}}}
    found = pod_of(Object(ObjectId("test", "apps", "Deployment", "web", "web"), body, Origin(fixed(Location("a.yaml", 1)))))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"containers": []}, ""),
        (None, "it has no spec"),
        ({"containers": {}}, "spec.containers is not a list"),
        ({"containers": [1]}, "spec.containers[0] is not a mapping"),
        ({"hostNetwork": "true"}, "spec.hostNetwork is not true or false"),
        ({"securityContext": []}, "spec.securityContext is not a mapping"),
        ({"initContainers": [{"securityContext": {"runAsUser": True}}]}, "spec.initContainers[0].securityContext.runAsUser is not a whole number"),
        ({"containers": [{"securityContext": {"capabilities": {"add": "ALL"}}}]}, "spec.containers[0].securityContext.capabilities.add is not a list"),
        ({"volumes": ["a"]}, "spec.volumes[0] is not a mapping"),
    ],
)
def test_a_pod_that_the_api_server_cannot_read_is_not_judged(spec: Any, reason: str) -> None:
    judged = judge(template(spec), LevelVersion(Level.PRIVILEGED), 36)
    assert (judged.odd, judged.violated) == (reason, ())


# What the page "Pod Security Standards" lists, field by field, for a pod of Linux without a user namespace: an oracle that shares nothing with the checks.
DEFAULT_CAPABILITIES = {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID"}
DEFAULT_CAPABILITIES |= {"SETPCAP", "SETUID", "SYS_CHROOT"}


def walk(value: Any, path: list[str]) -> list[Any]:
    """All values at a path; ``*`` is every entry of a list; what is absent is None."""
    if not path:
        return [value]
    if path[0] == "*":
        return [found for entry in value or [] for found in walk(entry, path[1:])]
    return walk(value.get(path[0]) if isinstance(value, dict) else None, path[1:])


def listed(spec: dict[str, Any], *paths: str) -> list[Any]:
    lists = [path.replace("containers", name, 1) for path in paths for name in ("containers", "initContainers", "ephemeralContainers")]
    return [found for path in dict.fromkeys(lists) for found in walk(spec, path.split("."))]


def page(spec: dict[str, Any], level: Level, minor: int) -> bool:
    """Whether the page allows a pod."""
    ok = all(value in (None, False) for value in listed(spec, "hostNetwork", "hostPID", "hostIPC", "containers.*.securityContext.privileged"))
    ok &= all(value in (None, 0) for value in listed(spec, "containers.*.ports.*.hostPort"))
    ok &= all(value in DEFAULT_CAPABILITIES for value in listed(spec, "containers.*.securityContext.capabilities.add.*"))
    ok &= all(value is None for value in walk(spec, ["volumes", "*", "hostPath"]))
    ok &= all(value in (None, "Default") for value in listed(spec, "containers.*.securityContext.procMount"))
    profiles = [value for value in listed(spec, "securityContext.seccompProfile", "containers.*.securityContext.seccompProfile") if value is not None]
    ok &= all(value.get("type") in ("RuntimeDefault", "Localhost") for value in profiles)
    if minor >= 34:
        ok &= all(value in (None, "") for value in listed(spec, "containers.*.livenessProbe.httpGet.host"))
    if level is Level.RESTRICTED:
        ok &= all(set(volume) - {"name"} <= {"configMap", "emptyDir", "secret", "csi"} for volume in spec.get("volumes", []))
        ok &= all(value is False for value in listed(spec, "containers.*.securityContext.allowPrivilegeEscalation"))
        ok &= all("ALL" in (value or []) for value in listed(spec, "containers.*.securityContext.capabilities.drop"))
        ok &= all(value == "NET_BIND_SERVICE" for value in listed(spec, "containers.*.securityContext.capabilities.add.*"))
        ok &= all(value != 0 for value in listed(spec, "securityContext.runAsUser", "containers.*.securityContext.runAsUser"))
        (of_pod,), (profile,) = walk(spec, ["securityContext", "runAsNonRoot"]), walk(spec, ["securityContext", "seccompProfile"])
        ok &= of_pod is not False
        ok &= all((of_pod if value is None else value) is True for value in listed(spec, "containers.*.securityContext.runAsNonRoot"))
        ok &= all((value or profile) is not None for value in listed(spec, "containers.*.securityContext.seccompProfile"))
    return bool(ok)


def fields(**values: list[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={key: st.sampled_from(found) for key, found in values.items()})


PROFILE = [{"type": "RuntimeDefault"}, {"type": "RuntimeDefault"}, {"type": "Localhost"}, {"type": "Unconfined"}]
CONTEXT = fields(
    privileged=[True, False],
    allowPrivilegeEscalation=[False, False, False, True],
    capabilities=[{"drop": ["ALL"]}, {"drop": ["ALL"]}, {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}, {"add": ["CHOWN"]}, {"drop": ["ALL"], "add": ["BPF"]}],
    procMount=["Default", "Unmasked"],
    runAsNonRoot=[True, True, False],
    runAsUser=[0, 1000, 1000],
    seccompProfile=PROFILE,
)
CONTAINER = st.builds(
    lambda name, context, ports, host: {
        "name": name,
        "securityContext": context,
        **({"ports": ports} if ports else {}),
        **({"livenessProbe": {"httpGet": {"host": host}}} if host is not None else {}),
    },
    st.sampled_from(["a", "b"]),
    CONTEXT | st.just({**CONFINED}) | st.just({**CONFINED, **SAFE}),
    st.sampled_from([None, None, None, [{"containerPort": 80}], [{"containerPort": 80, "hostPort": 80}]]),
    st.sampled_from([None, None, None, "", "10.0.0.1"]),
)
SPEC = st.builds(
    lambda host, context, containers, init, ephemeral, volumes: {
        **host,
        "securityContext": context,
        "containers": containers,
        "initContainers": init,
        "ephemeralContainers": ephemeral,
        "volumes": volumes,
    },
    st.just({}) | st.just({}) | fields(hostNetwork=[True, False], hostPID=[True], hostIPC=[False]),
    fields(runAsNonRoot=[True, True, True, False], runAsUser=[0, 1000], seccompProfile=PROFILE) | st.just(SAFE),
    st.lists(CONTAINER, min_size=1, max_size=2),
    st.lists(CONTAINER, max_size=1),
    st.lists(CONTAINER, max_size=1),
    st.lists(
        st.sampled_from([{"name": "c", "configMap": {}}, {"name": "e", "emptyDir": {}}, {"name": "h", "hostPath": {}}, {"name": "n", "nfs": {}}]), max_size=2
    ),
)


@settings(max_examples=150, deadline=None)
@given(SPEC, st.sampled_from([Level.BASELINE, Level.RESTRICTED]), st.sampled_from(MINORS))
def test_random_pods_are_allowed_as_the_page_says(spec: dict[str, Any], level: Level, minor: int) -> None:
    assert (evaluate({}, spec, level, minor) == ()) == page(spec, level, minor)


@settings(max_examples=60, deadline=None)
@given(SPEC, CONTAINER, st.sampled_from(["containers", "initContainers", "ephemeralContainers"]), st.sampled_from(MINORS))
def test_stricter_levels_and_more_containers_never_admit_more(spec: dict[str, Any], container: dict[str, Any], where: str, minor: int) -> None:
    refused = {level: {each.check for each in evaluate({}, spec, level, minor)} for level in Level}
    assert refused[Level.PRIVILEGED] == set()
    if refused[Level.BASELINE]:
        assert refused[Level.RESTRICTED]
    more = {**spec, where: [*spec[where], container]}
    for level in Level:
        assert refused[level] <= {each.check for each in evaluate({}, more, level, minor)}
    assert (strictest({}, spec, minor) is Level.RESTRICTED) == (not evaluate({}, defaulted(spec), Level.RESTRICTED, minor))


@settings(max_examples=60, deadline=None)
@given(SPEC, st.sampled_from([Level.BASELINE, Level.RESTRICTED]), st.sampled_from(MINORS))
def test_newer_versions_refuse_more_only_for_the_hosts_of_probes(spec: dict[str, Any], level: Level, minor: int) -> None:
    before = {each.check for each in evaluate({}, spec, level, minor)}
    after = {each.check for each in evaluate({}, spec, level, NEWEST)} - {"hostProbesAndHostLifecycle"}
    # From 1.35 on, restricted masks /proc by a check of its own.
    assert {check.replace("procMount_restricted", "procMount") for check in after} <= {check.replace("procMount_restricted", "procMount") for check in before}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["containers", "securityContext", "name", "volumes", "ports", "capabilities", "add", "type", "seccompProfile"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(ANYTHING, ANYTHING, ANYTHING, st.sampled_from([*Level]))
def test_input_of_any_shape_is_judged_without_an_error(containers: Any, context: Any, volumes: Any, level: Level) -> None:
    spec = {"containers": containers, "securityContext": context, "volumes": volumes, "hostNetwork": True}
    assert isinstance(evaluate({"annotations": context}, defaulted(spec), level, 36), tuple)
