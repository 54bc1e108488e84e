"""docs/troubleshooting.md has the messages that the code has, and no others."""

from __future__ import annotations

import functools
import re

from tests.provoked.everything import all_made
from tests.provoked.mistakes import all_mistakes
from tests.provoked.sites import error_sites, is_end_of, is_in, mistake_sites
from tests.runs import REPOSITORY

COMPLETE = {
    "no preset …; …",
    "export: … names; write [PIPELINE|RUN] FILE",
    "rel must be between 0 and 1, not …",
    "window must be a whole number of at least 1, not …",
    "must be finite, not …",
    "adam_betas: must be two numbers, not …",
    "content_weight and style_weight are both 0: nothing to optimise; set one of them",
    "line_search: strong_wolfe is for optimizer: lbfgs; set line_search: none with adam",
    "a size is a number with a unit, as '3 GB' or '512 MiB', not …",
    "a time is minutes, 8:00:00 or 2-12:00:00 (days-hours), not …",
    "must be more than no time at all",
    "memory is megabytes, or a number with K, M, G or T, as '32G', not …",
    "an option is written as sbatch has it, as --mail-type=END, not …",
    "--… is set by nst-batch itself; leave it out",
    "control characters cannot be in a script; take them out of …",
    "control characters cannot be in a file name; take them out of …",
    "…; write {{ or }} for a brace",
    "{…} is text as it is: ':' and '!' cannot follow its name; write {…} alone",
    "a region is a colour of the mask, as '#ff0000' (in quotes: # begins a comment), not …",
    "letters, digits, '_', '-' and '.' only, not …",
}
"""Messages that explain themselves: the page could only say them again."""


def entries() -> list[str]:
    text = (REPOSITORY / "docs" / "troubleshooting.md").read_text()
    return [found[1] for found in re.findall(r"^- (`+)(.+?)\1\\$", text, flags=re.MULTILINE)]


@functools.cache
def said() -> dict[str, list[str]]:
    """What users are told, by the text of the place where it is made, and the place itself where that has none."""
    found: dict[str, list[str]] = {}
    for site in error_sites():
        there = [made.message for made in all_made() if site.holds(made.module, made.line)]
        found.setdefault(site.text or str(site), []).extend(there)
    for site in mistake_sites():
        there = [mistake.line for mistake in all_mistakes() if is_end_of(site.text, mistake.line)]
        found.setdefault(site.text, []).extend(there)
    return found


def test_every_entry_is_a_message() -> None:
    every = [message for messages in said().values() for message in messages]
    assert len(entries()) > 90
    stale = [entry for entry in entries() if not any(is_in(entry, message) for message in every)]
    assert stale == [], "docs/troubleshooting.md has entries that no message is like: say them as they are said now"


def test_every_entry_can_be_told_from_others() -> None:
    """Its own words are enough to be found by."""
    assert len(set(entries())) == len(entries())
    for entry in entries():
        assert len(re.sub(r"[^A-Za-z]", "", entry)) >= 6, entry


def test_every_message_is_on_the_page_or_explains_itself() -> None:
    missing = [
        text
        for text, messages in said().items()
        if text not in COMPLETE and not all(any(is_in(entry, message) for entry in entries()) for message in messages)
    ]
    assert missing == [], "add these to docs/troubleshooting.md, or to COMPLETE where they say all there is to say"


def test_what_explains_itself_is_still_said_and_not_on_the_page() -> None:
    assert said().keys() >= COMPLETE, COMPLETE - said().keys()
    for text in COMPLETE:
        assert not any(all(is_in(entry, message) for message in said()[text]) for entry in entries()), text
