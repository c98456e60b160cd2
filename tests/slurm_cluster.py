"""A SLURM cluster of several nodes on one machine, as root, without systemd, control groups or accounting.

    with cluster(folder) as slurm: ...        # None where SLURM is missing; in CI it must not be

Needs slurmctld, slurmd and munged: `apt-get install --no-install-recommends slurm-wlm munge`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.processes import free_ports
from tests.waiting import eventually

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue")

CONF = """\
ClusterName=lab
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1,requeue_delay=0
KillWait=5
OverTimeLimit=0
MinJobAge=300
SlurmdTimeout={down_after}
SlurmctldTimeout=5
MessageTimeout={patience}
ReturnToService=2
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs={cores} RealMemory=2000 \
State=UNKNOWN
PartitionName=main Nodes=n[1-{nodes}] Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=urgent Nodes=n[1-{nodes}] MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""
"""Everything quick: a cluster's defaults are 3 s, 30 s, 60 s, 120 s and 300 s.

A requeued job waits for twice `cred_expire`. slurmd asks for a control group file system even where no plug-in uses
it; version 1 named outright needs none.
"""


_OWN_MOUNT = """
bindfs -f -o attr_timeout=3,entry_timeout=3,auto_cache,nonempty "$0" "$1" & echo $! >> "$2"
until grep -qF " $1 fuse" /proc/self/mounts; do sleep 0.05; done
shift 2
exec "$@"
"""
"""Attributes are cached for 3 s, as by a poor network file system."""


def missing() -> list[str]:
    """What a cluster needs and this machine lacks."""
    return [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None] + (
        [] if os.getuid() == 0 else ["root"]
    )


@dataclass
class Cluster:
    """A running cluster."""

    folder: Path
    nodes: int
    unlocked: Path | None = None
    """A folder that each node sees through a mount of its own, so that locks in it don't reach other hosts."""
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    """By name: munged, slurmctld, n1, n2, ..."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What its programs need."""
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": f"{os.environ['PATH']}:/usr/sbin"}

    def run(self, *words: str, within: float = 60.0) -> str:
        """What a program of SLURM's prints."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=within, check=False)
        return done.stdout.strip()

    def jobs(self) -> list[str]:
        """The ids of the jobs that are queued or run; those that have ended may take SLURM a minute to clear away."""
        return self.run("squeue", "--noheader", "--array", "-t", "PD,R,S,CF", "-o", "%i").split()

    @property
    def parts(self) -> list[str]:
        """The daemons that a shutdown of SLURM ends."""
        return [name for name in self.daemons if name != "munged"]

    def condition(self) -> str:
        """What a person wants to know of it after a failure."""
        dead = [name for name, daemon in self.daemons.items() if daemon.poll() is not None]
        asked = (("squeue", "--array", "-o", "%i %T %r %S"), ("sinfo", "-N", "-l"), ("scontrol", "show", "jobs"))
        told = [self.run("timeout", "20", *words) for words in asked]
        return "\n".join([f"dead: {', '.join(dead) or 'none'}", *told])

    def start(self, name: str) -> None:
        """Start a daemon."""
        munged = ("key-file=munge.key", "socket=munge.sock", "pid-file=munged.pid", "log-file=munged.log")
        options = [f"--{option.replace('=', f'={self.folder}/')}" for option in (*munged, "seed-file=munge.seed")]
        words = {"munged": ["munged", "--foreground", "--force", *options], "slurmctld": ["slurmctld", "-D"]}.get(
            name, ["slurmd", "-D", "-N", name]
        )
        if self.unlocked is not None and name.startswith("n"):
            mounts = [self._real, str(self.unlocked), f"{self.folder}/mounts"]
            words = ["unshare", "-m", "--propagation", "private", "bash", "-c", _OWN_MOUNT, *mounts, *words]
        with (self.folder / f"{name}.out").open("ab") as out:
            self.daemons[name] = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self.environment, start_new_session=True
            )

    @property
    def _real(self) -> str:
        return f"{self.unlocked}.real"

    def mount(self) -> None:
        """Have this host see the folder that the nodes' mounts show, if there are such."""
        if self.unlocked is not None:
            for path in (self._real, str(self.unlocked)):
                Path(path).mkdir(exist_ok=True)
            subprocess.run(["mount", "--bind", self._real, str(self.unlocked)], check=True)

    def unmount(self) -> None:
        """End the nodes' mounts and this host's."""
        if self.unlocked is not None:
            with contextlib.suppress(OSError):
                for pid in (self.folder / "mounts").read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
            subprocess.run(["umount", "--lazy", str(self.unlocked)], check=False)

    def kill_node(self, name: str, *, jobs: bool) -> None:
        """Kill a node's slurmd, and with `jobs` all that runs on it, as a power cut does."""
        steps = self._steps(name) if jobs else []
        self.daemons[name].kill()
        for pid in steps:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.daemons[name].wait()

    def _steps(self, name: str) -> list[int]:
        """The processes of a node's jobs: those whose environment names the node, and their slurmstepd."""
        mark = f"SLURMD_NODENAME={name}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, ValueError):
                if mark in (path / "environ").read_bytes().split(b"\0") and self._is_ours(path):
                    parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                    found += [parent, int(path.name)]
        return [pid for pid in found if pid > 1]

    def _is_ours(self, path: Path) -> bool:
        conf = f"SLURM_CONF={self.folder}/slurm.conf".encode()
        return conf in (path / "environ").read_bytes().split(b"\0")


@contextlib.contextmanager
def cluster(folder: Path, nodes: int = 3, *, down_after: int = 60, unlocked: Path | None = None) -> Iterator[Cluster]:
    """Start a cluster whose files are in `folder`, and end it and its jobs.

    A node that is silent for `down_after` seconds counts as lost, also on a machine that is too busy for its slurmd.
    `unlocked`: see `Cluster`; needs bindfs.
    """
    port = free_ports(nodes + 1)
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
    (folder / "slurm.conf").write_text(
        CONF.format(
            folder=folder,
            port=port,
            nodes=nodes,
            down_after=down_after,
            patience=max(5, down_after // 3),
            first=port + 1,
            last=port + nodes,
            host=socket.gethostname().partition(".")[0],
            cores=os.cpu_count() or 1,
        )
    )
    found = Cluster(folder, nodes, unlocked)
    found.mount()
    try:
        found.start("munged")
        eventually((folder / "munge.sock").exists, "munged")
        found.start("slurmctld")
        eventually(lambda: "is UP" in found.run("timeout", "5", "scontrol", "ping"), "slurmctld")
        for number in range(1, nodes + 1):
            found.start(f"n{number}")
        idle = ("sinfo", "-h", "-t", "idle", "-o", "%D", "-p", "main")
        eventually(lambda: found.run(*idle) == str(nodes), "the nodes", interval=0.05)
        yield found
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired, AssertionError):
            found.run("scancel", "--user=root", within=5)
            eventually(lambda: not found.jobs(), "the end of all jobs", seconds=15, interval=0.1)
        for name in reversed(found.daemons):
            found.kill_node(name, jobs=name.startswith("n"))
        found.unmount()
