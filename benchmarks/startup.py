"""Start-up: `--help`, `ls`, and from Enter to the first training step and the first logged point.

    python benchmarks/startup.py [--repeats 7]

Each figure is a median over interleaved repeats; beside them a bare interpreter and `import torch`, measured in turn,
which bound what a program can do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.launch import control


def seconds_of(*command: str) -> float:
    """Wall time of a whole process."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin


def first_steps(scratch: Path, dataset: str) -> tuple[float, float, float]:
    """Seconds from starting the program to its readiness, to the start of training, and to its first point."""
    runs_dir = scratch / f"runs-{time.monotonic_ns()}"
    command = ("--detach", "--dataset", dataset, "--models", "base", "--epochs", "50", "--runs-dir", str(runs_dir))
    begin = time.time()
    subprocess.run([sys.executable, "-P", "-m", "tui_attn", *command], check=True, capture_output=True)
    ready = time.time() - begin
    folder = next(experiments(runs_dir))
    times = first_times(folder)
    control.kill(folder)
    return ready, times["started"] - begin, times["metrics"] - begin


def first_times(folder: ExperimentDir) -> dict[str, float]:
    """When the run's first `started` and `metrics` were logged, unix seconds."""
    reader, found = LogReader(folder.run("base-s0").events), dict[str, float]()
    while "metrics" not in found:
        for event in reader.read():
            found.setdefault(event.type, event.t)
        time.sleep(0.005)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--dataset", default="fashion-mnist")
    arguments = parser.parse_args()
    program = (sys.executable, "-P", "-m", "tui_attn")
    figures: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        small = ("--no-ui", "--dataset", "synthetic", "--epochs", "1", "--models", "base", "--train-limit", "256")
        subprocess.run([*program, *small, "--runs-dir", str(scratch / "one")], check=True, capture_output=True)
        for _ in range(arguments.repeats):
            for what, command in {
                "python -c pass": (sys.executable, "-c", "pass"),
                "import torch": (sys.executable, "-c", "import torch"),
                "tui-attn --help": (*program, "--help"),
                "tui-attn ls": (*program, "ls", "--runs-dir", str(scratch / "one")),
            }.items():
                figures.setdefault(what, []).append(seconds_of(*command))
            for what, value in zip(
                ("start: supervisor ready", "start: training begins", "start: first logged point"),
                first_steps(scratch, arguments.dataset),
                strict=True,
            ):
                figures.setdefault(what, []).append(value)
    for what, values in figures.items():
        print(
            f"{what:<28} {statistics.median(values):7.3f} s   ({min(values):.3f} to {max(values):.3f}, n={len(values)})"
        )
    print(json.dumps({what: statistics.median(values) for what, values in figures.items()}))


if __name__ == "__main__":
    main()
