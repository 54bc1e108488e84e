"""PipelineSpec to tasks: pairs, sweeps, ids, names. Pure: the same spec and inputs give the same tasks.

All of it is columns from the first to the last; nothing is made for each of a million tasks but its id and its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from nst_batch.archives.tars import keyed
from nst_batch.columns import NONE, Strings
from nst_batch.paths import archive_of
from nst_batch.pipeline_file.spec import PipelineSpec, sweep_points
from nst_batch.planning.ids import ids_of
from nst_batch.planning.names import Names, checked, refuse_collisions, starts, starts_from_file
from nst_batch.planning.pairs import StyleFile, pairs_of
from nst_batch.planning.source_table import SourceTable
from nst_batch.planning.task_table import Share, TaskTable
from nst_batch.planning.variants import Variant, variants_of
from nst_batch.records import OutputFormat, Weights
from nst_batch.settings import FROM_FILE

ReadSources = Callable[[Sequence[str]], SourceTable]
"""What is known of files: a row for each path, in their order, and more behind them for masks."""


def plan(spec: PipelineSpec, read: ReadSources, weights: Weights) -> TaskTable:
    """Every picture that ``spec`` asks for, in its order.

    Args:
        spec: checked.
        read: digests and sizes of input files; asked once for all of them.
        weights: what ``spec.weights`` came to.

    Raises:
        PlanError: two tasks would write one file, or a name leaves the output folder.
        SettingsError: a pair and the sweep set what does not go together.
    """
    pairs, points = pairs_of(spec), sweep_points(spec.sweep)
    output = spec.output
    form = OutputFormat(Path(output.name).suffix.lower(), output.bits, output.quality, tuple(output.metadata))
    asked = variants_of(Variant(spec.settings(), weights, form), pairs.overrides, points)
    content_of, group_of = pairs.content_of.repeat(len(points)), pairs.group_of.repeat(len(points))
    variant_of = pairs.override_of.repeat(len(points)) * len(points)
    variant_of += np.tile(np.arange(len(points)), len(pairs.content_of))
    names = Names(pairs, asked, points, content_of, group_of, variant_of)

    begins = starts(names)
    beside = [share.path for group in pairs.groups for share in group] + begins
    every = [*pairs.contents, *dict.fromkeys(path for path in beside if path)]
    sources = read(every)
    row_of = {path: row for row, path in enumerate(every[len(pairs.contents) :], len(pairs.contents))}
    start_of = np.array([row_of.get(path, NONE) for path in begins] or [NONE] * len(content_of), np.int64)

    groups = [_shares(group, row_of) for group in pairs.groups]
    variants = asked.changed("init", lambda init: FROM_FILE if starts_from_file(init) else init)
    ids = ids_of(sources, groups, variants, (content_of, group_of, variant_of, start_of))
    named = names.of(spec.output.name, ids)
    outputs = Strings.of(map(checked, map(keyed, named) if archive_of(spec.output.name) else named))
    kept = Strings.of(each for each in pairs.kept for _ in points) if pairs.kept else None
    tasks = TaskTable(sources, groups, variants, content_of, group_of, variant_of, start_of, ids, outputs, kept)
    refuse_collisions(tasks, spec.output.name, names)
    return tasks


def _shares(group: tuple[StyleFile, ...], row_of: Mapping[str, int]) -> tuple[Share, ...]:
    shares = tuple(Share(row_of[share.path], share.weight, share.region) for share in group)
    alone = len(shares) == 1 and not shares[0].region
    return (Share(shares[0].source),) if alone else shares  # alone, a weight changes nothing
