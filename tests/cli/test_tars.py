"""Pictures in tar files, from the pipeline file to the report."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nst_batch.archives import tar_headers, tars
from nst_batch.paths import RunPaths
from tests import runs, tar_files
from tests.runs import here, lines


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.save_weights(tmp_path_factory.mktemp("weights") / "vgg.pth")


@pytest.fixture
def pipeline(tmp_path: Path, weights: Path) -> Path:
    """Two shards of two pictures with labels, two styles."""
    runs.make_pictures(tmp_path, contents=4, styles=2)
    (tmp_path / "in").mkdir()
    data = [(tmp_path / "content" / f"c{n}.png").read_bytes() for n in range(4)]
    for number in range(2):
        pair = {f"n/{n}.v1.png": data[n] for n in (2 * number, 2 * number + 1)}
        labels = {f"n/{n}.cls": b"%d" % n for n in (2 * number, 2 * number + 1)}
        tar_files.save(tmp_path / "in" / f"shard-{number}.tar", pair | labels)
    settings = {"output__name": "{shard}.tar/{content}__{style}{sweep}.png", "sweep": {"style_weight": [0.5, 2]}}
    return runs.write_pipeline(tmp_path, weights, content="in/shard-*.tar", pairs={"sample": 1}, **settings)


def members(root: Path) -> dict[str, bytes]:
    return {
        f"{p.name}/{name}": data for p in sorted(root.glob("*.tar")) for name, data in tar_files.contents(p).items()
    }


def test_from_shards_to_shards_and_nothing_twice(pipeline: Path) -> None:
    run = pipeline.parent / "out"
    first = here("run", pipeline, "--json", "--limit", "3")
    assert first.json["rendered"] == 3 and (run / "shard-0.tar.loose").is_dir() and not members(run)
    second = here("run", pipeline, "--json")
    assert (second.json["skipped"], second.json["rendered"]) == (3, 5)
    found = members(run)
    outputs = {line["output"]: line for line in lines(run)}
    assert {name for name in found if name.endswith(".png")} == outputs.keys() and len(outputs) == 8
    assert all("." not in Path(name).stem for name in outputs)
    assert all(found[f"{name[:-4]}.cls"] == Path(name).name[:1].encode() for name in outputs) and len(found) == 16
    assert not list(run.glob("*.loose"))
    assert here("run", pipeline, "--json", "--verify").json["rendered"] == 0
    assert here("status", pipeline, "--json").json["done"] == 8
    assert here("report", pipeline).code == 0


def test_labels_may_stay_behind(pipeline: Path) -> None:
    assert here("run", pipeline, "--set", "run.labels=none").code == 0
    names = members(pipeline.parent / "out")
    assert len(names) == 8 and all(name.endswith(".png") for name in names)


def test_headers_are_read_once_and_for_all(pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By each of these commands, as if it ran in a process of its own."""
    read, real = list[str](), tar_headers.read_headers

    def counting(descriptor: int, archive: str, status: os.stat_result) -> tar_headers.Index:
        read.append(Path(archive).name)
        return real(descriptor, archive, status)

    def command(*words: str) -> list[str]:
        tars.forget()
        assert here(words[0], pipeline, *words[1:]).code == 0
        found, read[:] = sorted(read), []
        return found

    monkeypatch.setattr(tars, "_KEPT_MEMBERS", 1)
    monkeypatch.setattr(tars, "read_headers", counting)
    long_ago = time.time_ns() - 10**10
    for path in (pipeline.parent / "in").glob("*.tar"):
        os.utime(path, ns=(long_ago, long_ago))
    assert command("plan") == command("plan") == ["shard-0.tar", "shard-1.tar"]  # planning alone keeps nothing
    command("run")
    for path in (pipeline.parent / "out").glob("*.tar"):
        os.utime(path, ns=(long_ago, long_ago))
    assert command("plan") == ["shard-0.tar", "shard-1.tar"]  # those that were made since
    for words in (["plan"], ["status"], ["run"], ["plan", "--json"]):
        assert command(*words) == [], words
    os.utime(pipeline.parent / "in" / "shard-1.tar", ns=(long_ago - 1, long_ago - 1))
    assert command("plan") == ["shard-1.tar"]


def test_what_was_left_loose_is_packed_though_all_is_done(pipeline: Path) -> None:
    run = pipeline.parent / "out"
    here("run", pipeline)
    before = members(run)
    for name, data in before.items():
        tar_files.put_loose(RunPaths(run), name.partition("/")[0], {name.partition("/")[2]: data})
        (run / name.partition("/")[0]).unlink(missing_ok=True)
    assert here("run", pipeline, "--json").json["rendered"] == 0
    assert members(run) == before and not list(run.glob("*.loose"))


def test_a_member_that_is_gone_is_rendered_again(pipeline: Path) -> None:
    run = pipeline.parent / "out"
    here("run", pipeline)
    before = members(run)
    (run / "shard-1.tar").unlink()
    plan = here("plan", pipeline, "--json").json
    assert plan["reasons"] == {"output missing": 4}
    assert here("run", pipeline, "--json").json["rendered"] == 4
    assert members(run) == before


def test_somebody_elses_archive_fails_its_own_tasks(pipeline: Path) -> None:
    run = pipeline.parent / "out"
    run.mkdir()
    theirs = tar_files.save(run / "shard-1.tar", {"a.png": b""}).read_bytes()
    ended = here("run", pipeline, "--json")
    assert (ended.json["rendered"], ended.json["failed"]) == (4, 4) and ended.code == 1
    assert "shard-1.tar is there, and cannot be added to" in ended.err
    assert (run / "shard-1.tar").read_bytes() == theirs


def test_a_shard_that_is_cut_short_is_rendered_as_far_as_it_goes(pipeline: Path) -> None:
    """Said again by those who read no headers."""
    shard, long_ago = pipeline.parent / "in" / "shard-1.tar", time.time_ns() - 10**10
    shard.write_bytes(shard.read_bytes()[: 3 * 512])
    os.utime(shard, ns=(long_ago, long_ago))
    (pipeline.parent / "out" / "state").mkdir(parents=True)
    for _ in range(2):
        tars.forget()
        ended = here("plan", pipeline, "--json")
        assert ended.json["todo"] == 6 and f"{shard} is cut off in the middle of a member; the pictures" in ended.err


def test_a_compressed_shard_is_a_mistake_in_the_file(pipeline: Path) -> None:
    (pipeline.parent / "in" / "shard-9.tar.gz").write_bytes(b"")
    ended = here("plan", pipeline, "--set", "content=in/shard-9.tar.gz")
    assert ended.code == 2 and "shard-9.tar.gz: compressed" in ended.err and "decompress" in ended.err


def test_a_list_of_shards_names_what_is_in_them_and_bad_ones_fail_alone(pipeline: Path) -> None:
    folder = pipeline.parent / "in"
    (folder / "shard-2.tar").write_bytes(b"<html>not found</html>")
    (folder / "shard-3.tar").write_bytes(b"")
    (folder / "shards.txt").write_text("".join(f"shard-{number}.tar\n" for number in range(4)))
    for content in ("@in/shards.txt", "in/shard-{0..3}.tar", "in/shard-*.tar", "in"):
        planned = here("plan", pipeline, "--json", "--set", f"content='{content}'", "--set", "sweep={}")
        assert planned.json["tasks"] == 6, content
        bad = {Path(each["path"]).name: each["problem"] for each in planned.json["unusable"]}
        assert bad == {"shard-2.tar": "not a tar file", "shard-3.tar": "an empty file, not a tar file"}
    ended = here("run", pipeline, "--json", "--set", "content='@in/shards.txt'", "--set", "sweep={}")
    assert (ended.code, ended.json["rendered"], ended.json["failed"]) == (1, 4, 2)
    assert len([name for name in members(pipeline.parent / "out") if name.endswith(".png")]) == 4
