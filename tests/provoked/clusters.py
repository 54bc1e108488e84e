"""Shards, Slurm and Ray."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any, cast

from nst_batch import columns
from nst_batch.cli import cluster as cluster_commands
from nst_batch.cluster import slurm
from nst_batch.cluster.ray_engine import RayEngine, connected
from nst_batch.cluster.script import shape_of
from nst_batch.cluster.submission import Submission
from nst_batch.pipeline_file.spec_run import Cluster, Run
from nst_batch.planning.frozen import load
from nst_batch.planning.shares import parse
from tests.provoked.world import World, called, provokes


@provokes("--shard 9/8")
def a_shard_that_is_none(world: World) -> None:
    parse("9/8")


@provokes("squeue")
def cancelling_without_slurm(world: World) -> None:
    ready = world.pipeline()
    world.submission(ready)
    world.programs().forget(world.patch)
    called(cluster_commands.cancel, ready.paths.root)


@provokes("out")
def logs_of_nothing(world: World) -> None:
    called(cluster_commands.logs, world.planned().root)


@provokes("job 12")
def submitting_beside_a_job_of_other_pictures(world: World) -> None:
    world.submission(world.pipeline())
    world.programs().say("squeue", "12|0|PENDING||Priority|8:00")
    cluster_commands._heed_others(world.pipeline({"transfer.steps": "7"}))


@provokes("cluster.gpus_per_node")
def gpus_that_are_left_over(world: World) -> None:
    shape_of(Cluster(gpus_per_node=3, gpus_per_element=2), Run(), 9)


@provokes("cluster.gpus_per_element")
def tasks_that_do_not_fill_an_element(world: World) -> None:
    shape_of(Cluster(gpus_per_node=3, gpus_per_element=3), Run(devices_per_task=2), 9)


@provokes("cuda:1")
def a_device_beyond_an_element(world: World) -> None:
    shape_of(Cluster(gpus_per_node=2), Run(devices=("cuda:1",)), 9)


@provokes("sbatch")
def submitting_without_slurm(world: World) -> None:
    world.programs().forget(world.patch)
    slurm.submit(world.file("s"), world.folder)


@provokes("sbatch")
def what_slurm_does_not_take(world: World) -> None:
    world.programs().say("sbatch", error="sbatch: error: invalid partition specified: gpu", code=1)
    slurm.submit(world.file("s"), world.folder)


@provokes("scancel 12")
def what_slurm_does_not_cancel(world: World) -> None:
    world.programs().say("scancel", error="scancel: error: Kill job error on job id 12: Access denied", code=1)
    slurm.cancel("12")


@provokes("sleep")
def a_controller_that_does_not_answer(world: World) -> None:
    world.patch.setattr(slurm, "PATIENCE_SECONDS", 0.05)
    slurm._call("sleep", "5")


@provokes("sinfo")
def a_controller_that_is_away(world: World) -> None:
    world.programs().say("sinfo", error="sinfo: fatal: Unable to contact slurm controller", code=1)
    slurm.partitions()


@provokes("output.dir")
def a_folder_whose_name_slurm_misreads(world: World) -> None:
    Submission(world.pipeline(output__dir="100%")).submit()


@provokes("cluster.nodes")
def more_elements_than_an_array_may_have(world: World) -> None:
    world.programs().say("scontrol", "MaxArraySize = 0")
    Submission(world.pipeline()).submit()


@provokes("cluster.time")
def more_time_than_a_partition_gives(world: World) -> None:
    world.programs().say("sinfo", "low*|1:00:00")
    Submission(world.pipeline(cluster__time="2:00:00")).submit()


@provokes("output.dir")
def a_folder_that_takes_no_submission(world: World) -> None:
    ready = world.pipeline()
    world.programs()
    ready.paths.root.mkdir()
    ready.paths.submissions.write_text("a file")
    Submission(ready).submit()


@provokes("tasks.npz")
def a_submission_that_is_gone(world: World) -> None:
    load(world.folder / "tasks.npz")


@provokes("tasks.npz")
def a_submission_that_is_damaged(world: World) -> None:
    load(world.file("tasks.npz", b'{"v": 1}\n'))


@provokes("tasks.npz")
def a_submission_of_another_version(world: World) -> None:
    path = world.folder / "tasks.npz"
    columns.save(path, {"v": 0}, {})
    load(path)


@provokes("run.devices_per_task")
def a_ray_cluster_without_gpus_enough(world: World) -> None:
    ray = SimpleNamespace(nodes=list, cluster_resources=lambda: {"GPU": 1.0})
    RayEngine(ray, Run(devices_per_task=2))


@provokes("--engine ray")
def no_ray(world: World) -> None:
    world.without("ray")
    with connected("auto", Run()):
        pass


@provokes("--address 127.0.0.1:1")
def no_ray_cluster(world: World) -> None:
    world.patch.setitem(
        sys.modules, "ray", cast(Any, SimpleNamespace(exceptions=SimpleNamespace(RayError=RuntimeError)))
    )
    with connected("127.0.0.1:1", Run()):
        pass
