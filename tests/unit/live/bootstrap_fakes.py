"""A small cluster with a Vault in it, which remembers what was done to it: a runner for kubectl, and ways to Vault's members."""

from __future__ import annotations

import base64
import io
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from harness.live.bootstrap.base import Journal, UnreachableError
from harness.live.bootstrap.box import Keys
from harness.live.bootstrap.vault import Vault
from harness.live.bootstrap.vault_api import Answer
from harness.live.reach.kubectl import Kubectl
from harness.live.reach.run import Output, RunError
from harness.live.reach.wait import Clock, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

SCRYPT = 2**4
PASSPHRASE = "correct horse battery staple"
SINGULAR = {
    "configmap": "ConfigMap",
    "deployments.apps": "Deployment",
    "jobs.batch": "Job",
    "kustomizations.kustomize.toolkit.fluxcd.io": "Kustomization",
    "namespace": "Namespace",
    "ocirepositories.source.toolkit.fluxcd.io": "OCIRepository",
    "pods": "Pod",
    "secret": "Secret",
    "secrets": "Secret",
    "statefulsets.apps": "StatefulSet",
}


class LostError(Exception):
    """The program was killed here."""


@dataclass
class Fake:
    """The cluster. ``fail_at`` is the number of the call that fails; ``after`` lets it take effect before its answer is lost."""

    objects: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    argvs: list[tuple[str, ...]] = field(default_factory=list)
    fail_at: int = 0
    after: bool = False
    now: float = 0
    reconcile: Callable[[Fake], None] = lambda _fake: None
    vault: FakeVault = field(default_factory=lambda: FakeVault())  # noqa: PLW0108 - it is defined below

    def add(self, kind: str, name: str, namespace: str = "", **fields: Any) -> dict[str, Any]:
        labels = fields.pop("labels", {})
        item = {"kind": kind, "metadata": {"name": name, "namespace": namespace, "labels": labels}, **fields}
        self.objects[kind, namespace, name] = item
        return item

    def strike(self, name: str, effect: Callable[[], Any]) -> Any:
        """Do something that counts as a call."""
        self.calls.append(name)
        hit = len(self.calls) == self.fail_at
        if hit and not self.after:
            raise LostError(name)
        try:
            return effect()
        finally:
            if hit:
                raise LostError(name)

    def __call__(self, argv: Sequence[str], *, stdin: str | None = None, timeout: float = 60, env: Mapping[str, str] | None = None) -> Output:
        self.argvs.append(tuple(argv))
        words = [word for word in argv[1:] if not word.startswith(("--kubeconfig", "--context"))]
        if words[0] == "get":
            return Output(json.dumps(self.strike("get", lambda: self._get(words))))
        return Output(str(self.strike(" ".join(words[:2]), lambda: self._do(words, stdin or ""))))

    def _get(self, words: list[str]) -> dict[str, Any]:
        names = [word for word in words[1:] if not word.startswith("--")]
        options = {word.partition("=")[0]: word.partition("=")[2] for word in words if word.startswith("--")}
        kinds = [SINGULAR.get(kind, kind) for kind in names[0].split(",")]
        if len(names) > 1:
            item = self.objects.get((kinds[0], options.get("--namespace", ""), names[1]))
            if item is None:
                raise RunError(words, "ended with code 1", code=1, stderr=f'Error from server (NotFound): "{names[1]}" not found')
            return item
        wanted = dict(part.split("=") for part in options.get("--selector", "").split(",") if part)
        found = [
            item
            for (kind, namespace, _name), item in sorted(self.objects.items())
            if kind in kinds
            and ("--all-namespaces" in options or namespace == options.get("--namespace"))
            and wanted.items() <= item["metadata"].get("labels", {}).items()
        ]
        return {"kind": "List", "items": found}

    def _do(self, words: list[str], stdin: str) -> str:
        match words[0]:
            case "apply":
                for body in yaml.safe_load_all(stdin):
                    for item in body["items"] if body["kind"] == "List" else [body]:
                        metadata = item["metadata"]
                        self.objects[item["kind"], metadata.get("namespace", ""), metadata["name"]] = item
                self.reconcile(self)
            case "delete":
                for key in [key for key in self.objects if key[0] == "Pod"]:
                    del self.objects[key]
            case "rollout" | "kustomize":
                folder = Path(words[1])
                if words[0] == "kustomize":
                    listed = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
                    return "\n---\n".join((folder / name).read_text(encoding="utf-8") for name in listed)
            case _:
                raise AssertionError(words)
        return ""

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl("kubectl", Path("kubeconfig"), "kind-kind", self)

    @property
    def clock(self) -> Clock:
        def sleep(seconds: float) -> None:
            self.now += seconds
            self.reconcile(self)

        return Clock(lambda: self.now, sleep)

    @contextmanager
    def connect(self, pod: str) -> Iterator[Callable[..., Answer]]:
        def ask(method: str, path: str, body: Any = None, token: str = "") -> Answer:
            answer = self.strike(f"{method} {path}", lambda: self.vault.answer(pod, method, path, body, token))
            assert isinstance(answer, Answer)
            return answer

        yield ask


@dataclass(repr=False)
class FakeVault:
    """What Vault holds, and which members are open."""

    seal: str = "shamir"
    shares: list[str] = field(default_factory=list)
    threshold: int = 0
    fed: dict[str, set[str]] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    audit: dict[str, Any] = field(default_factory=dict)
    auth: dict[str, Any] = field(default_factory=lambda: {"token/": {}})
    written: dict[str, Any] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    """Everything that must never be seen."""
    roots_from_shares: bool = False
    attempt: dict[str, Any] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)
    restored: bytes = b""

    @property
    def contents(self) -> Any:
        """What a second run must not change."""
        return len(self.shares), self.threshold, sorted(self.open), sorted(self.audit), sorted(self.auth), self.written, len(self.tokens)

    def answer(self, pod: str, method: str, path: str, body: Any, token: str) -> Answer:
        if pod in self.away:
            raise UnreachableError(f"{pod} does not answer")
        status, found = self._answer(pod, method, path, body, token)
        return Answer(status, found if isinstance(found, bytes) else json.dumps(found).encode())

    def _status(self, pod: str) -> dict[str, Any]:
        return {
            "type": self.seal,
            "initialized": bool(self.shares),
            "sealed": pod not in self.open,
            "t": self.threshold,
            "progress": len(self.fed.get(pod, ())),
        }

    def _answer(self, pod: str, method: str, path: str, body: Any, token: str) -> tuple[int, Any]:
        match method, path:
            case "GET", "sys/seal-status":
                return 200, self._status(pod)
            case "PUT", "sys/init":
                kind = "secret" if self.seal == "shamir" else "recovery"
                self.shares = [base64.b64encode(os.urandom(33)).decode() for _ in range(body[f"{kind}_shares"])]
                self.threshold = body[f"{kind}_threshold"]
                root = f"hvs.{os.urandom(12).hex()}"
                self.tokens.add(root)
                self.secrets += [*self.shares, root]
                if kind == "recovery":
                    self.open.add(pod)
                return 200, {"keys_base64" if kind == "secret" else "recovery_keys_base64": self.shares, "root_token": root}
            case "PUT", "sys/unseal":
                if body["key"] not in self.shares:
                    return 400, {"errors": [f"'{body['key'][:3]}' is no share"]}
                fed = self.fed.setdefault(pod, set())
                fed.add(body["key"])
                if len(fed) >= self.threshold:
                    self.open.add(pod)
                    fed.clear()
                return 200, self._status(pod)
            case "GET", "sys/leader":
                leads = bool(self.open) and pod == min(self.open)
                return (200, {"is_self": leads}) if pod in self.open else (503, {"errors": ["Vault is sealed"]})
            case _, "sys/generate-root/attempt" | "sys/generate-root/update":
                return self._generate(method, path, body)
        if pod not in self.open:
            return 503, {"errors": ["Vault is sealed"]}
        if token not in self.tokens:
            return 403, {"errors": ["permission denied"]}
        return self._with_token(method, path, body, token)

    def _with_token(self, method: str, path: str, body: Any, token: str) -> tuple[int, Any]:
        match method, path.split("/"):
            case "GET", ["sys", "audit"]:
                return 200, {"data": self.audit}
            case "GET", ["sys", "auth"]:
                return 200, {"data": self.auth}
            case "PUT", ["sys", "audit", name]:
                assert f"{name}/" not in self.audit
                self.audit[f"{name}/"] = body
            case "POST", ["sys", "auth", name]:
                assert self.audit, "what the root token does must be in the audit log"
                assert f"{name}/" not in self.auth
                self.auth[f"{name}/"] = body
            case "POST", ["auth", "token", "revoke-self"]:
                self.tokens.discard(token)
            case "GET", ["sys", "storage", "raft", "snapshot"]:
                return 200, b"\x1f\x8bsnapshot"
            case "PUT", ["sys", "storage", "raft", "snapshot" | "snapshot-force"]:
                self.restored = body
            case "PUT", _:
                self.written[path] = body
            case _:
                return 404, {"errors": []}
        return 204, {}

    def _generate(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if not self.roots_from_shares:
            return 403, {"errors": ["permission denied"]}
        if method == "DELETE":
            self.attempt = {}
            return 204, {}
        if path.endswith("attempt"):
            self.attempt = {"otp": os.urandom(14).hex(), "given": set()}
            self.secrets.append(self.attempt["otp"])
            return 200, {"nonce": "n-1", "otp": self.attempt["otp"], "required": self.threshold, "complete": False}
        assert body["nonce"] == "n-1"
        self.attempt["given"].add(body["key"])
        if len(self.attempt["given"] & set(self.shares)) < self.threshold:
            return 200, {"complete": False, "encoded_token": ""}
        root = f"hvs.{os.urandom(12).hex()}"
        self.tokens.add(root)
        self.secrets.append(root)
        mixed = bytes(one ^ other for one, other in zip(root.encode(), self.attempt["otp"].encode(), strict=True))
        return 200, {"complete": True, "encoded_token": base64.b64encode(mixed).decode().rstrip("=")}


@dataclass
class Told:
    """Everything that somebody could read: what was told, and what programs got as arguments."""

    fake: Fake
    text: io.StringIO = field(default_factory=io.StringIO)

    @property
    def journal(self) -> Journal:
        return Journal(lambda line: print(line, file=self.text))

    @property
    def progress(self) -> Progress:
        return Progress(lambda _seconds, line: print(line, file=self.text))

    def everything(self, *files: Path) -> str:
        """What was told, all arguments, and every readable byte of files and folders."""
        paths = [found for path in files for found in (path.rglob("*") if path.is_dir() else [path]) if found.is_file()]
        return "\n".join((self.text.getvalue(), repr(self.fake.argvs), *(path.read_bytes().decode("latin-1") for path in paths)))


def vault_of(fake: Fake, told: Told, keyfile: Path | None, keys: Keys | None = None, *, timeout: float = 60) -> Vault:
    """Vault of the fake cluster, as the commands make it."""
    return Vault(
        "kind",
        fake.kubectl,
        fake.connect,
        keyfile,
        keys or Keys(PASSPHRASE),
        told.journal,
        clock=fake.clock,
        progress=told.progress,
        timeout=timeout,
        work=SCRYPT,
    )


def leaks(text: str, secrets: Sequence[str]) -> list[str]:
    """The secrets that can be read in a text, as they are or in base64."""
    return [secret for secret in secrets if secret in text or base64.b64encode(secret.encode()).decode() in text]
