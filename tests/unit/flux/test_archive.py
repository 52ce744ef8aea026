from __future__ import annotations

import gzip
import io
import tarfile

import pytest
from harness.flux import archive
from harness.flux.archive import ArchiveError, read_tar, write_tar


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def test_files_come_back_the_same_and_packing_is_deterministic() -> None:
    files = {"b/c.txt": b"2", "a": b"", "b/ü": b"\x00\xff"}
    assert read_tar(write_tar(files)) == files
    assert write_tar(files) == write_tar(dict(reversed(files.items())))


def test_plain_archives_and_the_header_helm_writes() -> None:
    plain = gzip.decompress(write_tar({"a": b"1"}))
    assert read_tar(plain) == {"a": b"1"}
    # Helm puts an extra field into the gzip header (FEXTRA), which tarfile's own stream reader does not survive.
    zipped = gzip.compress(plain, mtime=0)
    extra = zipped[:3] + b"\x04" + zipped[4:10] + (4).to_bytes(2, "little") + b"Helm" + zipped[10:]
    assert read_tar(extra) == {"a": b"1"}


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../evil", "..", "a\\..\\..\\evil"])
def test_paths_that_lead_outside_are_refused(name: str) -> None:
    with pytest.raises(ArchiveError, match="holds a path that leads outside of it"):
        read_tar(packed((tarfile.TarInfo(name), b"x")))


def test_links_and_devices_are_left_out() -> None:
    link, device = tarfile.TarInfo("link"), tarfile.TarInfo("device")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device.type = tarfile.CHRTYPE
    assert read_tar(packed((link, b""), (device, b""), (tarfile.TarInfo("./a//b"), b"1"))) == {"a/b": b"1"}


@pytest.mark.parametrize("data", [b"", b"no archive", b"\x1f\x8b broken", write_tar({"a": b"x" * 5000})[:40]], ids=["empty", "text", "gzip", "truncated"])
def test_what_is_no_archive(data: bytes) -> None:
    with pytest.raises(ArchiveError, match="is no readable tar archive"):
        read_tar(data)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = write_tar({"a": b"\0" * 3_000_000})
    assert len(bomb) < 50_000
    monkeypatch.setattr(archive, "MAX_CONTENT", 2**20)
    with pytest.raises(ArchiveError, match="unpacks to more than 1 MiB"):
        read_tar(bomb)
    monkeypatch.setattr(archive, "MAX_FILES", 2)
    with pytest.raises(ArchiveError, match="holds more than 2 files"):
        read_tar(write_tar({"a": b"", "b": b"", "c": b""}))
    monkeypatch.setattr(archive, "MAX_ARCHIVE", 10)
    with pytest.raises(ArchiveError, match="is larger than"):
        read_tar(bomb)
