"""Waiting that ends early when something changed: kubectl's watches as a bell, so that answers are asked for when there are new ones."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from harness.live.reach.wait import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.live.reach.kubectl import Kubectl

#: Seconds after a change in which further ones are gathered, so that a burst of them is one question.
_BURST: Final = 1.0


@contextmanager
def bell(kubectl: Kubectl, *kinds: str, longest: float = 10.0) -> Iterator[Clock]:
    """A clock whose ``sleep`` ends when an object of some kinds changed, and lasts ``longest`` seconds otherwise, whatever it is asked for.

    A watch that ends (the kind is not there yet, the API server restarts) is started again at the next sleep; without any, sleeping is sleeping.
    """
    watches: dict[str, subprocess.Popen[bytes]] = {}

    def sleep(seconds: float) -> None:
        deadline = time.monotonic() + longest
        with selectors.DefaultSelector() as selector:
            for kind in kinds:
                process = watches.get(kind)
                if process is None or process.poll() is not None:
                    if process is not None:
                        process.communicate()
                    process = watches[kind] = _watch(kubectl, kind)
                if process.stdout is not None:
                    selector.register(process.stdout, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                heard = selector.select(left)
                if not heard:
                    return
                if any(_rang(key.fd) for key, _events in heard):
                    time.sleep(min(_BURST, seconds))
                    return
                for key, _events in heard:
                    selector.unregister(key.fileobj)
                if not selector.get_map():
                    time.sleep(max(0.0, min(seconds, deadline - time.monotonic())))
                    return

    try:
        yield Clock(time.monotonic, sleep)
    finally:
        for process in watches.values():
            process.terminate()
        for process in watches.values():
            process.communicate()


def _watch(kubectl: Kubectl, kind: str) -> subprocess.Popen[bytes]:
    argv = kubectl.argv("get", kind, "--all-namespaces", "--watch-only", "--no-headers")
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)


def _rang(descriptor: int) -> bool:
    """Whether a watch said something, as opposed to having ended."""
    return bool(os.read(descriptor, 65536))
