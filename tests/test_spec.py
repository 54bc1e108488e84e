"""The pipeline file: everything that can be said in it, and every way to get it wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from nst_batch.errors import SpecError
from nst_batch.records import SETTINGS
from nst_batch.spec import PipelineSpec, Sample, load_spec, sweep_points
from tests import runs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    runs.make_pictures(tmp_path, contents=2, styles=3)
    return tmp_path


def load(folder: Path, text: str, **overrides: str) -> PipelineSpec:
    (folder / "pipeline.yaml").write_text(text)
    return load_spec(folder / "pipeline.yaml", {key.replace("__", "."): value for key, value in overrides.items()})


def mistakes(folder: Path, text: str, **overrides: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(folder, text, **overrides)
    return [line.replace(f"{folder}/", "") for line in caught.value.mistakes]


BASE = "name: n\ncontent: content\nstyle: style\n"


def test_ten_mistakes_are_reported_at_once_with_their_lines(folder: Path) -> None:
    (folder / "empty").mkdir()
    found = mistakes(
        folder,
        """\
name: two words
content: nowhere
style: [style, empty]
pairs: {sample: 0}
transfer:
  preset: gaty
  style_layer: [relu1_1]
  steps: many
  content_layers: [relu4_9]
  size: 512
  size: 4
sweep: {style_weight: [1e3, -1], colour: [x]}
weights: imagnet
output: {name: "{contents}.png"}
run: {devices: [gpu], retrys: 3}
outputs: here
""",
    )
    expected = [
        "pipeline.yaml:1: name: letters, digits",
        "pipeline.yaml:2: content[0]: no such file or folder: nowhere",
        "pipeline.yaml:3: style[1]: no pictures in folder empty",
        "pipeline.yaml:4: pairs.sample: should be greater than or equal to 1, not 0",
        "pipeline.yaml:6: transfer.preset: should not be 'gaty'; did you mean gatys? valid: default, pytorch-tutorial",
        "pipeline.yaml:7: transfer.style_layer: unknown field; did you mean style_layers? valid: ",
        "pipeline.yaml:8: transfer.steps: should be a valid integer",
        "pipeline.yaml:9: transfer.content_layers: unknown layer 'relu4_9'; did you mean relu4_",
        "pipeline.yaml:11: transfer.size: given twice",
        "pipeline.yaml:11: transfer.size: must be at least 16, not 4",
        "pipeline.yaml:12: sweep.style_weight[1]: must be at least 0, not -1.0",
        "pipeline.yaml:12: sweep.colour: unknown field; ",
        "pipeline.yaml:13: weights: should not be 'imagnet'; did you mean imagenet? valid: auto, imagenet, random",
        "pipeline.yaml:14: output.name: unknown placeholder {contents}; did you mean content? valid: ",
        "pipeline.yaml:15: run.devices[0]: unknown device 'gpu'",
        "pipeline.yaml:15: run.retrys: unknown field; did you mean retries?",
        "pipeline.yaml:16: outputs: unknown field; did you mean output? valid: version, name, content",
    ]
    assert len(found) == len(expected)
    for line, start in zip(found, expected, strict=True):
        assert line.startswith(start), line


def test_the_smallest_file_has_all_defaults(folder: Path) -> None:
    spec = load(folder, BASE)
    assert [path.name for path in spec.content] == ["c0.png", "c1.png"] and len(spec.style) == 3
    assert (spec.pairs, spec.weights, spec.run.retries) == ("product", "auto", 2)
    assert spec.output_dir == folder / "outputs" / "n" and sweep_points(spec.sweep) == [{}]


def test_relative_paths_start_at_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    spec = load(folder, BASE + "output: {dir: there}\n")
    assert spec.content[0] == folder / "content" / "c0.png" and spec.output_dir == folder / "there"


def test_lists_keep_their_order_and_take_each_file_once(folder: Path) -> None:
    spec = load(folder, "name: n\ncontent: [content/c1.png, content]\nstyle: 'style/s[12].png'\n")
    assert [path.name for path in spec.content] == ["c1.png", "c0.png"]
    assert [path.name for path in spec.style] == ["s1.png", "s2.png"]


def test_settings_come_from_preset_then_file(folder: Path) -> None:
    settings = load(
        folder, BASE + "transfer: {preset: gatys, steps: 7, style_weight: 1e4, style_layers: relu1_1}\n"
    ).settings()
    assert (settings.steps, settings.style_weight, settings.content_layers) == (7, 1e4, ("relu4_2",))
    assert settings.style_layers == ("relu1_1",)


def test_every_kind_of_pairs(folder: Path) -> None:
    assert load(folder, BASE + "pairs: {sample: 2, seed: 5}\n").pairs == Sample(sample=2, seed=5)
    spec = load(folder, "name: n\npairs:\n  - {content: content/c0.png, style: style/*.png, style_weight: 5}\n")
    assert isinstance(spec.pairs, tuple)
    assert spec.pairs[0].overrides() == {"style_weight": 5.0} and len(spec.pairs[0].style) == 3


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ("zip", "pipeline.yaml:4: pairs: zip needs as many styles as contents, not 2 and 3"),
        ("{sample: 9}", "pipeline.yaml:4: pairs.sample: 9 styles for each content, but there are only 3"),
        ("crossed", "pipeline.yaml:4: pairs: should not be 'crossed'; valid: product, zip"),
        ("[]", "pipeline.yaml:4: pairs: at least one is needed"),
        ("[{content: content}]", "pipeline.yaml:4: pairs[0].style: missing"),
        (
            "[{content: content, style: style, stepps: 3}]",
            "pipeline.yaml:4: pairs[0].stepps: unknown field; did you mean steps?",
        ),
        (
            "[{content: content, style: style, style_layer_weights: [1, 2]}]",
            "pipeline.yaml:4: pairs[0]: style_layer_weights: 2 weights for 5",
        ),
        ("{samples: 3}", "pipeline.yaml:4: pairs.sample: missing"),
    ],
)
def test_mistakes_in_pairs(folder: Path, pairs: str, expected: str) -> None:
    found = mistakes(folder, f"{BASE}pairs: {pairs}\n")
    assert any(line.startswith(expected) for line in found), found


def test_a_sweep_is_a_grid(folder: Path) -> None:
    spec = load(folder, BASE + "sweep: {style_weight: [1e3, 1e4], style_layers: [[relu1_1], [relu1_1, relu2_1]]}\n")
    points = sweep_points(spec.sweep)
    assert len(points) == 4 and {point["style_weight"] for point in points} == {1e3, 1e4}
    assert {point["style_layers"] for point in points} == {("relu1_1",), ("relu1_1", "relu2_1")}


def test_settings_that_disagree_are_found_where_they_stand(folder: Path) -> None:
    text = BASE + "transfer:\n  style_layer_weights: [1, 2]\n"
    assert mistakes(folder, text) == ["pipeline.yaml:4: transfer: style_layer_weights: 2 weights for 5 style_layers"]
    text = BASE + "sweep:\n  style_layers: [[relu1_1]]\ntransfer: {style_layer_weights: [1, 1, 1, 1, 1]}\n"
    assert mistakes(folder, text) == ["pipeline.yaml:4: sweep: style_layer_weights: 5 weights for 1 style_layers"]


def test_content_and_style_are_needed_unless_pairs_name_them(folder: Path) -> None:
    assert [line.split(": ")[1] for line in mistakes(folder, "name: n\n")] == ["content", "style"]


def test_set_overrides_the_file_and_is_named_in_mistakes(folder: Path) -> None:
    spec = load(folder, BASE, transfer__size="64", run__devices="[cpu, cpu]", content="content/c1.png")
    assert spec.settings().size == 64 and spec.run.devices == ("cpu", "cpu") and len(spec.content) == 1
    assert load(folder, BASE, output__name="{style}/{content}.jpg").output.name == "{style}/{content}.jpg"
    assert mistakes(folder, BASE, transfer__sizes="64")[0].startswith("--set: transfer.sizes: unknown field")
    assert mistakes(folder, BASE, transfer__size="x")[0].startswith("--set: transfer.size: should be")
    assert mistakes(folder, BASE, name__x="1")[0].startswith("--set: name.x: there is no such key")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1, 2\nb: 3\n", "not YAML"),
        ("name: n\n\tcontent: x\n", "pipeline.yaml:2: not YAML"),
        ("- just\n- a list\n", "expected keys and values"),
        ("", "expected keys and values"),
        ("name: &a [*a]\n", ""),
        ("!!python/object/apply:os.system [echo]\n", "not YAML"),
    ],
)
def test_what_is_not_a_pipeline_is_one_clear_mistake(folder: Path, text: str, expected: str) -> None:
    assert expected in mistakes(folder, text)[0]


def test_a_missing_or_binary_file_is_named(folder: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        load_spec(folder / "none.yaml")
    (folder / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="not UTF-8"):
        load_spec(folder / "b.yaml")


def test_weights_files_are_looked_for(folder: Path) -> None:
    assert mistakes(folder, BASE + "weights: {path: none.pth}\n") == [
        "pipeline.yaml:4: weights.path: no such file: none.pth"
    ]


@pytest.mark.parametrize(
    ("name", "expected"), [("{content}", "must end in"), ("{content}.gif", "must end in"), ("{.png", "brace")]
)
def test_output_names_are_checked(folder: Path, name: str, expected: str) -> None:
    assert expected in mistakes(folder, BASE + f"output: {{name: '{name}'}}\n")[0]


def test_the_schema_explains_every_setting() -> None:
    schema = PipelineSpec.model_json_schema()
    properties = schema["$defs"]["Transfer"]["properties"]
    assert set(properties) == {"preset", *SETTINGS}
    assert all(properties[name]["description"] for name in SETTINGS)
    assert properties["steps"]["minimum"] == 1 and "relu4_2" in properties["style_layers"]["items"]["enum"]
