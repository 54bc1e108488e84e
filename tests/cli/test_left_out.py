"""Whatever is beside the pictures and is not rendered is said, by every command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from nst_batch.records import Limits
from tests import runs, tar_files
from tests.runs import here

SAID = "left out of content: 1 .dng, 1 by exclude, 1 in @eaDir, 1 in subfolders (content/**/*)"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    runs.make_pictures(tmp_path, contents=3, styles=1)
    for name in ("raw.dng", "2019/a.png", "@eaDir/c0.png/THUMB.jpg"):
        (tmp_path / "content" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "content" / name).write_bytes(b"x")
    weights = runs.save_weights(tmp_path / "vgg.pth")
    runs.write_pipeline(tmp_path, weights, exclude=["c2.*"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def counts(facts: list[dict[str, object]]) -> dict[object, object]:
    return {each["why"]: each["count"] for each in facts}


def test_plan_run_and_doctor_say_what_is_left_out(folder: Path) -> None:
    assert SAID in here("plan").err
    planned = here("plan", "--json")
    assert planned.json["tasks"] == 2
    expected = {".dng": 1, "by exclude": 1, "in @eaDir": 1, "in subfolders (content/**/*)": 1}
    assert counts(planned.json["left_out"]["content"]) == expected and planned.json["left_out"]["style"] == []
    named = [file for each in planned.json["left_out"]["content"] for file in each["files"]]
    assert sorted(named) == sorted(
        str(folder / "content" / name) for name in ("raw.dng", "c2.png", "@eaDir/c0.png/THUMB.jpg")
    )
    assert SAID in " ".join(here("doctor", "pipeline.yaml").out.split())
    run = here("run", "--inline", "--json")
    assert run.code == 0 and SAID in run.err and counts(run.json["left_out"]["content"]) == expected
    assert "left out" in here("plan").err, "what is done is done, and what is left out is still said"


def test_init_says_so_for_the_folders_that_it_found(folder: Path) -> None:
    made = here("init", "new.yaml")
    assert "3 contents x 1 style = 3 tasks" in made.out
    assert "left out of content: 1 .dng, 1 in @eaDir, 1 in subfolders (content/**/*)" in made.out


def test_a_sample_says_how_evenly_styles_are_used(folder: Path) -> None:
    runs.make_pictures(folder, contents=7, styles=3)
    assert "styles, each in" not in here("plan").out
    drawn = here("plan", "--set", "exclude=[]", "--set", "pairs={sample: 1, balanced: true}")
    assert "  3 styles, each in 2 to 3 pictures" in drawn.out
    told = json.loads(here("plan", "--set", "exclude=[]", "--set", "pairs={sample: 1}", "--json").out)["styles"]
    assert told["styles"] == 3 and 0 <= told["least"] <= 2 and told["most"] >= 3


def test_a_picture_that_its_format_does_not_hold_fails_before_it_is_rendered(folder: Path) -> None:
    Image.new("RGB", (17_000, 20)).save(folder / "content" / "wide.png")
    Image.new("RGB", (40, 8)).save(folder / "content" / "low.png")
    sets = ("--set", "output={dir: out, name: '{content}.webp'}", "--set", "transfer.fit=native")
    planned = here("plan", "--json", *sets)
    problems = {each["path"]: each["problem"] for each in planned.json["unusable"]}
    assert problems == {
        "wide.webp": "17,000 x 20 pixels, and .webp holds 16,383 a side; end output.name in .png or .tif, or take a "
        "smaller transfer.size",
        "low.webp": "40 x 8 pixels; a side needs 16 at least",
    }
    assert "2 files cannot be used" in here("plan", *sets).out
    ended = here("run", "--inline", "--json", *sets)
    assert (ended.code, ended.json["rendered"], ended.json["failed"]) == (1, 2, 2)
    failures = {line["output"]: line["error"]["message"] for line in runs.lines(folder / "out") if line.get("error")}
    assert "16,383 a side" in failures["wide.webp"] and "a side needs 16" in failures["low.webp"]
    fits = here("plan", "--json", "--set", "output={dir: out, name: '{content}.png'}", "--set", "transfer.fit=native")
    assert [each["path"] for each in fits.json["unusable"]] == ["low.png"]


def test_photographs_of_200_megapixels_are_within_the_limit_and_what_is_beyond_is_said(folder: Path) -> None:
    assert Limits().pixels > 16_320 * 12_240
    told = here("plan", "--json", "--set", "limits.pixels=1000").json["unusable"]
    assert {each["problem"] for each in told} == {"32 x 32 pixels, and limits.pixels is 1,000"}
    text = here("plan", "--set", "limits.pixels=1000").out
    assert "limits.pixels is 1,000" in text


def test_what_a_content_says_of_itself_goes_along_where_it_is_asked_for(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x013B], exif[0x0112] = "Ada", 6
    Image.new("RGB", (48, 32)).save(folder / "content" / "photo.jpg", exif=exif, dpi=(300, 300))
    tar_files.save(folder / "in.tar", {"photo.jpg": (folder / "content" / "photo.jpg").read_bytes()})
    for content in ("content/photo.jpg", "in.tar"):
        for metadata, author in (("[]", None), ("content", "Ada")):
            out = f"output={{dir: 'out-{content[:2]}-{metadata[1:]}', name: '{{content}}.jpg', metadata: {metadata}}}"
            ended = here("run", "--inline", "--json", "--set", f"content={content}", "--set", out)
            assert ended.json["rendered"] == 1
            with Image.open(folder / f"out-{content[:2]}-{metadata[1:]}" / "photo.jpg") as made:
                assert made.getexif().get(0x013B) == author and 0x0112 not in made.getexif()
                assert made.size == (21, 32)
