"""The page as a file: whole, safe, and by itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nst_batch.errors import UsageError
from nst_batch.paths import RunPaths
from nst_batch.planning.planned import write_plan
from nst_batch.planning.task_table import TaskTable
from nst_batch.report.page import page, write_report
from tests.lines import task
from tests.report.made import HOSTILE, Made, make_run
from tests.runs import REPOSITORY, files_end_at, save_picture, temporaries

VALUES: dict[str, object] = {"name": "run", "pictures": []}


class Parsed(HTMLParser):
    """What a browser would find."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.texts: dict[str, str] = {}
        self._inside = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        known = dict(attrs)
        self.addresses += [known[key] or "" for key in ("src", "href") if key in known]
        self._inside = known.get("id") or tag

    def handle_data(self, data: str) -> None:
        self.texts[self._inside] = self.texts.get(self._inside, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""


def data_of(markup: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Parsed(markup).texts["data"])
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_run(tmp_path_factory.mktemp("made"), contents=("a.png", *HOSTILE), styles=("s.png",), side=32)


@pytest.fixture
def planned_only(tmp_path: Path) -> RunPaths:
    paths = RunPaths(tmp_path / "run")
    paths.root.mkdir()
    write_plan(paths, TaskTable.of([task("a.png")]))
    return paths


def test_nothing_in_a_value_ends_the_script_or_begins_markup() -> None:
    bad = "</script><script>alert(1)</script><!--<script>&lt;\u2028 /*STYLE*/ <!--NAME-->"
    plain, hostile = page(VALUES), page({**VALUES, "name": bad, "pictures": [bad]})
    assert data_of(hostile)["pictures"] == [bad]
    assert Parsed(hostile).tags == Parsed(plain).tags, "the same elements, whatever the values are"
    assert Parsed(hostile).texts["title"] == bad.replace("\u2028", r"\u2028")


def test_the_page_of_hostile_names_holds_them_as_text(made: Made) -> None:
    markup = write_report(made.paths).read_text(encoding="utf-8")
    assert Parsed(markup).tags == Parsed(page(VALUES)).tags
    assert "window.hacked" not in re.sub(r'<script type="application/json".*?</script>', "", markup, flags=re.DOTALL)
    assert len(data_of(markup)["contents"]) == len(HOSTILE) + 1


def test_it_asks_for_nothing_but_pictures() -> None:
    markup = page(VALUES)
    assert Parsed(markup).addresses == ["data:,"]
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", markup), "but the name of a namespace"
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', markup)
    assert policy and policy[1].startswith("default-src 'none'") and "connect-src" not in policy[1]


def test_every_script_is_in_the_page_once() -> None:
    markup = page(VALUES)
    scripts = list((REPOSITORY / "nst_batch" / "report" / "script").glob("*.js"))
    assert len(scripts) > 5
    assert [script.name for script in scripts if markup.count(script.read_text(encoding="utf-8").strip()) != 1] == []


def test_thumbnails_are_inside_or_beside(made: Made) -> None:
    inside = data_of(write_report(made.paths).read_text(encoding="utf-8"))["thumbnails"]
    assert all(link.startswith("data:image/webp;base64,") for link in inside)
    beside = data_of(write_report(made.paths, where="beside").read_text(encoding="utf-8"))["thumbnails"]
    assert len(beside) == len(inside)
    for link in beside:
        with Image.open(made.paths.root / link) as image:
            assert image.format == "WEBP"


def test_again_gives_the_same_but_for_the_time(made: Made) -> None:
    first, again = (data_of(write_report(made.paths).read_text(encoding="utf-8")) for _ in range(2))
    assert first.pop("written") < again.pop("written")
    assert first == again


def test_what_is_no_picture_any_more_is_said_to_be_none(tmp_path: Path) -> None:
    made = make_run(tmp_path, ("a.png",), ("s.png",), sweep={}, state_of=lambda _: "done", side=32)
    (output,) = made.states
    size = made.paths.output(output).stat().st_size
    made.paths.output(output).write_bytes(b"x" * size)  # done, as far as its size tells
    Path(made.tasks[0].content.path).unlink()
    found = data_of(write_report(made.paths).read_text(encoding="utf-8"))
    assert [found["thumbnails"][item["thumbnail"]] for item in (*found["contents"], *found["pictures"])] == [None, None]
    assert found["thumbnails"][found["styles"][0]["thumbnail"]]


def test_a_full_disk_leaves_the_old_page(planned_only: RunPaths) -> None:
    before = write_report(planned_only).read_bytes()
    with files_end_at(1000), pytest.raises(UsageError, match="cannot be written") as error:
        write_report(planned_only)
    assert "room" in error.value.hint
    assert planned_only.report.read_bytes() == before and not temporaries(planned_only.root)


READER = """
import os, sys; from pathlib import Path; from nst_batch.errors import UsageError; from nst_batch.paths import RunPaths
from nst_batch.report.page import write_report; from nst_batch.report.thumbnails import thumbnails
root, other, picture = map(Path, sys.argv[1:])
write_report(RunPaths(other))  # somebody else may not even read what Python imports late
os.seteuid(65534)
assert thumbnails(RunPaths(root), [picture])[picture].data, "made, though it cannot be kept"
try:
    write_report(RunPaths(root))
except UsageError as error:
    print(error, error.hint)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_a_folder_that_may_only_be_read_is_said() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own may be entered by root alone
        Path(folder).chmod(0o755)
        made, other = (
            make_run(Path(folder) / name, ("a.png",), ("s.png",), sweep={}, state_of=lambda _: "done", side=32)
            for name in ("made", "other")
        )
        picture = made.paths.output(next(iter(made.states)))
        command = [sys.executable, "-c", READER, *map(str, (made.paths.root, other.paths.root, picture))]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert "report.html: cannot be written: Permission denied" in ended.stdout and "may be written" in ended.stdout
        assert not made.paths.report.exists()


def test_half_written_states_are_shown_as_they_are(planned_only: RunPaths) -> None:
    """A plan alone; then a part with half a line; then a picture that nobody has recorded."""
    states = []
    for spoil in (lambda: None, lambda: None, lambda: planned_only.output("a.png").write_bytes(b"half a pic")):
        spoil()
        states.append(data_of(write_report(planned_only, live=True).read_text(encoding="utf-8"))["counts"])
        planned_only.manifest.mkdir(exist_ok=True)
        planned_only.part("other").write_bytes(b'{"v": 1, "task": "12')
    assert states == [{"done": 0, "failed": 0, "todo": 1}] * 3


def test_pictures_that_are_replaced_meanwhile_end_nothing(tmp_path: Path) -> None:
    """A run writes on while its page is made: whole pages, whatever is read."""
    made = make_run(tmp_path, ("a.png", "b.png"), ("s.png", "t.png"), sweep={}, state_of=lambda _: "done", side=32)
    over = threading.Event()

    def replace() -> None:
        place = 0
        while not over.is_set():
            for output in made.states:
                place += 1
                save_picture(tmp_path / "new.png", place)
                (tmp_path / "new.png").replace(made.paths.output(output))

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        for _ in range(10):
            counts = data_of(write_report(made.paths, live=True).read_text(encoding="utf-8"))["counts"]
            assert sum(counts.values()) == len(made.tasks)
    finally:
        over.set()
        writer.join()


def test_a_folder_without_a_run_has_no_page(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run"):
        write_report(RunPaths(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_it_is_made_without_torch(made: Made) -> None:
    program = (
        "import sys; from pathlib import Path; from nst_batch.paths import RunPaths\n"
        "from nst_batch.report.page import write_report; write_report(RunPaths(Path(sys.argv[1])))\n"
        "print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(made.paths.root)]
    assert subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=True).stdout == "False\n"


def test_a_large_sample_has_its_small_pictures_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_run(tmp_path, ("a.png", "b.png"), ("s.png", "t.png"), sweep={}, state_of=lambda _: "done", side=32)
    links = [data_of(write_report(made.paths, most=most).read_text())["thumbnails"] for most in (None, 3)]
    assert all(link.startswith("data:") for link in links[0] + links[1])
    monkeypatch.setattr("nst_batch.report.page.MOST_INSIDE", 2)
    assert data_of(write_report(made.paths).read_text())["thumbnails"][0].startswith("data:"), "it is no sample"
    assert data_of(write_report(made.paths, most=3).read_text())["thumbnails"][0].startswith("report/")
    one = data_of(write_report(made.paths, most=3, where="inside").read_text())["thumbnails"][0]
    assert one.startswith("data:")
