"""Plans of small pipeline files, for tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from nst_batch.pipeline_file.spec import load_spec
from nst_batch.planning.input_cache import InputCache
from nst_batch.planning.plan import plan
from nst_batch.planning.source_table import SourceTable
from nst_batch.planning.task_table import TaskTable
from nst_batch.records import Weights

FILE = Weights("vgg.pth", "ab" * 32, "vgg.pth")
BOTH = "content: content\nstyle: style\n"


def sources(paths: Sequence[str]) -> SourceTable:
    """As the cache gives them, but always 64x48 px."""
    found = InputCache(Path("/no/cache")).sources(paths)
    return dataclasses.replace(found, widths=found.widths * 0 + 64, heights=found.heights * 0 + 48)


def planned(folder: Path, text: str, weights: Weights = FILE) -> TaskTable:
    (folder / "pipeline.yaml").write_text("name: n\n" + text)
    return plan(load_spec(folder / "pipeline.yaml"), sources, weights)


def outputs(tasks: TaskTable) -> list[str]:
    """Names, without the folder in which pictures lie by default."""
    return [task.output.removeprefix("images/") for task in tasks]
