"""Kyverno's CEL functions (``github.com/kyverno/sdk/extensions/cel/libs``, as of Kyverno 1.19), as an extension of the environment.

What depends on a registry, a web server or chance is declared, and says that it *is not evaluated* when it is called, unless the caller
brought the answer (``Sources``). Functions on ``resource``, ``generator``, ``http`` and so on are declared by their whole name; those names
are no variables here. Opaque values stand as ``bytes``, as in ``harness.engines.cel.library``.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from harness.engines.cel import Extension, Overload, T
from harness.engines.cel.data import Duration, Timestamp
from harness.engines.policy import library_data as data
from harness.engines.policy.image_reference import ImageReference, parse_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.engines.policy.api import Json, PolicyId
    from harness.engines.policy.context import Evaluation

_MAP, _LIST, _LABELS = T.Map(T.STRING, T.DYN), T.List(T.DYN), T.Map(T.STRING, T.STRING)
#: 0001-01-01T00:00:00Z in nanoseconds since 1970.
_YEAR_ONE: Final = -62_135_596_800 * 10**9
_current: ContextVar[tuple[Evaluation, PolicyId] | None] = ContextVar("policy evaluation", default=None)


@contextmanager
def evaluating(evaluation: Evaluation, policy: PolicyId) -> Iterator[None]:
    """The request and the policy that functions called inside are about."""
    token = _current.set((evaluation, policy))
    try:
        yield
    finally:
        _current.reset(token)


def current_evaluation(what: str) -> Evaluation:
    """The evaluation a function is called in. Raises ValueError outside one."""
    current = _current.get()
    if current is None:
        raise ValueError(f"{what} is not evaluated outside a request")
    return current[0]


def not_evaluated(what: str, why: str) -> ValueError:
    """What a function raises that this engine cannot answer; the wording is what ``harness.engines.cel`` recognises."""
    return ValueError(f"{what} is not evaluated: {why}")


# --- images ------------------------------------------------------------------------------------------------------------------------


def _pack(image: ImageReference) -> bytes:
    return b"i" + "\x1f".join(image).encode()


def _unpack(value: bytes) -> ImageReference:
    if not value.startswith(b"i") or value.count(b"\x1f") != 4:
        raise TypeError("no such overload")
    return ImageReference(*value[1:].decode().split("\x1f"))


def _is_image(text: str) -> bool:
    try:
        parse_image(text)
    except ValueError:
        return False
    return True


def _image_data(image: str) -> Any:
    known = current_evaluation("image.getMetadata()").sources.images
    if image not in known:
        raise not_evaluated("image.getMetadata()", f"it asks a registry for {image}")
    return known[image]


# --- the cluster -------------------------------------------------------------------------------------------------------------------


def _get(api_version: str, resource: str, namespace: str, name: str) -> Json | None:
    lookup = current_evaluation("resource.get()").sources.lookup
    if lookup is None:
        raise not_evaluated("resource.get()", "there are no objects to look in")
    try:
        return lookup.get(api_version, resource, namespace, name)
    except LookupError as error:
        raise ValueError(f"failed to get resource: {error}") from error


def _list(api_version: str, resource: str, namespace: str, labels: Json | None = None) -> Json:
    lookup = current_evaluation("resource.list()").sources.lookup
    if lookup is None:
        raise not_evaluated("resource.list()", "there are no objects to look in")
    try:
        found = lookup.list(api_version, resource, namespace)
    except LookupError as error:
        raise ValueError(f"failed to list resource: {error}") from error
    if labels:
        found = [item for item in found if labels.items() <= data.labels_of(item).items()]
    kind = str(found[0].get("kind", "")) if found else ""
    return {"apiVersion": api_version, "kind": f"{kind}List", "metadata": {"resourceVersion": ""}, "items": list(found)}


def _post(*_arguments: Any) -> Json:
    raise not_evaluated("resource.post()", "it creates an object in a cluster")


def _to_gvr(api_version: str, kind: str) -> bytes:
    found = current_evaluation("resource.toGVR()").resources.of(api_version, kind)
    return f"g{api_version}\x1f{found.plural}".encode()


def _gvr(value: bytes) -> tuple[str, str]:
    if not value.startswith(b"g"):
        raise TypeError("no such overload")
    api_version, _, plural = value[1:].decode().partition("\x1f")
    return api_version, plural


def _own_namespace() -> str:
    current = _current.get()
    return current[1].namespace if current is not None else ""


def _generate(namespace: str, objects: list[Any]) -> bool:
    current = _current.get()
    if current is None:
        raise not_evaluated("generator.apply()", "there is no request")
    evaluation, policy = current
    if policy.namespace and namespace != policy.namespace:
        raise ValueError(f"failed to generate resources: a policy in namespace {policy.namespace} cannot generate into namespace {namespace!r}")
    for item in objects:
        evaluation.generate(item, namespace, policy)
    return True


def _generate_here(objects: list[Any]) -> bool:
    return _generate(_own_namespace(), objects)


def _global_context(name: str, projection: str = "") -> Any:
    known = current_evaluation("globalContext.get()").sources.global_context
    if name not in known:
        raise not_evaluated("globalContext.get()", f"the entry {name} is filled in a cluster")
    if not projection:
        return known[name]
    if not isinstance(known[name], dict) or projection not in known[name]:
        raise ValueError(f'failed to get global reference: projection "{projection}" not found in global context entry "{name}"')
    return known[name][projection]


def _http(method: str) -> Callable[..., Any]:
    def call(url: str, *_rest: Any) -> Any:
        answer = current_evaluation(f"http.{method.lower()}()").sources.http
        if answer is None:
            raise not_evaluated(f"http.{method.lower()}()", f"it asks {url}")
        return answer(method, url)

    return call


def _with_client(method: str) -> Callable[..., Any]:
    return lambda _client, url, *rest: _http(method)(url, *rest)


def _signatures(*_arguments: Any) -> int:
    raise not_evaluated("the verification of signatures", "it needs a registry and the transparency log")


def _now() -> Timestamp:
    now = current_evaluation("time.now()").sources.now
    if now is None:
        raise not_evaluated("time.now()", "there is no clock")
    return Timestamp(round(now.timestamp() * 1_000_000) * 1_000)


def _random(*_arguments: Any) -> str:
    raise not_evaluated("random()", "its value is different each time")


def _truncate(moment: Timestamp, unit: Duration) -> Timestamp:
    """Go's ``Time.Truncate``: down to a multiple of the duration since year 1, UTC."""
    return moment if unit.nanos <= 0 else Timestamp(moment.nanos - (moment.nanos - _YEAR_ONE) % unit.nanos, moment.offset)


def _to_cron(moment: Timestamp) -> str:
    utc = moment.at()
    return f"{utc.minute} {utc.hour} {utc.day} {utc.month} {utc.isoweekday() % 7}"


# --- declarations ------------------------------------------------------------------------------------------------------------------

_Signature = tuple[Any, list[Any], "Callable[..., Any]"]


def declare(names: str, *signatures: _Signature, member: bool = False) -> list[Overload]:
    """Functions of several names with the same overloads, each a result type, the parameter types and what to call."""
    return [Overload(name, member, tuple(parameters), result, call) for name in names.split() for result, parameters, call in signatures]


def _common() -> list[Overload]:
    marshal = data.marshal
    return [
        *declare("image parseImageReference", (T.BYTES, [T.STRING], lambda text: _pack(parse_image(text)))),
        *declare("isImage", (T.BOOL, [T.STRING], _is_image)),
        *declare("registry", (T.STRING, [T.BYTES], lambda value: _unpack(value).registry), member=True),
        *declare("repository", (T.STRING, [T.BYTES], lambda value: _unpack(value).repository), member=True),
        *declare("identifier", (T.STRING, [T.BYTES], lambda value: _unpack(value).identifier), member=True),
        *declare("tag", (T.STRING, [T.BYTES], lambda value: _unpack(value).tag), member=True),
        *declare("digest", (T.STRING, [T.BYTES], lambda value: _unpack(value).digest), member=True),
        *declare("containsDigest", (T.BOOL, [T.BYTES], lambda value: bool(_unpack(value).digest)), member=True),
        *declare("image.GetMetadata image.getMetadata getImageData", (T.DYN, [T.STRING], _image_data)),
        *declare("verifyImageSignatures", (T.INT, [T.STRING, _LIST], _signatures)),
        *declare("verifyAttestationSignatures", (T.INT, [T.STRING, T.STRING, _LIST], _signatures)),
        *declare("extractPayload", (T.DYN, [T.STRING, T.STRING], _signatures)),
        *declare("parseServiceAccount user.parseServiceAccount", (_LABELS, [T.STRING], data.parse_service_account)),
        *declare("sha1 hash.sha1", (T.STRING, [T.STRING], data.hasher("sha1"))),
        *declare("sha256 hash.sha256", (T.STRING, [T.STRING], data.hasher("sha256"))),
        *declare("md5 hash.md5", (T.STRING, [T.STRING], data.hasher("md5"))),
        *declare("gzip.decompress", (T.STRING, [T.BYTES], data.decompress)),
        *declare("gzip.compress", (T.BYTES, [T.STRING], data.compress)),
        *declare("json.unmarshal", (T.DYN, [T.STRING], data.unmarshal)),
        *declare("json.marshal", *((T.STRING, [kind], marshal) for kind in (T.STRING, T.INT, T.DOUBLE, T.BOOL, _LIST, _MAP))),
        *declare("yaml.parse", (T.DYN, [T.STRING], data.parse_yaml)),
        *declare("listObjToMap transform.listObjToMap", (_MAP, [_LIST, _LIST, T.STRING, T.STRING], data.list_to_map)),
        *declare("x509.decode", (T.DYN, [T.STRING], data.decode_x509)),
        *declare("time.now", (T.TIMESTAMP, [], _now)),
        *declare("time.truncate", (T.TIMESTAMP, [T.TIMESTAMP, T.DURATION], _truncate)),
        *declare("time.toCron", (T.STRING, [T.TIMESTAMP], _to_cron)),
        *declare("random random.random", (T.STRING, [], _random), (T.STRING, [T.STRING], _random)),
        *declare("globalContext.Get globalContext.get", (T.DYN, [T.STRING], _global_context), (T.DYN, [T.STRING, T.STRING], _global_context)),
        *declare("http.Get http.get", (T.DYN, [T.STRING], _http("GET")), (T.DYN, [T.STRING, _LABELS], _http("GET"))),
        *declare(
            "http.Post http.post",
            *((T.DYN, [T.STRING, kind, *rest], _http("POST")) for kind in (T.STRING, T.INT, T.DOUBLE, T.BOOL, _LIST, _MAP) for rest in ([], [_LABELS])),
        ),
        *declare("http.Client http.client", (T.BYTES, [T.STRING], lambda _bundle: b"h")),
        *declare("Get get", (T.DYN, [T.BYTES, T.STRING], _with_client("GET")), (T.DYN, [T.BYTES, T.STRING, _LABELS], _with_client("GET")), member=True),
        *declare(
            "Post post",
            *((T.DYN, [T.BYTES, T.STRING, kind, *rest], _with_client("POST")) for kind in (T.STRING, _LIST, _MAP) for rest in ([], [_LABELS])),
            member=True,
        ),
        *declare("resource.ToGVR resource.toGVR", (T.BYTES, [T.STRING, T.STRING], _to_gvr)),
    ]


def _cluster_functions() -> list[Overload]:
    return [
        *_common(),
        *declare("generator.Apply generator.apply", (T.BOOL, [T.STRING, T.List(_MAP)], _generate)),
        *_rounding(),
        *declare(
            "resource.Get resource.get",
            (T.DYN, [T.STRING, T.STRING, T.STRING, T.STRING], _get),
            (T.DYN, [T.BYTES, T.STRING, T.STRING], lambda gvr, namespace, name: _get(*_gvr(gvr), namespace, name)),
        ),
        *declare(
            "resource.List resource.list",
            (T.DYN, [T.STRING, T.STRING, T.STRING], _list),
            (T.DYN, [T.STRING, T.STRING, T.STRING, _LABELS], _list),
            (T.DYN, [T.BYTES, T.STRING], lambda gvr, namespace: _list(*_gvr(gvr), namespace)),
            (T.DYN, [T.BYTES, T.STRING, _LABELS], lambda gvr, namespace, labels: _list(*_gvr(gvr), namespace, labels)),
        ),
        *declare("resource.Post resource.post", (T.DYN, [T.STRING, T.STRING, T.STRING, _MAP], _post), (T.DYN, [T.STRING, T.STRING, _MAP], _post)),
    ]


def _namespaced_functions() -> list[Overload]:
    return [
        *_common(),
        *declare("generator.Apply generator.apply", (T.BOOL, [T.List(_MAP)], _generate_here), (T.BOOL, [T.STRING, T.List(_MAP)], _generate)),
        *_rounding(),
        *declare(
            "resource.Get resource.get",
            (T.DYN, [T.STRING, T.STRING, T.STRING], lambda version, resource, name: _get(version, resource, _own_namespace(), name)),
            (T.DYN, [T.BYTES, T.STRING], lambda gvr, name: _get(*_gvr(gvr), _own_namespace(), name)),
        ),
        *declare(
            "resource.List resource.list",
            (T.DYN, [T.STRING, T.STRING], lambda version, resource: _list(version, resource, _own_namespace())),
            (T.DYN, [T.STRING, T.STRING, _LABELS], lambda version, resource, labels: _list(version, resource, _own_namespace(), labels)),
            (T.DYN, [T.BYTES], lambda gvr: _list(*_gvr(gvr), _own_namespace())),
            (T.DYN, [T.BYTES, _LABELS], lambda gvr, labels: _list(*_gvr(gvr), _own_namespace(), labels)),
        ),
        *declare("resource.Post resource.post", (T.DYN, [T.STRING, T.STRING, _MAP], _post)),
    ]


def _rounding() -> list[Overload]:
    # math.round(x) is cel's own; Kyverno adds the number of digits.
    return declare("math.round", (T.DOUBLE, [T.DOUBLE, T.INT], data.round_half_away))


#: The libraries of cluster-wide policies, and of those in a namespace, which see only their own.
KYVERNO: Final = Extension("kyverno", _cluster_functions)
KYVERNO_NAMESPACED: Final = Extension("kyverno-namespaced", _namespaced_functions)


def kyverno_extension(namespace: str) -> Extension:
    return KYVERNO_NAMESPACED if namespace else KYVERNO
