"""The pipeline file: everything that can be said in it, and every way to get it wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from nst_batch.errors import SpecError
from nst_batch.pipeline_file.pair_table import PairTable
from nst_batch.pipeline_file.spec import PipelineSpec, Sample, load_spec, sweep_points
from nst_batch.pipeline_file.spec_run import Cluster
from nst_batch.settings import SETTINGS, Stop
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
weights: vgg16
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
        "pipeline.yaml:13: weights: should not be 'vgg16'; did you mean vgg19? valid: vgg19, torchvision, random",
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
    assert [Path(path).name for path in spec.content] == ["c0.png", "c1.png"] and len(spec.style) == 3
    assert (spec.pairs, spec.weights, spec.run.retries) == ("product", "vgg19", 2)
    assert spec.output_dir == folder / "outputs" / "n" and sweep_points(spec.sweep) == [{}]


def test_relative_paths_start_at_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    spec = load(folder, BASE + "output: {dir: there}\n")
    assert spec.content.paths[0] == str(folder / "content" / "c0.png") and spec.output_dir == folder / "there"


def test_lists_keep_their_order_and_take_each_file_once(folder: Path) -> None:
    spec = load(folder, "name: n\ncontent: [content/c1.png, content]\nstyle: 'style/s[12].png'\n")
    assert [Path(path).name for path in spec.content] == ["c1.png", "c0.png"]
    assert [Path(path).name for path in spec.style] == ["s1.png", "s2.png"]


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
        ("[{content: content}]", "pipeline.yaml:4: pairs[0]: needs either style (a picture for each) or styles"),
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
    assert mistakes(folder, text) == [
        "pipeline.yaml:4: transfer: style_layer_weights: 2 weights for 5 style_layers; give one for each, or none"
    ]
    text = BASE + "sweep:\n  style_layers: [[relu1_1]]\ntransfer: {style_layer_weights: [1, 1, 1, 1, 1]}\n"
    assert mistakes(folder, text) == [
        "pipeline.yaml:4: sweep: style_layer_weights: 5 weights for 1 style_layers; give one for each, or none"
    ]


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
        "pipeline.yaml:4: weights.path: no such file: none.pth; relative paths start at the pipeline file's folder"
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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: 2024-13-45\n", "pipeline.yaml:1: not YAML: '2024-13-45' is not a valid timestamp"),
        ("content: c\nname: &a [*a]\n", "pipeline.yaml:2: not YAML: an alias stands inside what it names"),
        ("name: n\ncontent: a\0b\n", "pipeline.yaml:2: not YAML: the character U+0000"),
        (BASE + "yes: 3\n", "pipeline.yaml:4: yes: unknown field"),
        (BASE + "7: 3\n", "pipeline.yaml:4: 7: unknown field"),
        (BASE + "sweep:\n  size: 256\n", "pipeline.yaml:5: sweep.size: should be a list, not 256"),
        (BASE + "sweep:\n  size: []\n", "pipeline.yaml:5: sweep.size: at least one is needed"),
        (BASE + "pairs:\n  - a\n", "pipeline.yaml:5: pairs[0]: should be keys and values, not 'a'"),
        (BASE + "transfer: {steps: 1e3}\n", "pipeline.yaml:4: transfer.steps: should be a valid integer"),
        (BASE + "transfer: {style_weight: .nan}\n", "pipeline.yaml:4: transfer.style_weight: must be finite"),
        (BASE + "version: 2\n", "pipeline.yaml:4: version: should not be 2; valid: 1"),
        (f"name: n\nstyle: style\ncontent: {'x' * 300}\n", "pipeline.yaml:3: content[0]: "),
        ("name: n\nstyle: style\ncontent: ~no-such-user/x\n", "pipeline.yaml:3: content[0]: no home folder is known"),
        (BASE + "output:\n  dir: ~no-such-user/x\n", "pipeline.yaml:5: output.dir: no home folder is known"),
        (BASE + f"output:\n  dir: {'x' * 300}\n", "pipeline.yaml:5: output.dir: "),
        (BASE + "output:\n  dir: content/c0.png\n", "pipeline.yaml:5: output.dir: content/c0.png is a file"),
        (BASE + f"weights: {{path: {'x' * 300}}}\n", "pipeline.yaml:4: weights.path: "),
    ],
)
def test_a_single_mistake_is_one_line(folder: Path, text: str, expected: str) -> None:
    (found,) = mistakes(folder, text)
    assert found.startswith(expected), found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("{content}_{steps:04d}.png", "{steps} is text as it is"),
        ("{content!r}.png", "{content} is text as it is"),
        ("{content:{style}}.png", "{content} is text as it is"),
        ("{content.stem}.png", "unknown placeholder {content.stem}; did you mean content"),
        ("{content[0]}.png", "unknown placeholder {content[0]}"),
        ("{}.png", "unknown placeholder {}"),
        ("a\\0{content}.png", "control characters"),
        ("a\\n{content}.png", "control characters"),
        ("\\uD800{content}.png", "control characters"),
    ],
)
def test_templates_that_give_no_name_are_refused_before_any_work(folder: Path, name: str, expected: str) -> None:
    (found,) = mistakes(folder, BASE + f'output:\n  name: "{name}"\n')
    assert found.startswith("pipeline.yaml:5: output.name: ") and expected in found


def test_mistakes_of_what_only_set_gives_name_set(folder: Path) -> None:
    found = mistakes(folder, BASE, transfer__content_weight="0", transfer__style_weight="0")
    assert found == [
        "--set: transfer: content_weight and style_weight are both 0: nothing to optimise; set one of them"
    ]
    assert all(line.startswith("--set: ") for line in mistakes(folder, BASE, pairs__0__size="1", output__dri="x"))


def test_a_repeated_key_is_a_mistake_even_when_both_are_right(folder: Path) -> None:
    text = "name: n\ncontent: content\nstyle: style\ntransfer:\n  size: 64\n  steps: 3\n  size: 64\nname: n\n"
    assert mistakes(folder, text) == [
        "pipeline.yaml:7: transfer.size: given twice; keep one",
        "pipeline.yaml:8: name: given twice; keep one",
    ]


@pytest.mark.parametrize("number", ["1e3", "1.0e3", "1E+3", "1000", "1000.0", "1_000"])
def test_a_number_may_be_written_in_any_way(folder: Path, number: str) -> None:
    spec = load(folder, BASE + f"transfer: {{style_weight: {number}}}\nsweep: {{content_weight: [{number}]}}\n")
    assert spec.settings().style_weight == 1000.0 and sweep_points(spec.sweep) == [{"content_weight": 1000.0}]


def test_a_sweep_keeps_the_order_written(folder: Path) -> None:
    spec = load(folder, BASE + "sweep: {steps: [9, 3], size: [64, 32]}\n")
    assert [(point["size"], point["steps"]) for point in sweep_points(spec.sweep)] in (
        [(64, 9), (32, 9), (64, 3), (32, 3)],
        [(64, 9), (64, 3), (32, 9), (32, 3)],
    )


def test_every_key_of_a_full_file_is_in_the_schema(folder: Path) -> None:
    """What an editor would underline is what load_spec refuses."""
    text = BASE + (
        "version: 1\nexclude: drafts\npairs: product\ntransfer: {preset: gatys, size: 64}\n"
        "sweep: {steps: [1, 2]}\nweights: random\n"
        "output: {dir: out, name: '{content}{style}{sweep}.png', bits: 16, quality: 90, metadata: content}\n"
        "run: {devices: auto, retries: 1, timeout: 60, threads: 2, batch: 4, tile: 256, compile: off, report: on,\n"
        "  memory_limit: 3 GB, devices_per_task: 2, labels: none}\n"
        "limits: {pixels: 1000000, bytes: 5000000}\n"
        "cluster: {partition: gpu, account: 1234, qos: high, time: 8:00:00, nodes: 4, gpus_per_node: 8,\n"
        "  gpu_type: a100, gpus_per_element: 2, cpus_per_task: 8, mem: 32G, constraint: a|b, array_limit: 3,\n"
        "  grace: 60, setup: module load cuda, command: apptainer exec n.sif nst-batch, extra: [--exclusive]}\n"
    )
    spec, schema = load(folder, text), PipelineSpec.model_json_schema()
    assert schema["additionalProperties"] is False and schema["required"] == ["name"]
    assert set(schema["properties"]) == spec.model_fields_set
    for section in ("Transfer", "Sweep", "Output", "Run", "Pair", "Sample", "WeightsFile"):
        assert schema["$defs"][section]["additionalProperties"] is False
    assert set(schema["$defs"]["Run"]["properties"]) == spec.run.model_fields_set
    assert set(schema["$defs"]["Output"]["properties"]) == spec.output.model_fields_set
    assert set(schema["$defs"]["Cluster"]["properties"]) == spec.cluster.model_fields_set
    for section in ("Transfer", "Sweep", "Pair"):
        assert all(schema["$defs"][section]["properties"][name]["description"] for name in SETTINGS)


def test_a_section_that_is_all_commented_out_is_the_default(folder: Path) -> None:
    spec = load(folder, BASE + "transfer:\n  # steps: 5\nsweep:\noutput:\nrun:\n")
    assert spec.settings().steps == 120 and spec.run.retries == 2


@pytest.mark.parametrize(
    ("written", "meant"),
    [("480", "480"), ("8:00:00", "8:00:00"), ("90:00", "90:00"), ("2-12", "2-12"), ("1-00:30:00", "1-00:30:00")],
)
def test_a_time_is_what_slurm_reads(folder: Path, written: str, meant: str) -> None:
    """YAML 1.1 would count 8:00:00 in sixties."""
    assert load(folder, BASE + f"cluster: {{time: {written}}}\n").cluster.time == meant


def test_what_slurm_is_asked_for_is_checked(folder: Path) -> None:
    text = BASE + (
        "cluster:\n  time: soon\n  mem: much\n  partition: 'two\\nlines'\n  extra: [mail, --array=1-3]\n  nodes: 0\n"
        "  account: true\n  gpus_per_nodes: 2\n"
    )
    text = text.replace("'two\\nlines'", '"two\\nlines"')
    assert mistakes(folder, text) == [
        "pipeline.yaml:5: cluster.time: a time is minutes, 8:00:00 or 2-12:00:00 (days-hours), not 'soon'",
        "pipeline.yaml:6: cluster.mem: memory is megabytes, or a number with K, M, G or T, as '32G', not 'much'",
        "pipeline.yaml:7: cluster.partition: should be text on one line, not 'two\\nlines'",
        "pipeline.yaml:8: cluster.extra[0]: an option is written as sbatch has it, as --mail-type=END, not 'mail'",
        "pipeline.yaml:8: cluster.extra[1]: --array is set by nst-batch itself; leave it out",
        "pipeline.yaml:9: cluster.nodes: should be greater than or equal to 1, not 0",
        "pipeline.yaml:10: cluster.account: should be a valid string, not True",
        "pipeline.yaml:11: cluster.gpus_per_nodes: unknown field; did you mean gpus_per_node? valid: "
        + ", ".join(Cluster.model_fields),
    ]


def test_yes_is_no_number(folder: Path) -> None:
    assert mistakes(folder, BASE + "transfer: {steps: yes, style_weight: true}\n") == [
        "pipeline.yaml:4: transfer.steps: should be a number, not true",
        "pipeline.yaml:4: transfer.style_weight: should be a number, not true",
    ]


def test_several_styles_in_one_picture(folder: Path) -> None:
    spec = load(
        folder,
        "name: n\npairs:\n  - content: content\n    styles:\n      - {path: style/s0.png, weight: 3}\n"
        "      - {path: style/s1.png, region: '#FF0000'}\n",
    )
    assert isinstance(spec.pairs, tuple)
    first, second = spec.pairs[0].styles
    assert (first.path, first.weight, first.region) == (folder / "style" / "s0.png", 3.0, "")
    assert (second.weight, second.region) == (1.0, "#ff0000")


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("{content: content, style: style, styles: [{path: style/s0.png}]}", "pairs[0]: needs either style"),
        ("{content: content, styles: [{path: nowhere.png}]}", "pairs[0].styles[0].path: no such file"),
        (
            "{content: content, styles: [{path: style/s0.png, region: red}]}",
            "region: a region is a colour of the mask",
        ),
        (
            "{content: content, styles: [{path: style/s0.png, weight: 0}]}",
            "styles[0].weight: should be greater than 0",
        ),
        ("{content: content, styles: [{path: style/s0.png, wight: 1}]}", "did you mean weight"),
    ],
)
def test_mistakes_in_styles(folder: Path, pair: str, expected: str) -> None:
    (found,) = mistakes(folder, f"name: n\npairs: [{pair}]\n")
    assert expected in found and found.startswith("pipeline.yaml:2: ")


def test_a_picture_to_start_from_is_a_file(folder: Path) -> None:
    assert load(folder, BASE + "transfer: {init: content/c0.png}\n").settings().init == str(folder / "content/c0.png")
    spec = load(folder, BASE + "transfer: {init: 'before/{content}__{style}.png'}\n")
    assert spec.settings().init == str(folder / "before/{content}__{style}.png")
    assert load(folder, BASE + "transfer: {init: gray}\n").settings().init == "gray"
    assert (
        "neither a word (content, style, noise, gray) nor a file"
        in mistakes(folder, BASE + "transfer: {init: grey}\n")[0]
    )
    assert "unknown placeholder {contents}" in mistakes(folder, BASE + "transfer: {init: '{contents}.png'}\n")[0]


def test_scales_and_stop(folder: Path) -> None:
    settings = load(folder, BASE + "transfer: {scales: [64, 128], stop: {rel: 1.0e-3}}\n").settings()
    assert settings.scales == (64, 128) and settings.stop == Stop(1e-3, 20)
    assert load(folder, BASE + "transfer: {scales: 64}\n").settings().scales == (64,)
    assert load(folder, BASE + "transfer: {scales: []}\n").settings().scales == ()
    assert load(folder, BASE + "transfer: {scales: auto}\n").settings().scales == "auto"
    points = sweep_points(load(folder, BASE + "sweep: {scales: [auto, [64, 128], []]}\n").sweep)
    assert [point["scales"] for point in points] == ["auto", (64, 128), ()]


@pytest.mark.parametrize(
    ("transfer", "expected"),
    [
        ("{stop: {rel: 3}}", "transfer.stop"),
        ("{stop: {ref: 0.1}}", "transfer.stop"),
        ("{stop: yes}", "transfer.stop"),
        ("{scales: [auto]}", "transfer.scales"),
        ("{scales: all}", "transfer.scales"),
        ("{scales: [4]}", "at least 16"),
        ("{line_search: strong_wolfe, optimizer: adam}", "line_search: strong_wolfe is for optimizer: lbfgs"),
        ("{colour: content}", "did you mean color"),
    ],
)
def test_mistakes_in_newer_settings_are_one_line_each(folder: Path, transfer: str, expected: str) -> None:
    found = mistakes(folder, BASE + f"transfer: {transfer}\n")
    assert len(found) == 1 and expected in found[0] and "pydantic" not in found[0] and "Error" not in found[0], found


def test_16_bits_need_a_format_that_has_them(folder: Path) -> None:
    assert load(folder, BASE + "output: {bits: 16, name: '{content}{style}.TIF'}\n").output.bits == 16
    assert mistakes(folder, BASE + "output: {bits: 16, name: '{content}{style}.jpg'}\n") == [
        "pipeline.yaml:4: output.bits: 16 bits are for PNG and TIFF; end output.name in .png or .tif"
    ]
    assert "should not be 12" in mistakes(folder, BASE + "output: {bits: 12}\n")[0]


@pytest.mark.parametrize(
    ("written", "batch", "compile_"),
    [
        ("{}", "auto", "auto"),
        ("{batch: 4, compile: on}", 4, "on"),
        ("{batch: auto, compile: off}", "auto", "off"),
        ("{compile: 'off'}", "auto", "off"),
        ("{compile: auto}", "auto", "auto"),
    ],
)
def test_how_tasks_are_run_together(folder: Path, written: str, batch: object, compile_: str) -> None:
    spec = load(folder, BASE + f"run: {written}\n")
    assert (spec.run.batch, spec.run.compile) == (batch, compile_)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{batch: 0}", "run.batch: should be greater than or equal to 1"),
        ("{batch: many}", "run.batch: .*auto"),
        ("{compile: fast}", "run.compile: .*auto.*on.*off"),
    ],
)
def test_mistakes_about_that_are_named(folder: Path, written: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        load(folder, BASE + f"run: {written}\n")


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("3 GB", 3 * 10**9),
        ("512MiB", 512 << 20),
        ("'1.5 G'", 1_500_000_000),
        ("2 gib", 2 << 30),
        (200000000, 2 * 10**8),
    ],
)
def test_a_limit_of_memory_is_a_number_with_a_unit(folder: Path, written: object, size: int) -> None:
    assert load(folder, BASE + f"run: {{memory_limit: {written}}}\n").run.memory_limit == size


@pytest.mark.parametrize(
    ("written", "said"),
    [("much", "a number with a unit, as '3 GB'"), ("3 XB", "'512 MiB'"), ("10 MB", "at least 100 MB"),
     (5, "at least 100 MB"), ("true", "memory_limit")],
)  # fmt: skip
def test_what_is_no_limit_of_memory_is_refused(folder: Path, written: object, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        load(folder, BASE + f"run: {{memory_limit: {written}}}\n")


# --- lists and tables -------------------------------------------------------------------------------------------------


def test_lists_stand_where_folders_do_and_start_at_their_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "lists").mkdir()
    (folder / "lists" / "some.txt").write_text("../content/c1.png\n../content/gone.png\n../content/c1.png\n")
    (folder / "style" / "index.csv").write_text("style,label\ns2.png,0\ns0.png,1\n")
    monkeypatch.chdir("/")
    text = "name: n\ncontent: ['@lists/some.txt', content/c0.png]\nstyle: '@style/index.csv'\n"
    spec = load(folder, text)
    assert [Path(path).name for path in spec.content] == ["c1.png", "gone.png", "c0.png"]
    assert [Path(path).name for path in spec.style] == ["s2.png", "s0.png"]
    pairs = "name: n\npairs: [{content: '@lists/some.txt', style: '@style/index.csv', steps: 3}]\n"
    found = load(folder, pairs).pairs
    assert isinstance(found, tuple)
    pair = found[0]
    assert (len(pair.content), len(pair.style)) == (2, 2)
    assert len(load(folder, BASE, content=f"@{folder}/lists/some.txt").content) == 2


def test_a_table_of_pairs_needs_no_content_and_no_style(folder: Path) -> None:
    (folder / "pairs.csv").write_text("content,style,steps\ncontent/c0.png,style/s1.png,7\n")
    found = load(folder, "name: n\npairs: '@pairs.csv'\n").pairs
    assert isinstance(found, PairTable)
    assert list(found.rows()) == [(f"{folder}/content/c0.png", f"{folder}/style/s1.png", {"steps": 7})]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: n\nstyle: style\ncontent: @list.txt\n", "pipeline.yaml:3: not YAML: a value that begins with @"),
        (
            "name: n\nstyle: [style, '@list.txt']\ncontent: content\n",
            "pipeline.yaml:2: style[1]: list.txt:1: no such file: x.png; relative paths start at the list's folder",
        ),
        ("name: n\ncontent: '@gone.txt'\nstyle: style\n", "pipeline.yaml:2: content[0]: no such list or table"),
        (BASE + "pairs: '@content'\n", "pipeline.yaml:4: pairs: no such list or table: content; relative"),
        (BASE + "pairs: '@list.txt'\n", "pipeline.yaml:4: pairs: pairs are in a table, which must end in one of .csv"),
        (BASE + "pairs: '@pairs.csv'\n", "pairs.csv:2: steps: must be at least 1, not 0"),
        (
            "name: n\ncontent: '@pairs.csv'\nstyle: style\n",
            "pairs.csv:1: style: has no effect here, where content is read alone",
        ),
    ],
)  # fmt: skip
def test_mistakes_in_lists_and_tables(folder: Path, text: str, expected: str) -> None:
    (folder / "list.txt").write_text("x.png\n")
    (folder / "pairs.csv").write_text("content,style,steps\ncontent/c0.png,style/s0.png,0\n")
    assert mistakes(folder, text)[0].startswith(expected), mistakes(folder, text)


def test_rows_whose_settings_disagree_are_found_where_they_stand(folder: Path) -> None:
    rows = ["", "[1, 2]", "[1, 2, 3, 4, 5]", "[1, 2]"]
    lines = [f'content/c0.png,style/s0.png,{seed},"{weights}"' for seed, weights in enumerate(rows)]
    (folder / "t.csv").write_text("\n".join(["content,style,seed,style_layer_weights", *lines]))
    said = "t.csv:3: style_layer_weights: 2 weights for 5 style_layers; give one for each, or none"
    assert mistakes(folder, "name: n\npairs: '@t.csv'\n") == [said]
    transfer = "transfer: {style_layers: [relu1_1, relu2_1]}\n"
    assert mistakes(folder, "name: n\npairs: '@t.csv'\n" + transfer) == [said.replace(":3:", ":4:").replace(
        "2 weights for 5", "5 weights for 2")]  # fmt: skip
    assert mistakes(folder, "name: n\npairs: '@t.csv'\ntransfer: {steps: 0}\n")[0].startswith("pipeline.yaml:3:")
    apart = "transfer: {content_weight: 0, style_weight: 0}\n"
    assert len(mistakes(folder, "name: n\npairs: '@t.csv'\n" + apart)) == 1


def test_mistakes_of_tables_stand_among_the_others(folder: Path) -> None:
    (folder / "t.csv").write_text("content,style,steps\ncontent/c0.png,style/s0.png,0\n")
    found = mistakes(folder, "name: two words\npairs: '@t.csv'\nweights: none\n")
    assert [line.split(":")[0] for line in found] == ["pipeline.yaml", "t.csv", "pipeline.yaml"]


def test_the_schema_tells_tables_from_words() -> None:
    branches = PipelineSpec.model_json_schema()["properties"]["pairs"]["oneOf"]
    assert {"type": "string", "pattern": "^@"} in branches


def test_environment_variables_stand_in_every_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_TEST", str(folder))
    (folder / "vgg.pth").touch()
    text = (
        "name: n\ncontent: $OF_TEST/content\nstyle: ['${OF_TEST}/style/s0.png']\noutput: {dir: $OF_TEST/out}\n"
        "weights: {path: $OF_TEST/vgg.pth}\ntransfer: {init: $OF_TEST/content/c0.png}\n"
        "exclude: $OF_TEST/content/c1.png\n"
    )
    spec = load(folder, text)
    assert spec.content.paths[0] == str(folder / "content" / "c0.png") and spec.output_dir == folder / "out"
    assert str(folder / "content" / "c1.png") not in spec.content.paths
    assert len(spec.style) == 1 and spec.settings().init == str(folder / "content" / "c0.png")
    monkeypatch.delenv("OF_TEST")
    with pytest.raises(SpecError) as caught:
        load(folder, text)
    places = [mistake.split(": ")[1] for mistake in caught.value.mistakes]
    assert {"content[0]", "style[0]", "output.dir", "weights.path", "transfer.init"} <= set(places)
    assert all("$OF_TEST is not set" in mistake or "${OF_TEST}" in mistake for mistake in caught.value.mistakes)
