"""A dataset in shards, through everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import shards
from tests import runs, tar_files

pytestmark = pytest.mark.slow


def test_pictures_go_from_shards_into_shards_whatever_is_killed(tmp_path: Path) -> None:
    """``python -m benchmarks shards`` does the same with 2,000."""
    found = shards.measure(tmp_path, pictures=800, shards=8)
    print(found.in_words())
    assert found.failures() == {}
    assert found.kills["of all"] == 4 and found.runs == 7 and found.compared == shards.COMPARED
    # What a worker has finished, and what of it is on its way to the manifest: some for each worker and kill.
    assert found.begun_again <= 8 * found.runs


def test_what_is_lost_or_wrong_is_found(tmp_path: Path) -> None:
    """The judge itself: of a run with nothing wrong, and after damage."""
    contents, styles = shards.make_shards(tmp_path, pictures=6, shards=2), shards.make_styles(tmp_path)
    pipeline, out = shards.write_pipeline(tmp_path, steps=1), tmp_path / "out"
    assert runs.here("run", pipeline).code == 0

    def judged() -> dict[str, list[str]]:
        found = shards.Figures(pictures=6, shards=2, steps=1)
        shards.judge(out, contents, styles, found)
        shards.compare(tmp_path, pipeline, contents[::2], found)
        return found.failures()

    assert judged() == {}
    first, second = (tar_files.contents(path) for path in sorted(out.glob("*.tar")))
    names = sorted(name for name in first if name.endswith(".png"))
    first[names[0]] = first[names[1]]
    first[f"{names[1][:-4]}.cls"] = b"other"
    del first[names[2]]
    tar_files.save(out / "shard-00.tar", {**first, "more.png": b""})
    tar_files.save(out / "shard-01.tar", second)
    (out / "shard-01.tar.loose").mkdir()
    (part,) = (out / "manifest").glob("*.jsonl")
    part.write_bytes(part.read_bytes() + part.read_bytes().splitlines(keepends=True)[-1])
    found = judged()
    assert [each.partition(": ")[2] for each in found["wrong"][:2]] == ["not the bytes of its line", "label b'other'"]
    assert any(each.startswith("shard-00.tar/more.png") for each in found["wrong"])
    assert len(found["lost"]) == len(found["twice"]) == len(found["strays"]) == 1
    assert found["other than in a calm run"]
