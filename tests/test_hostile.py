"""Folders and files as they are out there: nothing hangs, nothing breaks, and every failure has a reason."""

from __future__ import annotations

import io
import random
import re
from collections import Counter
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from nst_batch.errors import ImageError, SpecError
from nst_batch.pipeline_file.spec import load_spec
from nst_batch.planning.input_cache import InputCache
from nst_batch.records import Limits
from nst_batch.transfer.images import load_picture
from tests import hostile, runs
from tests.hostile import GOOD, KINDS, LEFT


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.save_weights(tmp_path_factory.mktemp("weights") / "vgg.pth")


def test_a_folder_of_everything_bad(tmp_path: Path, weights: Path) -> None:
    hostile.make_all(tmp_path / "content")
    runs.make_pictures(tmp_path, contents=3, styles=1)
    pipeline = runs.write_pipeline(
        tmp_path, weights, transfer__steps=2, output__name="{content}.{content_suffix}__{style}.png"
    )
    ended = runs.nst_batch("run", pipeline, "--json")
    assert ended.code == 1 and "Traceback" not in ended.err
    found = {Path(line["content"]["path"]).name: line for line in runs.lines(tmp_path / "out")}
    named = {Path(file).name for each in ended.json["left_out"]["content"] for file in each["files"]}
    odd = [f"{each.name!r} is left out in silence" for each in KINDS if each.fate == LEFT and each.name not in named]
    for each in KINDS:
        line = found.pop(each.name, None)
        fate = LEFT if line is None else GOOD if line["status"] == "done" else line["error"]["message"]
        understood = fate in (GOOD, LEFT) or re.search("picture|pixels|bytes|a side needs", fate)
        expected = fate == each.fate if each.fate in (GOOD, LEFT) else each.fate in fate and fate != LEFT
        if not (understood and expected):
            odd.append(f"{each.name!r}: {each.fate!r} expected, {fate!r} found")
    assert not odd, "\n".join(odd)
    assert {name: line["status"] for name, line in found.items()} == {f"c{n}.png": "done" for n in range(3)}
    assert len(KINDS) >= 60 and not runs.temporaries(tmp_path / "out")


def mutated(data: bytes, chance: random.Random, most: int = 64) -> bytes:
    """Bytes turned over, cut out, put in, doubled, or cut off, at several places."""
    changed = bytearray(data)
    for _ in range(min(most, chance.choice((1, 1, 2, 8, 64)))):
        place, length = chance.randrange(len(changed) + 1), chance.choice((1, 1, 2, 4, 32))
        kind = chance.randrange(5)
        if kind == 0:
            changed[place : place + length] = chance.randbytes(length)
        elif kind == 1:
            del changed[place : place + length]
        elif kind == 2:
            changed[place:place] = chance.choice((b"\0", b"\xff")) * length
        elif kind == 3:
            changed[place:place] = changed[place : place + length]
        else:
            del changed[max(place, 1) :]
    return bytes(changed)


def seeds() -> list[bytes]:
    """Pictures of every kind that is read."""
    formats = {"JPEG": "RGB", "PNG": "RGBA", "WEBP": "RGB", "TIFF": "RGB", "GIF": "P", "BMP": "RGB"}
    found: list[bytes] = [hostile.picture(mode, format=name) for name, mode in formats.items()]
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    found += [hostile.picture(format="JPEG", exif=exif.tobytes(), icc_profile=profile), hostile.picture("I;16")]
    deep = np.random.default_rng(3).integers(0, 65536, (16, 24, 3), dtype=np.uint16)
    stream = io.BytesIO()
    tifffile.imwrite(stream, deep, compression="zlib")
    deep_png = bytes(imagecodecs.png_encode(deep))
    return [*found, stream.getvalue(), deep_png, hostile.picture(format="TIFF", compression="tiff_lzw")]


def test_mutated_pictures_are_read_or_refused_in_words(tmp_path: Path) -> None:
    path, chance, found = tmp_path / "a.png", random.Random(1), Counter[str]()
    originals, limits = seeds(), Limits(pixels=1_000_000)
    for number in range(1000):
        path.write_bytes(mutated(originals[number % len(originals)], chance))
        InputCache(tmp_path / "cache").source(path)
        try:
            picture = load_picture(path, limits=limits)
        except ImageError as error:
            assert str(path) in str(error) and "Error(" not in str(error)
            found["refused"] += 1
        else:
            assert picture.pixels.shape[2] == 3 and picture.pixels.size
            found["read"] += 1
    assert min(found.values()) > 100, found


PIPELINE = """\
version: 1
name: night          # of the run
content: [photos, "more/*.jpg"]
style: art
pairs: {sample: 1, seed: 7}
transfer:
  preset: default
  size: 256
  style_layers: [relu1_1, relu2_1]
  style_layer_weights: [1.0, 0.5]
sweep: {style_weight: [1.0e+3, 1.0e+4], seed: [1, 2]}
weights: vgg19
output: {dir: out, name: "{content}__{style}{sweep}.png", bits: 8}
run: {devices: [cpu, cpu], retries: 2, batch: auto}
limits: &limits
  pixels: 1000000
"""


def test_mutated_pipeline_files_are_read_or_refused_with_their_lines(tmp_path: Path) -> None:
    runs.make_pictures(tmp_path, contents=2, styles=2)
    (tmp_path / "content").rename(tmp_path / "photos")
    (tmp_path / "style").rename(tmp_path / "art")
    (tmp_path / "more").mkdir()
    runs.save_picture(tmp_path / "more" / "m.jpg", seed=5)
    path, chance, found = tmp_path / "pipeline.yaml", random.Random(2), Counter[str]()
    words = b"- |: |&a |*a|{|}|[|]|!!python/object:os.system |<<: |\t|null".split(b"|")
    path.write_text(PIPELINE)
    load_spec(path)
    for _ in range(1000):
        data = mutated(PIPELINE.encode(), chance, most=chance.choice((0, 1, 2)))
        place, word = chance.randrange(len(data) + 1), chance.choice([b"", b" ", b"1", *words])
        path.write_bytes(data[:place] + word + data[place:])
        try:
            load_spec(path)
        except SpecError as error:
            assert error.mistakes and all(str(path) in mistake for mistake in error.mistakes)
            found["refused"] += 1
        else:
            found["read"] += 1
    assert min(found.values()) > 20, found


def bomb(levels: int, width: int) -> str:
    """A billion laughs: each line stands for so many of the line before."""
    lines = ["a0: &a0 ha"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


YAML_BOMBS = {
    "a billion laughs": (bomb(9, 10), "aliases make more than"),
    "merged laughs": ("a: &a {x: 1}\n" + "".join(f"b{n}: {{<<: [{'*a, ' * 50}]}}\n" for n in range(200)), "unknown"),
    "ten thousand brackets": ("content: " + "[" * 10_000, "nested too deeply"),
    "ten thousand braces": ("content: " + "{a: " * 10_000, "nested too deeply"),
    "ten thousand steps": ("\n".join(" " * n + "a:" for n in range(3000)), "nested too deeply"),
    "itself": ("a: &a [*a]", "alias stands inside"),
    "a long number": ("name: x\ntransfer: {size: " + "9" * 10_000 + "}", ":2: not YAML: '9999"),
    "a long hexadecimal number": ("name: x\ntransfer: {size: 0x" + "f" * 10_000 + "}", "is not a valid int"),
    "a number to the sixtieth": ("name: x\ntransfer: {size: " + "1:" * 3000 + "1}", "valid integer"),
    "code": ("name: !!python/object/apply:os.system ['touch /tmp/nst-was-here']", "python/object"),
    "a key of a list": ("? [a, b]\n: 1", ":1:"),
    "a hundred megabytes": ("#" * (100 << 20), "more than 16 MiB"),
    "a hundred megabytes of nothing": ("\n" * (100 << 20), "more than 16 MiB"),
    "nothing": ("", "expected keys and values"),
    "null": ("\0" * 5000, "cannot be in YAML"),
}


@pytest.mark.parametrize("name", YAML_BOMBS)
def test_yaml_that_would_explode_is_refused_in_words(tmp_path: Path, name: str) -> None:
    text, said = YAML_BOMBS[name]
    path = tmp_path / "pipeline.yaml"
    path.write_text(text)
    ended = runs.here("plan", path)
    assert ended.code == 2 and said in ended.err and str(path) in ended.err
    assert len(ended.err) < 1000 or name == "merged laughs"  # two hundred keys that are not there
