"""Devices that are not there, memory that is short, and workers that die."""

from __future__ import annotations

import dataclasses
import multiprocessing
from types import SimpleNamespace

from nst_batch.pipeline_file.inputs import sha256_of
from nst_batch.running.deaths import lost_with
from nst_batch.running.devices import choose_devices, grouped
from nst_batch.running.messages import Broken, Job
from nst_batch.running.processes import _work
from nst_batch.running.renderer import Renderer
from nst_batch.running.worker import _renderer
from nst_batch.transfer import weights
from nst_batch.transfer.native.library import Built
from nst_batch.transfer.pictures import picture_of
from nst_batch.transfer.stylize import Stylizer
from tests import lines
from tests.provoked.world import SMALL, Dead, World, provokes


@provokes("cuda:99")
def a_device_that_is_not_there(world: World) -> None:
    choose_devices(["cuda:99"])


@provokes("run.devices_per_task")
def devices_that_are_left_over(world: World) -> None:
    grouped(["cpu", "cpu", "cpu"], 2)


@provokes("run.compile")
def nothing_to_compile_with(world: World) -> None:
    world.patch.setattr("nst_batch.transfer.networks.built", lambda: Built(None, "no C++ compiler"))
    Renderer(world.options(compile="on"), "cpu")


@provokes("run.memory_limit")
def more_memory_than_is_allowed(world: World) -> None:
    picture = picture_of(str(world.picture()))
    Stylizer(memory=1).transfer(picture, picture, SMALL, seed=0)


@provokes("32 x 32 pixels")
def memory_that_runs_out(world: World) -> None:
    ready, renderer = world.pipeline(), Renderer(world.options(tile="off"), "cpu")

    def no_memory(*_: object) -> None:
        raise MemoryError

    world.patch.setattr(renderer._stylizer, "transfer_all", no_memory)
    renderer.render([Job(task) for task in ready.tasks], lambda _: None, lambda _: None)


@provokes("cpu")
def a_network_that_memory_does_not_hold(world: World) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    world.patch.setattr("nst_batch.running.renderer.Stylizer", no_memory)
    _renderer(world.options(), "cpu", Renderer)


@provokes("w.pth")
def a_worker_that_cannot_load_its_weights(world: World) -> None:
    given = weights.file_weights(world.file("w.pth", b"no weights"), sha256_of)
    _renderer(world.options(weights=given), "cpu", Renderer)


@provokes("worker")
def a_worker_that_cannot_start(world: World) -> None:
    world.without("nst_batch.running.worker")
    _work(SimpleNamespace(send=lambda _: None))


@provokes("cpu")
def a_worker_that_is_killed_for_memory(world: World) -> None:
    lost_with(Dead(for_memory=True), Job(lines.task()))


@provokes("cpu")
def a_worker_that_dies(world: World) -> None:
    lost_with(Dead(), Job(lines.task()))


@provokes("cpu")
def workers_that_never_come_up(world: World) -> None:
    world.patch.setattr("nst_batch.running.scheduler.FALSE_STARTS", 1)
    dead = Dead()
    with world.scheduler() as (scheduler, _):
        scheduler._replace(dead, [dead])


@provokes("w.pth")
def what_a_worker_says_that_cannot_begin(world: World) -> None:
    here, there = multiprocessing.Pipe()
    there.send(Broken("w.pth: cannot be read as VGG-19 weights: no key", "copy it again"))
    with world.scheduler() as (scheduler, _):
        scheduler._read([Dead(here)])


@provokes("evaluations")
def a_loss_that_is_no_number(world: World) -> None:
    picture = picture_of(str(world.picture()))
    wild = dataclasses.replace(SMALL, style_weight=3e38, style_layer_weights=(1e10,) * 5, balance="none")
    Stylizer(weights.RANDOM).transfer(picture, picture, wild, seed=0)
