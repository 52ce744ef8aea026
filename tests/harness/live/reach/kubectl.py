"""A cluster through kubectl: one subprocess a question, JSON in and out, never a shell."""

from __future__ import annotations

import base64
import json
import os
import re
import selectors
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from harness.live.reach.run import RunError, Runner, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from harness.live.reach.reader import Reader

#: The name under which the fields that this tier applies are owned.
MANAGER: Final = "plimsoll"
_FORWARDED: Final = re.compile(r"^Forwarding from [^ ]*?:(\d+) ->")
_MISSING: Final = re.compile(r"\(NotFound\)|the server doesn't have a resource type|no matches for kind")


class Server(NamedTuple):
    """Where the API server listens, and who signs its certificate (PEM)."""

    host: str
    port: int
    authority: str


class UnreadableAnswerError(Exception):
    """kubectl answered with something that is not JSON of the expected shape."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with one kubeconfig. ``context`` is empty for the current one."""

    program: str
    kubeconfig: Path
    context: str = ""
    runner: Runner = run
    reader: Reader | None = field(default=None, repr=False, compare=False)
    """What answers plain questions in place of a program; None: every question is a program."""

    def argv(self, *arguments: str) -> list[str]:
        """The whole command."""
        context = [f"--context={self.context}"] if self.context else []
        return [self.program, f"--kubeconfig={self.kubeconfig}", *context, *arguments]

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
        """What a command prints. Raises RunError when it fails."""
        return self.runner(self.argv(*arguments), stdin=stdin, timeout=timeout).stdout

    def json(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> dict[str, Any]:
        """The object that a command with ``--output=json`` answers with."""
        read = self.reader.answer(arguments) if self.reader is not None and stdin is None else None
        if read is not None:
            return read
        text = self(*arguments, "--output=json", stdin=stdin, timeout=timeout)
        try:
            found = json.loads(text)
        except ValueError as error:
            raise UnreadableAnswerError(f"{' '.join(arguments)}: the answer is not JSON: {text[:200]!r}") from error
        if not isinstance(found, dict):
            raise UnreadableAnswerError(f"{' '.join(arguments)}: the answer is no object: {text[:200]!r}")
        return found

    def server(self) -> Server:
        """The API server as the kubeconfig has it."""
        found = self.json("config", "view", "--minify", "--raw")["clusters"][0]["cluster"]
        url = urlsplit(str(found["server"]))
        return Server(str(url.hostname), url.port or 443, base64.b64decode(found["certificate-authority-data"]).decode())

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:
        """One object (``kind`` as kubectl takes it: ``deployments.apps``), or None when there is none, or no such kind."""
        try:
            return self.json("get", kind, name, *inside(namespace))
        except RunError as error:
            if _MISSING.search(error.stderr):
                return None
            raise

    def list(self, *kinds: str, namespace: str | None = None, selector: str = "") -> list[dict[str, Any]]:
        """The objects of some kinds, of all namespaces unless one is named.

        Kinds that the cluster does not know are asked one by one, so that one that is not there yet does not hide the others.
        """
        where = ["--all-namespaces"] if namespace is None else inside(namespace)
        chosen = [f"--selector={selector}"] if selector else []
        try:
            return _items(self.json("get", ",".join(kinds), *where, *chosen))
        except RunError as error:
            if not _MISSING.search(error.stderr):
                raise
            return [item for kind in kinds for item in self.list(kind, namespace=namespace, selector=selector)] if len(kinds) > 1 else []

    def apply(self, objects: Iterable[Mapping[str, Any]], *, dry_run: bool = False, force: bool = True, timeout: float = 120) -> str:
        """Apply objects on the server's side, with strict validation. Their text goes through standard input and into no error."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        options = ["--server-side", f"--field-manager={MANAGER}", "--validate=strict", "--filename=-"]
        options += ["--force-conflicts"] if force else []
        options += ["--dry-run=server"] if dry_run else []
        return self("apply", *options, stdin=text, timeout=timeout)

    def delete(self, kind: str, name: str, namespace: str = "", *, timeout: float = 60) -> None:
        """Delete one object and wait until it is gone. None there: fine."""
        self("delete", kind, name, *inside(namespace), "--ignore-not-found", f"--timeout={timeout:g}s", timeout=timeout + 10)

    def logs(self, pod: str, namespace: str, *, container: str = "", lines: int = 20, previous: bool = False) -> str:
        """The last lines of a pod's container, or why they cannot be had."""
        which = [f"--container={container}"] if container else ["--all-containers"]
        before = ["--previous"] if previous else []
        try:
            return self("logs", pod, *inside(namespace), *which, f"--tail={lines}", *before)
        except RunError as error:
            return f"(no logs: {error.reason})"

    def execute(self, pod: str, namespace: str, *command: str, container: str = "", stdin: str | None = None, timeout: float = 60) -> str:
        """What a command in a pod prints. Raises RunError when it fails."""
        which = [f"--container={container}"] if container else []
        through = ["--stdin"] if stdin is not None else []
        return self("exec", pod, *inside(namespace), *which, *through, "--", *command, stdin=stdin, timeout=timeout)

    @contextmanager
    def port_forward(self, target: str, port: int, namespace: str, *, timeout: float = 15) -> Iterator[int]:
        """A local port that leads to a port of a pod or service (``svc/grafana``), open for the duration of a block."""
        argv = self.argv("port-forward", target, f":{port}", *inside(namespace), "--address=127.0.0.1")
        with _listening(argv, _FORWARDED, timeout) as chosen:
            yield chosen


@contextmanager
def _listening(argv: list[str], said: re.Pattern[str], timeout: float) -> Iterator[int]:
    """kubectl listening at a port of its choice until the end of a block."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)) as process:
        readers = [threading.Thread(target=_drain, args=(stream,), daemon=True) for stream in (process.stdout, process.stderr) if stream is not None]
        try:
            chosen = _chosen(process, argv, said, timeout)
            for reader in readers:
                reader.start()
            yield chosen
        finally:
            process.terminate()
            for reader in readers:
                if reader.is_alive():
                    reader.join(5)


def _drain(stream: IO[bytes]) -> None:
    """Read what a program prints to its end: kubectl says a line for each connection, and stops when nobody has read two thousand of them."""
    while os.read(stream.fileno(), 65536):
        pass


def _chosen(process: subprocess.Popen[bytes], argv: list[str], said: re.Pattern[str], timeout: float) -> int:
    """The port that kubectl chose, from the first line it prints."""
    if process.stdout is None or process.stderr is None:
        raise RunError(argv, "was started without streams to read")
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        text = b""
        while (left := deadline - time.monotonic()) > 0 and b"\n" not in text:
            if selector.select(left):
                more = os.read(process.stdout.fileno(), 4096)
                if not more:
                    break
                text += more
    found = said.match(text.decode("utf-8", "replace"))
    if found:
        return int(found[1])
    process.terminate()
    complaint = process.stderr.read().decode("utf-8", "replace")
    raise RunError(argv, "did not listen", code=process.poll(), stdout=text.decode("utf-8", "replace"), stderr=complaint)


def inside(namespace: str) -> list[str]:
    """The option that names a namespace; none for what lives in none."""
    return [f"--namespace={namespace}"] if namespace else []


def _items(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    items = answer.get("items")
    if not isinstance(items, list):
        raise UnreadableAnswerError(f"the answer is a {answer.get('kind')}, not a list")
    return [item for item in items if isinstance(item, dict)]
