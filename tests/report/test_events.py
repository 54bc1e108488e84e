"""What TensorBoard reads, read back by TensorBoard."""

from __future__ import annotations

import dataclasses
import io
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nst_batch.errors import UsageError
from nst_batch.paths import RunPaths
from nst_batch.planning.planned import write_plan
from nst_batch.planning.task_table import TaskTable
from nst_batch.records import Style, Task, TaskResult
from nst_batch.report.events import FILE, columns, curves, export_events, hyperparameters
from tests import runs
from tests.lines import CONTENT, STYLE, done, failed, put, task, write

pytest.importorskip("tensorboard", reason="the extra nst_batch[tensorboard] is not installed")

ONE, OTHER, THIRD = (
    task("a.png", steps=5),
    task("sub/b <\"'>é\n.png", steps=6, history="auto"),
    task("c.png", steps=7),
)
TERMS: dict[str, tuple[float | None, ...]] = {
    "content/conv2_2": (1.0, 0.5, 0.25),
    "style/conv1_1": (2.0, None, 0.5),
    "tv": (0.125, 0.25, 0.5),
}


def rendered(each: Task, **changes: Any) -> TaskResult:
    data = Path(__file__).with_name("unused").name.encode()
    started, finished = "2026-01-01T00:00:00+00:00", "2026-01-01T00:01:40+00:00"
    found = done(each, data, finished)
    curve = ((1, 3.0), (2, 2.0), (10, 1.0))
    return dataclasses.replace(found, started=started, curve=curve, terms=TERMS, evaluations=10, **changes)


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    """Two done, one of them with a name that needs care, and one failed."""
    made = RunPaths(tmp_path / "run")
    made.root.mkdir()
    results = []
    for each in (ONE, OTHER):
        out = io.BytesIO()
        Image.new("RGB", (40, 20), (200, 30, 30)).save(out, "PNG")
        put(made, each, out.getvalue())
        results.append((each, dataclasses.replace(rendered(each), bytes=len(out.getvalue()))))
    write(made, *results, (THIRD, failed(THIRD)))
    write_plan(made, TaskTable.of([ONE, OTHER, THIRD]))
    return made


def read(folder: Path) -> Any:
    """By TensorBoard's own reader, in a state where nothing is left out."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    found.Reload()
    return found


def test_every_picture_is_a_run_with_its_losses_and_itself(paths: RunPaths, tmp_path: Path) -> None:
    assert export_events(paths, tmp_path / "board") == (2, 2)
    for each in (ONE, OTHER):
        found = read(tmp_path / "board" / each.output)
        scalars = {tag: [(at.step, at.value) for at in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
        assert scalars == {
            "loss/total": [(1, 3.0), (2, 2.0), (10, 1.0)],
            "loss/content/conv2_2": [(1, 1.0), (2, 0.5), (10, 0.25)],
            "loss/style/conv1_1": [(1, 2.0), (10, 0.5)],
            "loss/tv": [(1, 0.125), (2, 0.25), (10, 0.5)],
        }
        moments = [at.wall_time for at in found.Scalars("loss/total")]
        assert moments[2] - moments[1] == pytest.approx(80) and moments[0] - moments[1] == pytest.approx(-10)
        (image,) = found.Images("picture")
        with Image.open(io.BytesIO(image.encoded_image_string)) as small:
            assert (small.size, small.format, image.step) == ((40, 20), "PNG", 10)
    assert not (tmp_path / "board" / "c.png").exists()


def test_what_pictures_were_rendered_with_is_told_as_hyperparameters(paths: RunPaths, tmp_path: Path) -> None:
    from tensorboard.plugins.hparams.metadata import parse_experiment_plugin_data, parse_session_start_info_plugin_data

    export_events(paths, tmp_path / "board")

    def content(folder: Path, tag: str) -> bytes:
        found: bytes = read(folder).SummaryMetadata(tag).plugin_data.content
        return found

    experiment = parse_experiment_plugin_data(content(tmp_path / "board", "_hparams_/experiment"))
    assert {each.name for each in experiment.hparam_infos} == {"content", "style", "steps", "history"}
    assert [each.name.tag for each in experiment.metric_infos] == ["loss/total"]
    start = parse_session_start_info_plugin_data(
        content(tmp_path / "board" / OTHER.output, "_hparams_/session_start_info")
    )
    assert start.hparams["steps"].number_value == 6 and start.hparams["history"].string_value == "auto"
    assert start.hparams["content"].string_value == "c.png"


def test_runs_from_before_terms_have_their_total(paths: RunPaths) -> None:
    record = {"curve": [[1, 3.0], [5, 2.0]], "started": "", "finished": None}
    (only,) = curves(record)
    assert only.tag == "loss/total" and only.points == ((1, 0.0, 3.0), (5, 0.0, 2.0))
    assert list(curves({})) == [] and list(curves({"curve": [], "terms": {"tv": []}})) == []


def test_a_picture_that_cannot_be_read_has_its_losses(paths: RunPaths, tmp_path: Path) -> None:
    data = paths.output(ONE.output).read_bytes()
    paths.output(ONE.output).write_bytes(bytes(len(data)))
    assert export_events(paths, tmp_path / "board") == (2, 2)
    found = read(tmp_path / "board" / ONE.output)
    assert found.Tags()["images"] == [] and len(found.Scalars("loss/total")) == 3


def test_folders_are_not_written_into_in_silence(paths: RunPaths, tmp_path: Path) -> None:
    board = tmp_path / "board"
    export_events(paths, board)
    before = (board / ONE.output / FILE).read_bytes()
    with pytest.raises(UsageError, match="holds something already") as error:
        export_events(paths, board)
    assert "--force" in error.value.hint
    assert export_events(paths, board, force=True) == (2, 2)
    assert (board / ONE.output / FILE).read_bytes() == before, "nothing is counted twice"
    with pytest.raises(UsageError, match="need a folder"):
        export_events(paths, paths.plan)
    with pytest.raises(UsageError, match="no run"):
        export_events(RunPaths(tmp_path / "nowhere"), tmp_path / "other")
    with pytest.raises(UsageError, match="cannot be written"):
        export_events(paths, Path("/proc/nst"))


def test_names_do_not_lead_out_of_the_folder(paths: RunPaths, tmp_path: Path) -> None:
    write_plan(paths, TaskTable.of([dataclasses.replace(ONE, output="../run/a.png")]))
    write(paths, (dataclasses.replace(ONE, output="../run/a.png"),
                  dataclasses.replace(rendered(ONE), output="../run/a.png", finished="2027",
                                      bytes=paths.output("a.png").stat().st_size)))  # fmt: skip
    with pytest.raises(UsageError, match="not a name"):
        export_events(paths, tmp_path / "board")
    assert not (tmp_path / "board").exists()


def test_hyperparameters_have_one_kind_each() -> None:
    styles = tuple(Style(dataclasses.replace(STYLE, path=path)) for path in ("x/s.png", "y/t.png"))
    item = task(content=dataclasses.replace(CONTENT, path="a/b/c.png"), styles=styles)
    first = hyperparameters(item, {"guard": True, "scales": [1, 2], "size": 5})
    assert first == {"content": "c.png", "style": "s.png + t.png", "guard": True, "scales": "[1, 2]", "size": 5}
    odd = task(content=dataclasses.replace(CONTENT, path="\udcff.png"))
    assert hyperparameters(odd, {})["content"] == "\\udcff.png"
    assert columns([first, {"size": "auto", "guard": False}]) == {
        "content": str, "style": str, "guard": bool, "scales": str, "size": str,
    }  # fmt: skip


def test_without_tensorboard_there_is_a_hint(paths: RunPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto", None)
    with pytest.raises(UsageError, match="tensorboard is not installed") as error:
        export_events(paths, tmp_path / "board")
    assert "nst_batch[tensorboard]" in error.value.hint and not (tmp_path / "board").exists()


def test_on_the_command_line(paths: RunPaths, tmp_path: Path) -> None:
    told = runs.here("export", paths.root, tmp_path / "my board", "--tensorboard")
    assert told.code == 0 and "2 pictures in" in told.err and f"--logdir '{tmp_path}/my board'" in told.err
    assert len(list((tmp_path / "my board").rglob("*tfevents*"))) == 3


def test_of_many_pictures_a_sample_is_written(paths: RunPaths, tmp_path: Path) -> None:
    assert export_events(paths, tmp_path / "board", most=1) == (1, 2)
    written = {str(file.parent.relative_to(tmp_path / "board")) for file in (tmp_path / "board").rglob(FILE)} - {"."}
    assert len(written) == 1 and written < {ONE.output, OTHER.output}
