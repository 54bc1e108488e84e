"""What becomes of a pipeline here."""

from __future__ import annotations

from pathlib import Path

import pytest

from nst_batch.doctor import prospects
from nst_batch.doctor.computing import Probed
from nst_batch.doctor.findings import Finding
from nst_batch.pipeline_file.spec import load_spec
from tests import runs

GPUS = Probed({"gpus": {"devices": [{"name": "H100", "free": 10**8, "total": 8 * 10**10, "error": ""}], "mps": False}})
NO_GPU = Probed({"gpus": {"devices": [], "mps": False}})


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    runs.make_pictures(tmp_path)
    return runs.write_pipeline(tmp_path, tmp_path / "content" / "c0.png")


def changed(pipeline: Path, **settings: object) -> Path:
    return runs.write_pipeline(pipeline.parent, pipeline.parent / "content" / "c0.png", **settings)


def forecast(pipeline: Path, asked: Probed = NO_GPU, **overrides: str) -> Finding:
    ready = prospects.planned(pipeline, {key.replace("__", "."): value for key, value in overrides.items()})[1]
    assert ready is not None
    return prospects.forecast(ready, asked)


def test_a_file_that_loads(pipeline: Path) -> None:
    found, spec = prospects.loaded(pipeline, {})
    assert found.level == "ok" and spec is not None and spec.name == "night"
    told, ready = prospects.planned(pipeline, {})
    assert (told.level, told.text) == ("ok", "2 contents, 2 styles: 4 tasks, 0 done")
    assert ready is not None
    assert not (pipeline.parent / "out").exists(), "nothing is made"


def test_mistakes_are_listed_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("name: x\ncontent: none\nstyle: none\ntransfer: {sise: 5}\n")
    found, spec = prospects.loaded(file, {})
    assert spec is None and found.level == "problem" and found.text.endswith("3 mistakes")
    assert "size" in found.remedy and len(found.remedy.splitlines()) == 3
    assert prospects.loaded(tmp_path / "no.yaml", {})[0].level == "problem"


def test_names_that_collide_are_a_problem(pipeline: Path) -> None:
    found, ready = prospects.planned(pipeline, {"output.name": "same.png"})
    assert ready is None and found.level == "problem" and "same.png" in found.text


def test_broken_pictures_are_counted(pipeline: Path) -> None:
    (pipeline.parent / "content" / "c0.png").write_text("no picture")
    found, _ = prospects.planned(pipeline, {})
    assert found.level == "warning" and "1 files cannot be used" in found.text and "c0.png" in found.remedy
    (pipeline.parent / "content" / "c1.png").write_text("no picture")
    assert prospects.planned(pipeline, {})[0].level == "problem"


def test_devices_that_are_not_here(pipeline: Path) -> None:
    spec = load_spec(changed(pipeline, run={"devices": ["cuda:0", "cuda:1"]}))
    found = prospects.devices(spec, GPUS)
    assert found.level == "problem" and found.text == "run.devices: no cuda:1 on this machine"
    assert prospects.devices(load_spec(changed(pipeline, run={"devices": ["cuda:0"]})), GPUS).level == "ok"
    automatic = load_spec(changed(pipeline, run={}))
    assert [prospects.devices(automatic, each).text for each in (GPUS, NO_GPU)] == ["cuda:0", "cpu"]


def test_memory_is_foretold(pipeline: Path) -> None:
    assert forecast(pipeline).level == "ok" and "GB free" in forecast(pipeline).text
    found = forecast(pipeline, transfer__size="30000", transfer__upscale="true", run__memory_limit="2 GB")
    assert found.level == "problem" and "4 of 4 tasks do not fit" in found.text and "transfer.size" in found.remedy
    strips = forecast(pipeline, transfer__size="4096", transfer__upscale="true", run__memory_limit="4 GB",
                      transfer__history="5")  # fmt: skip
    assert strips.level == "ok" and "4 of 4 in strips" in strips.text
    on_gpu = forecast(pipeline, GPUS, run__devices="[cuda:0]", transfer__size="2048", transfer__upscale="true")
    assert "100 MB free: the largest in strips" in on_gpu.text
