"""The two files of a cluster that hold what is sealed: the certificate, and the ciphertexts. Edited in place, comments kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from harness.live.bootstrap.base import BootstrapError, Journal
from harness.live.bootstrap.sealing import fingerprint
from harness.live.ground.sealing import seal
from harness.model.shapes import mapping

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.live.ground.sealing import Target

CERTIFICATE: Final = "sealed-secrets-certificate.yaml"
VALUES: Final = "cluster-sealed-values.yaml"
#: In the values' ConfigMap: for which certificate they were sealed.
SEALED_FOR: Final = "gitops/sealed-for"


@dataclass(frozen=True, slots=True)
class Document:
    """A file with one ConfigMap."""

    path: Path
    text: str

    @property
    def body(self) -> dict[str, Any]:
        body = yaml.safe_load(self.text)
        return body if isinstance(body, dict) else {}

    @property
    def data(self) -> dict[str, str]:
        return {str(key): str(value) for key, value in mapping(self.body.get("data")).items()}

    @property
    def sealed_for(self) -> str:
        """The fingerprint of the certificate that the values were sealed for; empty when nobody wrote it down."""
        return str(mapping(mapping(self.body.get("metadata")).get("annotations")).get(SEALED_FOR, ""))

    def with_value(self, key: str, value: str) -> Document:
        """The file with another value of ``data``, as a block. Raises BootstrapError when it has no such key."""
        node = _at(self.text, self.path, "data", key)
        style = ">-\n    " + value if "\n" not in value else "|\n" + "\n".join(f"    {line}" for line in value.strip().splitlines())
        end = node.end_mark.index
        rest = self.text[end:]
        # A block ends after its last line, anything else within it.
        return Document(self.path, self.text[: node.start_mark.index] + style + "\n" + (rest if self.text[end - 1] == "\n" else rest.partition("\n")[2]))

    def with_mark(self, value: str) -> Document:
        """The file that says for which certificate its values were sealed."""
        metadata = mapping(self.body.get("metadata"))
        line = f"    {SEALED_FOR}: {value}\n"
        if SEALED_FOR in mapping(metadata.get("annotations")):
            node = _at(self.text, self.path, "metadata", "annotations", SEALED_FOR)
            return Document(self.path, self.text[: node.start_mark.index] + value + self.text[node.end_mark.index :])
        where = ("metadata", "annotations") if "annotations" in metadata else ("metadata",)
        first = _at(self.text, self.path, *where).value[0][0].start_mark
        start = first.index - first.column
        return Document(self.path, self.text[:start] + (line if len(where) > 1 else f"  annotations:\n{line}") + self.text[start:])


def read(folder: Path, name: str) -> Document:
    """One of the two files. Raises BootstrapError when it is not there or no ConfigMap."""
    path = folder / name
    try:
        found = Document(path, path.read_text(encoding="utf-8"))
        good = found.body.get("kind") == "ConfigMap" and bool(found.data)
    except OSError as error:
        raise BootstrapError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError):
        good = False
    if not good:
        raise BootstrapError(f"{path} holds no ConfigMap with data")
    return found


def certificate_of(folder: Path) -> str:
    """The certificate that is committed for a cluster. Raises BootstrapError."""
    document = read(folder, CERTIFICATE)
    if "tls.crt" not in document.data:
        raise BootstrapError(f"{document.path} has no tls.crt")
    return document.data["tls.crt"].strip() + "\n"


def write_certificate(folder: Path, certificate: str, journal: Journal) -> bool:
    """Put a certificate into its file, unless it is the one that is there. Returns whether it was written."""
    document = read(folder, CERTIFICATE)
    if document.data.get("tls.crt", "").strip() == certificate.strip():
        return False
    document.path.write_text(document.with_value("tls.crt", certificate).text, encoding="utf-8")
    journal.changed(f"{document.path}: certificate {fingerprint(certificate)[:16]}. Commit it")
    return True


def outstanding(folder: Path) -> list[str]:
    """The values that were not sealed for the certificate that is committed now: all or none of them."""
    document = read(folder, VALUES)
    return [] if document.sealed_for == fingerprint(certificate_of(folder)) else sorted(document.data)


def reseal(folder: Path, where: Mapping[str, Target], given: Mapping[str, bytes], journal: Journal) -> None:
    """Seal values for the committed certificate, and write them all at once.

    Raises:
        BootstrapError: a value is not known or empty, or the rest would stay sealed for another certificate.
    """
    document = read(folder, VALUES)
    certificate = certificate_of(folder)
    if unknown := sorted(given.keys() - where.keys()):
        raise BootstrapError(f"there is no value {', '.join(unknown)}: there are {', '.join(sorted(where))}")
    if empty := sorted(name for name, value in given.items() if not value):
        raise BootstrapError(f"empty: {', '.join(empty)}")
    if missing := sorted(set(outstanding(folder)) - given.keys()):
        raise BootstrapError(f"the certificate is new, so every value must be sealed again; not given: {', '.join(missing)}")
    if not given:
        return
    for name, value in sorted(given.items()):
        target = where[name]
        document = document.with_value(name, seal(certificate, value, target.namespace, target.name, target.scope))
    document = document.with_mark(fingerprint(certificate))
    document.path.write_text(document.text, encoding="utf-8")
    for name in sorted(given):
        journal.changed(f"{name}: sealed for {where[name]}")
    journal.say(f"{document.path}: commit it")


def _at(text: str, path: Path, *pointer: str) -> yaml.Node:
    """The node at a pointer of a document, with the place where it stands."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in pointer:
        node = next((value for name, value in node.value if name.value == key), None) if isinstance(node, yaml.MappingNode) else None
    if not isinstance(node, yaml.Node):
        raise BootstrapError(f"{path} has no {'.'.join(pointer)}")
    return node
