"""Reads archives that strangers made: bounded in size, and nothing leaves the folder."""

from __future__ import annotations

import gzip
import io
import posixpath
import tarfile
import zlib
from typing import Final

_MIB: Final = 1024 * 1024
#: Bytes of one archive and of all files in it, and their number: far above any chart, far below the machine.
MAX_ARCHIVE: Final = 64 * _MIB
MAX_CONTENT: Final = 256 * _MIB
MAX_FILES: Final = 20_000


class ArchiveError(Exception):
    """The archive is damaged, too large or hostile. The message is one line."""


def read_tar(data: bytes) -> dict[str, bytes]:
    """The regular files of a tar archive, gzipped or not, by normalised path. Links and devices are left out, as Helm does.

    Raises:
        ArchiveError: it cannot be read, holds too much, or a path in it leads outside.
    """
    if len(data) > MAX_ARCHIVE:
        raise ArchiveError(f"is larger than {MAX_ARCHIVE // _MIB} MiB")
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(_plain(data)), mode="r:") as archive:
            for count, member in enumerate(archive):
                if count >= MAX_FILES:
                    raise ArchiveError(f"holds more than {MAX_FILES} files")
                content = archive.extractfile(member) if member.isreg() else None
                if content is not None:
                    files[_inside(member.name)] = content.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError) as error:
        raise ArchiveError(f"is no readable tar archive ({_one_line(error)})") from error
    return files


def _plain(data: bytes) -> bytes:
    """The archive without its compression; tarfile's own reader of compressed streams stumbles over the header that helm writes."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as zipped:
        plain = zipped.read(MAX_CONTENT + 1)
    if len(plain) > MAX_CONTENT:
        raise ArchiveError(f"unpacks to more than {MAX_CONTENT // _MIB} MiB")
    return plain


def write_tar(files: dict[str, bytes]) -> bytes:
    """A gzipped tar archive of files, the same bytes for the same files."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, compresslevel=1) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for path in sorted(files):
            member = tarfile.TarInfo(path)
            member.size = len(files[path])
            archive.addfile(member, io.BytesIO(files[path]))
    return packed.getvalue()


def _inside(name: str) -> str:
    path = posixpath.normpath(name.replace("\\", "/"))
    if path.startswith(("/", "../")) or path in ("..", ".") or "\x00" in path:
        raise ArchiveError(f"holds a path that leads outside of it: {name[:80]!r}")
    return path


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
