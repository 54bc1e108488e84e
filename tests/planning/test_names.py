"""What pictures are called: every placeholder, hostile names, and names that cannot be used."""

from __future__ import annotations

import dataclasses
import random
import re
import tarfile
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest

from nst_batch.errors import PlanError
from nst_batch.pipeline_file.spec_values import NAME_FIELDS
from nst_batch.planning import names, task_table
from nst_batch.planning.names import Names, checked, refuse_collisions, starts
from nst_batch.planning.pairs import Pairs, StyleFile
from nst_batch.planning.task_table import TaskTable
from nst_batch.planning.variants import Variant, Variants
from nst_batch.settings import SETTINGS, Stop, TransferSettings
from tests import runs
from tests.hostile import KINDS
from tests.lines import WEIGHTS, task
from tests.plans import BOTH, outputs, planned


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    runs.make_pictures(tmp_path, contents=3, styles=3)
    return tmp_path


HOSTILE = [each.name for each in KINDS]
FOLDERS = ("/p", "/", "/a/v1.2", "/a/.hidden", "/a/" + "ä" * 80, "/b/new\nline", "/b/\udcff", "/c/x.tar")


def first_written(
    path: str, begin: int, styles: Sequence[StyleFile], settings: TransferSettings, point: dict[str, Any]
) -> dict[str, str]:
    """What placeholders stand for as it was first written down, with pathlib, for one task."""
    one, many = PurePosixPath(path), [PurePosixPath(share.path) for share in styles]
    return {
        **{name: names._word(value) for name, value in dataclasses.asdict(settings).items()},
        "content": names._part(one.stem),
        "style": names._part("+".join(each.stem for each in many)),
        "content_suffix": one.suffix[1:],
        "style_suffix": many[0].suffix[1:],
        "content_folder": names._part(one.parent.name),
        "style_folder": names._part(many[0].parent.name),
        "content_dir": "/".join(map(names._part, PurePosixPath("/", path[begin:]).parent.parts[1:])),
        "style_dir": "/".join(map(names._part, many[0].parent.parts[1:])),
        "sweep": "".join(f"__{name}={names._word(value)}" for name, value in point.items()),
    }


def random_pairs(numbers: random.Random, count: int, variants: int) -> Pairs:
    contents = [f"{numbers.choice(FOLDERS).rstrip('/')}/{name}" for name in HOSTILE]
    groups = [tuple(StyleFile(numbers.choice(contents)) for _ in range(numbers.randrange(1, 3))) for _ in range(9)]
    content_of, group_of, variant_of = (
        np.array([numbers.randrange(most) for _ in range(count)]) for most in (len(contents), 9, variants)
    )
    begins = [path.find("/", 1) + 1 if numbers.random() < 0.5 else path.rfind("/") + 1 for path in contents]
    return Pairs(contents, groups, content_of, group_of, variant_of, begins=begins)


SWEPT = [
    (TransferSettings(**point), point)
    for point in (
        {"style_weight": 1.0, "stop": None, "scales": ()},
        {"style_weight": 1e-7, "stop": Stop(0.1, 5), "scales": "auto"},
        {"style_weight": 3e6, "stop": Stop(), "scales": (64, 128)},
        {"style_weight": 0.5, "stop": None, "scales": (16,)},
    )
]


def variants(settings: list[TransferSettings]) -> Variants:
    return Variants([Variant(each, WEIGHTS) for each in settings])


def test_every_placeholder_says_what_it_did_whatever_files_are_called() -> None:
    numbers, settings = random.Random(2), [each for each, _ in SWEPT]
    points = [point for _, point in SWEPT]
    pairs = random_pairs(numbers, 600, len(SWEPT))
    known = Names(pairs, variants(settings), points, pairs.content_of, pairs.group_of, pairs.override_of)
    expected = [
        first_written(pairs.contents[content], pairs.begins[content], pairs.groups[group], *SWEPT[variant])
        for content, group, variant in zip(pairs.content_of, pairs.group_of, pairs.override_of, strict=True)
    ]
    fields = [field for field in (*NAME_FIELDS, *SETTINGS) if field not in ("shard", "bucket", "task")]
    for template in [
        "x{{y}}.png",
        "".join(f"<{{{field}}}>" for field in fields),
        *(f"{{{field}}}" for field in fields),
    ]:
        assert list(known.of(template)) == [template.format_map(each) for each in expected]


def test_contents_that_are_met_once_each_are_named_one_after_another() -> None:
    """A million of them need not be there at a time."""
    contents = [f"/p/{name}" for name in HOSTILE]
    rows, zeros = np.arange(len(contents)), np.zeros(len(contents), np.int64)
    pairs = Pairs(contents, [(StyleFile("/s/s.png"),)], rows, zeros, zeros)
    known = Names(pairs, variants([TransferSettings()]), [{}], rows, zeros, zeros)
    expected = [names._part(PurePosixPath(path).stem) + "__s.png" for path in contents]
    assert list(known.of("{content}__{style}.png")) == expected
    found = known.of("{content}")
    assert next(iter(found)) == expected[0].removesuffix("__s.png")


def test_no_tasks_have_no_names() -> None:
    nothing = np.zeros(0, np.int64)
    known = Names(Pairs([], [], nothing, nothing, nothing), variants([]), [{}], nothing, nothing, nothing)
    assert list(known.of("{content}__{steps}{sweep}{task}.png", np.zeros((0, 16), np.uint8))) == []
    assert starts(known) == []


def test_the_task_in_a_name_is_the_beginning_of_its_id() -> None:
    zeros = np.zeros(2, np.int64)
    known = Names(
        Pairs(["a"], [(StyleFile("s"),)], zeros, zeros, zeros),
        variants([TransferSettings()]),
        [{}],
        zeros,
        zeros,
        zeros,
    )
    ids = np.arange(32, dtype=np.uint8).reshape(2, 16)
    assert list(known.of("{task}", ids)) == ["000102030405", "101112131415"]


def test_plain_parts_are_what_the_long_way_gives() -> None:
    numbers = random.Random(0)
    letters = "abz09 -_.~()+,[]{}%\\/\"'!#é日\t\n\x7f\u202e\udcff"
    for _ in range(20_000):
        text = "".join(numbers.choices(letters[: numbers.randrange(8, len(letters) + 1)], k=numbers.randrange(0, 7)))
        clean = "".join("_" if unicodedata.category(c) == "Cc" or c in names._MISLEADING else c for c in text).lstrip(
            "."
        )
        assert names._part(text) == (clean or "_")
    for length in (89, 90, 91, 300):
        assert names._part("a" * length) == ("a" * length if length <= 90 else names._part("a" * length))
        assert len(names._part("é" * length).encode()) <= 90


def test_names_that_need_no_long_look_are_those_that_pass_it() -> None:
    numbers, seen = random.Random(1), set[bool]()
    pieces = ["a", ".", "..", "/", "manifest", "State", "state", "x" * 199, "é", ".tar", ".loose", "", "ﬁ", ".png"]
    for _ in range(20_000):
        name = "".join(numbers.choices(pieces, k=numbers.randrange(1, 5)))
        try:
            names._check(name)
            fine = True
        except PlanError:
            fine = False
        except IndexError:  # no name at all: it has no parts
            continue
        seen.add(fine)
        try:
            assert checked(name) == name and fine, name
        except PlanError:
            assert not fine, name
    assert seen == {True, False}


@pytest.mark.parametrize("one", [True, False])
def test_each_variant_starts_from_its_own_file(one: bool) -> None:
    """Or from none."""
    numbers = random.Random(4)
    inits = ["/b/{content}.png"] * 4 if one else ["/b/{content}.png", "content", "/b/{style}+{content}.png", "noise"]
    settings = [TransferSettings(steps=n + 1, init=init) for n, init in enumerate(inits)]
    pairs = random_pairs(numbers, 50, len(settings))
    known = Names(pairs, variants(settings), [{}], pairs.content_of, pairs.group_of, pairs.override_of)
    expected = []
    for content, group, variant in zip(pairs.content_of, pairs.group_of, pairs.override_of, strict=True):
        said = first_written(pairs.contents[content], 0, pairs.groups[group], settings[variant], {})
        expected.append(inits[variant].format_map(said) if inits[variant].startswith("/") else "")
    assert starts(known) == expected


def test_a_start_is_filled_in_once_for_each_template_not_for_each_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = Names.of

    def of(self: Names, template: str) -> Iterator[str]:
        asked.append(template)
        return real(self, template)

    monkeypatch.setattr(Names, "of", of)
    zeros, many = np.zeros(50, np.int64), np.arange(50)
    pairs = Pairs(["/p/a.png"], [(StyleFile("/s"),)], zeros, zeros, many)
    settings = [TransferSettings(steps=n + 1, init="/b/{content}") for n in range(50)]
    assert starts(Names(pairs, variants(settings), [{}], zeros, zeros, many)) == ["/b/a"] * 50
    assert asked == ["/b/{content}"]


def test_each_task_may_have_a_start_of_its_own() -> None:
    """Only names of tasks that have a template are made of it."""
    count = 300
    contents = [f"/p/c{n}.png" for n in range(count)]
    rows = np.arange(count)
    pairs = Pairs(contents, [(StyleFile(f"/s/s{n}.png"),) for n in range(count)], rows, rows, rows)
    settings = [TransferSettings(init=f"/b/{n}/{{content}}_{{style}}.png" if n % 3 else "noise") for n in range(count)]
    known = Names(pairs, variants(settings), [{}], rows, rows, rows)
    assert starts(known) == [f"/b/{n}/c{n}_s{n}.png" if n % 3 else "" for n in range(count)]


def refuse(outputs: list[str]) -> None:
    """Names of no tasks: which placeholder would help, others test."""
    zeros = np.zeros(len(outputs), np.int64)
    pairs = Pairs(["a"], [(StyleFile("s"),)], zeros, zeros, zeros, begins=[0])
    known = Names(pairs, variants([TransferSettings()]), [{}], zeros, zeros, zeros)
    refuse_collisions(TaskTable.of(map(task, outputs)), "{content}.png", known)


SAME = [
    ("a.png", "A.PNG"),
    ("é.png", "e\u0301.png"),
    ("ß.png", "SS.png"),
    ("ﬁ.png", "FI.png"),
    ("x/K.png", "x/\u212a.png"),
]


@pytest.mark.parametrize(("one", "two"), SAME)
def test_names_that_are_one_file_on_some_system_are_met(one: str, two: str) -> None:
    others = [f"other{number}.png" for number in range(30)]
    refuse([one, *others])
    with pytest.raises(PlanError, match=re.escape(f"two tasks would write {two!r}")):
        refuse([one, *others, two])


def test_names_whose_hashes_alone_are_equal_are_no_collision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "hashes", lambda values, count=-1: np.zeros(count, np.int64))
    refuse([f"{number}.png" for number in range(9)])
    with pytest.raises(PlanError, match=r"two tasks would write '3\.PNG'"):
        refuse(["3.png", "4.png", "3.PNG"])
    assert task_table.ID_BYTES == 16


@pytest.mark.parametrize(
    ("first", "second", "hint"),
    [
        ("a.png", "a.jpg", "{content_suffix}"),
        ("x/a.png", "y/a.png", "{content_dir}/"),
        ("a.png", "A.png", "{task}"),
        (unicodedata.normalize("NFC", "é.png"), unicodedata.normalize("NFD", "é.png"), "{task}"),
    ],
)
def test_names_that_are_one_file_somewhere_are_refused(tmp_path: Path, first: str, second: str, hint: str) -> None:
    runs.make_pictures(tmp_path, contents=0, styles=1)
    for seed, name in enumerate((first, second)):
        path = tmp_path / "content" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(str(seed).encode())
    text = "content: content/**\nstyle: style\n"
    with pytest.raises(PlanError, match="two tasks would write") as caught:
        planned(tmp_path, text)
    assert hint in caught.value.hint
    assert len(set(outputs(planned(tmp_path, text + "output: {name: '{content}_{task}.png'}\n")))) == 2


@pytest.mark.parametrize(
    "name",
    [
        "../{content}.png",
        "/tmp/{content}.png",
        "a/../../{content}.png",
        "manifest/{content}.png",
        "state/x.png",
        "Manifest/x.png",
        "./state/a/x.png",
    ],
)
def test_names_that_leave_the_folder_are_refused(folder: Path, name: str) -> None:
    with pytest.raises(PlanError, match=r"output\.name"):
        planned(folder, f"content: content/c0.png\nstyle: style/s0.png\noutput: {{name: '{name}'}}\n")


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("with space", "with space__s0.png"),
        ('it\'s "quoted"', 'it\'s "quoted"__s0.png'),
        ("line\nbreak", "line_break__s0.png"),
        ("-rf", "-rf__s0.png"),
        ("🌊", "🌊__s0.png"),
        ("{style}", "{style}__s0.png"),
        ("v1.2", "v1.2__s0.png"),
    ],
)
def test_hostile_file_names_give_names_that_work(tmp_path: Path, stem: str, expected: str) -> None:
    runs.make_pictures(tmp_path, contents=0, styles=1)
    (tmp_path / "content" / f"{stem}.png").write_bytes(b"x")
    assert outputs(planned(tmp_path, BOTH)) == [expected]


def test_long_file_names_are_cut_and_stay_apart(tmp_path: Path) -> None:
    runs.make_pictures(tmp_path, contents=0, styles=1)
    for last in "ab":
        (tmp_path / "content" / f"{'ä' * 120}{last}.png").write_bytes(b"x")
    found = outputs(planned(tmp_path, BOTH))
    assert len(set(found)) == 2 and all(len(name.encode()) < 120 for name in found)


def test_a_name_too_long_for_a_file_system_is_refused(folder: Path) -> None:
    with pytest.raises(PlanError, match="longer than"):
        planned(folder, f"{BOTH}output: {{name: '{'x' * 240}{{content}}.png'}}\n")


@pytest.mark.parametrize(
    ("first", "second", "name", "hint"),
    [
        ("a.png", "b.png", "{style}.png", "{content}"),
        ("a.png", "a.jpg", "{content}.png", "{content_suffix}"),
        ("a.png", "a.jpg", "{content}{content_suffix}_.png", ""),
        ("x/a.png", "y/a.png", "{content}.png", "{content_dir}/"),
        ("x/in/a.png", "y/in/a.png", "{content_folder}_{content}.png", "{content_dir}/"),
        ("a\tb.png", "a_b.png", "{content}.png", "{task}"),
        ("a.png", "A.png", "{content}{sweep}.png", "{task}"),
    ],
)
def test_the_hint_is_a_placeholder_that_helps(tmp_path: Path, first: str, second: str, name: str, hint: str) -> None:
    runs.make_pictures(tmp_path, contents=0, styles=1)
    for seed, file in enumerate((first, second)):
        path = tmp_path / "content" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(str(seed).encode())
    text = "content: content/**\nstyle: style\noutput: {{name: '{}'}}\n"
    if hint:
        with pytest.raises(PlanError) as caught:
            planned(tmp_path, text.format(name))
        assert hint in caught.value.hint
    assert len(planned(tmp_path, text.format(hint + name))) == 2


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("{content}{sweep}.png", "add {init} and {seed} to output.name, or {task}"),
        ("{content}_{seed}.png", ""),
        ("{content}_{init}.png", ""),
        ("{content}_{task}.png", ""),
    ],
)
def test_the_hint_names_settings_of_rows(folder: Path, name: str, hint: str) -> None:
    """They are no part of ``{sweep}``."""
    rows = ["content/c0.png,style/s0.png,1,gray", "content/c0.png,style/s0.png,2,noise"]
    (folder / "t.csv").write_text("\n".join(["content,style,seed,init", *rows]))
    text = f"pairs: '@t.csv'\noutput: {{name: '{name}'}}\n"
    if hint:
        with pytest.raises(PlanError, match="two tasks would write") as caught:
            planned(folder, text)
        assert hint in caught.value.hint
    else:
        assert len({task.output for task in planned(folder, text)}) == 2


def test_the_hint_names_what_is_swept(folder: Path) -> None:
    with pytest.raises(PlanError) as caught:
        planned(folder, BOTH + "sweep: {steps: [3, 4]}\noutput: {name: '{content}__{style}.png'}\n")
    assert "add {steps} to output.name" in caught.value.hint


def test_a_bucket_stays_whatever_the_settings_and_the_folder(folder: Path) -> None:
    name = "output: {name: '{bucket}/{content}__{style}__{steps}.png'}\n"
    one, other = (planned(folder, f"{BOTH}{name}transfer: {{steps: {steps}}}\n") for steps in (3, 4))
    buckets = [output.split("/")[0] for output in outputs(one)]
    assert buckets == [output.split("/")[0] for output in outputs(other)] and len(set(buckets)) > 5
    (folder / "content").rename(folder / "moved")
    moved = planned(folder, f"{BOTH.replace('content: content', 'content: moved')}{name}transfer: {{steps: 3}}\n")
    assert outputs(moved) == outputs(one)


def test_the_same_picture_twice_is_called_that(folder: Path) -> None:
    text = "pairs:\n  - &pair {content: content/c0.png, style: style/s0.png}\n  - *pair\n"
    with pytest.raises(PlanError, match="two tasks") as caught:
        planned(folder, text)
    assert "ask for it once" in caught.value.hint


def test_names_hold_settings_folders_and_endings(folder: Path) -> None:
    name = (
        "{style_folder}/{content_folder}_{content}_{content_suffix}_{size}_{guard}_{style_weight}_{style_layers}.webp"
    )
    (only,) = planned(
        folder,
        "content: content/c0.png\nstyle: style/s0.png\ntransfer: {style_layers: [relu1_1, relu2_1], size: 64}\n"
        f"output: {{name: '{name}'}}\n",
    )
    assert only.output == "style/content_c0_png_64_on_1_relu1_1+relu2_1.webp"


# --- folders


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        ("data/**/*.png", "{content_dir}/{content}.png", ["train/n01/a.png", "train/n02/a.png", "val/n01/a.png"]),
        ("data/train/*/*.png", "{content_dir}/{content}.png", ["n01/a.png", "n02/a.png"]),
        ("data/train/*/*.png", "x/{content_dir}_{content}.png", ["x/n01_a.png", "x/n02_a.png"]),
        ("data/train/n01", "{content_dir}/{content}.png", ["a.png"]),
        ("data/train/n01/a.png", "x/{content_dir}/{content}.png", ["x/a.png"]),
        ("'@data/list.txt'", "{content_dir}/{content}.png", ["train/n02/a.png", "val/n01/a.png"]),
        ("data.tar", "{content_dir}/{content}.png", ["n01/a.png", "n02/a.png"]),
        ("'*.tar/n01'", "{content_dir}/{content}.png", ["n01/a.png"]),
        ("data/val/n01", "{style_dir}/{content}_{style}.png", ["in/a_s.png"]),
    ],
)
def test_a_tree_goes_out_as_it_came_in(tmp_path: Path, content: str, name: str, expected: list[str]) -> None:
    for folder in ("data/train/n01", "data/train/n02", "data/val/n01", "style/in"):
        (tmp_path / folder).mkdir(parents=True)
        runs.save_picture(tmp_path / folder / ("s.png" if "style" in folder else "a.png"), seed=len(folder))
    (tmp_path / "data" / "list.txt").write_text("train/n02/a.png\nval/n01/a.png\n")
    with tarfile.open(tmp_path / "data.tar", "w") as archive:
        for folder in ("n01", "n02"):
            archive.add(tmp_path / "data" / "train" / folder / "a.png", f"{folder}/a.png")
    text = f"content: {content}\nstyle: style/**/*.png\noutput: {{name: '{name}'}}\n"
    assert outputs(planned(tmp_path, text)) == expected
