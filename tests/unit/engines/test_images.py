"""Image references against a scanner of the grammar that shares no code with them, tags that move, and which fields name images."""

from __future__ import annotations

import string
from typing import Any

import pytest
from harness.engines.images import Image, InvalidReferenceError, by_image, inventory, moving, parse, try_parse
from harness.model import Location, Object, ObjectId, Origin, fixed, group_of
from hypothesis import given, settings
from hypothesis import strategies as st

SHA = "sha256:" + "a" * 64

READ = {
    "nginx": Image("docker.io", "library/nginx"),
    "nginx:1.31": Image("docker.io", "library/nginx", "1.31"),
    "docker.io/nginx": Image("docker.io", "library/nginx"),
    "index.docker.io/nginx:1": Image("docker.io", "library/nginx", "1"),
    "registry-1.docker.io/nginx": Image("registry-1.docker.io", "nginx"),
    "grafana/loki:3.7.6": Image("docker.io", "grafana/loki", "3.7.6"),
    "localhost/app": Image("localhost", "app"),
    "registry:5000/app": Image("registry:5000", "app"),
    "app:5000": Image("docker.io", "library/app", "5000"),
    "quay.io/a/b__c/d--e:v1_2@" + SHA: Image("quay.io", "a/b__c/d--e", "v1_2", SHA),
    "quay.io/a@" + SHA: Image("quay.io", "a", "", SHA),
    "[::1]:5000/app": Image("[::1]:5000", "app"),
    "Upper/app": Image("Upper", "app"),
}
REFUSED = {
    "": "it is empty",
    "a" * 64: "an image id",
    "Nginx": "must be lower case",
    "quay.io/App": "must be lower case",
    "https://quay.io/app": "it is a URL",
    "${IMAGE}": "placeholder",
    "{{ .Values.image }}": "placeholder",
    " nginx": "blanks around it",
    "nginx:": "'' is no tag",
    "nginx:-1": "'-1' is no tag",
    "nginx:" + "x" * 129: "is no tag",
    "quay.io/a//b": "not of the form",
    "quay.io/a@sha256": "is no digest",
    "quay.io/a@sha256:" + "a" * 63: "has 64 hexadecimal digits, not 63",
    "quay.io/a@sha256:" + "A" * 64: "lower case",
    "quay.io/a@md5:" + "a" * 32: "md5 is no known algorithm",
    "quay.io/" + "a" * 256: "longer than 255",
    "-a/b": "not of the form",
}


@pytest.mark.parametrize(("text", "image"), READ.items(), ids=READ)
def test_references(text: str, image: Image) -> None:
    assert parse(text) == image
    assert parse(str(image)) == image


@pytest.mark.parametrize(("text", "reason"), REFUSED.items(), ids=[name[:30] for name in REFUSED])
def test_what_is_no_reference(text: str, reason: str) -> None:
    with pytest.raises(InvalidReferenceError, match=reason):
        parse(text)


def test_names() -> None:
    image = parse("nginx@" + SHA)
    assert (image.repository, image.familiar, image.pulled) == ("docker.io/library/nginx", "nginx", f"docker.io/library/nginx@{SHA}")
    assert (parse("grafana/loki").familiar, parse("grafana/loki").pulled) == ("grafana/loki", "docker.io/grafana/loki:latest")
    assert try_parse(7) is None


# The grammar once more, as a scanner that goes over the text character by character.
ALNUM, HEX = set(string.ascii_lowercase + string.digits), set(string.hexdigits)
LETTERS = set(string.ascii_letters + string.digits)


def component(text: str) -> bool:
    """A part of a path: alphanumerics, between them one dot, one or two underscores, or dashes."""
    position = 0
    while True:
        start = position
        while position < len(text) and text[position] in ALNUM:
            position += 1
        if position == start:
            return False
        if position == len(text):
            return True
        gap = position
        while position < len(text) and text[position] not in ALNUM:
            position += 1
        separator = text[gap:position]
        if separator not in (".", "_", "__") and set(separator) != {"-"}:
            return False


def host(text: str) -> bool:
    if text.startswith("["):
        inside, bracket, after = text[1:].partition("]")
        return bool(bracket and inside) and set(inside) <= HEX | {":"} and port(after)
    name, colon, number = text.partition(":")
    labels = name.split(".")
    good = all(label and set(label) <= LETTERS | {"-"} and label[0] != "-" and label[-1] != "-" for label in labels)
    return good and port(colon + number)


def port(text: str) -> bool:
    return not text or (len(text) > 1 and text[0] == ":" and all(char in string.digits for char in text[1:]))


def scan(text: str) -> tuple[str, str, str, str] | None:
    """Registry, path, tag and digest, or None."""
    if len(text) == 64 and set(text) <= set("abcdef" + string.digits):
        return None
    rest, at, digest = text.partition("@")
    if at:
        algorithm, _, encoded = digest.partition(":")
        if (algorithm, len(encoded)) not in (("sha256", 64), ("sha512", 128), ("sha384", 96)) or not set(encoded) <= set("abcdef" + string.digits):
            return None
    head, slash, tail = rest.rpartition("/")
    last, colon, tag = tail.partition(":")
    if colon and not (tag and len(tag) <= 128 and set(tag) <= LETTERS | set("_.-") and tag[0] not in ".-"):
        return None
    parts = [*(head.split("/") if slash else []), last]
    registry = "docker.io"
    first = parts[0]
    if len(parts) > 1 and (first == "localhost" or set(first) & set(".:") or first.lower() != first):
        registry = "docker.io" if first == "index.docker.io" else first
        parts = parts[1:]
        if not host(registry):
            # A name with a dot that no host can have is the first part of a path without a registry.
            registry, parts = "", [first, *parts]
    if registry == "docker.io" and len(parts) == 1:
        parts = ["library", *parts]
    path = "/".join(parts)
    return (registry, path, tag, digest) if all(component(part) for part in parts) and len(path) <= 255 else None


PIECES = st.lists(
    st.sampled_from(
        ["a", "b1", "app", ".", "_", "__", "___", "-", "--", ":", "/", "@", "localhost", "docker.io", "index.docker.io", "quay.io", "r:5000", "A", "1.2", SHA]
    ),
    max_size=8,
).map("".join)
WHOLE = st.builds(
    lambda registry, path, tag, digest: registry + "/".join(path) + tag + digest,
    st.sampled_from(["", "quay.io/", "localhost/", "r:5000/", "docker.io/", "[::1]:5/", "x_y.z/", "index.docker.io/", "F/"]),
    st.lists(st.sampled_from(["a", "b-c", "b__c", "b..c", "library", "x" * 90, "a:b"]), min_size=1, max_size=3),
    st.sampled_from(["", "", ":1", ":latest", ":v1.2-a_b", ":.a", ":"]),
    st.sampled_from(["", "", f"@{SHA}", "@sha512:" + "b" * 128, "@sha256:abc", "@"]),
)


@settings(max_examples=300, deadline=None)
@given(PIECES | WHOLE)
def test_references_are_what_the_scanner_says(text: str) -> None:
    found = try_parse(text)
    assert (tuple(found) if found is not None else None) == scan(text)


@settings(max_examples=100, deadline=None)
@given(WHOLE)
def test_what_is_read_reads_the_same_when_written(text: str) -> None:
    found = try_parse(text)
    if found is not None and found.registry:
        assert parse(str(found)) == parse(found.repository)._replace(tag=found.tag, digest=found.digest) == found
        assert parse(found.familiar).repository == found.repository


@pytest.mark.parametrize(
    ("text", "moves"),
    [
        ("quay.io/a", True),
        ("quay.io/a:latest", True),
        ("quay.io/a:latest-alpine3.20", True),
        ("quay.io/a:stable-slim", True),
        ("quay.io/a:3", True),
        ("quay.io/a:v3-alpine", True),
        ("postgres:16.4", True),
        ("quay.io/a:16.4", False),
        ("registry.k8s.io/pause:3.10", False),
        ("quay.io/a:1.2.3-distroless", False),
        ("quay.io/a:main-4f1c2ab", False),
        ("quay.io/a:20261123", False),
        ("quay.io/a:mainframe", False),
        (f"quay.io/a:latest@{SHA}", False),
    ],
)
def test_tags_that_move(text: str, moves: bool) -> None:
    assert bool(moving(parse(text))) == moves


def thing(body: dict[str, Any]) -> Object:
    identity = ObjectId("test", group_of(body["apiVersion"]), body["kind"], "web", "web")
    return Object(identity, body, Origin(fixed(Location("a.yaml", 1))))


def deployment(container: dict[str, Any], **spec: Any) -> Object:
    return thing({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": {"containers": [container], **spec}}}})


ANYTHING = st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["image", "reference", "name", "args", "env", "value"]), inner, max_size=3),
    max_leaves=6,
)


class TestInventory:
    def test_containers_volumes_arguments_and_variables(self) -> None:
        item = deployment(
            {
                "name": "operator",
                "image": "operator:1.0.0",
                "imagePullPolicy": "Always",
                "command": ["/operator", "--verbose=1", "--helper-image", "helper:1.0.0"],
                "args": [
                    "--reloader=quay.io/x/reloader:v1.2.3",
                    "--acme-image=acme:1.0.0",
                    "--metrics=web.example.com:8080",
                    "--target=web.svc/a:80",
                    "--listen=10.0.0.1:80",
                    7,
                ],
                "env": [
                    {"name": "RELATED_IMAGE_PROXY", "value": "ghcr.io/x/proxy@" + SHA},
                    {"name": "URL", "value": "https://example.com/a:1"},
                    {"name": "ADDRESS", "value": "db.example.com/x:5432"},
                    {"name": "IMAGE_PORT", "value": "web:8080"},
                ],
            },
            volumes=[{"name": "data", "image": {"reference": "quay.io/x/data:1.0.0"}}, None],
        )
        assert [(use.how, str(use.image), use.at[-3:]) for use in inventory([item])] == [
            ("container", "docker.io/library/operator:1.0.0", ("containers", 0, "image")),
            ("argument", "docker.io/library/helper:1.0.0", (0, "command", 3)),
            ("argument", "quay.io/x/reloader:v1.2.3", (0, "args", 0)),
            ("argument", "docker.io/library/acme:1.0.0", (0, "args", 1)),
            ("variable", f"ghcr.io/x/proxy@{SHA}", ("env", 0, "value")),
            ("volume", "quay.io/x/data:1.0.0", (0, "image", "reference")),
        ]

    def test_fields_of_custom_resources(self) -> None:
        custom = thing(
            {"apiVersion": "example.com/v1", "kind": "Fleet", "spec": {"image": "quay.io/x/a:1.0.0", "ships": [{"image": "logo"}, {"image": "b:2.0.0"}]}}
        )
        release = thing({"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "spec": {"values": {"image": "c:1.0.0"}}})
        assert [(use.how, str(use.image)) for use in inventory([custom, release])] == [("field", "quay.io/x/a:1.0.0"), ("field", "docker.io/library/b:2.0.0")]

    def test_what_is_no_reference_is_kept_with_its_fault(self) -> None:
        (use,) = inventory([deployment({"name": "a", "image": 7})])
        assert (use.image, use.fault, use.text) == (None, "it is no text", "7")
        assert by_image([use]) == {}

    def test_the_same_image_is_listed_once(self) -> None:
        items = [deployment({"name": "a", "image": "nginx:1.31.4"}), deployment({"name": "b", "image": "docker.io/library/nginx:1.31.4"})]
        assert [(str(image), len(uses)) for image, uses in by_image(inventory(items)).items()] == [("docker.io/library/nginx:1.31.4", 2)]

    @settings(max_examples=40, deadline=None)
    @given(ANYTHING)
    def test_input_of_any_shape(self, value: Any) -> None:
        assert isinstance(inventory([deployment({"name": value, "image": value, "args": value, "env": [value]}, volumes=value)]), tuple)
