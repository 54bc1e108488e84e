"""``nst-batch doctor``."""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nst_batch.cli.console import columns_of, folded, overridden, print_json, printable, reports_errors
from nst_batch.cli.options import Json, Sets
from nst_batch.errors import ExitCode

if TYPE_CHECKING:
    from nst_batch.doctor.findings import Finding

_NAME = 12  # columns, and two before the next


@reports_errors
def doctor(
    pipeline: Annotated[
        Path | None, typer.Argument(help="Also whether this can be rendered here.", metavar="[PIPELINE]")
    ] = None,
    sets: Sets = None,
    deep: Annotated[bool, typer.Option("--deep", help="Verify the weights' checksum, too.")] = False,
    as_json: Json = False,
) -> int:
    """Look at this machine: what is there, what is missing, and what to do about it.

    Exit status: 0 when nothing prevents rendering, 1 when something does.
    """
    from nst_batch.doctor.examination import examine
    from nst_batch.doctor.findings import Finding, prevents

    found = list[Finding]()
    for each in examine(pipeline, overridden(sets), deep=deep):
        found.append(each)
        if not as_json:
            for line in lines(each, columns_of(sys.stdout)):
                print(printable(line), flush=True)
    levels = Counter(each.level for each in found)
    if as_json:
        counts = {"ok": levels["ok"], "warnings": levels["warning"], "problems": levels["problem"]}
        print_json({"renders": not prevents(found), **counts, "checks": [dataclasses.asdict(each) for each in found]})
    else:
        print(last_word(found))
    return ExitCode.SOME_FAILED if prevents(found) else ExitCode.DONE


def lines(finding: Finding, width: int | None) -> Iterator[str]:
    """A finding on one line, or on as few as there is room for; then what to do about it, indented."""
    indent = " " * (9 + _NAME + 2)
    head = f"{finding.level:9}{finding.name:{_NAME}}  "
    yield from folded(head + finding.text, width, indent).split("\n")
    for remedy in finding.remedy.splitlines():
        yield from folded(f"{indent}→ {remedy}", width, indent + "  ").split("\n")


def last_word(found: Sequence[Finding]) -> str:
    """Whether it renders here."""
    levels = Counter(each.level for each in found)
    warnings = f"{levels['warning']} warning{'s' * (levels['warning'] != 1)}"
    if levels["problem"]:
        count = levels["problem"]
        return f"{count} problem{'s' * (count > 1)} prevent{'s' * (count == 1)} rendering, {warnings}"
    return f"nothing prevents rendering; {warnings}" if levels["warning"] else "nothing prevents rendering"
