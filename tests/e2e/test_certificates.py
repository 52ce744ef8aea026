"""cert-manager: every issuer issues, a renewal reaches the listener, and a tenant gets no certificate for the host of another."""

from __future__ import annotations

import copy
import secrets
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from harness.live.faults import applied, deleted, maker, patched, stopped
from harness.live.findings import NotEvaluatedError, expect
from harness.live.ingress.acme import acme, challenged
from harness.live.ingress.certificates import CLUSTER_ISSUER, asked, authority_of, certificate, issued_of, names_in, renew, signed_by
from harness.live.ingress.hosts import first, is_platform, rows
from harness.live.ingress.load import Load
from harness.live.proofs import CLOSED, require
from harness.live.reach.run import RunError
from harness.live.reach.wait import Waiter, WaitError, WaitTimeoutError, wait
from harness.live.red import observed
from harness.live.rules.ingress import ACME, ISSUES, REFUSED, RENEWS
from harness.live.sync.readiness import Key

if TYPE_CHECKING:
    from harness.engines.certificates.matrix import Row
    from harness.flux.world import World
    from harness.live.bringup import Platform
    from harness.live.ingress.acme import Acme
    from harness.live.ingress.edge import Edge
    from harness.live.reach.kubectl import Kubectl
    from harness.model import Object

pytestmark = pytest.mark.proof(uses=("cert-manager", "cert-manager-config", "kyverno", "policies-certificates"))

#: Seconds until a certificate of an issuer in the cluster must be there.
BUDGET = 20
#: Seconds that a broken issuer is waited for; a whole one that needs longer is asked again.
SHORT = 8
#: Seconds for a certificate of an ACME server: a solver pod has to start, and nginx to hear of it.
ACME_BUDGET = 60
ACME_SHORT = 45
#: Seconds in which nginx shows a certificate that it was given.
LOADED = 20
#: Requests a second while a certificate is renewed.
PACE = 10
POLICY = "ValidatingPolicy.policies.kyverno.io"


def issuers(world: World) -> dict[str, Object]:
    return {item.name: item for item in world.of(CLUSTER_ISSUER)}


def issue(platform: Platform, issuer: Object, within: float = BUDGET) -> str:
    """Ask for a certificate and look at every part of it. Empty text when it is as asked."""
    if "acme" in issuer.spec:
        raise NotEvaluatedError(str(issuer.id), "certificate", "its authority is outside the cluster")
    trusted = authority_of(platform, issuer)
    body = asked(f"proof-{secrets.token_hex(4)}", issuer.name)
    with certificate(platform.cluster.kubectl, body, within=within) as found:
        own = found.certificate
        authorities = x509.load_pem_x509_certificates(trusted.encode()) if trusted else [own]
        lives = own.not_valid_after_utc - own.not_valid_before_utc
        wrong = [
            "" if names_in(own) == tuple(body["spec"]["dnsNames"]) else f"names {', '.join(names_in(own)) or 'none'}",
            "" if found.matches else "the key in the Secret is not the certificate's",
            "" if signed_by(own, authorities) else f"signed by {own.issuer.rfc4514_string()}, not by the authority of {issuer.name}",
            # Vault sets the beginning back by half a minute, so that clocks may differ.
            "" if timedelta(hours=24) <= lives <= timedelta(hours=24, minutes=5) else f"lives {lives}",
            "" if own.not_valid_before_utc <= datetime.now(UTC) < own.not_valid_after_utc else f"valid from {own.not_valid_before_utc}",
        ]
        return "; ".join(part for part in wrong if part)


@pytest.mark.each(issuer=issuers)
def test_issuer_issues(platform: Platform, issuer: Object) -> None:
    require(platform, *(key.name for key in maker(issuer)))
    found = observed(lambda: issue(platform, issuer))
    expect(ISSUES, issuer, not found, found=found, expected="the names, key, lifetime and signature that were asked for")


#: What makes each kind of issuer unable to sign, and how it is said.
BROKEN = {
    "ca": ({"ca": {"secretName": "absent"}}, "its CA's Secret is another one"),
    "vault": ({"vault": {"auth": {"kubernetes": {"role": "nobody"}}}}, "it logs in to Vault with a role that is not there"),
    "selfSigned": ({"selfSigned": None, "ca": {"secretName": "absent"}}, "it has to sign with a CA that is not there"),
}


@pytest.mark.proof(breaks=("cert-manager-config", "cert-manager-vault"))
@pytest.mark.each(issuer=issuers)
def test_issuer_that_cannot_sign_is_seen(platform: Platform, kubectl: Kubectl, issuer: Object) -> None:
    require(platform, *(key.name for key in maker(issuer)))
    kind = next((kind for kind in BROKEN if kind in issuer.spec), None)
    if kind is None:
        raise NotEvaluatedError(str(issuer.id), "red proof", "its authority is outside the cluster")
    spec, fault = BROKEN[kind]
    breaking = patched(kubectl, "clusterissuers.cert-manager.io", issuer.name, "", {"spec": spec}, suspending=maker(issuer))
    platform.red(f"Certificate -> ClusterIssuer {issuer.name}", fault, breaking, lambda: issue(platform, issuer, SHORT))


def shown(edge: Edge, host: str) -> int:
    """The serial of the certificate that the listener shows for a host."""
    return x509.load_der_x509_certificate(edge.ask(host).certificate).serial_number


def reaches(platform: Platform, edge: Edge, row: Row, within: float = BUDGET) -> str:
    """Renew the certificate of a host while it is asked all the time. Empty text when the listener shows the new one and no request failed."""
    kubectl, host, item = platform.cluster.kubectl, row.listener.host, row.certificate
    if item is None or row.listener.secret is None:
        raise NotEvaluatedError(host, "renewal", "no Certificate makes its Secret")

    def ask() -> str:
        status = edge.ask(host).status
        return f"status {status}" if status >= 500 else ""

    before = shown(edge, host)
    namespace, secret = row.listener.secret
    with Load(ask, pace=PACE) as load:
        renew(kubectl, item.name, item.namespace)
        try:
            Waiter(lambda: shown(edge, host), "serial {:x}".format).wait(
                lambda serial: serial != before, successes=3, timeout=within, what=f"a new certificate of {host}"
            )
        except WaitError as error:
            return str(error)
    made = issued_of(kubectl.json("get", "secrets", secret, f"--namespace={namespace}")).serial
    if made != shown(edge, host):
        return f"the listener shows serial {shown(edge, host):x}, the Secret has {made:x}"
    return str(load) if load.failures else ""


@pytest.mark.proof(uses=("ingress-nginx", "metallb-config"), breaks=("flux-receiver",))
def test_renewal_reaches_the_listener(platform: Platform) -> None:
    edge, row = first(platform)
    found = observed(lambda: reaches(platform, edge, row))
    expect(RENEWS, row.certificate or row.listener.item, not found, found=found, expected=f"another serial within {BUDGET} s, and no failed request")


@pytest.mark.proof(uses=("ingress-nginx", "metallb-config"), breaks=("flux-receiver", "cert-manager"))
def test_renewal_that_does_not_come_is_seen(platform: Platform, kubectl: Kubectl) -> None:
    edge, row = first(platform)
    breaking = stopped(kubectl, "deployments.apps", "cert-manager", "cert-manager", suspending=[Key("HelmRelease", "cert-manager", "cert-manager")])
    platform.red(f"Certificate -> {row.listener.host}", "cert-manager is stopped", breaking, lambda: reaches(platform, edge, row, SHORT))


#: The policies that keep a tenant to its own hosts, and the kind that each is about.
HOSTS = {"restrict-certificate-hosts": "Certificate", "restrict-ingress-hosts": "Ingress"}


def foreign_host(platform: Platform, kind: str) -> str:
    """A tenant asks for its own host, which must be admitted, and for one of another namespace, which must be refused for that reason."""
    kubectl, world = platform.cluster.kubectl, platform.world
    own = next((row for row in rows(world).values() if not is_platform(world, row.listener.item.namespace)), None)
    other = next((row for row in rows(world).values() if own is not None and row.listener.item.namespace != own.listener.item.namespace), None)
    if own is None or other is None:
        raise NotEvaluatedError(world.cluster.name, f"{kind} for a foreign host", "no two namespaces, one of them a tenant's, serve a host")
    namespace, wrong = own.listener.item.namespace, []
    for host, admitted in ((own.listener.host, True), (other.listener.host, False)):
        name = f"proof-{secrets.token_hex(4)}"
        body = asked(name, "platform-ca", namespace=namespace, names=[host])
        if kind == "Ingress":
            body = copy.deepcopy(dict(own.listener.item.body))
            body["metadata"] = {"name": name, "namespace": namespace, "labels": dict(own.listener.item.labels)}
            body["spec"]["rules"] = [{**body["spec"]["rules"][0], "host": host}]
            body["spec"]["tls"] = [{**body["spec"]["tls"][0], "hosts": [host]}]
        try:
            kubectl.apply([body], dry_run=True)
        except RunError as error:
            if admitted or "plimsoll.io/hosts" not in str(error):
                wrong.append(f"{namespace} asks for {host}: {error.reason}")
        else:
            wrong += [] if admitted else [f"{namespace} may have {host}"]
    return "; ".join(wrong)


@pytest.mark.proof(uses=("policies-networking", "kyverno"))
@pytest.mark.parametrize("policy", HOSTS)
def test_host_of_another_namespace_is_refused(platform: Platform, policy: str) -> None:
    found = foreign_host(platform, HOSTS[policy])
    expect(REFUSED, platform.world.find(POLICY, "", policy) or policy, not found, found=found, expected="its own host admitted, the other's refused")


@pytest.mark.proof(uses=("kyverno",), breaks=("policies-networking", "policies-certificates"))
@pytest.mark.parametrize("policy", HOSTS)
def test_policy_that_only_watches_is_seen(platform: Platform, kubectl: Kubectl, policy: str) -> None:
    item = platform.world.find(POLICY, "", policy)
    if item is None:
        raise NotEvaluatedError(policy, "red proof", "it is not in the cluster's build")
    audit = {"spec": {"validationActions": ["Audit"]}}
    breaking = patched(kubectl, "validatingpolicies.policies.kyverno.io", policy, "", audit, suspending=maker(item))
    platform.red(f"{HOSTS[policy]} -> policy {policy}", "the policy audits only", breaking, lambda: foreign_host(platform, HOSTS[policy]))


def challenge(edge: Edge, row: Row, server: Acme, within: float = ACME_BUDGET) -> str:
    """Have a certificate issued through a challenge behind the ingress. Empty text when it is the server's, and what the listener shows."""
    name = f"proof-{secrets.token_hex(4)}"
    kubectl = edge.platform.cluster.kubectl
    ingress, body = challenged(row.listener.item, server.host, name)
    with applied(kubectl, ingress), certificate(kubectl, body, within=within) as found:
        # nginx takes a moment to load what it was given.
        with suppress(WaitTimeoutError):
            wait(lambda: shown(edge, server.host) == found.serial, timeout=LOADED, delay=0.5)
        serial = shown(edge, server.host)
        trusted = signed_by(found.certificate, found.chain) and signed_by(found.chain[-1], server.roots())
        wrong = [
            "" if trusted else f"signed by {found.certificate.issuer.rfc4514_string()}, not by the ACME server's authority",
            "" if names_in(found.certificate) == (server.host,) else f"names {', '.join(names_in(found.certificate))}",
            "" if serial == found.serial else f"the listener shows serial {serial:x}, the Secret has {found.serial:x}",
        ]
        return "; ".join(part for part in wrong if part)


@pytest.mark.proof(uses=("metallb-config", CLOSED), breaks=("ingress-nginx",), seconds=400)
def test_challenge_is_solved_behind_the_ingress(platform: Platform, kubectl: Kubectl) -> None:
    edge, row = first(platform)
    way = platform.world.find("NetworkPolicy.networking.k8s.io", edge.service.namespace, "allow-egress-acme-solver-8089")
    if way is None:
        raise NotEvaluatedError(str(edge.service.id), "ACME", "no NetworkPolicy in Git lets nginx reach solvers")
    with acme(platform, edge, f"proof-{secrets.token_hex(4)}") as server:
        found = observed(lambda: challenge(edge, row, server))
        expect(ACME, edge.service, not found, found=found, expected="a certificate of the ACME server, shown by the listener")
        # What was seen just now need not be seen again before the hop is broken.
        seen = [found]
        breaking = deleted(kubectl, "networkpolicies.networking.k8s.io", way.name, way.namespace, suspending=maker(way))
        platform.red(
            "nginx -> solver",
            f"NetworkPolicy {way.name} is deleted",
            breaking,
            lambda: seen.pop() if seen else challenge(edge, row, server, ACME_SHORT),
        )
