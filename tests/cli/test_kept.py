"""What a table of pairs keeps of each picture comes out of ``export``."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests import runs
from tests.runs import here


def test_labels_and_splits_of_a_table_are_in_what_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.make_pictures(tmp_path, contents=2, styles=1)
    rows = [f"content/c{n}.png,style/s0.png,{split}" for n, split in enumerate(("train", "val"))]
    (tmp_path / "pairs.csv").write_text("\n".join(["content,style,meta.split", *rows]) + "\n")
    runs.write_pipeline(tmp_path, runs.save_weights(tmp_path / "vgg.pth"), pairs="@pairs.csv", sweep={"seed": [1, 2]})
    monkeypatch.chdir(tmp_path)
    plain = here("plan", "--json")
    assert here("run", "--inline").code == 0 and here("export", "out", "t.jsonl").code == 0
    assert pl.read_ndjson(tmp_path / "t.jsonl")["meta.split"].to_list() == ["train", "train", "val", "val"]
    (tmp_path / "pairs.csv").write_text("\n".join(["content,style,meta.split", *rows]).replace("train", "test") + "\n")
    assert here("plan", "--json").json["done"] == plain.json["tasks"] == 4, "it changes no picture"
