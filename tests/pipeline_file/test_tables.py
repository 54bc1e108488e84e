"""Tables: the same rows from every format, where they stand, and what is said of files that are none."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from nst_batch.pipeline_file.tables import MOST_TOLD, Mistakes, TableMistakes, batches, column

ROWS = [("a.jpg", "x", "1"), ("b, c.jpg", "", "2"), ('d "e".jpg', "y", "")]


def make(folder: Path, suffix: str) -> Path:
    """A table of ``ROWS`` with the columns content, label and steps."""
    file = folder / f"t{suffix}"
    cells = [dict(zip(("content", "label", "steps"), row, strict=True)) for row in ROWS]
    if suffix == ".jsonl":
        file.write_text("".join(json.dumps(each) + "\n" for each in cells))
    elif suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(cells), file, row_group_size=2)
    else:
        separator = {".csv": ",", ".tsv": "\t"}[suffix]
        quoted = [separator.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in ROWS]
        file.write_text("\n".join([separator.join(("content", "label", "steps")), *quoted]) + "\n")
    return file


def read(file: Path, *names: str) -> list[tuple[int, tuple[object, ...]]]:
    mistakes = Mistakes(file)
    found = [
        (line, cells)
        for lines, columns in batches(file, names.__contains__, mistakes)
        if lines
        for line, *cells in zip(lines, *(columns[name] for name in names), strict=True)
    ]
    mistakes.refuse()
    return [(line, tuple(cells)) for line, cells in found]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_format_has_the_same_rows(tmp_path: Path, suffix: str) -> None:
    found = read(make(tmp_path, suffix), "content", "steps")
    assert [cells for _, cells in found] == [(content, steps) for content, _, steps in ROWS]
    first = 2 if suffix in (".csv", ".tsv") else 1
    assert [line for line, _ in found] == [first, first + 1, first + 2]


def test_endings_may_be_in_capitals(tmp_path: Path) -> None:
    assert len(read(make(tmp_path, ".csv").rename(tmp_path / "T.CSV"), "content")) == 3


def test_lines_are_those_of_the_file_in_every_batch(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("content\n" + "".join(f"{n}.jpg\n" for n in range(1200)) + '\n"b\r\n\nc.jpg"\nd.jpg\n')
    found = read(file, "content")
    assert [line for line, _ in found] == [*range(2, 1202), 1205, 1206]
    assert found[-2:] == [(1205, ("b\r\n\nc.jpg",)), (1206, ("d.jpg",))]


def told(file: Path, data: bytes) -> list[str]:
    file.write_bytes(data)
    with pytest.raises(TableMistakes) as caught:
        read(file, "content")
    return [line.replace(f"{file.parent}/", "") for line in caught.value.mistakes]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("t.csv", b"content\n\xff\n", "t.csv:2: not UTF-8 text, as .csv should be"),
        ("t.csv", b"content,a\nb\nb,c\nb,c,d\n", "t.csv:2: 1 cells, where the first line names 2"),
        ("t.csv", b'content,a\n"b\n', "t.csv:2: not csv: unexpected end of data"),
        ("t.csv", b"a,content,a\n", "t.csv:1: two columns are called 'a'"),
        ("t.jsonl", b'{"content": "a"}\n\n{"content"\n', "t.jsonl:3: not a JSON object"),
        ("t.jsonl", b"[" * 100_000, "t.jsonl:1: not a JSON object"),
        ("t.jsonl", b"\xff", "t.jsonl:1: not UTF-8 text"),
        ("t.parquet", b"PAR1 and then nothing PAR1", "t.parquet: not a whole parquet file: "),
        ("t.parquet", b"", "t.parquet: not a whole parquet file: "),
    ],
)
def test_what_is_no_table_is_said_with_its_line(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    assert told(tmp_path / name, data)[0].startswith(said)


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make(tmp_path, ".parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TableMistakes, match=r"t\.parquet: parquet needs pyarrow: pip install"):
        read(file, "content")


def test_many_mistakes_are_told_in_the_files_order_and_the_rest_counted(tmp_path: Path) -> None:
    mistakes = Mistakes(tmp_path / "t.csv")
    for line in range(30_000, 0, -1):
        mistakes.add(line, "wrong")
    with pytest.raises(TableMistakes) as caught:
        mistakes.refuse()
    lines = caught.value.mistakes
    assert len(lines) == MOST_TOLD + 1 and lines[-1].endswith("t.csv: and 29,960 more mistakes")
    assert [int(line.split(":")[1]) for line in lines[:-1]] == sorted(int(line.split(":")[1]) for line in lines[:-1])


# --- a column as a list -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_column_is_a_list_and_what_means_nothing_is_passed_over(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "a.jpg").touch()
    found = column(make(tmp_path, suffix), "content", ["style"])
    assert found == [f"{tmp_path}/{content}" for content, _, _ in ROWS]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_what_would_mean_something_beside_it_is_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(TableMistakes, match="steps: has no effect here, where content is read alone"):
        column(make(tmp_path, suffix), "content", ["steps"])
    with pytest.raises(TableMistakes, match="no column style; name the one"):
        column(make(tmp_path, suffix), "style", [])


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("t.csv", b"content\n\n", "t.csv: no rows in it"),
        ("t.csv", b"content\n \nb.jpg\n", "t.csv:2: content: should be the path of a file"),
        ("t.csv", b"content\nx.jpg\n", "x.jpg; relative paths start at the table's folder"),
        ("t.jsonl", b'{"content": "a\\u0000"}\n', "t.jsonl:1: content: a path must be text"),
        ("t.jsonl", b'{"content": "\\ud800"}\n', "t.jsonl:1: content: a path must be text"),
        ("t.jsonl", b'{"content": ["a.jpg"]}\n', "t.jsonl:1: content: should be the path of a file"),
    ],
)
def test_cells_that_are_no_paths(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    file = tmp_path / name
    file.write_bytes(data)
    with pytest.raises(TableMistakes) as caught:
        column(file, "content", ["style"])
    assert len(caught.value.mistakes) == 1 and said in str(caught.value)


def test_paths_that_come_again_share_their_text(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("content\n" + "t.csv\nother.jpg\n" * 1000)
    found = column(file, "content", [])
    assert len(found) == 2000 and len({id(path) for path in found}) == 2


# --- as spreadsheets and pandas write them


def test_semicolons_with_decimal_commas(tmp_path: Path) -> None:
    """As spreadsheets write .csv where a comma begins decimals."""
    (tmp_path / "t.csv").write_text('content;style;strength;seed\n"a,1.jpg";s.jpg;0,4;7\nb.jpg;s.jpg;1;\n', "utf-8-sig")
    assert read(tmp_path / "t.csv", "content", "strength", "seed") == [
        (2, ("a,1.jpg", "0.4", "7")),
        (3, ("b.jpg", "1", "")),
    ]
    (tmp_path / "u.csv").write_text("content,style\n0;5.jpg,s.jpg\n")
    assert read(tmp_path / "u.csv", "content") == [(2, ("0;5.jpg",))]


@pytest.mark.parametrize("blank", ["", ",,"])
def test_blank_rows_are_none(tmp_path: Path, blank: str) -> None:
    (tmp_path / "t.csv").write_text(f"content,style,seed\na,s,1\n{blank}\nb,s,2\n{blank}\n{blank}\n")
    assert read(tmp_path / "t.csv", "content", "seed") == [(2, ("a", "1")), (4, ("b", "2"))]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".jsonl"])
def test_what_pandas_numbers_rows_with_is_no_column(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame({"content": ["a", "b"], "style": ["s", "s"]}, index=[3, 8])
    file = tmp_path / f"t{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(file, index=True)
    elif suffix == ".jsonl":
        frame.reset_index(names="__index_level_0__").to_json(file, orient="records", lines=True)
    else:
        frame.to_csv(file, sep="\t" if suffix == ".tsv" else ",")
        pd.read_csv(file, sep="\t" if suffix == ".tsv" else ",").to_csv(
            file, sep="\t" if suffix == ".tsv" else ","
        )  # twice: ``Unnamed: 0``
    names = {name for _, columns in batches(file, lambda _: True, Mistakes(file)) for name in columns}
    assert names == {"content", "style"}
    assert [cells for _, cells in read(file, "content")] == [("a",), ("b",)]
