"""Training on a real SLURM and over a real ssh, both on this machine. benchmarks/slurm_matrix.py is the long form."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest

from tests.processes import free_ports
from tests.reliability.invariants import Reference, processes, reference, violations
from tests.slurm_cluster import Cluster, cluster, missing
from tests.waiting import eventually
from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state

REQUIRED = "TUI_ATTN_REQUIRE_SLURM"
"""Set where a missing SLURM or sshd must fail the tests: in continuous integration."""
WHAT = ["--models", "base,se", "--dataset", "synthetic", "--train-limit", "1000", "--test-limit", "100"]
EPOCHS = 8


def need(what: list[str]) -> None:
    if what and os.environ.get(REQUIRED):
        pytest.fail(f"missing here, and required: {', '.join(what)}")
    if what:
        pytest.skip(f"MISSING HERE, SO NOT TESTED: {', '.join(what)}")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    need(missing())
    with cluster(tmp_path_factory.mktemp("slurm") / "c") as found:
        yield found


def tui_attn(
    *words: str,
    environment: Mapping[str, str] = os.environ,
    front: tuple[str, ...] = (),
    codes: Collection[int] = (0, 3),
) -> str:
    command = [*front, sys.executable, "-P", "-m", "tui_attn", *words]
    env = {**environment, "TUI_ATTN_SQUEUE_EVERY": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, env=env, cwd="/", check=False)
    assert done.returncode in codes, done.stderr
    return done.stdout


def start(runs: Path, on: str, **how: object) -> ExperimentDir:
    what = [*WHAT, "--epochs", str(EPOCHS), "--runs-dir", str(runs)]
    tui_attn("--on", on, "--detach", *what, **how)  # type: ignore[arg-type]
    return next(iter(experiments(runs)))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reference]:
    """What one thread makes of it here."""
    runs = tmp_path_factory.mktemp("local")
    tui_attn("--no-ui", *WHAT, "--epochs", str(EPOCHS), "--runs-dir", str(runs), front=("taskset", "-c", "0"))
    return reference(next(iter(experiments(runs))))


def until_over(folder: ExperimentDir) -> None:
    def over() -> bool:
        return read_state(folder).state.state in {"finished", "stopped", "failed"} and not processes(folder.path)

    eventually(over, "the end", seconds=500, interval=0.3)


@contextlib.contextmanager
def nothing_starts(slurm: Cluster) -> Iterator[None]:
    """SLURM takes jobs and starts none."""
    slurm.run("scontrol", "update", "PartitionName=main", "State=DOWN")
    try:
        yield
    finally:
        slurm.run("scontrol", "update", "PartitionName=main", "State=UP")


def job(folder: ExperimentDir, run: str) -> str:
    """SLURM's id of the job that has a run."""
    return str(read_state(folder).state.runs[run].job).removeprefix("slurm ")


def test_a_job_that_slurm_queues_again_goes_on_and_a_pending_one_is_stopped_at_once(
    slurm: Cluster, undisturbed: dict[str, Reference], tmp_path: Path
) -> None:
    env = slurm.environment
    folder = start(tmp_path / "ru ns $(touch pwned)", "slurm:cpus=1,time=30", environment=env)
    eventually(lambda: read_state(folder).state.runs["se-s0"].epoch >= 1, "an epoch", interval=0.3)
    slurm.run("scontrol", "requeue", job(folder, "se-s0"))
    eventually(lambda: {run.waits for run in read_state(folder).state.runs.values()} != {None}, "a wait", interval=0.1)
    until_over(folder)
    assert violations(folder, undisturbed) == []
    eventually(lambda: not slurm.jobs(), "an empty queue", interval=0.3)
    told = [event.type for event in LogReader(folder.events).read()]
    assert told.count("run_submitted") == 2
    assert told.count("run_started") == 3
    assert "run_restarted" not in told

    with nothing_starts(slurm):
        waiting = start(tmp_path / "waiting", "slurm:cpus=1", environment=env)
        eventually(
            lambda: {run.waits for run in read_state(waiting).state.runs.values()} == {"PartitionDown"}, "the reason"
        )
        ls = [sys.executable, "-P", "-m", "tui_attn", "ls", "--runs-dir", str(tmp_path / "waiting")]
        said = subprocess.run(ls, capture_output=True, text=True, env=env, check=True).stderr
        assert "2 wait for SLURM: PartitionDown" in said
        tui_attn("stop", "--runs-dir", str(tmp_path / "waiting"), environment=env)
        until_over(waiting)
        assert {run.state for run in read_state(waiting).state.runs.values()} == {"stopped"}
        eventually(lambda: not slurm.jobs(), "an empty queue", interval=0.3)


def test_jobs_of_a_dead_supervisor_are_adopted_on_another_login_node(
    slurm: Cluster, undisturbed: dict[str, Reference], tmp_path: Path
) -> None:
    env, runs = slurm.environment, str(tmp_path / "runs")
    said = tui_attn("doctor", "--on", "slurm:cpus=1", "--runs-dir", runs, environment=env, codes={0, 1})
    assert f"{os.uname().nodename} sees {runs}, torch" in said

    with nothing_starts(slurm):
        folder = start(Path(runs), "slurm:cpus=1", environment=env)
        eventually(lambda: all(run.job for run in read_state(folder).state.runs.values()), "the jobs")
        jobs = sorted(slurm.jobs())
        assert len(jobs) == 2
        os.kill(int(folder.supervisor.read_text().partition('"pid": ')[2].partition(",")[0]), 9)
        elsewhere = ("unshare", "--uts", "sh", "-c", 'hostname login2; exec "$@"', "-")
        env = {**env, "XDG_STATE_HOME": str(tmp_path / "state of login2")}
        refused = tui_attn("resume", "--detach", "--runs-dir", runs, environment=env, front=elsewhere, codes={2})
        assert refused == ""
        how = ["--on", "slurm:cpus=1", "--detach", "--runs-dir", runs]
        tui_attn("resume", *how, environment=env, front=elsewhere)
        assert sorted(slurm.jobs()) == jobs
    until_over(folder)
    assert violations(folder, undisturbed) == []
    told = [event.type for event in LogReader(folder.events).read()]
    assert told.count("run_started") == 2
    assert "run_restarted" not in told


def test_steps_of_an_allocation_are_held_by_a_pipe(
    slurm: Cluster, undisturbed: dict[str, Reference], tmp_path: Path
) -> None:
    salloc = ("salloc", "--quiet", "--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=1", "--chdir=/")
    what = [*WHAT, "--epochs", str(EPOCHS), "--runs-dir", str(tmp_path)]
    tui_attn("--on", "slurm-alloc", "--no-ui", *what, environment=slurm.environment, front=salloc)
    (folder,) = experiments(tmp_path)
    assert violations(folder, undisturbed) == []
    assert len({run.worker for run in read_state(folder).state.runs.values()}) == 2


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """The environment in which `ssh` reaches an sshd of the test's own, for any host."""
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    need([name for name in ("ssh", "ssh-keygen") if shutil.which(name) is None] + ([] if sshd else ["sshd"]))
    assert sshd is not None
    home, port = tmp_path / "ssh", free_ports()
    home.mkdir(mode=0o700)
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / key)], check=True)
    (home / "authorized").write_bytes((home / "user.pub").read_bytes())
    options = {"Port": port, "ListenAddress": "127.0.0.1", "HostKey": home / "host", "UsePAM": "no"}
    options |= {"AuthorizedKeysFile": home / "authorized", "PidFile": "none", "StrictModes": "no"}
    config = "".join(f"{key} {value}\n" for key, value in options.items())
    (home / "sshd_config").write_text(config)
    Path("/run/sshd").mkdir(exist_ok=True)
    log = (home / "log").open("wb")
    server = subprocess.Popen([sshd, "-D", "-e", "-f", str(home / "sshd_config")], stdout=log, stderr=log)
    asks = ["-p", str(port), "-i", str(home / "user"), "-o", "StrictHostKeyChecking=no", "-o", "HostName=127.0.0.1"]
    asks += ["-o", f"UserKnownHostsFile={home}/known", "-F", "none"]
    bin_ = home / "bin"
    bin_.mkdir()
    (bin_ / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} {shlex.join(asks)} "$@"\n')
    (bin_ / "ssh").chmod(0o755)
    try:
        eventually(lambda: _listens(port), "sshd")
        yield {**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}"}
    finally:
        server.terminate()
        server.wait()
        log.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_workers_over_ssh_end_with_their_supervisor_and_go_on_after_resume(
    ssh: Mapping[str, str], undisturbed: dict[str, Reference], tmp_path: Path
) -> None:
    runs = tmp_path / "it's here"
    folder = start(runs, "ssh:gpu1,gpu2", environment=ssh, front=("taskset", "-c", "0"))
    eventually(lambda: read_state(folder).state.runs["se-s0"].epoch >= 1, "an epoch", interval=0.2)
    assert len({run.worker for run in read_state(folder).state.runs.values()}) == 2
    supervisor = int(folder.supervisor.read_text().partition('"pid": ')[2].partition(",")[0])
    os.kill(supervisor, 9)
    eventually(lambda: not processes(folder.path), "the end of the workers", interval=0.2)
    assert read_state(folder).state.state == "running"
    tui_attn("resume", "--detach", "--runs-dir", str(runs), environment=ssh)
    until_over(folder)
    assert violations(folder, undisturbed) == []
