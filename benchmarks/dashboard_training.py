"""Effect of a dashboard on training: on its bits, which must not change, and on its speed.

`python benchmarks/dashboard_training.py` trains on this machine's CPU. `bits`: the same experiment without a dashboard,
and with dashboards that are closed by q, hung up, and killed during training; the weights must be equal. `speed`:
training with and without a dashboard, alternating; the ratio of the medians of images per second. `delay`: from the
logging of a point to its display. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent))

from benchmarks.pseudo_terminal import Terminal, dashboard, scratch  # noqa: E402
from tui_attn.experiment.folders import ExperimentDir  # noqa: E402
from tui_attn.experiment.follower import Follower  # noqa: E402
from tui_attn.experiment.reducer import EXPERIMENT_ENDED  # noqa: E402


def tui_attn(*arguments: str) -> str:
    """The standard output of a command of the program."""
    command = [sys.executable, "-m", "tui_attn", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent)}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def start(root: Path, *options: str) -> ExperimentDir:
    """Start an experiment in the background."""
    id_ = tui_attn("--detach", "--runs-dir", str(root), "--dataset", "synthetic", "--device", "cpu", *options)
    return ExperimentDir(root / id_.strip())


def wait(folder: ExperimentDir, condition: Callable[[Follower], bool]) -> Follower:
    """Follow the logs until `condition` holds."""
    follower = Follower(folder)
    while True:
        follower.poll()
        if condition(follower):
            return follower
        time.sleep(0.05)


def ended(follower: Follower) -> bool:
    """Whether the experiment is over."""
    return follower.state.state in EXPERIMENT_ENDED


def figures(root: Path, folder: ExperimentDir) -> list[dict[str, Any]]:
    """The runs in the output of `compare --json`."""
    summary = json.loads(tui_attn("compare", folder.id, "--json", "--runs-dir", str(root)))
    return [run for model in summary["models"] for run in model["runs"]]


def bits() -> None:
    """Weights of watched and unwatched experiments."""
    options = ["--epochs", "3", "--train-limit", "4000", "--test-limit", "1000"]
    ways: dict[str, Callable[[Terminal], object] | None] = {
        "unwatched": None,
        "closed by q": lambda terminal: terminal.send("q"),
        "hung up on": lambda terminal: os.kill(terminal.pid, signal.SIGHUP),
        "killed": lambda terminal: os.kill(terminal.pid, signal.SIGKILL),
    }
    first: list[str] = []
    for name, end in ways.items():
        with scratch() as root:
            folder = start(root, *options)
            if end is not None:
                with dashboard(folder) as terminal:
                    wait(folder, lambda follower: any(run.epochs for run in follower.state.runs.values()))
                    end(terminal)
                    terminal.ended()
            wait(folder, ended)
            found = [run["weights_sha256"] for run in figures(root, folder)]
        first = first or found
        print(f"  {name:12} {'the same weights' if found == first else 'OTHER WEIGHTS'}  {found[0][:12]}")


def speed(samples: int) -> None:
    """Training images per second of training, all three models together, with a dashboard and without."""
    images, epochs = 12_000, 5
    options = ["--epochs", str(epochs), "--train-limit", str(images), "--test-limit", "1000"]
    rates: dict[str, list[float]] = {"headless": [], "watched": []}
    for _ in range(samples):
        for name, found in rates.items():
            with scratch() as root:
                folder = start(root, *options)
                if name == "watched":
                    with dashboard(folder) as terminal:
                        terminal.wait_for("accuracy")
                        wait(folder, ended)
                wait(folder, ended)
                runs = figures(root, folder)
                found.append(len(runs) * images * epochs / sum(run["train_seconds"] for run in runs))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    pairs = sorted(watched / alone for alone, watched in zip(rates["headless"], rates["watched"], strict=True))
    print(f"  headless {medians['headless']:.0f}, watched {medians['watched']:.0f} images/s: "
          f"{medians['watched'] / medians['headless']:.3f} (pairs {pairs[0]:.3f} to {pairs[-1]:.3f}), "
          f"n={samples} each, in turn")  # fmt: skip


def delay(points: int) -> None:
    """From a point's step, logged at once, to its loss, or a later one, on the screen; target: 1.5 s."""
    options = ["--epochs", "3", "--train-limit", "20000", "--test-limit", "1000"]
    with scratch() as root:
        folder = start(root, *options)
        with dashboard(folder) as terminal:
            terminal.wait_for("accuracy")
            follower = Follower(folder)
            follower.poll()
            waiting: list[tuple[float, str]] = []
            delays: list[float] = []
            while len(delays) < points and not ended(follower):
                logged = [event for _, event in follower.poll() if event.type == "metrics"]
                waiting += [(event.t, f"{event['loss'][-1]:.4f}") for event in logged]
                text, now = terminal.text(), time.time()
                shown = max((index for index, (_, loss) in enumerate(waiting) if loss in text), default=-1)
                delays += [now - t for t, _ in waiting[: shown + 1]]
                del waiting[: shown + 1]
                time.sleep(0.01)
    delays.sort()
    print(f"  median {statistics.median(delays):.2f} s, 95th percentile {delays[int(0.95 * len(delays))]:.2f} s, "
          f"longest {delays[-1]:.2f} s, n={len(delays)}")  # fmt: skip


def main() -> None:
    """Run the parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["bits", "speed", "delay"])
    parser.add_argument("--samples", type=int, default=5, help="experiments of each kind whose speed is compared")
    chosen = parser.parse_args()
    parts: dict[str, tuple[str, Callable[[], None]]] = {
        "bits": ("the weights of watched experiments", bits),
        "speed": ("training speed with a dashboard attached", lambda: speed(chosen.samples)),
        "delay": ("from the logging of a point to its showing", lambda: delay(200)),
    }
    for name, (title, run) in parts.items():
        if chosen.only in {None, name}:
            print(title)
            run()


if __name__ == "__main__":
    main()
