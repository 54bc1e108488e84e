"""Headers of tar files, those that were made to break readers among them."""

from __future__ import annotations

import io
import os
import random
import subprocess
import tarfile
from pathlib import Path

import pytest

from nst_batch.archives import tars
from nst_batch.archives.tar_headers import ArchiveError, Index, key_of, normal
from tests import tar_files

LONG = "d" * 90 + "/" + "e" * 120 + ".jpg"
NAMES = ("a.jpg", "n01/b.jpg", "grün/ß 1.jpg", LONG, "f" * 100, "g" * 101, "\udcff\udcfe.jpg", "-x", " y ", "z\nz")


def index(path: Path) -> Index:
    tars.forget()
    return tars.index(str(path))


def whole(path: Path) -> dict[str, bytes]:
    return {name: tars.read(f"{path}/{name}") for name in index(path).members}


@pytest.mark.parametrize("mtime", [0, 1.5], ids=["whole", "fractions"])
@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_and_bytes_are_those_of_the_standard_library(tmp_path: Path, format: int, mtime: float) -> None:
    names = [name for name in NAMES if format != tarfile.USTAR_FORMAT or name not in (LONG, "g" * 101)]
    path = tar_files.save(
        tmp_path / "a.tar", {name: os.urandom(n * 333) for n, name in enumerate(names)}, format, mtime
    )
    assert whole(path) == tar_files.contents(path) and len(index(path).members) == len(names)
    assert index(path).damage == "" and index(path).others == 0


has_gnu_tar = pytest.mark.skipif(
    b"GNU tar" not in subprocess.run(["tar", "--version"], capture_output=True).stdout, reason="tar is not GNU's"
)


@has_gnu_tar
@pytest.mark.parametrize("format", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_archives_of_gnu_tar(tmp_path: Path, format: str) -> None:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    names = ["a.jpg", "sub/b.jpg", *([] if format in ("v7", "ustar") else ["sub/" + "l" * 200])]
    for name in names:
        (folder / name).write_bytes(os.urandom(700))
    os.link(folder / "a.jpg", folder / "hard.jpg")
    (folder / "soft.jpg").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe.jpg") if format != "v7" else None
    subprocess.run(["tar", "-C", folder, f"--format={format}", "-cf", tmp_path / "a.tar", "."], check=True)
    found = whole(tmp_path / "a.tar")
    assert found.items() <= {name: (folder / name).read_bytes() for name in [*names, "hard.jpg"]}.items()
    assert len(found) == len(names)  # of the two hard links, one is only a link
    assert index(tmp_path / "a.tar").others == (2 if format == "v7" else 3)


@has_gnu_tar
def test_sparse_files_and_large_sizes_are_left_to_the_library(tmp_path: Path) -> None:
    with (tmp_path / "holes.bin").open("wb") as file:
        file.truncate(9 << 30)
    (tmp_path / "b.jpg").write_bytes(b"b")
    for number, more in enumerate((["--sparse"], ["--sparse", "--format=posix"])):
        command = ["tar", "-C", str(tmp_path), *more, "-cf", str(tmp_path / f"{number}.tar"), "holes.bin", "b.jpg"]
        subprocess.run(command, check=True)
        assert whole(tmp_path / f"{number}.tar") == {"b.jpg": b"b"} and index(tmp_path / f"{number}.tar").others == 1


def test_of_two_with_one_name_the_later_counts(tmp_path: Path) -> None:
    path = tar_files.save(tmp_path / "a.tar", {"a.jpg": b"old", "b.jpg": b"b", "./a.jpg": b"new"})
    assert whole(path) == {"b.jpg": b"b", "a.jpg": b"new"}


def test_names_that_lead_out_are_not_there_and_absolute_ones_are_inside(tmp_path: Path) -> None:
    members = {"/etc/a.jpg": b"1", "../b.jpg": b"2", "c/../../d.jpg": b"3", "..": b"4", "e/..f.jpg": b"5", "./": b""}
    path = tar_files.save(tmp_path / "a.tar", members)
    assert whole(path) == {"etc/a.jpg": b"1", "e/..f.jpg": b"5"} and index(path).others == 4


@pytest.mark.parametrize(
    ("name", "made"),
    [("a", "a"), ("./a/./b//c", "a/b/c"), ("/a/", "a"), ("a/..", ""), ("", ""), (".", ""), (".a/.b", ".a/.b")],
)
def test_names_as_paths_have_them(name: str, made: str) -> None:
    assert normal(name) == made


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("a.jpg", "a"),
        ("n.1/a.b.c", "n.1/a"),
        ("a", "a"),
        ("x/.hidden.png", "x/.hidden.png"),
        ("a.tar/b.png", "a.tar/b"),
    ],
)
def test_keys_of_samples(name: str, key: str) -> None:
    assert key_of(name) == key


def test_what_is_cut_off_says_so_and_keeps_what_is_whole(tmp_path: Path) -> None:
    data = tar_files.save(tmp_path / "a.tar", {f"{n}.jpg": bytes([n]) * 700 for n in range(3)}).read_bytes()
    for length, count, word in ((4608, 3, "mark"), (4000, 3, "a member"), (3172, 2, "a header"), (3072, 2, "mark")):
        (tmp_path / "cut.tar").write_bytes(data[:length])
        found = index(tmp_path / "cut.tar")
        assert len(found.members) == count and word in found.damage, length
        assert tars.read(f"{tmp_path}/cut.tar/1.jpg") == b"\1" * 700
    (tmp_path / "cut.tar").write_bytes(data[:4000])
    with pytest.raises(ArchiveError, match=r"cut\.tar/2\.jpg: the archive ends in the middle"):
        tars.read(f"{tmp_path}/cut.tar/2.jpg")


def test_a_broken_header_ends_it_with_a_word(tmp_path: Path) -> None:
    data = bytearray(tar_files.save(tmp_path / "a.tar", {f"{n}.jpg": b"x" for n in range(3)}).read_bytes())
    data[1024 + 5] ^= 1  # of the second name
    (tmp_path / "a.tar").write_bytes(data)
    found = index(tmp_path / "a.tar")
    assert list(found.members) == ["0.jpg"] and found.damage == "has no header where one should be, at byte 1,024"


@pytest.mark.parametrize("data", [b"", b"no tar" * 300, b"x", os.urandom(5000)], ids=["empty", "text", "byte", "noise"])
def test_what_is_no_archive(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(ArchiveError, match=r"a\.tar: (an empty file, )?not a tar file"):
        index(tmp_path / "a.tar")


@pytest.mark.parametrize("how", ["gz", "bz2", "xz"])
def test_compressed_archives_are_refused_with_a_way_out(tmp_path: Path, how: str) -> None:
    with tarfile.open(tmp_path / "named.tar", f"w:{how}") as tar:  # type: ignore[call-overload]
        tar.addfile(tarfile.TarInfo("a"), io.BytesIO())
    with pytest.raises(ArchiveError, match="compressed with") as caught:
        index(tmp_path / "named.tar")
    assert "decompress" in caught.value.hint


def test_an_archive_with_nothing_in_it(tmp_path: Path) -> None:
    found = index(tar_files.save(tmp_path / "a.tar", {}))
    assert (found.members, found.damage, found.foreign) == ({}, "", "")


def test_our_mark_has_to_be_on_all(tmp_path: Path) -> None:
    for owners, foreign in ((["nst_batch"] * 2, ""), (["nst_batch", "nst_batcher"], "1"), (["", "nst_batch"], "0")):
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            for number, owner in enumerate(owners):
                about = tarfile.TarInfo(str(number))
                about.uname = owner
                tar.addfile(about)
        assert index(tmp_path / "a.tar").foreign == foreign


def hostile_header(name: bytes, size: bytes, kind: bytes = b"0") -> bytes:
    """A header with a right sum, whatever its fields are."""
    header = bytearray(name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size.ljust(12, b"\0"))
    header += b"00000000000\0" + b" " * 8 + kind + bytes(100) + b"ustar\0" + b"00" + bytes(247)
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


HUGE = b"\x80" + b"\0" * 2 + b"\xff" * 9
HOSTILE = {
    "a size that leads back": hostile_header(b"a", b"-1000"),
    "a size below nothing": hostile_header(b"a", b"\xff" * 12),
    "a size beyond all disks": hostile_header(b"a", HUGE),
    "an extended header beyond all disks": hostile_header(b"a", b"77777777777", b"x"),
    "an extended header that leads back": hostile_header(b"a", b"-1000", b"x"),
    "records without length": hostile_header(b"a", b"20", b"x") + b"0 path=b\n".ljust(512, b"\0"),
    "records of no number": hostile_header(b"a", b"20", b"x") + b"path=b\n".ljust(512, b"\0"),
    "a size in a record beyond all numbers": hostile_header(b"a", b"74", b"x")
    + (b"60 size=" + b"9" * 51 + b"\n").ljust(512, b"\0")
    + hostile_header(b"b", b"1"),
    "extended headers only": hostile_header(b"a", b"0", b"x") * 3000,
    "a type nobody knows": hostile_header(b"a", b"10", b"Q") + bytes(512),
    "volumes": hostile_header(b"a", b"0", b"V") + hostile_header(b"b", b"0", b"M"),
    "a name for all that follows": hostile_header(b"a", b"15", b"g") + b"13 path=evil\n".ljust(512, b"\0"),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_archives_end(tmp_path: Path, data: bytes) -> None:
    good = tar_files.save(tmp_path / "good.tar", {"g.jpg": b"good"}).read_bytes()[:1024]
    (tmp_path / "a.tar").write_bytes(good + data + bytes(1024))
    found = index(tmp_path / "a.tar")
    assert "g.jpg" in found.members and tars.read(f"{tmp_path}/a.tar/g.jpg") == b"good"
    for name in found.members:
        try:
            assert len(tars.read(f"{tmp_path}/a.tar/{name}")) < 10_000
        except ArchiveError:
            assert found.damage


def test_mutated_archives_are_read_or_refused(tmp_path: Path) -> None:
    members = {name: bytes(300) for name in NAMES}
    sound = tar_files.save(tmp_path / "a.tar", members, mtime=1.5).read_bytes()
    chance, read, damaged = random.Random(7), 0, 0
    for _ in range(300):
        data = bytearray(sound)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.choice([0, 32, 48, 55, 128, 255])
        (tmp_path / "a.tar").write_bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])
        try:
            found = index(tmp_path / "a.tar")
        except ArchiveError:
            damaged += 1
            continue
        read += 1
        assert all(size >= 0 and offset > 0 for offset, size in found.members.values())
    assert read > 50 and damaged > 0
