"""A real Slurm on this machine: a controller and several virtual nodes with fake GPUs, on loopback, in one folder.

Needs root, and Slurm's programs; ``install`` gets them where there is apt. Facts that took finding out stand beside the
lines of the configuration that they are about.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
PACKAGES = ("munge", "slurmctld", "slurmd", "slurm-client")
CLOUD, CLOUD_PARTITION = "cloud1", "cloud"
CPUS = 2  # that each node claims, whatever the machine has

CONFIGURATION = """\
ClusterName=nsttest
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job may begin again after cred_expire seconds and one (120 by default): two minutes on real clusters.
AuthInfo=socket={home}/munge.sock,cred_expire=5
SlurmctldPort={port}
SlurmctldPidFile={home}/slurmctld.pid
SlurmctldLogFile={home}/slurmctld.log
StateSaveLocation={home}/state
SlurmdPidFile={home}/slurmd.%n.pid
SlurmdLogFile={home}/slurmd.%n.log
SlurmdSpoolDir={home}/spool.%n
SwitchType=switch/none
MpiDefault=none
# No cgroups: a job's processes are found through /proc.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2,nohold_on_prolog_fail
# Loopback alone, instead of every address.
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ReturnToService=2
# Nodes may claim more cores than there are.
SlurmdParameters=config_overrides
# Pre-empted jobs hear of it by the signal that they asked for, before GraceTime is over.
SlurmctldParameters=preempt_send_user_signal
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=5
MinJobAge=300
InactiveLimit=0
MaxArraySize=101
SlurmctldTimeout=30
SlurmdTimeout=20
AccountingStorageType=accounting_storage/none
GresTypes=gpu
{nodes}
PartitionName=low Nodes={static} Default=YES MaxTime=60 State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=10
PartitionName=high Nodes={static} Default=NO MaxTime=60 State=UP PriorityTier=10 PreemptMode=OFF
# A machine that is booted when a job wants it, as ``revive`` does.
PartitionName=cloud Nodes={cloud} Default=NO MaxTime=60 State=UP
ResumeProgram={true}
SuspendProgram={true}
ResumeTimeout=120
SuspendTimeout=10
SuspendTime=3600
SuspendExcNodes={static}
"""


def why_not() -> str:
    """Why there can be no cluster here; nothing where there can."""
    if os.geteuid() != 0:
        return "Slurm's daemons need root"
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing and not shutil.which("apt-get"):
        return f"Slurm is not installed ({missing[0]}), and there is no apt to install it with"
    return ""


def install() -> str:
    """Get what is missing; why that did not work, or nothing."""
    if all(shutil.which(program) for program in PROGRAMS):
        return ""
    refusal = Path("/usr/sbin/policy-rc.d")  # or packages would start daemons of their own
    made = not refusal.exists()
    if made:
        refusal.write_text("#!/bin/sh\nexit 101\n")
        refusal.chmod(0o755)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
            told = subprocess.run(["apt-get", "-qq", *command], capture_output=True, text=True, env=environment)
            if told.returncode:
                return f"apt-get {command[0]}: {told.stderr.strip()[-300:]}"
    finally:
        if made:
            refusal.unlink()
    return ""


class Cluster:
    """Started by ``start``, ended by ``stop``; ``node1`` and so on, each with so many GPUs that are none.

    Args:
        home: a folder of its own.
        nodes: machines that it pretends to have.
        gpus: of each.
    """

    def __init__(self, home: Path, nodes: int = 3, gpus: int = 2) -> None:
        self.home = home
        self.nodes = [f"node{number}" for number in range(1, nodes + 1)]
        self.configuration = home / "slurm.conf"
        self._munged: subprocess.Popen[bytes] | None = None
        self._configure(gpus)

    def start(self) -> None:
        """With nothing in the queue, and all nodes up."""
        os.environ["SLURM_CONF"] = str(self.configuration)
        key = self.home / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        subprocess.run(
            ["munged", "--force", f"--key-file={key}", f"--socket={self.home}/munge.sock",
             f"--pid-file={self.home}/munged.pid", f"--log-file={self.home}/munged.log",
             f"--seed-file={self.home}/munged.seed", "--num-threads=2"], check=True, capture_output=True,
        )  # fmt: skip
        subprocess.run(["slurmctld", "-c"], check=True, capture_output=True)
        self._wait(lambda: "UP" in run("scontrol", "ping", check=False), "the controller")
        for node in self.nodes:
            self.revive(node)
        self._wait(lambda: set(self.nodes) <= self._up(), "nodes")

    def revive(self, node: str) -> None:
        """Begin a node's daemon, as when it boots; jobs of a former one are not its own."""
        subprocess.run(["slurmd", *(["-b"] if node == CLOUD else []), "-N", node], check=True, capture_output=True)

    def kill(self, node: str) -> None:
        """As when a machine drops out of the network: its daemon is gone, what it was running goes on unseen."""
        os.kill(int((self.home / f"slurmd.{node}.pid").read_text()), signal.SIGKILL)

    def heal(self) -> None:
        """All nodes are up again, and nothing is in the queue."""
        run("scancel", "--me", check=False)
        for node in self.nodes:
            if not self._lives(f"slurmd.{node}"):
                self.revive(node)
        self._wait(lambda: not run("squeue", "--noheader"), "an empty queue")
        self._wait(lambda: set(self.nodes) <= self._up(), "nodes")

    def stop(self) -> None:
        """End what was started."""
        run("scancel", "--me", check=False)
        with contextlib.suppress(AssertionError):
            self._wait(lambda: not run("squeue", "--noheader", check=False), "an empty queue")
        for name in (*(f"slurmd.{node}" for node in (*self.nodes, CLOUD)), "slurmctld", "munged"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((self.home / f"{name}.pid").read_text()), signal.SIGTERM)
        with contextlib.suppress(AssertionError):
            self._wait(lambda: not any(self._lives(name) for name in ("slurmctld", "munged")), "daemons to go")

    def _configure(self, gpus: int) -> None:
        for folder in ("state", *(f"spool.{node}" for node in (*self.nodes, CLOUD))):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o755)  # munge insists
        for number in range(gpus):  # Slurm asks for no more than that there is a device file
            device = self.home / f"gpu{number}"
            if not device.exists():
                os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        (self.home / "gres.conf").write_text(
            "\n".join(f"NodeName={node} Name=gpu File={self.home}/gpu[0-{gpus - 1}]" for node in (*self.nodes, CLOUD))
            + "\n"
        )
        first, host, memory = _free_ports(len(self.nodes) + 2), socket.gethostname().partition(".")[0], _megabytes()
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={first + place} CPUs={CPUS} "
            f"RealMemory={memory} Gres=gpu:{gpus} State={'CLOUD' if node == CLOUD else 'UNKNOWN'}"
            for place, node in enumerate((*self.nodes, CLOUD), 1)
        )
        self.configuration.write_text(
            CONFIGURATION.format(
                host=host,
                home=self.home,
                port=first,
                nodes=nodes,
                static=",".join(self.nodes),
                cloud=CLOUD,
                true=shutil.which("true"),
            )
        )

    def _up(self) -> set[str]:
        return set(run("sinfo", "--noheader", "-N", "--states=idle,mixed,alloc", "--format=%N").split())

    def _lives(self, name: str) -> bool:
        try:
            os.kill(int((self.home / f"{name}.pid").read_text()), 0)
        except (OSError, ValueError):
            return False
        return True

    def _wait(self, condition: object, what: str, seconds: float = 90.0) -> None:
        assert callable(condition)
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}; see the logs in {self.home}"
            time.sleep(0.1)


def run(*command: str, check: bool = True) -> str:
    """What a command of Slurm's prints."""
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 0 or not check, f"{' '.join(command)}: {told.stderr}"
    return told.stdout.strip()


def _free_ports(count: int) -> int:
    """The first of so many in a row that nobody listens at."""
    for first in range(16_800, 30_000, 50):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise AssertionError("no free ports")


def _megabytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
