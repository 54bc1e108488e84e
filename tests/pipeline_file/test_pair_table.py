"""Pairs from a table: rows as they are planned, cells that are read as a pipeline file would, and every mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nst_batch.pipeline_file.pair_table import PairTable, read_pairs
from nst_batch.pipeline_file.tables import TableMistakes
from nst_batch.settings import Stop

HEAD = "content,style"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.jpg", "s.jpg"):
        (tmp_path / name).touch()
    return tmp_path


def table(folder: Path, text: str, name: str = "t.csv") -> PairTable:
    (folder / name).write_text(text)
    return read_pairs(folder / name)


def rows(found: PairTable) -> list[tuple[str, str, dict[str, Any]]]:
    return [(Path(content).name, Path(style).name, dict(own)) for content, style, own in found.rows()]


def told(folder: Path, text: str, name: str = "t.csv") -> list[str]:
    with pytest.raises(TableMistakes) as caught:
        table(folder, text, name)
    return [line.replace(f"{folder}/", "") for line in caught.value.mistakes]


def test_rows_are_pairs_with_settings_of_their_own(folder: Path) -> None:
    found = table(folder, f"{HEAD},steps,strength\na.jpg,s.jpg,3,\nb.jpg,s.jpg,,0.5\n/c.jpg,s.jpg,3,1\na.jpg,s.jpg,,\n")
    assert rows(found) == [
        ("a.jpg", "s.jpg", {"steps": 3}), ("b.jpg", "s.jpg", {"strength": 0.5}),
        ("c.jpg", "s.jpg", {"steps": 3, "strength": 1.0}), ("a.jpg", "s.jpg", {}),
    ]  # fmt: skip
    assert list(found.contents) == [f"{folder}/a.jpg", f"{folder}/b.jpg", "/c.jpg", f"{folder}/a.jpg"]
    assert len(found) == 4 and found.place(2) == f"{folder}/t.csv:4"


def test_the_order_of_columns_is_free(folder: Path) -> None:
    assert rows(table(folder, "steps,style,content\n3,s.jpg,a.jpg\n")) == [("a.jpg", "s.jpg", {"steps": 3})]


def test_equal_settings_are_one_variant(folder: Path) -> None:
    lines = [f"a.jpg,s.jpg,{n % 3 or ''},{n % 2}" for n in range(600)]
    found = table(folder, "\n".join([f"{HEAD},steps,strength", *lines]))
    assert len(found.variants) == 6 and found.variant.shape == (600,)
    assert [own for _, _, own in rows(found)] == [
        {**({"steps": n % 3} if n % 3 else {}), "strength": float(n % 2)} for n in range(600)
    ]
    assert found.variants[-1] == found.variants[5] and len(found.variants[1:3]) == 2
    with pytest.raises(IndexError):
        found.variants[6]


def test_every_row_may_have_a_seed_of_its_own(folder: Path) -> None:
    text = f"{HEAD},seed,steps\n" + "".join(f"a.jpg,s.jpg,{n * n},{n % 2 + 1}\n" for n in range(3000))
    found = table(folder, text)
    assert [own for _, _, own in found.rows()] == [{"seed": n * n, "steps": n % 2 + 1} for n in range(3000)]
    assert [(row, own) for row, own in found.combinations(["steps", "init"])] == [(0, {"steps": 1}), (1, {"steps": 2})]


def test_combinations_that_no_column_sets_are_none(folder: Path) -> None:
    assert list(table(folder, f"{HEAD},seed\na.jpg,s.jpg,1\n").combinations(["steps"])) == []
    assert list(table(folder, f"{HEAD}\na.jpg,s.jpg\n").combinations(["steps"])) == []


@pytest.mark.parametrize(
    ("name", "cell", "value"),
    [
        ("steps", "3", 3), ("steps", " 3 ", 3), ("steps", "3.0", 3), ("style_weight", "1e6", 1e6),
        ("masks", "false", False), ("masks", "no", False), ("fit", "short", "short"), ("init", "noise", "noise"),
        ("init", "{content}.png", "{content}.png"), ("history", "auto", "auto"), ("history", "7", 7),
        ("scales", "auto", "auto"), ("scales", "[64, 128]", (64, 128)), ("scales", "64", (64,)), ("scales", "[]", ()),
        ("style_layers", "relu1_1", ("relu1_1",)),
        ("style_layers", "[relu1_1, conv2_1]", ("relu1_1", "conv2_1")), ("adam_betas", "[0.5, 1]", (0.5, 1.0)),
        ("stop", "{rel: 0.01, window: 5}", Stop(0.01, 5)), ("stop", "null", None), ("line_search", "none", "none"),
    ],
)  # fmt: skip
def test_cells_are_read_as_in_a_pipeline_file(folder: Path, name: str, cell: str, value: object) -> None:
    ((_, _, own),) = rows(table(folder, f'{HEAD},{name}\na.jpg,s.jpg,"{cell}"\n'))
    expected = f"{folder}/{value}" if name == "init" and value != "noise" else value
    assert own == {name: expected} and type(own[name]) is type(value)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_typed_cells_are_taken_as_they_are(folder: Path, suffix: str) -> None:
    cells: list[dict[str, Any]] = [
        {"content": "a.jpg", "style": "s.jpg", "seed": 5, "strength": 1, "masks": False, "style_layers": ["relu1_1"],
         "stop": {"rel": 0.00001, "window": 3}},
        {"content": "b.jpg", "style": "s.jpg", "seed": None, "strength": 0.25, "masks": None, "style_layers": None,
         "stop": None},
    ]  # fmt: skip
    if suffix == "jsonl":
        found = table(folder, "".join(json.dumps(each) + "\n" for each in cells), "t.jsonl")
    else:
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(cells), folder / "t.parquet")
        found = read_pairs(folder / "t.parquet")
    first, second = (own for _, _, own in rows(found))
    assert first == {
        "seed": 5, "strength": 1.0, "masks": False, "style_layers": ("relu1_1",), "stop": Stop(0.00001, 3),
    }  # fmt: skip
    assert second == {"strength": 0.25}


def test_columns_that_only_some_lines_of_jsonl_have(folder: Path) -> None:
    lines = [{"content": "a.jpg", "style": "s.jpg", **({"seed": n} if 700 < n < 1300 else {})} for n in range(2000)]
    found = table(folder, "".join(json.dumps(each) + "\n" for each in lines), "t.jsonl")
    assert [own.get("seed") for _, _, own in found.rows()] == [line.get("seed") for line in lines]


def test_every_mistake_at_once_each_with_its_line(folder: Path) -> None:
    assert told(
        folder,
        f"{HEAD},steps,style_layers,seed\na.jpg,s.jpg,3,,\na.jpg,,many,,0\na.jpg,s.jpg,0,[relu1_1 ; relu9_9],\n"
        "a.jpg\n,s.jpg,many,,-1\n",
    ) == [
        "t.csv:3: style: should be the path of a file, and there is none",
        "t.csv:3: steps: should be a valid integer, not 'many' (in 2 rows)",
        "t.csv:4: steps: must be at least 1, not 0",
        next(line for line in told(folder, f"{HEAD},style_layers\n\n\na.jpg,s.jpg,[relu1_1 ; relu9_9]\n")),
        "t.csv:5: 1 cells, where the first line names 5; give one for each",
        "t.csv:6: content: should be the path of a file, and there is none",
        "t.csv:6: seed: must be at least 0, not -1",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["t.csv:1: no column content; a pair needs", "t.csv:1: no column style; a pair needs"]),
        ("content,stile\na,b\n", ["t.csv:1: unknown column 'stile'; did you mean style?", "t.csv:1: no column style"]),
        (f"{HEAD}\n", ["t.csv: no rows in it"]),
        (f"{HEAD}\nx,y\nx,s.jpg\n", ["t.csv:2: content: no such file: x, as with all 2 paths; relative paths"]),
        (f"{HEAD},history\na.jpg,s.jpg,long\n", ["t.csv:2: history: should not be 'long'; valid: auto, or a number"]),
        (f"{HEAD},scales\na.jpg,s.jpg,\"[64, 4]\"\n", ["t.csv:2: scales: must be at least 16, not 4"]),
        (f"{HEAD},stop\na.jpg,s.jpg,{{windo: 4}}\n", ["t.csv:2: stop.windo: unknown field; did you mean window?"]),
        (f"{HEAD},steps\na.jpg,s.jpg,true\n", ["t.csv:2: steps: should be a valid integer"]),
        (f"{HEAD},style_weight\na.jpg,s.jpg,nan\n", ["t.csv:2: style_weight: must be finite"]),
        (f"{HEAD},init\na.jpg,s.jpg,{'x' * 300}\n", ["t.csv:2: init: "]),
    ],
)  # fmt: skip
def test_single_mistakes(folder: Path, text: str, said: list[str]) -> None:
    found = told(folder, text)
    assert len(found) == len(said) and all(a.startswith(b) for a, b in zip(found, said, strict=True)), found


def test_one_is_not_taken_for_true(folder: Path) -> None:
    lines = [{"content": "a.jpg", "style": "s.jpg", "steps": value} for value in (1, True, 1.0)]
    assert told(folder, "".join(json.dumps(each) + "\n" for each in lines), "t.jsonl") == [
        "t.jsonl:2: steps: should be a valid integer, not 'true'"
    ]


def test_a_table_stays_columns(folder: Path) -> None:
    """No object for a row, but for its text: two thousand rows of a few pictures are a few strings and numbers."""
    found = table(folder, f"{HEAD},steps\n" + "a.jpg,s.jpg,3\nb.jpg,s.jpg,4\n" * 1000)
    assert len({id(path) for path in (*found.contents, *found.styles)}) == 3
    assert len(found.variants) == 2 and isinstance(found.variant, np.ndarray)


def test_columns_that_are_kept_go_with_their_rows_and_no_others_are(folder: Path) -> None:
    found = table(folder, f"{HEAD},meta.split,seed,meta.label\na.jpg,s.jpg,train,1,cat\na.jpg,s.jpg,,2,\n")
    assert [json.loads(each) for each in found.kept] == [
        {"split": "train", "label": "cat"},
        {"split": "", "label": ""},
    ]
    assert rows(found) == [("a.jpg", "s.jpg", {"seed": 1}), ("a.jpg", "s.jpg", {"seed": 2})]
    assert not table(folder, f"{HEAD}\na.jpg,s.jpg\n").kept
    late = '{"content": "a.jpg", "style": "s.jpg"}\n' * 600 + '{"content": "a.jpg", "style": "s.jpg", "meta.n": 3}\n'
    assert table(folder, late, "t.jsonl").kept == [""] * 500 + ['{"n": null}'] * 100 + ['{"n": 3}']
    said = told(folder, f"{HEAD},label\na.jpg,s.jpg,cat\n")
    assert "unknown column 'label'" in said[0] and "or meta.NAME, to have it in `export`" in said[0]


def test_a_spreadsheet_with_semicolons_and_decimal_commas(folder: Path) -> None:
    found = table(folder, "\ufeffcontent;style;strength\na.jpg;s.jpg;0,4\n;;\n")
    assert rows(found) == [("a.jpg", "s.jpg", {"strength": 0.4})]
