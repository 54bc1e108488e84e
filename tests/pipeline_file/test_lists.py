"""Lists of pictures: what a line means, where its path starts, and what is said of lists that cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nst_batch.pipeline_file.left_out import Exclusion
from nst_batch.pipeline_file.lists import ListMistake, any_is_there, found_in, is_there, placed, prefix_of, read_list


def written(folder: Path, text: str | bytes, name: str = "list.txt") -> Path:
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.jpg").touch()
    return tmp_path


def read(folder: Path, text: str | bytes) -> list[str]:
    return [os.path.relpath(path, folder) for path in read_list(written(folder, text))]


def test_a_line_is_a_path_from_the_lists_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert read_list(written(folder, "a.jpg\nsub/b.jpg\n/c/d.jpg")) == [
        f"{folder}/a.jpg", f"{folder}/sub/b.jpg", "/c/d.jpg",
    ]  # fmt: skip


def test_a_list_in_the_working_folder_needs_no_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(folder, "a.jpg\n./b.jpg\n")
    monkeypatch.chdir(folder)
    assert read_list(Path("list.txt")) == ["a.jpg", "b.jpg"]


def test_comments_and_blank_lines_are_passed_over(folder: Path) -> None:
    assert read(folder, "# what follows\n\n  \t\na.jpg\n#b.jpg\n./#c.jpg\n #d.jpg\n") == ["a.jpg", "#c.jpg", " #d.jpg"]


def test_windows_lines_and_byte_order_marks_are_no_part_of_names(folder: Path) -> None:
    assert read(folder, b"\xef\xbb\xbfa.jpg\r\nb.jpg\r\n\r\n") == ["a.jpg", "b.jpg"]


def test_names_are_no_patterns_and_may_have_odd_characters(folder: Path) -> None:
    names = ["a.jpg", "*[1].jpg", "~x.jpg", "@y.jpg", "two words .jpg ", "\u2028z\x0b.jpg", "größe.jpg"]
    assert read(folder, "\n".join(names)) == names


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("a.jpg", "d/a.jpg"), ("./a.jpg", "d/a.jpg"), ("././a.jpg", "d/a.jpg"), ("b//a.jpg", "d/b/a.jpg"),
        ("b/./a.jpg", "d/b/a.jpg"), ("../a.jpg", "d/../a.jpg"), ("/a.jpg", "/a.jpg"), ("/b//a.jpg", "/b/a.jpg"),
        ("./", "d/."), ("~/a.jpg", "/home/me/a.jpg"), ("./~/a.jpg", "d/~/a.jpg"),
    ],
)  # fmt: skip
def test_what_paths_come_to(line: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert placed(line, "d/") == path


def test_prefixes() -> None:
    assert [prefix_of(Path(each)) for each in ("l.txt", "d/l.txt", "/l.txt", "/d/l.txt")] == ["", "d/", "/", "/d/"]


def test_missing_files_are_no_mistake_while_one_is_there(folder: Path) -> None:
    assert len(read(folder, "".join(f"gone{n}.jpg\n" for n in range(1999)) + "a.jpg\n")) == 2000
    with pytest.raises(ListMistake, match=r"list\.txt:2: no such file: .*x\.jpg, as with all 2,000 paths; relative"):
        read(folder, "#\n" + "x.jpg\n" * 2000)


def test_a_member_of_an_archive_is_there_when_the_archive_is(folder: Path) -> None:
    (folder / "old.tar").mkdir()
    for name in ("0.tar", "2.tar.gz", "old.tar/3.tar"):
        (folder / name).touch()
        assert is_there(f"{folder}/{name}/a.jpg")
    assert not is_there(f"{folder}/1.tar/a.jpg") and not is_there(f"{folder}/old.tar/a.jpg")
    assert not is_there(f"{folder}/a.jpg/b") and not is_there("x" * 5000) and not is_there("a\0")
    assert not any_is_there([])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"# nothing\n", "list.txt: no path in it"),
        (b"a.jpg\n\xff.jpg\n", "list.txt:2: not UTF-8 text"),
        ("a.jpg\n".encode("utf-16"), "list.txt:1: not UTF-8 text"),
        (b"a.jpg\nb\0.jpg\n", "list.txt:2: zero bytes"),
        (b"gone.jpg", "gone.jpg; relative paths start at the list's folder"),
    ],
)
def test_what_is_no_list_is_said_with_its_line(folder: Path, data: bytes, said: str) -> None:
    with pytest.raises(ListMistake) as caught:
        read(folder, data)
    assert said in str(caught.value)


@pytest.mark.parametrize("where", ["relative", "absolute"])
def test_the_fixed_part_of_a_list_is_its_folder_and_elsewhere_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = (Path() if where == "relative" else tmp_path) / "list.txt"
    file.write_text("n01/a.jpg\n/data/n02/b.jpg\nn01/a.jpg\n")
    (tmp_path / "n01").mkdir()
    (tmp_path / "n01" / "a.jpg").touch()
    found = found_in(file, read_list(file))
    assert [path[begin:] for path, begin in zip(found, found.begins, strict=True)] == ["n01/a.jpg", "data/n02/b.jpg"]
    left = found_in(file, read_list(file), Exclusion(("n02",)))
    assert [Path(path).name for path in left] == ["a.jpg"] and left.left_out.told() == "1 by exclude"
