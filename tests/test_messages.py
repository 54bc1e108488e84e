"""Every error is made on purpose, and says what it is about, what is wrong, and what to do."""

from __future__ import annotations

import re

import pytest

from nst_batch.records import Failure
from tests.provoked.everything import Made, all_made, everything
from tests.provoked.mistakes import all_mistakes
from tests.provoked.sites import Site, error_sites, is_end_of, mistake_sites
from tests.provoked.world import PROVOCATIONS, Provocation

UNHEARD = {
    ("running/worker.py", "told to stop"): "it ends a picture in the middle; the command says so in words of its own",
    ("running/scheduler.py", "told to stop"): "the same in `run --inline`",
}
"""Errors that nobody is ever told, each with the reason: they need no provocation, hint or name."""

ADVICE = re.compile(
    r"valid: |\b(must|should|needs?|needed|write|use|choose|give|keep|quote|leave|expected)\b|(name|take|set|end) \S+ "
    r"|, as '|, as --|8:00:00| only, not |neither a word \(.*\) nor a file|relative paths start|`nst-batch \w+`"
    r"|^missing: a folder"
)
"""How messages without a hint say what to do: what is valid, how it is written, or an imperative."""


def made_at(site: Site) -> list[Made]:
    return [made for made in all_made() if site.holds(made.module, made.line)]


def test_every_error_is_provoked() -> None:
    wanted = [site for site in error_sites() if (site.module, site.text) not in UNHEARD]
    missing = [site for site in wanted if not made_at(site)]
    assert len(wanted) > 90 and not missing, (
        f"never made: {'; '.join(map(str, missing))}. For each, add a function with @provokes that ends in it to "
        "tests/provoked, and a line to docs/troubleshooting.md; or, if no user is ever told, one to UNHEARD here"
    )


@pytest.mark.parametrize("provocation", PROVOCATIONS, ids=lambda provocation: provocation.name)
def test_every_error_names_what_it_is_about_and_says_what_to_do(provocation: Provocation) -> None:
    made = everything()[provocation.name]
    assert made, f"{provocation.name} ends in no error"
    last = made[-1]
    assert provocation.names in last.message, f"{last.message!r} does not name {provocation.names}"
    assert len(re.findall(r"[A-Za-z]{2,}", last.message.replace(provocation.names, ""))) >= 2, "what is wrong?"
    assert last.hint or ADVICE.search(last.message), f"{last.message!r} does not say what to do: give it a hint"
    assert last.hint == last.hint.strip() and not last.hint.endswith("."), last.hint
    assert "\n" not in last.hint and len(last.hint) < 250, "a hint is one sentence"


@pytest.mark.parametrize("place", UNHEARD, ids=lambda place: place[0])
def test_no_exception_is_out_of_date(place: tuple[str, str]) -> None:
    (site,) = (site for site in error_sites() if (site.module, site.text) == place)
    assert not made_at(site), f"{site} is made after all: take it out of UNHEARD"


@pytest.mark.parametrize("error", [RuntimeError("odd"), OSError(5, "odd", "a.png"), MemoryError(), ValueError()])
def test_what_was_not_foreseen_has_a_hint_too(error: Exception) -> None:
    failure = Failure.of(error)
    assert failure.message and failure.hint and failure.transient


def test_every_provocation_is_the_only_one_of_its_name() -> None:
    assert len(everything()) == len(PROVOCATIONS)


# --- mistakes of a pipeline file --------------------------------------------------------------------------------------


def test_every_mistake_is_made() -> None:
    wanted = mistake_sites()
    missing = [site for site in wanted if not any(is_end_of(site.text, mistake.line) for mistake in all_mistakes())]
    assert len(wanted) > 50 and not missing, (
        f"never said: {'; '.join(map(str, missing))}. Add files with these mistakes to tests/provoked/mistakes.py"
    )


def test_every_mistake_has_its_place_and_says_what_is_valid() -> None:
    for mistake in all_mistakes():
        in_a_table = re.fullmatch(r"\w+\.(csv|jsonl):[1-9]\d*|\w+\.(csv|jsonl|parquet)", mistake.where)
        assert in_a_table or re.fullmatch(r"p\.yaml:[1-9]\d*|--set", mistake.where), mistake.line
        if in_a_table:  # whose mistakes may be about a line as a whole
            assert ADVICE.search(mistake.rest) or re.fullmatch(r"and \d+ more mistakes", mistake.rest), mistake.line
            continue
        key, _, rest = mistake.rest.partition(": ")
        assert re.fullmatch(r"not YAML|[\w-]+(\.\w+|\[\d+\])*", key), f"{mistake.line}: which key?"
        assert mistake.hint or ADVICE.search(rest), f"{mistake.line}: what is valid?"
        assert "\n" not in mistake.line, mistake.line


def test_no_mistake_speaks_of_how_it_was_found() -> None:
    """Names of Python's and pydantic's own."""
    foreign = re.compile(r"\b(tuple|dict|int|str|NoneType|literal|tagged|union|instance|pydantic)\b")
    assert [mistake.line for mistake in all_mistakes() if foreign.search(mistake.line)] == []
