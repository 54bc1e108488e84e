"""A run as TensorBoard reads it: for each picture its losses by evaluation, its settings, and itself, small."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from nst_batch.atomic import write_atomic
from nst_batch.errors import UsageError
from nst_batch.errors import in_words as error_in_words
from nst_batch.paths import RunPaths
from nst_batch.planning.planned import read_plan
from nst_batch.recorded.history import Records, read
from nst_batch.recorded.rows import text
from nst_batch.recorded.status import DONE, states_of
from nst_batch.records import Task
from nst_batch.report.sample import chosen
from nst_batch.report.thumbnails import thumbnails

FILE = "events.out.tfevents.0.nst_batch"
"""The same whenever it is written, so that it takes the place of the one before. ``tfevents`` has to be in it."""
TOTAL, PICTURE = "loss/total", "picture"

Value = bool | float | str


@dataclass(frozen=True)
class Curve:
    """The losses of one term: at which evaluation, when (seconds since 1970), and how much."""

    tag: str
    points: tuple[tuple[int, float, float], ...]


def export_events(
    paths: RunPaths, folder: Path, *, force: bool = False, most: int | None = None, seed: int = 0
) -> tuple[int, int]:
    """Write a run of TensorBoard's into ``folder`` for each picture that is done, named as it is; of more than some
    thousands, for a sample.

    Args:
        paths: of the run.
        folder: to write into.
        force: whatever it holds.
        most: pictures, as in a report; None: all, up to some thousands.
        seed: which ones, where they are not all.

    Returns:
        How many pictures were written, and how many are done.

    Raises:
        UsageError: no run, no tensorboard, a folder that holds something (but for ``force``) or cannot be written.
    """
    protos = _Protos()
    known, tasks = read(paths), read_plan(paths)
    states = states_of(tasks, known, paths)[0]
    sample, all_done = chosen(tasks, states, known, most, seed), np.flatnonzero(states == DONE)
    some = tasks.only(all_done if sample is None else sample.rows[states[sample.rows] == DONE])
    done, records = list(some), Records(paths, known)
    _check(folder, done, force=force)
    small = thumbnails(paths, [paths.output(item.output) for item in done])
    choices = {item.output: hyperparameters(item, some.point(row)) for row, item in enumerate(done)}
    _write(folder / FILE, [protos.experiment(list(choices.values()))])
    for item in done:
        record = records.done(item.output)
        image = small[paths.output(item.output)]
        events = protos.events(record, choices[item.output], _png(image.data) if image else None)
        _write(folder / item.output / FILE, events)
    return len(done), len(all_done)


def _check(folder: Path, done: Iterable[Task], *, force: bool) -> None:
    try:
        empty = not any(folder.iterdir())
    except FileNotFoundError:
        empty = True
    except OSError as error:
        raise UsageError(f"{error_in_words(error)}: TensorBoard's files need a folder") from error
    if not (empty or force):
        raise UsageError(f"{folder}: holds something already", hint="name another folder; --force writes into this one")
    for item in done:
        if PurePosixPath(item.output).is_absolute() or ".." in PurePosixPath(item.output).parts:
            hint = "plan.npz was changed by hand: `nst-batch run` writes it again"
            raise UsageError(f"{item.output}: not a name in the run's folder", hint)


def _write(file: Path, events: Iterable[bytes]) -> None:
    from tensorboard.summary.writer.record_writer import RecordWriter

    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for event in events:
        writer.write(event)
    try:
        write_atomic(file, buffer.getvalue())
    except OSError as error:
        raise UsageError(
            f"{file}: cannot be written: {error.strerror}", hint="name a folder that may be written"
        ) from error


def _png(data: bytes) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        image.save(out, "PNG")
    return out.getvalue()


def curves(record: Mapping[str, Any]) -> Iterator[Curve]:
    """The total loss of a manifest line, and what it is made of as far as that was recorded."""
    total = [(int(evaluation), float(loss)) for evaluation, loss in record.get("curve") or ()]
    if not total:
        return
    begun, ended = (_seconds(record.get(key)) for key in ("started", "finished"))
    pace = max(0.0, ended - begun) / max(1, total[-1][0])
    moments = [begun + pace * evaluation for evaluation, _ in total]
    named = {TOTAL: [loss for _, loss in total]}
    named |= {f"loss/{name}": losses for name, losses in (record.get("terms") or {}).items()}
    for tag, losses in named.items():
        points = [
            (at, moment, float(loss))
            for (at, _), moment, loss in zip(total, moments, losses, strict=False)
            if loss is not None  # this scale has no such term
        ]
        yield Curve(tag, tuple(points))


def _seconds(moment: Any) -> float:
    """ISO 8601 as seconds since 1970; 0 for what is none."""
    try:
        return datetime.fromisoformat(str(moment)).timestamp()
    except ValueError:
        return 0.0


def hyperparameters(item: Task, point: Mapping[str, Any]) -> dict[str, Value]:
    """What tells a picture from the others of its run: its inputs, and the settings in which tasks differ."""
    styles = " + ".join(Path(style.source.path).name for style in item.styles)
    found: dict[str, Value] = {"content": text(Path(item.content.path).name), "style": text(styles)}
    for key, value in point.items():
        found[key] = value if isinstance(value, bool | int | float) else text(str(value))
    return found


def columns(all_choices: Sequence[Mapping[str, Value]]) -> dict[str, type[bool] | type[float] | type[str]]:
    """Of what kind each hyperparameter is: text where it is a word in one picture and a number in another."""
    kinds: dict[str, set[type[bool] | type[float] | type[str]]] = {}
    for choices in all_choices:
        for key, value in choices.items():
            kind = bool if isinstance(value, bool) else str if isinstance(value, str) else float
            kinds.setdefault(key, set()).add(kind)
    return {key: found.pop() if len(found) == 1 else str for key, found in kinds.items()}


class _Protos:
    """TensorBoard's messages.

    Raises:
        UsageError: tensorboard is not installed.
    """

    def __init__(self) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
        except ImportError as error:
            raise UsageError("tensorboard is not installed", hint="pip install 'nst_batch[tensorboard]'") from error
        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        self._api, self._metadata, self._plugin = api_pb2, metadata, plugin_data_pb2
        self._columns = dict[str, Any]()

    def experiment(self, all_choices: Sequence[Mapping[str, Value]]) -> bytes:
        """What hyperparameters and results there are; to be told before the pictures' own."""
        self._columns = columns(all_choices)
        api = self._api
        kinds = {bool: api.DATA_TYPE_BOOL, float: api.DATA_TYPE_FLOAT64, str: api.DATA_TYPE_STRING}
        infos = [api.HParamInfo(name=key, type=kinds[kind]) for key, kind in self._columns.items()]
        results = [api.MetricInfo(name=api.MetricName(tag=TOTAL))]
        content = self._plugin.HParamsPluginData(
            experiment=api.Experiment(hparam_infos=infos, metric_infos=results), version=0
        )
        return self._hparams(self._metadata.EXPERIMENT_TAG, content)

    def events(self, record: Mapping[str, Any], choices: Mapping[str, Value], png: bytes | None) -> Iterator[bytes]:
        """All of one picture, as messages."""
        begun, ended = (_seconds(record.get(key)) for key in ("started", "finished"))
        yield self._made(wall_time=begun, file_version="brain.Event:2")
        start = self._plugin.SessionStartInfo(start_time_secs=begun)
        for key, value in choices.items():
            self._put(start.hparams[key], self._columns[key], value)
        tag = self._metadata.SESSION_START_INFO_TAG
        yield self._hparams(tag, self._plugin.HParamsPluginData(session_start_info=start, version=0))
        for curve in curves(record):
            for evaluation, moment, loss in curve.points:
                value = self._summary.Value(tag=curve.tag, simple_value=loss)
                yield self._made(wall_time=moment, step=evaluation, summary=self._summary(value=[value]))
        if png is not None:
            image = self._summary.Image(colorspace=3, encoded_image_string=png)
            value = self._summary.Value(tag=PICTURE, image=image)
            step = int(record.get("evaluations") or 0)
            yield self._made(wall_time=ended, step=step, summary=self._summary(value=[value]))
        end = self._plugin.SessionEndInfo(status=self._api.STATUS_SUCCESS, end_time_secs=ended)
        tag = self._metadata.SESSION_END_INFO_TAG
        yield self._hparams(tag, self._plugin.HParamsPluginData(session_end_info=end, version=0))

    def _put(self, place: Any, kind: type, value: Value) -> None:
        if kind is bool:
            place.bool_value = bool(value)
        elif kind is float:
            place.number_value = float(value)
        else:
            place.string_value = str(value)

    def _hparams(self, tag: str, content: Any) -> bytes:
        about = self._metadata.create_summary_metadata(content)
        value = self._summary.Value(tag=tag, metadata=about, tensor=self._metadata.NULL_TENSOR)
        return self._made(summary=self._summary(value=[value]))

    def _made(self, **fields: Any) -> bytes:
        return bytes(self._event(**fields).SerializeToString())
