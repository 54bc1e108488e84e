"""Pipeline files to begin with: they load, and find the pictures, whatever folders are called."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from nst_batch.errors import UsageError
from nst_batch.pipeline_file.presets import PRESETS
from nst_batch.pipeline_file.spec import PipelineSpec, load_spec
from nst_batch.pipeline_file.starting import as_written, guessed, pipeline_text, run_name, scalar
from tests import runs

HOSTILE = (
    "photos", "with space", " leading", "trailing ", 'quote\'and"', "new\nline", "tab\tand\x1b[31mescape",
    "back\\slash", "~", "~root", "~nobody: #x", "~[a]", "a: b", "a #b", "a  # b", "#x", "- x", "-", "-rf",
    "--help", "yes", "null", "on", "1e3", "0x10", "12:30", "2026-01-01", "=", "<<", "{a}", "[a]", "*?[a]",
    "&x", "*x", "!x", "%x", "@x", "`x`", "|", ">", "?", "a,b", "$HOME", "${x}", "..a", "é日本", "😀",
    "right\u202eleft", "\u2028", "\ufeff", "x" * 200, "{content}",
)  # fmt: skip


def written(root: Path, content: Path, style: Path, file: str = "pipeline.yaml") -> PipelineSpec:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(pipeline_text("x", as_written(content, path), as_written(style, path)), encoding="utf-8")
    return load_spec(path)


def picture(folder: Path, name: str = "a.png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    runs.save_picture(folder / name, seed=1)
    return folder


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_folders_of_any_name(tmp_path: Path, name: str) -> None:
    folder = picture(tmp_path / name)
    spec = written(tmp_path, folder, folder / "a.png")
    assert [Path(each).resolve() for each in (*spec.content, *spec.style)] == [(folder / "a.png").resolve()] * 2
    assert yaml.safe_load(f"key: {scalar(name)}  # comment") == {"key": name}


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    content, style = picture(tmp_path / "photos"), picture(tmp_path / "art" / "old")
    inside = tmp_path / "runs" / "p.yaml"
    assert as_written(content, inside) == "../photos" and as_written(style, tmp_path / "art" / "p.yaml") == "old"
    assert len(written(tmp_path, content, style, "runs/p.yaml").style) == 1


def test_links_do_not_lead_astray(tmp_path: Path) -> None:
    """``..`` of a folder that is a link leads to where it points, not to where the link is."""
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "away")
    content = picture(tmp_path / "photos")
    assert written(tmp_path, content, content, "link/p.yaml").content


def test_pictures_in_subfolders_alone_are_found(tmp_path: Path) -> None:
    picture(tmp_path / "ph[o]tos" / "2025"), picture(tmp_path / "ph[o]tos" / "2026")
    style = picture(tmp_path / "style")
    assert len(written(tmp_path, tmp_path / "ph[o]tos", style).content) == 2


def test_globs_and_homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "home" / "photos"), picture(tmp_path / "a", "b.jpg")
    assert as_written("~/photos", Path("p.yaml")) == "home/photos"
    assert as_written("a/*.jpg", Path("p.yaml")) == "a/*.jpg"
    with pytest.raises(UsageError, match="no pictures match"):
        as_written("a/*.png", Path("p.yaml"))
    with pytest.raises(UsageError, match="no such file or folder"):
        as_written("nowhere", Path("p.yaml"))


@pytest.mark.parametrize("name", ["Photos", "INPUT", "images"])
def test_folders_are_guessed_by_their_names(tmp_path: Path, name: str) -> None:
    (tmp_path / "content").mkdir()  # empty: not this one
    (tmp_path / "photos.txt").write_text("no folder")
    folder = picture(tmp_path / name)
    assert guessed("content", tmp_path) == folder
    picture(tmp_path / "content")
    assert guessed("content", tmp_path).name == "content", "likelier"
    assert (
        guessed("style", Path("/work") if False else picture(tmp_path / "data" / "style").parent.parent).name == "style"
    )


def test_nothing_to_guess_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="no folder of style pictures here, such as style, styles or paintings"
    ) as error:
        guessed("style", tmp_path)
    assert "--style FOLDER" in error.value.hint


def test_the_file_is_short_and_says_what_holds(tmp_path: Path) -> None:
    folder = picture(tmp_path / "photos")
    text = pipeline_text("holiday", "photos", "paintings")
    assert len(text.splitlines()) <= 26 and max(map(len, text.splitlines())) <= 80
    explained = [line for line in text.splitlines() if "  # " in line]
    assert len(explained) >= 8
    assert written(tmp_path, folder, folder).settings() == PRESETS["default"], "defaults are what they are said to be"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("holiday.yaml", "holiday"),
        ("trip to Rome/pipeline.yaml", "trip-to-Rome"),
        ("2026/pipeline.yaml", "2026"),
        ("日本/pipeline.yaml", "pictures"),
        (".-/pipeline.yaml", "pictures"),
        ("_a.b.yaml", "_a.b"),
    ],
)
def test_runs_have_names(tmp_path: Path, file: str, name: str) -> None:
    assert run_name(tmp_path / file) == name
    (tmp_path / "p.yaml").write_text(pipeline_text(name, ".", "."))
    picture(tmp_path)
    assert load_spec(tmp_path / "p.yaml").name == name
    assert load_spec(tmp_path / "p.yaml").output_dir.name == name
