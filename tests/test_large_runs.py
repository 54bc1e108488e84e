"""The folders with which large runs are measured are such as real runs leave."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.datasets import Dataset, make
from nst_batch.planning.planned import read_plan
from nst_batch.recorded.decisions import decide
from nst_batch.recorded.history import Records, read


@pytest.mark.parametrize("pairs", ["sample", "product"])
def test_all_is_done_but_what_is_not_to_be(tmp_path: Path, pairs: str) -> None:
    wanted = Dataset(24, 3, pairs, (0.4, 0.8), failed=12, todo=8, parts=5, pictures=True)  # type: ignore[arg-type]
    paths = make(tmp_path, wanted)
    tasks, known = read_plan(paths), read(paths)
    assert (len(tasks), known.parts, known.skipped) == (24, 5, 0)
    decisions = decide(tasks, known, paths, retries=0, verify=False)
    assert decisions.counts() == {"done": 20, "failed": 2, "todo": 2}
    record = Records(paths, known).done(tasks.outputs[0])
    assert len(json.dumps(record)) > 5000 and record["bytes"] == paths.output(record["output"]).stat().st_size
    assert Path(record["content"]["path"]).is_file() and Path(record["style"]["path"]).is_file()
