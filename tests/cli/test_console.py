"""How commands speak."""

from __future__ import annotations

from nst_batch.cli.console import folded


def test_on_a_terminal_lines_end_between_words() -> None:
    text = "  failed: a picture with a long name: it is broken (replace the file)\nnext"
    assert folded(text, 30).splitlines() == [
        "  failed: a picture with a",
        "    long name: it is broken",
        "    (replace the file)",
        "next",
    ]
    assert folded(text, None) == text == folded(text, 200)


def test_a_path_stays_whole_so_that_it_can_be_copied() -> None:
    path = "/data/" + 40 * "x"
    assert path in folded(f"pictures in {path} are there", 30).splitlines()[1]
    assert folded("  status    nst-batch status", 80) == "  status    nst-batch status", "columns stay columns"
