"""docs/datasets.md: what it says of training programs, with their own loaders, on runs of its pipeline files."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
from datasets.table import embed_table_storage
from torchvision.datasets import ImageFolder

from nst_batch.pipeline_file.spec import load_spec
from tests import runs
from tests.runs import here

DOCUMENT = (runs.REPOSITORY / "docs" / "datasets.md").read_text().partition("## Into training programs")[2]


def block(kind: str, has: str) -> str:
    """The block of code of that kind which has this in it."""
    found: list[str] = re.findall(rf"```{kind}\n(.*?)```", DOCUMENT, re.DOTALL)
    return next(text for text in found if has in text)


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code, "docs/datasets.md", "exec"), names)
    return names


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes of pictures, and the document's pipeline file run on them."""
    for number in range(6):
        folder = tmp_path / "data" / "train" / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        runs.save_picture(folder / f"{number // 2}.jpg", seed=number)
    runs.make_pictures(tmp_path, contents=0, styles=3)
    (tmp_path / "style").rename(tmp_path / "paintings")
    weights = runs.save_weights(tmp_path / "vgg.pth")
    small = "transfer: {size: 32, steps: 2, content_layers: [relu1_1], style_layers: [relu1_1], balance: none}\n"
    text = block("yaml", "content_dir") + f"name: n\n{small}weights: {{path: {weights}}}\nrun: {{devices: [cpu]}}\n"
    (tmp_path / "pipeline.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", tmp_path / "cache" / "downloads")
    assert here("run", "--inline").code == 0 and here("report").code == 0
    return tmp_path


def test_folders_by_class_come_out_as_folders_by_class(home: Path) -> None:
    data: ImageFolder = run(block("python", "ImageFolder"))["data"]
    assert data.classes == ["cat", "dog"] and Counter(data.targets) == {0: 3, 1: 3}
    assert data[0][0].size == (32, 32)
    data = run(block("python", "load_dataset"))["data"]
    assert len(data) == 6 and Counter(data["label"]) == {0: 3, 1: 3}
    assert here("export", "outputs/stylised", "table.parquet").code == 0
    outputs = pd.read_parquet("table.parquet")["output"]
    assert all((home / "outputs" / "stylised" / each).is_file() for each in outputs) and len(outputs) == 6


def test_pictures_of_one_folder_are_a_dataset_under_the_default_name(home: Path) -> None:
    out = home / "outputs" / "flat"
    assert here("run", "--inline", "--set", f"output={{dir: {out}}}", "--set", "content=data/train/cat").code == 0
    assert here("report", out).code == 0
    data = datasets.load_dataset("imagefolder", data_dir=str(out / "images"), split="train")
    assert len(data) == 3 and {Path(each.name).parent.name for each in out.rglob("*.png")} == {""}
    assert {path.name for path in out.iterdir()} > {"images", "manifest", "report.html", "state"}


def test_from_parquet_of_bytes_to_parquet_of_bytes(home: Path) -> None:
    images = datasets.load_dataset("imagefolder", data_dir="data/train", split="train")
    embedded = images.with_format("arrow").map(embed_table_storage, batched=True)
    embedded.to_parquet("photos.parquet")
    (home / "shards").mkdir()
    run(block("python", "ShardWriter"))
    name = "output={dir: outputs/shards, name: '{shard}.tar/{content}__{style}.png'}"
    assert here("run", "--inline", "--set", "content=shards", "--set", name).code == 0
    found = datasets.load_dataset("webdataset", data_files={"train": "outputs/shards/*.tar"}, split="train")
    assert sorted(int(label) for label in found["cls"]) == [0, 0, 0, 1, 1, 1]
    code = block("python", "load_dataset") + block("python", "to_parquet")
    run(code)
    table = pd.read_parquet("stylised.parquet")
    assert len(table) == 6 and table["image"][0]["bytes"].startswith(b"\x89PNG") and set(table["label"]) == {0, 1}


def test_a_run_of_before_goes_on_under_its_names(home: Path) -> None:
    out = home / "outputs" / "old"
    former = "output={dir: outputs/old, name: '{content}__{style}{sweep}.png'}"
    assert here("run", "--inline", "--set", former, "--set", "content=data/train/cat", "--limit", "2").code == 0
    again = here("run", "--inline", "--json", "--set", "output={dir: outputs/old}", "--set", "content=data/train/cat")
    assert (again.json["skipped"], again.json["rendered"]) == (2, 1) and "goes on under" in again.err
    assert len(list(out.glob("*.png"))) == 3 and not (out / "images").exists()
    (home / "new.yaml").write_text((home / "pipeline.yaml").read_text().replace("output:", "#"))
    assert load_spec(home / "new.yaml").output.name.startswith("images/")
