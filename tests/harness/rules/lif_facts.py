"""Dates and versions that the lifecycle rules go by: what is retired, what has ended, what Kubernetes took away. Data only.

``source`` names the page or file that states the fact; ends come from endoflife.date (2026-08-22) unless it says otherwise.
A fact that changes is an edit here, and the date decides when a rule speaks.
"""

from __future__ import annotations

from datetime import date
from typing import Final, NamedTuple


class Retired(NamedTuple):
    """A component nobody maintains any more.

    Told by a chart's name, the end of an image's repository, or a ``Kind.group``; what points to it: the beginning of a source's URL, the controller of
    an IngressClass, the beginning of an annotation's name.
    """

    name: str
    since: date
    instead: str
    source: str
    charts: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    controllers: tuple[str, ...] = ()
    annotations: tuple[str, ...] = ()


RETIRED: Final = (
    Retired(
        "ingress-nginx",
        date(2026, 3, 24),
        "a maintained ingress controller (F5 NGINX Ingress Controller, Traefik, a Gateway API implementation)",
        "kubernetes/ingress-nginx README.md: best-effort maintenance until March 2026, archived 2026-03-24",
        charts=("ingress-nginx",),
        images=("ingress-nginx/controller", "ingress-nginx/kube-webhook-certgen"),
        urls=("https://kubernetes.github.io/ingress-nginx", "https://github.com/kubernetes/ingress-nginx"),
        controllers=("k8s.io/ingress-nginx",),
        annotations=("nginx.ingress.kubernetes.io/",),
    ),
    Retired(
        "Promtail",
        date(2026, 3, 2),
        "Grafana Alloy, which runs a Promtail configuration with --config.format=promtail",
        "grafana/loki docs/sources/send-data/promtail/_index.md: end of life 2026-03-02; chart deprecated 2025-10-31",
        charts=("promtail",),
        images=("grafana/promtail",),
    ),
    Retired(
        "Grafana Agent",
        date(2025, 11, 1),
        "Grafana Alloy",
        "grafana/agent README.md: end of life 2025-11-01",
        charts=("grafana-agent",),
        images=("grafana/agent",),
    ),
    Retired(
        "Jaeger 1",
        date(2025, 12, 31),
        "Jaeger 2 or Tempo",
        "endoflife.date jaeger",
        images=("jaegertracing/all-in-one", "jaegertracing/jaeger-query", "jaegertracing/jaeger-collector", "jaegertracing/jaeger-agent"),
        kinds=("Jaeger.jaegertracing.io",),
        annotations=("sidecar.jaegertracing.io/",),
    ),
    Retired(
        "Kyverno ClusterPolicy, Policy and their like",
        date(2026, 2, 2),
        "ValidatingPolicy, MutatingPolicy, GeneratingPolicy, ImageValidatingPolicy, DeletingPolicy of policies.kyverno.io/v1",
        "kyverno/kyverno#17701, #17714: deprecated in 1.17, without effect from 1.20, definitions gone in 1.21",
        kinds=("ClusterPolicy.kyverno.io", "Policy.kyverno.io", "ClusterCleanupPolicy.kyverno.io", "CleanupPolicy.kyverno.io"),
    ),
    Retired(
        "kube-rbac-proxy of gcr.io/kubebuilder",
        date(2025, 3, 18),
        "quay.io/brancz/kube-rbac-proxy",
        "kubernetes-sigs/kubebuilder#3907",
        images=("kubebuilder/kube-rbac-proxy",),
    ),
    Retired(
        "Kubernetes Dashboard",
        date(2026, 1, 21),
        "Headlamp",
        "kubernetes/dashboard README.md: archived 2026-01-21",
        urls=("https://kubernetes.github.io/dashboard",),
        charts=("kubernetes-dashboard",),
        images=("kubernetesui/dashboard",),
    ),
    Retired(
        "Tiller (Helm 2)",
        date(2020, 11, 13),
        "Helm 3 or newer, which needs nothing in the cluster",
        "helm.sh/blog/helm-v2-deprecation-timeline: unsupported since 2020-11-13",
        images=("kubernetes-helm/tiller", "helm/tiller"),
    ),
    Retired(
        "kaniko",
        date(2025, 6, 3),
        "BuildKit or Buildah",
        "GoogleContainerTools/kaniko README.md: archived 2025-06-03",
        images=("kaniko-project/executor",),
    ),
    Retired("k8s.gcr.io", date(2023, 4, 3), "registry.k8s.io", "kubernetes.io/blog/2023/02/06: k8s.gcr.io frozen", images=("k8s.gcr.io/*",)),
    Retired(
        "Bitnami's free catalogue",
        date(2025, 9, 29),
        "images of the upstream projects",
        "bitnami/charts#35164: moved to bitnamilegacy",
        images=("bitnamilegacy/*",),
    ),
)


class Cycle(NamedTuple):
    """A release line and its end; None while no end is announced."""

    version: str
    ends: date | None


class Product(NamedTuple):
    """A product with its release lines, newest first, told by the end of an image's repository.

    Of the lines without an end only the ``newest`` ones count as supported: most projects announce an end by the next release.
    """

    name: str
    images: tuple[str, ...]
    cycles: tuple[Cycle, ...]
    source: str
    newest: int = 1


PRODUCTS: Final = (
    Product("MetalLB", ("metallb/controller", "metallb/speaker"), (Cycle("0.16", None), Cycle("0.15", date(2026, 5, 20))), "endoflife.date metallb"),
    Product(
        "Vault",
        ("hashicorp/vault",),
        (Cycle("2.1", None), Cycle("2.0", None), Cycle("1.21", date(2026, 4, 13))),
        "endoflife.date hashicorp-vault; images 2.1.0 and 2.1.1 are published since autumn 2026",
    ),
    Product("OpenBao", ("openbao/openbao",), (Cycle("2.6", None), Cycle("2.5", date(2026, 7, 14))), "endoflife.date openbao"),
    Product(
        "cert-manager",
        ("jetstack/cert-manager-controller", "jetstack/cert-manager-webhook", "jetstack/cert-manager-cainjector"),
        (Cycle("1.21", None), Cycle("1.20", None), Cycle("1.19", date(2026, 7, 8))),
        "cert-manager.io/docs/releases: two releases supported",
        newest=2,
    ),
    Product(
        "Kyverno",
        ("kyverno/kyverno", "kyverno/background-controller", "kyverno/cleanup-controller", "kyverno/reports-controller"),
        (Cycle("1.19", None), Cycle("1.18", None), Cycle("1.17", None), Cycle("1.16", None), Cycle("1.15", date(2026, 4, 29))),
        "Kyverno 1.18 announcement: the newest release and the one before",
        newest=2,
    ),
    Product(
        "Gatekeeper",
        ("openpolicyagent/gatekeeper",),
        (Cycle("3.23", None), Cycle("3.22", None), Cycle("3.21", date(2026, 7, 9))),
        "endoflife.date gatekeeper",
        newest=2,
    ),
    Product(
        "Prometheus",
        ("prometheus/prometheus",),
        (Cycle("3.14", date(2026, 9, 30)), Cycle("3.13", date(2027, 7, 31)), Cycle("3.5", date(2026, 7, 31))),
        "prometheus.io/docs/introduction/release-cycle: 3.13 is the LTS",
    ),
    Product(
        "Grafana",
        ("grafana/grafana", "grafana/grafana-oss"),
        (Cycle("13.2", date(2027, 5, 18)), Cycle("13.1", date(2027, 3, 20)), Cycle("13.0", date(2027, 1, 9)), Cycle("12.4", date(2027, 5, 24))),
        "endoflife.date grafana",
    ),
    Product("Loki", ("grafana/loki",), (Cycle("3.7", None), Cycle("3.6", None)), "endoflife.date grafana-loki", newest=2),
    Product(
        "Tempo",
        ("grafana/tempo",),
        (Cycle("3.1", None), Cycle("3.0", None), Cycle("2.10", None)),
        "grafana/tempo tags: 3.0 and 2.10 both patched 2026-08-13, 3.1.0 published since",
        newest=3,
    ),
    Product("Traefik", ("library/traefik", "traefik/traefik"), (Cycle("3.7", None), Cycle("3.6", date(2026, 8, 16))), "endoflife.date traefik"),
    Product(
        "etcd",
        ("etcd-development/etcd", "coreos/etcd"),
        (Cycle("3.7", None), Cycle("3.6", None), Cycle("3.5", date(2027, 7, 8))),
        "endoflife.date etcd",
        newest=2,
    ),
)

KUBERNETES: Final = Product(
    "Kubernetes",
    (),
    (
        Cycle("1.37", date(2027, 10, 28)),
        Cycle("1.36", date(2027, 6, 28)),
        Cycle("1.35", date(2027, 2, 28)),
        Cycle("1.34", date(2026, 10, 27)),
        Cycle("1.33", date(2026, 6, 28)),
        Cycle("1.32", date(2026, 2, 28)),
    ),
    "endoflife.date kubernetes; 1.37 by the project's 14 months",
)

FLUX: Final = Product(
    "Flux",
    (),
    (Cycle("2.9", None), Cycle("2.8", None), Cycle("2.7", None), Cycle("2.6", date(2026, 6, 30)), Cycle("2.5", date(2026, 2, 24))),
    "endoflife.date flux: the three newest releases",
    newest=3,
)


class Gone(NamedTuple):
    """A field value Kubernetes deprecates or no longer honours. ``removed`` is the version from which it has no effect or is refused; empty: not yet."""

    what: str
    deprecated: str
    removed: str
    instead: str
    source: str


#: Volume types of pods and PersistentVolumes. Those that moved to CSI keep working through migration while a driver is installed.
VOLUMES: Final = {
    "gitRepo": Gone(
        "volume type gitRepo", "1.11", "1.33", "an init container that clones, or an image volume", "KEP-5040: off by default from 1.33, locked off from 1.36"
    ),
    "glusterfs": Gone("volume type glusterfs", "1.25", "1.26", "a CSI driver", "Kubernetes 1.26 release notes"),
    "flocker": Gone("volume type flocker", "1.22", "1.25", "a CSI driver", "Kubernetes 1.25 release notes"),
    "quobyte": Gone("volume type quobyte", "1.22", "1.25", "a CSI driver", "Kubernetes 1.25 release notes"),
    "storageos": Gone("volume type storageos", "1.22", "1.25", "a CSI driver", "Kubernetes 1.25 release notes"),
    "scaleIO": Gone("volume type scaleIO", "1.16", "1.22", "a CSI driver", "Kubernetes 1.22 release notes"),
    "cephfs": Gone("volume type cephfs", "1.28", "1.31", "the CephFS CSI driver", "Kubernetes 1.31 release notes"),
    "rbd": Gone("volume type rbd", "1.28", "1.31", "the RBD CSI driver", "Kubernetes 1.31 release notes"),
    "awsElasticBlockStore": Gone("volume type awsElasticBlockStore", "1.17", "", "the EBS CSI driver", "kubernetes.io/docs/concepts/storage/volumes"),
    "azureDisk": Gone("volume type azureDisk", "1.19", "", "the Azure Disk CSI driver", "kubernetes.io/docs/concepts/storage/volumes"),
    "azureFile": Gone("volume type azureFile", "1.21", "", "the Azure File CSI driver", "kubernetes.io/docs/concepts/storage/volumes"),
    "cinder": Gone("volume type cinder", "1.11", "", "the Cinder CSI driver", "kubernetes.io/docs/concepts/storage/volumes"),
    "gcePersistentDisk": Gone("volume type gcePersistentDisk", "1.17", "", "the Persistent Disk CSI driver", "kubernetes.io/docs/concepts/storage/volumes"),
    "portworxVolume": Gone("volume type portworxVolume", "1.25", "", "the Portworx CSI driver", "kubernetes.io/docs/concepts/storage/volumes"),
    "vsphereVolume": Gone("volume type vsphereVolume", "1.19", "", "the vSphere CSI driver", "kubernetes.io/docs/concepts/storage/volumes"),
    "flexVolume": Gone("volume type flexVolume", "1.23", "", "a CSI driver", "kubernetes.io/docs/concepts/storage/volumes"),
}

#: Annotations, by name or by the part before the container's name.
ANNOTATIONS: Final = {
    "seccomp.security.alpha.kubernetes.io/pod": Gone(
        "the seccomp annotation", "1.19", "1.27", "securityContext.seccompProfile", "Kubernetes 1.27 release notes"
    ),
    "container.seccomp.security.alpha.kubernetes.io": Gone(
        "the seccomp annotation", "1.19", "1.27", "securityContext.seccompProfile", "Kubernetes 1.27 release notes"
    ),
    "container.apparmor.security.beta.kubernetes.io": Gone("the AppArmor annotation", "1.30", "", "securityContext.appArmorProfile", "KEP-24"),
    "scheduler.alpha.kubernetes.io/critical-pod": Gone("the critical-pod annotation", "1.13", "1.16", "priorityClassName", "Kubernetes 1.16 release notes"),
    "kubernetes.io/ingress.class": Gone(
        "the ingress class annotation", "1.18", "", "spec.ingressClassName", "kubernetes.io/docs/concepts/services-networking/ingress"
    ),
    "volume.beta.kubernetes.io/storage-class": Gone(
        "the storage class annotation", "1.6", "", "spec.storageClassName", "kubernetes.io/docs/concepts/storage/persistent-volumes"
    ),
    "storageclass.beta.kubernetes.io/is-default-class": Gone(
        "the beta default-class annotation", "1.6", "", "storageclass.kubernetes.io/is-default-class", "well-known annotations"
    ),
    "service.kubernetes.io/topology-aware-hints": Gone("topology-aware-hints", "1.27", "", "spec.trafficDistribution", "well-known annotations"),
    "service.alpha.kubernetes.io/tolerate-unready-endpoints": Gone(
        "tolerate-unready-endpoints", "1.11", "", "spec.publishNotReadyAddresses", "well-known annotations"
    ),
}

#: Labels of nodes that selectors and affinities use.
NODE_LABELS: Final = {
    "beta.kubernetes.io/os": Gone("node label beta.kubernetes.io/os", "1.14", "", "kubernetes.io/os", "well-known labels"),
    "beta.kubernetes.io/arch": Gone("node label beta.kubernetes.io/arch", "1.14", "", "kubernetes.io/arch", "well-known labels"),
    "beta.kubernetes.io/instance-type": Gone(
        "node label beta.kubernetes.io/instance-type", "1.17", "", "node.kubernetes.io/instance-type", "well-known labels"
    ),
    "failure-domain.beta.kubernetes.io/zone": Gone(
        "node label failure-domain.beta.kubernetes.io/zone", "1.17", "", "topology.kubernetes.io/zone", "well-known labels"
    ),
    "failure-domain.beta.kubernetes.io/region": Gone(
        "node label failure-domain.beta.kubernetes.io/region", "1.17", "", "topology.kubernetes.io/region", "well-known labels"
    ),
    "node-role.kubernetes.io/master": Gone(
        "node label node-role.kubernetes.io/master", "1.20", "1.24", "node-role.kubernetes.io/control-plane", "kubeadm 1.24 release notes"
    ),
}

#: Fields, by ``Kind.group`` and pointer.
FIELDS: Final = {
    ("Service", ("spec", "loadBalancerIP")): Gone(
        "spec.loadBalancerIP", "1.24", "", "the annotation of the load balancer's implementation", "Kubernetes 1.24 release notes"
    ),
    ("Service", ("spec", "externalIPs")): Gone("spec.externalIPs", "1.36", "", "a LoadBalancer or a Gateway", "KEP-5707"),
    ("Service", ("spec", "topologyKeys")): Gone("spec.topologyKeys", "1.21", "1.22", "spec.trafficDistribution", "Kubernetes 1.22 release notes"),
}

#: Provisioners of StorageClasses that live in Kubernetes itself.
PROVISIONERS: Final = {
    "kubernetes.io/glusterfs": Gone("provisioner kubernetes.io/glusterfs", "1.25", "1.26", "a CSI driver", "Kubernetes 1.26 release notes"),
    "kubernetes.io/rbd": Gone("provisioner kubernetes.io/rbd", "1.28", "1.31", "the RBD CSI driver", "Kubernetes 1.31 release notes"),
    "kubernetes.io/aws-ebs": Gone("provisioner kubernetes.io/aws-ebs", "1.17", "", "ebs.csi.aws.com", "kubernetes.io/docs/concepts/storage/volumes"),
    "kubernetes.io/azure-disk": Gone("provisioner kubernetes.io/azure-disk", "1.19", "", "disk.csi.azure.com", "kubernetes.io/docs/concepts/storage/volumes"),
    "kubernetes.io/azure-file": Gone("provisioner kubernetes.io/azure-file", "1.21", "", "file.csi.azure.com", "kubernetes.io/docs/concepts/storage/volumes"),
    "kubernetes.io/cinder": Gone("provisioner kubernetes.io/cinder", "1.11", "", "cinder.csi.openstack.org", "kubernetes.io/docs/concepts/storage/volumes"),
    "kubernetes.io/gce-pd": Gone("provisioner kubernetes.io/gce-pd", "1.17", "", "pd.csi.storage.gke.io", "kubernetes.io/docs/concepts/storage/volumes"),
    "kubernetes.io/vsphere-volume": Gone(
        "provisioner kubernetes.io/vsphere-volume", "1.19", "", "csi.vsphere.vmware.com", "kubernetes.io/docs/concepts/storage/volumes"
    ),
    "kubernetes.io/portworx-volume": Gone(
        "provisioner kubernetes.io/portworx-volume", "1.25", "", "pxd.portworx.com", "kubernetes.io/docs/concepts/storage/volumes"
    ),
}
