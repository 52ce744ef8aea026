"""How much memory a run's nodes take, watched while it lasts. Sources: cgroup v1 ``memory.stat`` (``total_rss``), cgroup v2 ``memory.stat`` (``anon``)."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Final

from harness.live.reach.run import RunError

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.live.ground.cluster import Cluster

#: What programs hold, without the page cache, which goes when something needs the room.
_HELD: Final = re.compile(r"^(?:total_rss|anon) (\d+)$", re.MULTILINE)
_STAT: Final = "cat /sys/fs/cgroup/memory.stat 2>/dev/null || cat /sys/fs/cgroup/memory/memory.stat"


def held(cluster: Cluster, nodes: list[str]) -> int:
    """Bytes that the programs on some nodes hold. 0 when a node cannot be asked."""
    total = 0
    for node in nodes:
        try:
            found = _HELD.search(cluster.docker("exec", node, "sh", "-c", _STAT))
        except RunError:
            return 0
        if found is None:
            return 0
        total += int(found[1])
    return total


class Peak:
    """Looks every few seconds until it is stopped. ``highest`` is in bytes."""

    def __init__(self, look: Callable[[], int], every: float = 15.0) -> None:
        self.highest = 0
        self._look = look
        self._every = every
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)

    def start(self) -> None:
        """Begin, and come back at once."""
        self._thread.start()

    def stop(self) -> int:
        """The most that was seen."""
        self._end.set()
        if self._thread.ident is not None:
            self._thread.join(60)
        return self.highest

    def _run(self) -> None:
        while not self._end.is_set():
            self.highest = max(self.highest, self._look())
            self._end.wait(self._every)
