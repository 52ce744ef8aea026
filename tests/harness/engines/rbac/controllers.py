"""The roles of the control plane's controllers, each bound to the account of its own name in kube-system.

Facts of a Kubernetes v1.34 API server (``kubectl get clusterroles``), in the notation of :mod:`harness.engines.rbac.defaults`.
"""

from __future__ import annotations

from typing import Final

_EVENTS: Final = "cup core+events.k8s.io: events"

#: ClusterRoles by name, without the prefix ``system:controller:``.
CONTROLLERS: Final[dict[str, tuple[str, ...]]] = {
    "attachdetach-controller": (
        "lw core: persistentvolumeclaims persistentvolumes",
        "glw core: nodes",
        "up core: nodes/status",
        "lw core: pods",
        _EVENTS,
        "glwcd storage.k8s.io: volumeattachments",
        "glw storage.k8s.io: csidrivers",
        "glw storage.k8s.io: csinodes",
    ),
    "certificate-controller": (
        "glwd certificates.k8s.io: certificatesigningrequests",
        "u certificates.k8s.io: certificatesigningrequests/approval certificatesigningrequests/status",
        "=approve certificates.k8s.io: signers [kubernetes.io/kube-apiserver-client-kubelet]",
        "=sign certificates.k8s.io: signers [kubernetes.io/kube-apiserver-client"
        " kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving kubernetes.io/legacy-unknown]",
        "c authorization.k8s.io: subjectaccessreviews",
        _EVENTS,
    ),
    "clusterrole-aggregation-controller": ("=escalate,get,list,patch,update,watch rbac.authorization.k8s.io: clusterroles",),
    "cronjob-controller": (
        "glwu batch: cronjobs",
        "glwcupd batch: jobs",
        "u batch: cronjobs/status",
        "u batch: cronjobs/finalizers",
        "lwd core: pods",
        _EVENTS,
    ),
    "daemon-set-controller": (
        "glw apps+extensions: daemonsets",
        "u apps+extensions: daemonsets/status",
        "u apps+extensions: daemonsets/finalizers",
        "lw core: nodes",
        "lwcpd core: pods",
        "c core: pods/binding",
        "glwcupd apps: controllerrevisions",
        _EVENTS,
    ),
    "deployment-controller": (
        "glwu apps+extensions: deployments",
        "u apps+extensions: deployments/status",
        "u apps+extensions: deployments/finalizers",
        "glwcupd apps+extensions: replicasets",
        "glwu core: pods",
        _EVENTS,
    ),
    "disruption-controller": (
        "glw apps+extensions: deployments",
        "glw apps+extensions: replicasets",
        "glw core: replicationcontrollers",
        "glw policy: poddisruptionbudgets",
        "glw apps: statefulsets",
        "u policy: poddisruptionbudgets/status",
        "up core: pods/status",
        "g *: */scale",
        _EVENTS,
    ),
    "endpoint-controller": (
        "glw core: pods services",
        "glwcud core: endpoints",
        "c core: endpoints/restricted",
        _EVENTS,
    ),
    "endpointslice-controller": (
        "glw core: nodes pods services",
        "u core: services/finalizers",
        "glwcud discovery.k8s.io: endpointslices",
        _EVENTS,
    ),
    "endpointslicemirroring-controller": (
        "glw core: endpoints services",
        "u core: services/finalizers",
        "u core: endpoints/finalizers",
        "glwcud discovery.k8s.io: endpointslices",
        _EVENTS,
    ),
    "ephemeral-volume-controller": (
        "glw core: pods",
        "u core: pods/finalizers",
        "glwc core: persistentvolumeclaims",
        _EVENTS,
    ),
    "expand-controller": (
        "glwup core: persistentvolumes",
        "up core: persistentvolumeclaims/status",
        "glw core: persistentvolumeclaims",
        _EVENTS,
        "g core: services",
    ),
    "generic-garbage-collector": (
        "glwupd *: *",
        _EVENTS,
    ),
    "horizontal-pod-autoscaler": (
        "glw autoscaling: horizontalpodautoscalers",
        "u autoscaling: horizontalpodautoscalers/status",
        "gu *: */scale",
        "lw core: pods",
        "lw metrics.k8s.io: pods",
        "glw custom.metrics.k8s.io: *",
        "glw external.metrics.k8s.io: *",
        _EVENTS,
    ),
    "job-controller": (
        "glwup batch: jobs",
        "u batch: jobs/status",
        "u batch: jobs/finalizers",
        "lwcpd core: pods",
        _EVENTS,
    ),
    "legacy-service-account-token-cleaner": (
        "g core: configmaps [kube-apiserver-legacy-service-account-token-tracking]",
        "pd core: secrets",
    ),
    "namespace-controller": (
        "glwd core: namespaces",
        "u core: namespaces/finalize namespaces/status",
        "glwdD *: *",
    ),
    "node-controller": (
        "glwupd core: nodes",
        "up core: nodes/status",
        "up core: pods/status",
        "glwd core: pods",
        _EVENTS,
    ),
    "persistent-volume-binder": (
        "glwcud core: persistentvolumes",
        "u core: persistentvolumes/status",
        "glwu core: persistentvolumeclaims",
        "u core: persistentvolumeclaims/status",
        "glwcd core: pods",
        "glw storage.k8s.io: storageclasses",
        "lw core: nodes",
        _EVENTS,
        "w core: events",
        "g core: services",
    ),
    "pod-garbage-collector": (
        "lwd core: pods",
        "glw core: nodes",
        "p core: pods/status",
    ),
    "pv-protection-controller": (
        "glwu core: persistentvolumes",
        _EVENTS,
    ),
    "pvc-protection-controller": (
        "glwu core: persistentvolumeclaims",
        "glw core: pods",
        _EVENTS,
    ),
    "replicaset-controller": (
        "glwu apps+extensions: replicasets",
        "u apps+extensions: replicasets/status",
        "u apps+extensions: replicasets/finalizers",
        "lwcpd core: pods",
        _EVENTS,
    ),
    "replication-controller": (
        "glwu core: replicationcontrollers",
        "u core: replicationcontrollers/status",
        "u core: replicationcontrollers/finalizers",
        "lwcpd core: pods",
        _EVENTS,
    ),
    "resource-claim-controller": (
        "glw core: pods",
        "u core: pods/finalizers",
        "glwcd resource.k8s.io: resourceclaims",
        "up resource.k8s.io: resourceclaims resourceclaims/status",
        "up core: pods/status",
        _EVENTS,
    ),
    "resourcequota-controller": (
        "lw *: *",
        "u core: resourcequotas/status",
        _EVENTS,
    ),
    "root-ca-cert-publisher": (
        "cu core: configmaps",
        _EVENTS,
    ),
    "route-controller": (
        "lw core: nodes",
        "p core: nodes/status",
        _EVENTS,
    ),
    "selinux-warning-controller": (
        _EVENTS,
        "glw core: persistentvolumes",
        "glw core: persistentvolumeclaims",
        "glw core: pods",
        "glw storage.k8s.io: csidrivers",
    ),
    "service-account-controller": (
        "c core: serviceaccounts",
        _EVENTS,
    ),
    "service-cidrs-controller": (
        "glwup networking.k8s.io: servicecidrs",
        "up networking.k8s.io: servicecidrs/finalizers",
        "up networking.k8s.io: servicecidrs/status",
        "glw networking.k8s.io: ipaddresses",
        _EVENTS,
    ),
    "service-controller": (
        "glw core: services",
        "up core: services/status",
        "lw core: nodes",
        _EVENTS,
    ),
    "statefulset-controller": (
        "lw core: pods",
        "glw apps: statefulsets",
        "u apps: statefulsets/status",
        "u apps: statefulsets/finalizers",
        "gcupd core: pods",
        "glwcupd apps: controllerrevisions",
        "glwc core: persistentvolumeclaims",
        _EVENTS,
        "ud core: persistentvolumeclaims",
        "u core: pods/finalizers",
    ),
    "ttl-after-finished-controller": (
        "glwd batch: jobs",
        _EVENTS,
    ),
    "ttl-controller": (
        "lwup core: nodes",
        _EVENTS,
    ),
    "validatingadmissionpolicy-status-controller": (
        "glw admissionregistration.k8s.io: validatingadmissionpolicies",
        "gup admissionregistration.k8s.io: validatingadmissionpolicies/status",
        _EVENTS,
    ),
    "volumeattributesclass-protection-controller": (
        "glw core: persistentvolumeclaims",
        "glw core: persistentvolumes",
        "glwu storage.k8s.io: volumeattributesclasses",
        _EVENTS,
    ),
}
