"""Whatever is beside the pictures and is not rendered is said, by every command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import runs
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
