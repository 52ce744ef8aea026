"""The rules of the way in: addresses of LoadBalancers, what answers at them, and the certificates that it answers with."""

from __future__ import annotations

from typing import Final

from harness.live.findings import LiveRule

POOLED: Final = LiveRule(
    id="LIV301",
    title="every LoadBalancer has an address of a pool that Git gives its namespace",
    why="an address of another pool, or none, is not the one in DNS and in the firewalls of partners",
    fix="see the events of the Service, and the IPAddressPools (clusters/base/infrastructure/metallb/configs)",
    controls=("NIST-SC-7",),
)
ANNOUNCED: Final = LiveRule(
    id="LIV302",
    title="the network finds every LoadBalancer's address at the node that MetalLB says announces it",
    why="an address that nobody answers for on the wire is reachable from inside the cluster only, where nobody looks from",
    fix="see the speaker's log, the L2Advertisements, and whether a pod behind the Service is ready (externalTrafficPolicy: Local)",
)
FAILS_OVER: Final = LiveRule(
    id="LIV303",
    title="another node announces an address soon after the one that did is out of service",
    why="a node is taken out of service for every upgrade of the cluster",
    fix="see the speakers' logs, and whether a pod behind the Service is ready on another node",
)
TLS: Final = LiveRule(
    id="LIV311",
    title="every host answers with the certificate that the TLS matrix derives from Git: chain, names, and dates",
    why="what the matrix says offline is what clients meet only if the controller serves the Secret that it names",
    fix="see the Certificate and its Secret, and what the controller says of the Ingress in its events",
    controls=("NIST-SC-8", "NIST-SC-17"),
)
FLOOR: Final = LiveRule(
    id="LIV312",
    title="every host agrees on the TLS versions from its floor on, and on none below",
    why="a version below the floor has known breaks; a version above it that is refused locks clients out",
    fix="see ssl-protocols in the controller's ConfigMap (clusters/base/infrastructure/ingress-nginx/controllers)",
    controls=("NIST-SC-8", "NIST-SC-13"),
)
CLEAR: Final = LiveRule(
    id="LIV313",
    title="every host sends plain requests to HTTPS and asks browsers to stay there, as the TLS matrix derives",
    why="one request in clear text is enough to take over a session",
    fix="see redirect-to-https and hsts in the controller's ConfigMap, and tls.redirect of a VirtualServer",
    controls=("NIST-SC-8",),
)
ROUTED: Final = LiveRule(
    id="LIV314",
    title="every path of a host reaches the Service that Git names, and no path that it does not name reaches any",
    why="a path that goes elsewhere shows one system's data to the users of another",
    fix="see the routes of the object, and what other objects name the same host",
    controls=("NIST-AC-4",),
)
UNKNOWN: Final = LiveRule(
    id="LIV315",
    title="a host that nobody serves, or only an Ingress of a foreign class, gets the default certificate and 404",
    why="a controller that serves what it was not given makes public what was meant for another one, or for nobody",
    fix="see default-server-return and the ingress class of the controller",
    controls=("NIST-AC-4", "NIST-SC-7"),
)
LIMITED: Final = LiveRule(
    id="LIV316",
    title="a client gets the rate that its Policy declares, is refused beyond it, and is served again afterwards",
    why="a limit that never bites does not slow down guessing; one that bites too early is an outage of its own",
    fix="see the rateLimit Policy, and which VirtualServers name it",
    controls=("NIST-SC-5",),
)
ALLOWED: Final = LiveRule(
    id="LIV317",
    title="a host with an access list answers a stranger with 403 whatever else it knows",
    why="the list is what stays when a password got lost",
    fix="see the accessControl Policy, and which VirtualServers name it",
    controls=("NIST-AC-3", "NIST-SC-7"),
)
AUTHENTICATED: Final = LiveRule(
    id="LIV318",
    title="a host behind a password serves who has it, and answers 401 to who does not",
    why="the systems behind it have no users of their own: who gets through sees everything",
    fix="see the basicAuth Policy and its Secret, and which VirtualServers name it",
    controls=("NIST-AC-3", "NIST-IA-2"),
)
CLIENT: Final = LiveRule(
    id="LIV319",
    title="the access log names the address that a client connects from, whatever it says of itself",
    why="access lists, rate limits and investigations go by it",
    fix="see externalTrafficPolicy of the Service, and real-ip-header and set-real-ip-from in the controller's ConfigMap",
    controls=("NIST-AU-3",),
)
ISSUES: Final = LiveRule(
    id="LIV331",
    title="every issuer signs what is asked of it: names, key, lifetime, and a signature of its own authority",
    why="that an issuer reports Ready says that it has a key or an account, not that anybody gets a certificate",
    fix="see the CertificateRequest's conditions and cert-manager's log",
    controls=("NIST-SC-12", "NIST-SC-17"),
)
RENEWS: Final = LiveRule(
    id="LIV332",
    title="a renewed certificate reaches the listener, and no request fails meanwhile",
    why="a renewal that nobody serves ends as an expired certificate; one that drops connections is an outage each time",
    fix="see the Certificate's conditions, and the controller's log of the reload",
    controls=("NIST-SC-12",),
)
REFUSED: Final = LiveRule(
    id="LIV333",
    title="a tenant gets neither a certificate nor a route for a host that is not its own",
    why="whoever holds a certificate for a name, or its route, can be that name",
    fix="see the policies restrict-certificate-hosts and restrict-ingress-hosts, and plimsoll.io/hosts on the namespace",
    controls=("NIST-SC-17", "NIST-AC-4"),
)
ACME: Final = LiveRule(
    id="LIV334",
    title="a certificate of an ACME server is issued through a challenge that is answered behind the platform's own ingress",
    why="the challenge crosses redirects, network policies and the limits of a tenant's namespace; each can stop renewals weeks after it was changed",
    fix="see the Challenge's status, the solver pod, and the network policies between nginx, cert-manager and the solver",
    controls=("NIST-SC-17",),
)

RULES: Final = (
    POOLED, ANNOUNCED, FAILS_OVER, TLS, FLOOR, CLEAR, ROUTED, UNKNOWN, LIMITED, ALLOWED, AUTHENTICATED, CLIENT, ISSUES, RENEWS, REFUSED, ACME,
)  # fmt: skip
