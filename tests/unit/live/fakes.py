"""Stand-ins for programs, clocks and registries: each refuses what a test did not expect."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.live.ground.oci import Response
from harness.live.reach.run import Output, RunError
from harness.live.reach.wait import Clock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass
class Programs:
    """Answers commands by their exact arguments, and keeps what was asked. An answer is a text, or the error to raise."""

    answers: dict[tuple[str, ...], str | RunError | list[str | RunError]] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    stdin: list[str | None] = field(default_factory=list)

    def on(self, *argv: str, says: object = "", fails: str | None = None, code: int = 1) -> Programs:
        """Expect a command. The same one again: its answers are given in turn, the last one for ever."""
        text = says if isinstance(says, str) else json.dumps(says)
        answer = text if fails is None else RunError(argv, f"ended with code {code}", code=code, stderr=fails)
        known = self.answers.get(argv)
        self.answers[argv] = answer if known is None else [*(known if isinstance(known, list) else [known]), answer]
        return self

    def __call__(self, argv: Sequence[str], *, stdin: str | None = None, timeout: float = 60, env: Mapping[str, str] | None = None) -> Output:
        assert timeout > 0
        assert env is None
        key = tuple(argv)
        self.asked.append(key)
        self.stdin.append(stdin)
        assert key in self.answers, f"nobody expected {key}"
        answer = self.answers[key]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, RunError):
            raise answer
        return Output(answer)


@dataclass
class Time:
    """A clock on which only sleeping takes time."""

    seconds: float = 1000.0
    slept: list[float] = field(default_factory=list)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.seconds, self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


@dataclass
class FakeRegistry:
    """An OCI registry in memory, strict about digests and the order of uploads. ``relative``: whether it names upload places without a host."""

    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], bytes] = field(default_factory=dict)
    relative: bool = False
    log: list[str] = field(default_factory=list)

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        base, _, path = url.partition("/v2/")
        self.log.append(f"{method} /v2/{path}")
        path, _, query = path.partition("?")
        repository, _, rest = path.partition("/blobs/")
        if rest == "uploads/" and method == "POST":
            place = f"/v2/{repository}/blobs/uploads/1?state=x"
            return Response(202, {"location": place if self.relative else base + place})
        if rest.startswith("uploads/") and method == "PUT":
            digest = query.partition("digest=")[2].replace("%3A", ":")
            if digest != f"sha256:{hashlib.sha256(body).hexdigest()}":
                return Response(400, {}, b'{"errors":[{"code":"DIGEST_INVALID"}]}')
            self.blobs[repository, digest] = body
            return Response(201)
        if rest and method in ("HEAD", "GET"):
            found = self.blobs.get((repository, rest))
            return Response(404) if found is None else Response(200, {}, found if method == "GET" else b"")
        repository, _, reference = path.partition("/manifests/")
        if method == "PUT":
            if headers.get("Content-Type") != json.loads(body)["mediaType"]:
                return Response(400, {}, b"media type")
            for part in [json.loads(body)["config"], *json.loads(body)["layers"]]:
                if len(self.blobs.get((repository, part["digest"]), b"")) != part["size"]:
                    return Response(400, {}, b"blob unknown to registry")
            digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
            self.manifests[repository, reference] = self.manifests[repository, digest] = body
            return Response(201, {"docker-content-digest": digest})
        found = self.manifests.get((repository, reference))
        return Response(404, {}, b"manifest unknown") if found is None else Response(200, {}, found)


def condition(kind: str, status: str, reason: str = "", message: str = "", **more: Any) -> dict[str, Any]:
    """A condition as controllers write it."""
    return {"type": kind, "status": status, "reason": reason, "message": message, **more}
