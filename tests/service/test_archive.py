"""The archive of an eraser: the same bytes out and in, and of what else a tar can hold, nothing."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from tarfile import BLOCKSIZE, TarInfo
from typing import Any

import pytest

from service.erasers.archive import ArchiveInvalid, pack, packed_bytes, unpack

D = "d" * 64
CONFIG, TENSORS = f"{D}/config.json", f"{D}/eraser.safetensors"


def tar(*entries: tuple[str, bytes] | TarInfo, **how: Any) -> bytes:
    """As `tarfile` writes it. A bare `TarInfo` is an entry without content."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=how.get("format", tarfile.USTAR_FORMAT)) as archive:
        for entry in entries:
            info, content = (entry, b"") if isinstance(entry, TarInfo) else (TarInfo(entry[0]), entry[1])
            info.size = len(content)
            info.pax_headers = how.get("pax", {})
            archive.addfile(info, io.BytesIO(content))
    return written.getvalue()


def special(kind: bytes, name: str = CONFIG, link: str = "") -> TarInfo:
    info = TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def zipped(content: bytes = b"{}") -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    return written.getvalue()


def claiming(size: int) -> bytes:
    """A header that says another size than what follows has; below zero as only base 256 can say it."""
    header = bytearray(TarInfo(TENSORS).tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    header[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(header))[0]
    return bytes(header)


GOOD = tar((CONFIG, b"{}"), (TENSORS, b"1234"))
END = bytes(2 * BLOCKSIZE)
BAD: dict[str, tuple[bytes, str]] = {
    "upwards": (tar(("../config.json", b"{}")), "no file of an eraser"),
    "upwards from within": (tar((f"{D}/../config.json", b"{}")), "no file of an eraser"),
    "absolute": (tar(("/etc/passwd", b"")), "no file of an eraser"),
    "absolute with a good name": (tar(("/config.json", b"{}")), "no file of an eraser"),
    "deeper": (tar((f"{D}/a/config.json", b"{}")), "no file of an eraser"),
    "without a folder": (tar(("config.json", b"{}")), "no file of an eraser"),
    "another file too": (tar((CONFIG, b"{}"), (TENSORS, b""), (f"{D}/README.md", b"")), "no file of an eraser"),
    "a pickle in it": (tar((f"{D}/eraser.pt", pickle.dumps({}))), "no file of an eraser"),
    "a folder": (tar(special(tarfile.DIRTYPE, D), (CONFIG, b"{}"), (TENSORS, b"")), "no plain file"),
    "a symbolic link": (tar(special(tarfile.SYMTYPE, link="/etc/passwd"), (TENSORS, b"")), "no plain file"),
    "a hard link": (tar((CONFIG, b"{}"), special(tarfile.LNKTYPE, TENSORS, CONFIG)), "no plain file"),
    "a character device": (tar(special(tarfile.CHRTYPE)), "no plain file"),
    "a block device": (tar(special(tarfile.BLKTYPE)), "no plain file"),
    "a pipe": (tar(special(tarfile.FIFOTYPE)), "no plain file"),
    "a sparse file": (tar(special(tarfile.GNUTYPE_SPARSE, TENSORS)), "no plain file"),
    "an extended header": (tar((CONFIG, b"{}"), format=tarfile.PAX_FORMAT, pax={"GNU.sparse.size": "9" * 15}), "no plain file"),
    "a long name": (tar((f"{'a/' * 99}config.json", b"{}"), format=tarfile.GNU_FORMAT), "no plain file"),
    "twice": (tar((CONFIG, b"{}"), (TENSORS, b""), (CONFIG, b"[]")), "config.json is in it twice"),
    "one file": (tar((CONFIG, b"{}")), "eraser.safetensors is not in it"),
    "no file": (END, "config.json and eraser.safetensors is not in it"),
    "two folders": (tar((CONFIG, b"{}"), (f"{'e' * 64}/eraser.safetensors", b"")), "two folders"),
    "a config too large": (tar((CONFIG, bytes(4 * 2**20 + 1))), "at most 4194304 are read"),
    "a size below zero": (claiming(-BLOCKSIZE) + END, "has -512 bytes"),
    "a size without content": (claiming(2**60) + END, "it ends within eraser.safetensors"),
    "more behind its end": (GOOD + zipped(), "something comes after its end"),
    "something between files": (GOOD.replace(b"1234" + bytes(8), b"1234" + b"12345678"), "stands between the files"),
    "cut off": (GOOD[: BLOCKSIZE + 1], "it ends within config.json"),
    "cut off between files": (GOOD[: 2 * BLOCKSIZE], "no plain tar, or not all of it"),
    "nothing": (b"", "no plain tar, or not all of it"),
    "compressed": (gzip.compress(GOOD), "no plain tar"),
    "a zip": (zipped(GOOD), "no plain tar"),
    "a pickle": (pickle.dumps({"a": bytes(1000)}), "no plain tar"),
    "a form": (b"--b\r\nContent-Disposition: form-data; name=file\r\n\r\n" + GOOD, "no plain tar"),
}  # fmt: skip


@pytest.mark.parametrize("which", BAD)
def test_refused(tmp_path: Path, which: str) -> None:
    content, why = BAD[which]
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(ArchiveInvalid, match=why):
        unpack(io.BytesIO(content), inside)
    assert list(tmp_path.iterdir()) == [inside]
    assert {path.name for path in inside.iterdir()} <= {"config.json", "eraser.safetensors"}
    assert sum(path.stat().st_size for path in inside.iterdir()) <= len(content)


@pytest.mark.parametrize("how", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_any_tar_writes_of_two_plain_files_is_read(tmp_path: Path, how: int) -> None:
    assert unpack(io.BytesIO(tar((TENSORS, b"1234"), (CONFIG, b"{}"), format=how)), tmp_path) == D
    assert (tmp_path / "config.json").read_bytes() == b"{}"
    assert (tmp_path / "eraser.safetensors").read_bytes() == b"1234"


@pytest.mark.parametrize("length", [0, 1, BLOCKSIZE, 3 * 2**20 + 7])
def test_out_and_in(tmp_path: Path, length: int) -> None:
    made, found = tmp_path / "made", tmp_path / "found"
    for directory in (made, found):
        directory.mkdir()
    (made / "config.json").write_bytes(b"{}")
    (made / "eraser.safetensors").write_bytes(bytes(i % 251 for i in range(length)))
    packed = b"".join(pack(made, D))
    assert packed == b"".join(pack(made, D))
    assert len(packed) == packed_bytes(made)
    assert unpack(io.BytesIO(packed), found) == D
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as archive:
        assert archive.getnames() == [CONFIG, TENSORS]
    read: Callable[[Path], list[bytes]] = lambda folder: [path.read_bytes() for path in sorted(folder.iterdir())]  # noqa: E731
    assert read(found) == read(made)
