"""A content-addressed cache on disk for what tools and parsers produced.

Entries are addressed by kind and by a digest of everything that determines them (inputs, tool version, code version), so
nothing is ever invalidated: an entry that is no longer asked for ages out when the folder is pruned. The cache is best
effort: a full disk, a read-only folder or a damaged entry costs time, never correctness.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any, Final, Literal

#: Bytes kept after pruning.
DEFAULT_SIZE: Final = 512 * 1024 * 1024
#: Seconds between two automatic prunings.
_PRUNE_EVERY: Final = 24 * 3600
#: Seconds after which a temporary file of a writer that died is removed.
_STALE_WRITE: Final = 3600
_MAGIC: Final = b"plimsoll1 "
_KIND: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_KEY: Final = re.compile(r"[0-9a-f]{16,128}")
_STAMP: Final = ".pruned"


def default_root() -> Path:
    """``$XDG_CACHE_HOME/plimsoll``, else ``~/.cache/plimsoll`` (XDG base directory specification 0.8)."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "plimsoll"


def digest(*parts: Any) -> str:
    """The SHA-256 in hex of any number of values: bytes and strings as they are, the rest as canonical JSON.

    Every part is prefixed with its type and length, so that no two different lists of parts collide by concatenation.

    Raises:
        TypeError: a part is not JSON data.
    """
    state = hashlib.sha256()
    for part in parts:
        if isinstance(part, bytes):
            kind, data = b"b", part
        elif isinstance(part, str):
            kind, data = b"s", part.encode("utf-8", "surrogatepass")
        else:
            kind, data = b"j", json.dumps(part, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
        state.update(b"%s%d:" % (kind, len(data)))
        state.update(data)
    return state.hexdigest()


class Cache:
    """Files ``<root>/<kind>/<first two digits>/<key>``, each with a checksum. ``Cache(None)`` keeps nothing, ``Cache()`` is the user's.

    Safe to share between threads, processes and machines (over a network file system with atomic rename): an entry
    appears whole or not at all, and two writers of one key write the same bytes.
    """

    def __init__(self, root: Path | Literal["user"] | None = "user") -> None:
        self.root: Path | None = default_root() if root == "user" else root
        self._writable = self.root is not None
        self._pruned = False

    def __repr__(self) -> str:
        return f"Cache({str(self.root) if self.root else None!r})"

    def path(self, kind: str, key: str) -> Path | None:
        """Where an entry is or would be kept; None when the cache is off.

        Raises:
            ValueError: ``kind`` is not lower-case words, or ``key`` not 16 to 128 hexadecimal digits.
        """
        if not _KIND.fullmatch(kind):
            raise ValueError(f"cache kind {kind!r} is not lower-case words joined by dashes")
        if not _KEY.fullmatch(key):
            raise ValueError(f"cache key {key!r} is not a hexadecimal digest")
        return self.root / kind / key[:2] / key if self.root is not None else None

    def get(self, kind: str, key: str) -> bytes | None:
        """The entry, or None. A damaged entry is removed and counts as absent."""
        path = self.path(kind, key)
        if path is None:
            return None
        try:
            raw = path.read_bytes()
        except OSError:
            return None
        header, newline, data = raw.partition(b"\n")
        if not newline or header != _header(data):
            _remove(path)
            return None
        _touch(path)
        return data

    def put(self, kind: str, key: str, data: bytes) -> None:
        """Keep an entry. Does nothing when the cache is off or the folder cannot be written."""
        path = self.path(kind, key)
        if path is None or not self._writable:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, temporary = tempfile.mkstemp(prefix=".write-", dir=path.parent)
        except OSError:
            self._writable = False
            return
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_header(data) + b"\n")
                file.write(data)
            Path(temporary).replace(path)
        except OSError:
            _remove(Path(temporary))
            self._writable = False
            return
        self._prune_sometimes()

    def get_json(self, kind: str, key: str) -> Any:
        """The entry as JSON data, or None when it is absent or does not parse. (A kept ``null`` reads as absent.)"""
        data = self.get(kind, key)
        if data is None:
            return None
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            path = self.path(kind, key)
            if path is not None:
                _remove(path)
            return None

    def put_json(self, kind: str, key: str, value: Any) -> None:
        """Keep JSON data.

        Raises:
            TypeError: ``value`` is not JSON data.
        """
        if self.root is not None:
            self.put(kind, key, json.dumps(value, separators=(",", ":")).encode())

    def prune(self, size: int = DEFAULT_SIZE) -> int:
        """Remove the entries unused for longest until at most ``size`` bytes are left. Returns the bytes removed."""
        if self.root is None:
            return 0
        entries: list[tuple[float, int, Path]] = []
        now = time.time()
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = Path(folder, name)
                try:
                    status = path.stat()
                except OSError:
                    continue
                if name.startswith(".write-"):
                    if now - status.st_mtime > _STALE_WRITE:
                        _remove(path)
                elif _KEY.fullmatch(name):
                    entries.append((status.st_mtime, status.st_size, path))
        excess = sum(entry[1] for entry in entries) - size
        removed = 0
        for _, length, path in sorted(entries, key=lambda entry: (entry[0], str(entry[2]))):
            if removed >= excess:
                break
            _remove(path)
            removed += length
        return removed

    def _prune_sometimes(self) -> None:
        """Once per process, and not more than daily per folder: a run must not pay for a walk of the folder."""
        if self._pruned or self.root is None:
            return
        self._pruned = True
        stamp = self.root / _STAMP
        try:
            if time.time() - stamp.stat().st_mtime < _PRUNE_EVERY:
                return
        except FileNotFoundError:
            pass
        except OSError:
            return
        try:
            stamp.touch()
        except OSError:
            return
        self.prune()


def _header(data: bytes) -> bytes:
    """Length and CRC-32: enough against truncation and bad disks; who can write the folder can write any entry anyway."""
    return _MAGIC + b"%d %08x" % (len(data), zlib.crc32(data))


def _touch(path: Path) -> None:
    """Mark as used, for pruning; a read-only folder stays usable."""
    try:
        os.utime(path)
    except OSError:
        return


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        return
