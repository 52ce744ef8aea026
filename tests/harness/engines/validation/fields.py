"""What the API server checks of single fields of its own types, beyond their OpenAPI v2 schema.

Each row adds a constraint to one field of one definition, as JSON schema keywords. An empty string is listed where the server's defaulting
reads it as "not set". Rows that concern several fields, or the syntax of names, are functions in the other modules of this package.

Source, by API group: ``k8s.io/kubernetes/pkg/apis/<group>/validation/validation.go`` and ``pkg/apis/<group>/<version>/defaults.go``, v1.34.
Values that a later release added are listed for every version: a value that is too new is a miss, a false alarm would be worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Constraint = Mapping[str, Any]


def _one_of(*values: str) -> Constraint:
    return {"enum": list(values)}


def _at_least(minimum: int) -> Constraint:
    return {"minimum": minimum}


def _between(minimum: int, maximum: int) -> Constraint:
    return {"minimum": minimum, "maximum": maximum}


_PORT = _between(1, 65535)
_PORT_OR_UNSET = _between(0, 65535)
_PROTOCOL = _one_of("TCP", "UDP", "SCTP", "")
_ID = _between(0, 2**31 - 1)  # users and groups
_MODE = _between(0, 0o777)
_PERCENT_WEIGHT = _between(1, 100)
_SECONDS = _at_least(0)
_ACCESS_MODES: Constraint = {"items": _one_of("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")}
_VOLUME_MODE = _one_of("Block", "Filesystem", "")
_PREEMPTION = _one_of("PreemptLowerPriority", "Never")
_PROFILE = _one_of("Localhost", "RuntimeDefault", "Unconfined")
_INCLUSION = _one_of("Honor", "Ignore")

#: ValidatePodSpec, validateContainers, validateProbe, ValidateSecurityContext, ValidateVolumes, ValidateTolerations …
_CORE: dict[str, dict[str, Constraint]] = {
    "PodSpec": {
        "restartPolicy": _one_of("Always", "OnFailure", "Never", ""),
        "dnsPolicy": _one_of("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None", ""),
        "preemptionPolicy": _PREEMPTION,
        "activeDeadlineSeconds": _between(1, 2**31 - 1),
    },
    "PodOS": {"name": _one_of("linux", "windows")},
    "Container": {
        "imagePullPolicy": _one_of("Always", "Never", "IfNotPresent", ""),
        "terminationMessagePolicy": _one_of("File", "FallbackToLogsOnError", ""),
    },
    "ContainerPort": {"containerPort": _PORT, "hostPort": _PORT_OR_UNSET, "protocol": _PROTOCOL},
    "ContainerResizePolicy": {"resourceName": _one_of("cpu", "memory"), "restartPolicy": _one_of("NotRequired", "RestartContainer")},
    "Probe": {
        "initialDelaySeconds": _SECONDS,
        "timeoutSeconds": _SECONDS,
        "periodSeconds": _SECONDS,
        "successThreshold": _SECONDS,
        "failureThreshold": _SECONDS,
        "terminationGracePeriodSeconds": _at_least(1),
    },
    "GRPCAction": {"port": _PORT},
    "HTTPGetAction": {"scheme": _one_of("HTTP", "HTTPS", "")},
    "SeccompProfile": {"type": _PROFILE},
    "AppArmorProfile": {"type": _PROFILE},
    "SecurityContext": {"procMount": _one_of("Default", "Unmasked"), "runAsUser": _ID, "runAsGroup": _ID},
    "PodSecurityContext": {
        "fsGroupChangePolicy": _one_of("OnRootMismatch", "Always"),
        "supplementalGroupsPolicy": _one_of("Merge", "Strict"),
        "seLinuxChangePolicy": _one_of("MountOption", "Recursive"),
        "runAsUser": _ID,
        "runAsGroup": _ID,
        "fsGroup": _ID,
        "supplementalGroups": {"items": _ID},
    },
    "Toleration": {"operator": _one_of("Exists", "Equal", "Lt", "Gt", ""), "effect": _one_of("NoSchedule", "PreferNoSchedule", "NoExecute", "")},
    "Taint": {"effect": _one_of("NoSchedule", "PreferNoSchedule", "NoExecute")},
    "HostPathVolumeSource": {"type": _one_of("", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice")},
    "VolumeMount": {
        "mountPropagation": _one_of("None", "HostToContainer", "Bidirectional"),
        "recursiveReadOnly": _one_of("Disabled", "IfPossible", "Enabled"),
    },
    "KeyToPath": {"mode": _MODE},
    "ConfigMapVolumeSource": {"defaultMode": _MODE},
    "SecretVolumeSource": {"defaultMode": _MODE},
    "ProjectedVolumeSource": {"defaultMode": _MODE},
    "DownwardAPIVolumeSource": {"defaultMode": _MODE},
    "DownwardAPIVolumeFile": {"mode": _MODE},
    "ServiceAccountTokenProjection": {"expirationSeconds": _between(600, 2**32)},
    "PersistentVolumeClaimSpec": {"accessModes": _ACCESS_MODES, "volumeMode": _VOLUME_MODE},
    "PersistentVolumeSpec": {
        "accessModes": _ACCESS_MODES,
        "volumeMode": _VOLUME_MODE,
        "persistentVolumeReclaimPolicy": _one_of("Retain", "Delete", "Recycle", ""),
    },
    "ServiceSpec": {
        "type": _one_of("ClusterIP", "NodePort", "LoadBalancer", "ExternalName", ""),
        "sessionAffinity": _one_of("ClientIP", "None", ""),
        "externalTrafficPolicy": _one_of("Cluster", "Local", ""),
        "internalTrafficPolicy": _one_of("Cluster", "Local"),
        "ipFamilyPolicy": _one_of("SingleStack", "PreferDualStack", "RequireDualStack"),
        "ipFamilies": {"items": _one_of("IPv4", "IPv6")},
        "trafficDistribution": _one_of("PreferClose", "PreferSameZone", "PreferSameNode"),
    },
    "ServicePort": {"port": _PORT, "nodePort": _PORT_OR_UNSET, "protocol": _PROTOCOL},
    "ClientIPConfig": {"timeoutSeconds": _between(1, 86400)},
    "TopologySpreadConstraint": {
        "whenUnsatisfiable": _one_of("DoNotSchedule", "ScheduleAnyway"),
        "maxSkew": _at_least(1),
        "minDomains": _at_least(1),
        "nodeAffinityPolicy": _INCLUSION,
        "nodeTaintsPolicy": _INCLUSION,
    },
    "NodeSelectorRequirement": {"operator": _one_of("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")},
    "PreferredSchedulingTerm": {"weight": _PERCENT_WEIGHT},
    "WeightedPodAffinityTerm": {"weight": _PERCENT_WEIGHT},
    "ScopedResourceSelectorRequirement": {"operator": _one_of("In", "NotIn", "Exists", "DoesNotExist")},
    "ReplicationControllerSpec": {"replicas": _at_least(0), "minReadySeconds": _SECONDS},
    "EndpointPort": {"port": _PORT, "protocol": _PROTOCOL},
}

_REVISIONS: dict[str, Constraint] = {"minReadySeconds": _SECONDS, "revisionHistoryLimit": _at_least(0)}
_REPLICAS: dict[str, Constraint] = {"replicas": _at_least(0), "minReadySeconds": _SECONDS}

#: ValidateDeploymentSpec, ValidateStatefulSetSpec, ValidateDaemonSetSpec, ValidateReplicaSetSpec
_APPS: dict[str, dict[str, Constraint]] = {
    "DeploymentSpec": {**_REVISIONS, **_REPLICAS, "progressDeadlineSeconds": _SECONDS},
    "DeploymentStrategy": {"type": _one_of("Recreate", "RollingUpdate", "")},
    "DaemonSetSpec": _REVISIONS,
    "DaemonSetUpdateStrategy": {"type": _one_of("RollingUpdate", "OnDelete", "")},
    "ReplicaSetSpec": _REPLICAS,
    "StatefulSetSpec": {**_REVISIONS, **_REPLICAS, "podManagementPolicy": _one_of("OrderedReady", "Parallel", "")},
    "StatefulSetUpdateStrategy": {"type": _one_of("RollingUpdate", "OnDelete", "")},
    "RollingUpdateStatefulSetStrategy": {"partition": _at_least(0)},
    "StatefulSetOrdinals": {"start": _at_least(0)},
    "StatefulSetPersistentVolumeClaimRetentionPolicy": {"whenDeleted": _one_of("Retain", "Delete", ""), "whenScaled": _one_of("Retain", "Delete", "")},
}

#: validateJobSpec, validatePodFailurePolicy, validateCronJobSpec
_BATCH: dict[str, dict[str, Constraint]] = {
    "JobSpec": {
        "parallelism": _at_least(0),
        "completions": _at_least(0),
        "backoffLimit": _at_least(0),
        "backoffLimitPerIndex": _at_least(0),
        "maxFailedIndexes": _at_least(0),
        "activeDeadlineSeconds": _SECONDS,
        "ttlSecondsAfterFinished": _SECONDS,
        "completionMode": _one_of("NonIndexed", "Indexed"),
        "podReplacementPolicy": _one_of("TerminatingOrFailed", "Failed"),
    },
    "PodFailurePolicyRule": {"action": _one_of("FailJob", "FailIndex", "Ignore", "Count")},
    "PodFailurePolicyOnExitCodesRequirement": {"operator": _one_of("In", "NotIn")},
    "CronJobSpec": {
        "concurrencyPolicy": _one_of("Allow", "Forbid", "Replace", ""),
        "startingDeadlineSeconds": _SECONDS,
        "successfulJobsHistoryLimit": _at_least(0),
        "failedJobsHistoryLimit": _at_least(0),
    },
}

_WEBHOOK: dict[str, Constraint] = {
    "failurePolicy": _one_of("Ignore", "Fail"),
    "matchPolicy": _one_of("Exact", "Equivalent"),
    "sideEffects": _one_of("None", "NoneOnDryRun"),
    "timeoutSeconds": _between(1, 30),
}
_WEBHOOK_RULE: dict[str, Constraint] = {
    "scope": _one_of("Cluster", "Namespaced", "*"),
    "operations": {"items": _one_of("*", "CREATE", "UPDATE", "DELETE", "CONNECT")},
}
_POLICY: dict[str, Constraint] = {"failurePolicy": _one_of("Ignore", "Fail")}

#: validateValidatingWebhook, validateMutatingWebhook, validateRuleWithOperations, validateValidatingAdmissionPolicySpec …
_ADMISSION: dict[str, dict[str, Constraint]] = {
    "ValidatingWebhook": _WEBHOOK,
    "MutatingWebhook": {**_WEBHOOK, "reinvocationPolicy": _one_of("Never", "IfNeeded")},
    "RuleWithOperations": _WEBHOOK_RULE,
    "NamedRuleWithOperations": _WEBHOOK_RULE,
    "ServiceReference": {"port": _PORT},
    "ValidatingAdmissionPolicySpec": _POLICY,
    "MutatingAdmissionPolicySpec": _POLICY,
    "MatchResources": {"matchPolicy": _one_of("Exact", "Equivalent")},
    "ParamRef": {"parameterNotFoundAction": _one_of("Allow", "Deny")},
    "ValidatingAdmissionPolicyBindingSpec": {"validationActions": {"items": _one_of("Deny", "Warn", "Audit")}},
    "Mutation": {"patchType": _one_of("ApplyConfiguration", "JSONPatch")},
}

_AUTOSCALING: dict[str, dict[str, Constraint]] = {
    "HorizontalPodAutoscalerSpec": {"minReplicas": _at_least(0), "maxReplicas": _at_least(1)},
    "MetricSpec": {"type": _one_of("Object", "Pods", "Resource", "External", "ContainerResource")},
    "MetricTarget": {"type": _one_of("Utilization", "Value", "AverageValue")},
    "HPAScalingRules": {"selectPolicy": _one_of("Max", "Min", "Disabled"), "stabilizationWindowSeconds": _between(0, 3600)},
    "HPAScalingPolicy": {"type": _one_of("Pods", "Percent"), "value": _at_least(1), "periodSeconds": _between(1, 1800)},
}

_OTHER: dict[str, dict[str, Constraint]] = {
    "apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement": {"operator": _one_of("In", "NotIn", "Exists", "DoesNotExist")},
    "api.networking.v1.NetworkPolicySpec": {"policyTypes": {"items": _one_of("Ingress", "Egress"), "maxItems": 2}},
    "api.networking.v1.NetworkPolicyPort": {"protocol": _PROTOCOL},
    "api.networking.v1.HTTPIngressPath": {"pathType": _one_of("Exact", "Prefix", "ImplementationSpecific")},
    "api.networking.v1.ServiceBackendPort": {"number": _PORT_OR_UNSET},
    "api.policy.v1.PodDisruptionBudgetSpec": {"unhealthyPodEvictionPolicy": _one_of("IfHealthyBudget", "AlwaysAllow")},
    "api.rbac.v1.RoleRef": {"kind": _one_of("Role", "ClusterRole"), "apiGroup": _one_of("rbac.authorization.k8s.io", "")},
    "api.rbac.v1.Subject": {"kind": _one_of("ServiceAccount", "User", "Group")},
    "api.autoscaling.v1.HorizontalPodAutoscalerSpec": {
        "minReplicas": _at_least(0),
        "maxReplicas": _at_least(1),
        "targetCPUUtilizationPercentage": _at_least(1),
    },
    "api.storage.v1.StorageClass": {"reclaimPolicy": _one_of("Delete", "Retain", ""), "volumeBindingMode": _one_of("Immediate", "WaitForFirstConsumer")},
    "api.storage.v1.CSIDriverSpec": {
        "fsGroupPolicy": _one_of("ReadWriteOnceWithFSType", "File", "None"),
        "volumeLifecycleModes": {"items": _one_of("Persistent", "Ephemeral")},
    },
    "api.scheduling.v1.PriorityClass": {"preemptionPolicy": _PREEMPTION},
    "api.coordination.v1.LeaseSpec": {"leaseDurationSeconds": _at_least(1), "leaseTransitions": _at_least(0)},
    "api.discovery.v1.EndpointSlice": {"addressType": _one_of("IPv4", "IPv6", "FQDN")},
    "api.discovery.v1.EndpointPort": {"protocol": _PROTOCOL},
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionSpec": {"scope": _one_of("Cluster", "Namespaced")},
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceConversion": {"strategy": _one_of("None", "Webhook")},
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.ServiceReference": {"port": _PORT},
    "kube-aggregator.pkg.apis.apiregistration.v1.APIServiceSpec": {"groupPriorityMinimum": _between(1, 20000), "versionPriority": _between(1, 1000)},
    "kube-aggregator.pkg.apis.apiregistration.v1.ServiceReference": {"port": _PORT},
}

#: Definition (without ``io.k8s.``) → field → constraint.
FIELDS: dict[str, dict[str, Constraint]] = {
    **{f"api.core.v1.{name}": fields for name, fields in _CORE.items()},
    **{f"api.apps.v1.{name}": fields for name, fields in _APPS.items()},
    **{f"api.batch.v1.{name}": fields for name, fields in _BATCH.items()},
    **{f"api.autoscaling.v2.{name}": fields for name, fields in _AUTOSCALING.items()},
    **{f"api.admissionregistration.{version}.{name}": fields for version in ("v1", "v1beta1") for name, fields in _ADMISSION.items()},
    **_OTHER,
}

#: Fields the server demands although OpenAPI v2 does not.
REQUIRED: dict[str, tuple[str, ...]] = {
    "api.apps.v1.Deployment": ("spec",),
    "api.apps.v1.DaemonSet": ("spec",),
    "api.apps.v1.ReplicaSet": ("spec",),
    "api.apps.v1.StatefulSet": ("spec",),
    "api.batch.v1.Job": ("spec",),
    "api.batch.v1.CronJob": ("spec",),
    "api.autoscaling.v1.HorizontalPodAutoscaler": ("spec",),
    "api.autoscaling.v2.HorizontalPodAutoscaler": ("spec",),
    "api.core.v1.Pod": ("spec",),
    "api.core.v1.PersistentVolume": ("spec",),
    "api.core.v1.PersistentVolumeClaim": ("spec",),
}

#: Fields OpenAPI v2 marks as required that the server accepts without: their zero value is valid.
NOT_ENFORCED: dict[str, tuple[str, ...]] = {
    "api.batch.v1.PodFailurePolicy": ("rules",),
    "api.batch.v1.PodFailurePolicyOnPodConditionsPattern": ("status",),
    "api.core.v1.LimitRangeSpec": ("limits",),
    "api.discovery.v1.EndpointSlice": ("endpoints",),
    "api.networking.v1.NetworkPolicySpec": ("podSelector",),
    "api.rbac.v1.RoleRef": ("apiGroup",),
    "api.scheduling.v1.PriorityClass": ("value",),
    "api.storage.v1.CSIDriver": ("spec",),
    "api.storage.v1.TokenRequest": ("audience",),
    "api.core.v1.SleepAction": ("seconds",),
    "api.core.v1.Sysctl": ("value",),
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceConversion": ("strategy",),
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionVersion": ("served", "storage"),
    # EnforceDataSourceBackwardsCompatibility drops a source of an unknown kind before it is validated.
    "api.core.v1.TypedLocalObjectReference": ("kind", "name"),
}
