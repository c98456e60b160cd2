"""Cost of many runs on SLURM: time to submit them, load of supervisor and dashboard, time to stop.

    python -m benchmarks.slurm_load [--runs 10,50,200] [--seconds 40] [--scratch DIR]

A cluster of three nodes comes up on this machine (see tests/slurm_cluster.py), so most of the jobs wait.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.engine_lab import key_seconds
from tests.slurm_cluster import cluster, missing
from tests.ui.terminal import opened
from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.ownership import supervisor_alive
from tui_attn.system import liveness

SMALL = ["--dataset", "synthetic", "--train-limit", "500", "--test-limit", "100", "--epochs", "200"]


def measure(runs: int, seconds: float, folder: Path, environment: dict[str, str]) -> str:
    """A line of the table."""

    def tui_attn(*words: str) -> None:
        command = [sys.executable, "-P", "-m", "tui_attn", *words, "--runs-dir", str(folder)]
        subprocess.run(command, env=environment, cwd="/", check=True, capture_output=True)

    what = ["--models", "base,se", "--seeds", str(runs // 2), "--jobs", str(runs), *SMALL]
    tui_attn("--on", "slurm:cpus=1", "--detach", *what)
    experiment = next(iter(experiments(folder)))
    log = LogReader(experiment.events)
    times: list[float] = []
    begun = 0.0
    while len(times) < runs:
        for event in log.read():
            begun = event.t if event.type == "experiment_started" else begun
            times += [event.t] if event.type == "run_submitted" else []
        time.sleep(0.05)
    supervisor = psutil.Process(liveness.holder(experiment.supervisor_lock) or 0)
    before, began = sum(supervisor.cpu_times()[:4]), time.monotonic()
    time.sleep(seconds)
    share = (sum(supervisor.cpu_times()[:4]) - before) / (time.monotonic() - began)
    with opened(experiment, environment=environment) as dashboard:
        dashboard.until(lambda text: "base" in text and "reading the logs" not in text)
        keys = sorted(itertools.islice(key_seconds(dashboard), 20))
    began = time.monotonic()
    tui_attn("stop")
    while supervisor_alive(experiment):
        time.sleep(0.05)
    stopped = time.monotonic() - began
    key = f"{keys[len(keys) // 2]:.2f} s, {keys[-1]:.2f} s"
    return f"| {runs} | {times[-1] - begun:.1f} s | {100 * share:.1f} % | {key} | {stopped:.1f} s |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", default="10,50,200")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--scratch", type=Path)
    given = parser.parse_args()
    if missing():
        print(f"SLURM is needed, and missing here: {', '.join(missing())}", file=sys.stderr)
        return 2
    scratch = Path(tempfile.mkdtemp(prefix="load-", dir=given.scratch))
    try:
        with cluster(scratch / "slurm") as slurm:
            environment = {**slurm.environment, "XDG_STATE_HOME": str(scratch), "XDG_CACHE_HOME": str(scratch)}
            print(
                "| runs | all submitted after | supervisor, of a core | a key: median, slowest | stop |\n"
                "| --- | --- | --- | --- | --- |",
                flush=True,
            )
            for runs in map(int, given.runs.split(",")):
                print(measure(runs, given.seconds, scratch / str(runs), environment), flush=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
