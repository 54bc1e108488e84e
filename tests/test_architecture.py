"""Imports go one way, and what plans or prints never imports torch."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests import runs
from tests.runs import REPOSITORY

PACKAGE = REPOSITORY / "nst_batch"

# From the bottom up: a folder may import those above it in this list, and a module those of its folder above it.
FOLDERS = {
    "": ("errors environment settings records paths atomic globs columns sizes demands memory"),
    "archives": ("tar_headers tar_memory tars tar_finding tar_outputs"),
    "transfer": (
        "user_cache vgg untrained weights ops native.library native.ops statistics passes bands octaves strips "
        "seeing variation losses balance snapshot curvature line_search lbfgs searching adam precondition "
        "optimise precision networks graphs profiles tiffs jxl images tensors metadata encode color masks cache "
        "pictures targets member batch throughput stylize"
    ),
    "pipeline_file": (
        "presets yaml_lines mistakes file_kinds left_out inputs lists tables starting spec_values pair_table spec_run "
        "spec"
    ),
    "planning": (
        "source_table variants task_table unusable disk looking input_files input_cache fanout shares pairs ids names "
        "plan planned frozen measured forecasts"
    ),
    "recorded": (
        "manifest parts lines highlights gathering gatherers rendered recall history status changes decisions alike "
        "rows row_files writers superseded merging compaction"
    ),
    "running": (
        "awake messages batches todo eta observers run_state expectations tally live overview claims waiting "
        "backlog deadline signals devices ahead links checkpoints packing packer finishing renderer worker processes "
        "deaths dealing recording scheduler"
    ),
    ".": ("pipeline"),
    "cluster": ("slurm script submission elements actor ray_engine"),
    "report": ("sample thumbnails events gallery page keeper"),
    "doctor": ("findings software machine storage network queue probe computing prospects examination"),
    "cli": (
        "streams console completion figures failures screen progress events options reading rendering run plan cluster "
        "overviews watch status compact explain weights doctor init app"
    ),
}
LAYERS = tuple(f"{folder}.{name}".lstrip(".") for folder, names in FOLDERS.items() for name in names.split())
ALGORITHM_MAY_IMPORT = {
    *("errors", "records", "settings", "sizes", "demands", "memory"),
    *("archives.tars", "archives.tar_headers"),
}


def modules() -> dict[str, Path]:
    files = [path for path in PACKAGE.rglob("*.py") if not path.name.startswith("__")]
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in files}


def imported(path: Path) -> set[str]:
    """Modules of the package that a file imports, inside functions and for type checkers too."""
    tree = ast.parse(path.read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "nst_batch":
            base = (node.module or "").removeprefix("nst_batch").removeprefix(".")
            for name in node.names:
                whole = f"{base}.{name.name}".removeprefix(".")
                found.add(whole if whole in modules() else base)
    return found - {""}


def test_every_module_has_its_place() -> None:
    assert sorted(modules()) == sorted(LAYERS)


@pytest.mark.parametrize("name", LAYERS)
def test_imports_go_one_way(name: str) -> None:
    allowed = set(LAYERS[: LAYERS.index(name)])
    assert imported(modules()[name]) <= allowed, f"{name} imports what is above it"
    if name.startswith("transfer."):
        others = {other for other in imported(modules()[name]) if not other.startswith("transfer.")}
        assert others <= ALGORITHM_MAY_IMPORT, "the algorithm knows tensors and settings only"


def test_imports_are_written_as_the_tests_here_read_them() -> None:
    """``from nst_batch.x import y`` alone; and the package's own names, for notebooks, are not used inside it."""
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not any(alias.name.split(".")[0] == "nst_batch" for alias in node.names), name
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name} has a relative import"
                if node.module == "nst_batch":
                    assert {alias.name for alias in node.names} <= {"__version__", *modules()}, name


def test_no_import_comes_back_to_where_it_started() -> None:
    """The package's ``__init__`` included, which everybody below may ask for ``__version__``."""
    graph = {name: imported(path) for name, path in modules().items()}
    for name, path in modules().items():
        if "from nst_batch import __version__" in path.read_text():
            graph[name] |= {"__init__"}
    graph["__init__"] = imported(PACKAGE / "__init__.py")
    assert graph["__init__"] == {"environment", "records", "settings", "transfer.stylize"}
    assert set(graphlib.TopologicalSorter(graph).static_order()) == set(graph)


def test_no_module_is_a_drawer_for_everything() -> None:
    assert not {"utils", "util", "helpers", "common", "misc"} & {name.split(".")[-1] for name in modules()}


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            ["--help"],
            ["run", "--help"],
            ["presets"],
            ["presets", "gatys"],
            ["schema"],
            ["inspect", "picture"],
            ["weights", "path"],
        ),
        *(
            ["init", "--help"],
            ["plan", "p"],
            ["plan", "p", "--json"],
            ["status", "p"],
            ["run", "p", "--limit", "0"],
        ),
    ],
    ids=" ".join,
)
def test_torch_is_not_imported(tmp_path: Path, arguments: list[str]) -> None:
    runs.make_pictures(tmp_path)
    file = runs.write_pipeline(tmp_path, tmp_path / "unused", weights__path=str(tmp_path / "content" / "c0.png"))
    stand_ins = {"p": str(file), "picture": str(tmp_path / "content" / "c0.png")}
    given = [stand_ins.get(argument, argument) for argument in arguments]
    program = (
        "import sys; from typer.testing import CliRunner; from nst_batch.cli.app import app\n"
        f"result = CliRunner().invoke(app, {given!r}); print(result.exit_code, 'torch' in sys.modules, result.output)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    code, torch, _ = done.stdout.split(" ", 2)
    assert (code in "01" or "inspect" in arguments, torch) == (True, "False"), done.stdout + done.stderr


def test_torch_would_be_noticed() -> None:
    """The test above can fail: the same question, after an import that does need torch."""
    program = "import sys; import nst_batch; nst_batch.Stylizer; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert done.stdout.strip() == "True"


def test_a_worker_imports_nothing_slow_beside_torch(tmp_path: Path) -> None:
    """torchvision takes a second, and so does sympy, which torch imports in some calls of ``torch.autograd.grad``."""
    runs.make_pictures(tmp_path)
    content = tmp_path / "content" / "c0.png"
    program = (
        "import sys; import nst_batch.running.worker; from nst_batch import Stylizer, TransferSettings\n"
        "for compiled, pooling in (True, 'max'), (False, 'max'), (False, 'avg'):\n"
        "    settings = TransferSettings(size=32, steps=2, content_layers=('relu2_1',), style_layers=('relu2_1',),\n"
        "        style_layer_weights=(), octaves=2, tv_weight=1.0, pooling=pooling)\n"
        f"    Stylizer(compiled=compiled).stylize({str(content)!r}, {str(content)!r}, settings)\n"
        "print('torch' in sys.modules, {'sympy', 'torchvision'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert done.stdout.strip() == "True set()"
