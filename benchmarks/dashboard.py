"""Cost of the dashboard: first frame, CPU, bytes, latency, long histories. `python benchmarks/dashboard.py`.

All figures are of the real program in a pseudo-terminal of 120 x 40 cells, while another process writes event logs like
a supervisor and its workers. Ratios are of medians of alternating runs. Nothing is asserted. Run it from the checkout,
with the package and its test extra installed; `--only NAME` runs one part.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent))

from benchmarks.pseudo_terminal import Terminal, dashboard, scratch  # noqa: E402
from tests import recorded  # noqa: E402
from tui_attn.experiment.config import ExperimentConfig  # noqa: E402
from tui_attn.experiment.folders import ExperimentDir  # noqa: E402
from tui_attn.launch import control  # noqa: E402
from tui_attn.system import liveness  # noqa: E402

BARE = """
from textual.app import App
from textual.widgets import Static

class Bare(App):
    def compose(self):
        yield Static("bare app")

Bare().run()
"""


# ---- the feeder


def feed(target: str, source: str, block_seconds: float, limit: float) -> None:
    """Replay the logs of `source` into `target`, every run a block each `block_seconds`, for `limit` seconds."""
    folder, history = ExperimentDir(Path(target)), ExperimentDir(Path(source))
    lock = liveness.Lock(folder.supervisor_lock)
    runs = sorted(entry.name for entry in history.path.iterdir() if entry.is_dir())
    lines = {run: history.run(run).events.read_bytes().splitlines(keepends=True) for run in runs}
    logs = {run: folder.run(run).events.open("ab", buffering=0) for run in runs}
    place = dict.fromkeys(runs, 0)
    begun = time.monotonic()
    turn = 0
    while time.monotonic() - begun < limit and any(place[run] < len(lines[run]) for run in runs):
        for run in runs:
            block: list[bytes] = []
            for line in lines[run][place[run] :]:
                block.append(line)
                if b'"type":"metrics"' in line:
                    break
            if block and b'"type":"ended"' not in block[-1]:
                logs[run].write(b"".join(block))
            place[run] += len(block)
            folder.run(run).heartbeat.touch()
        turn += 1
        time.sleep(max(0.0, begun + turn * block_seconds - time.monotonic()))
    print(json.dumps({"seconds": time.monotonic() - begun, "blocks": turn}), flush=True)
    while time.monotonic() - begun < limit:
        time.sleep(0.1)
    lock.release()


@contextlib.contextmanager
def fed(root: Path, *, epochs: int, block_seconds: float, limit: float) -> Iterator[ExperimentDir]:
    """An experiment of three runs whose logs grow inside the `with` block."""
    config = ExperimentConfig(epochs=epochs)
    history = recorded.record(root / "history", config=config, predictions=False, probes=True)
    (root / "live").mkdir()
    folder = recorded.record(root / "live", config=config, states="running", done=dict.fromkeys(_ids(config), 0),
                             predictions=False)  # fmt: skip
    for run in _ids(config):
        folder.run(run).events.write_bytes(b"")
        shutil.copytree(history.run(run).probes, folder.run(run).probes, dirs_exist_ok=True)
    arguments = [str(folder.path), str(history.path), str(block_seconds), str(limit)]
    process = subprocess.Popen(
        [sys.executable, str(HERE), "--feed", *arguments], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    while liveness.holder(folder.supervisor_lock) is None:
        time.sleep(0.01)
    try:
        yield folder
    finally:
        process.kill()
        process.wait()


def _ids(config: ExperimentConfig) -> list[str]:
    return [f"{model}-s{seed}" for seed in config.seed_list for model in config.models]


@contextlib.contextmanager
def streaming(
    *options: str, epochs: int, block_seconds: float, limit: float
) -> Iterator[tuple[ExperimentDir, Terminal]]:
    """The dashboard on three runs whose logs grow."""
    with (
        scratch() as root,
        fed(root, epochs=epochs, block_seconds=block_seconds, limit=limit) as folder,
        dashboard(folder, *options) as terminal,
    ):
        yield folder, terminal


# ---- the parts


def first_frame(samples: int, before: str | None) -> None:
    """From starting the interpreter to the first painted frame, relative to a bare Textual app, in turn.

    Wall time, and the processor time of the program's own process, which other programs disturb less. Targets: 1.3
    times for `attach`, 1.5 times for a start. `before`: a Python with an earlier version installed, to compare with.
    """
    with scratch() as root:
        folder = recorded.record(root, config=ExperimentConfig(epochs=15), predictions=False)
        attach_ = ["-P", "-m", "tui_attn", "attach", folder.id, "--runs-dir", str(root)]
        begin = ["-P", "-m", "tui_attn", "--dataset", "synthetic", "--models", "base", "--epochs", "1"]
        begin += ["--train-limit", "128"]
        programs = {"bare": ([sys.executable, "-c", BARE], "bare app")}
        for name, python in {"": sys.executable, " before": before}.items():
            if python is not None:
                programs[f"attach{name}"] = ([python, *attach_], "fashion-mnist")
                programs[f"start{name}"] = ([python, *begin, "--runs-dir", str(root / f"started{name}")], "synthetic")
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
        for sample in range(samples + 1):
            for name, (command, mark) in programs.items():
                terminal = Terminal(command)
                wall = terminal.wait_for(mark) - terminal.begun
                used = time.clock_gettime(~terminal.pid << 3 | 2)  # its clock; psutil counts in steps of 10 ms
                terminal.close()
                if sample:  # the first one writes what Python compiles
                    taken[name].append((wall, used))
                for started in (root / "started").parent.glob("started*/2*"):
                    control.kill(ExperimentDir(started))
                    shutil.rmtree(started, ignore_errors=True)
    for name, times in taken.items():
        pairs = list(zip(times, taken["bare"], strict=True))
        wall, cpu = (statistics.median(its[kind] / bare[kind] for its, bare in pairs) for kind in (0, 1))
        median = statistics.median(wall for wall, _ in times)
        print(f"  {name:14} {1000 * median:6.0f} ms; x bare: wall {wall:.2f}, processor {cpu:.2f}, n={samples}")


def live(seconds: float, *options: str) -> None:
    """CPU and bytes while three curves grow, every run by 10 points each half second; targets: 5 %, 15 kB/s."""
    with streaming(*options, epochs=400, block_seconds=0.5, limit=seconds + 30) as (_, terminal):
        terminal.wait_for("accuracy")
        time.sleep(5)
        process = psutil.Process(terminal.pid)
        before, count, begun = process.cpu_times(), terminal.count, time.perf_counter()
        time.sleep(seconds)
        after, passed = process.cpu_times(), time.perf_counter() - begun
        cpu = (after.user + after.system - before.user - before.system) / passed
        print(f"  CPU {100 * cpu:.1f} % of one core, {(terminal.count - count) / passed / 1000:.1f} kB/s "
              f"over {passed:.0f} s")  # fmt: skip


def live_beside(seconds: float, samples: int, before: str, checkout: str) -> None:
    """The same in turn with the version in the folder `checkout`, which the Python `before` has installed."""
    programs = {"now": (sys.executable, HERE.parents[1]), "before": (before, Path(checkout).absolute())}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    for _ in range(samples):
        for name, (python, folder) in programs.items():
            command = [python, str(folder / "benchmarks/dashboard.py"), "--only", "live", "--seconds", str(seconds)]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
            cpu, rate = re.search(r"CPU ([\d.]+) %.* ([\d.]+) kB/s", done.stdout).groups()  # type: ignore[union-attr]
            taken[name].append((float(cpu), float(rate)))
            print(f"  {name:7} CPU {cpu} %, {rate} kB/s", flush=True)
    for at, what in enumerate(("CPU, % of a core", "kB/s")):
        now, old = ([pair[at] for pair in taken[name]] for name in programs)
        ratio = statistics.median(one / two for one, two in zip(now, old, strict=True))
        print(f"  {what}: {statistics.median(now):.1f} now, {statistics.median(old):.1f} before, "
              f"median ratio {ratio:.2f}, n={samples}")  # fmt: skip


def frame_buffer(seconds: float) -> None:
    """The same with the frame buffer and with Textual's own output, three times in turn."""
    for _ in range(3):
        for title, options in (("frame buffer", ()), ("Textual's own output", ("--textual-output",))):
            print(f"  {title}:", end="")
            live(seconds, *options)


def idle(seconds: float) -> None:
    """Bytes and CPU when nothing changes: an experiment that is over, and one whose supervisor died."""
    for scene in ("finished", "lost"):
        with scratch() as root:
            folder = recorded.scene(root, scene)
            with dashboard(folder) as terminal:
                terminal.wait_for(scene)
                terminal.quiet(2.0)
                process = psutil.Process(terminal.pid)
                before, count = process.cpu_times(), terminal.count
                time.sleep(seconds)
                after = process.cpu_times()
                cpu = (after.user + after.system - before.user - before.system) / seconds
                print(f"  {scene:9} {terminal.count - count} bytes, CPU {100 * cpu:.2f} % over {seconds:.0f} s")


def keys(presses: int) -> None:
    """From a key press (another run is selected) to its repaint, while three runs stream; target: 100 ms."""
    with streaming(epochs=400, block_seconds=0.2, limit=presses + 60) as (_, terminal):
        terminal.wait_for("accuracy")
        time.sleep(5)
        found = press(terminal, presses)
    print(f"  median {statistics.median(found):.0f} ms, 95th percentile {found[int(0.95 * len(found))]:.0f} ms, "
          f"longest {found[-1]:.0f} ms, n={len(found)}")  # fmt: skip


def press(terminal: Terminal, presses: int) -> list[float]:
    """Select other runs, and wait for each repaint; milliseconds, ascending."""
    delays = []
    for index in range(presses):
        since = len(terminal.chunks)
        at = terminal.send("j" if index % 4 < 2 else "k")
        delays.append(1000 * (terminal.wait_for("▸", since=since, seconds=5) - at))
        time.sleep(0.11 + 0.013 * (index % 7))
    return sorted(delays)


def attach() -> None:
    """Open an experiment of 300 runs with 750 logged points each; targets: 1 s, 5 s, 100 ms a key."""
    with scratch() as root:
        config = ExperimentConfig(epochs=15, seeds=100)
        # A point an event, as workers log them.
        folder = recorded.record(root, config=config, predictions=False, probes=False, points_per_block=1)
        size = sum(folder.run(run).events.stat().st_size for run in _ids(config))
        with dashboard(folder) as terminal:
            first = terminal.wait_for("base-s0") - terminal.begun
            useful = terminal.wait_for("✓ finished") - terminal.begun
            delays: list[float] = []
            whole = 0.0
            while not whole:
                since = len(terminal.chunks)
                at = terminal.send("k" if len(delays) % 2 else "j")
                delays.append(terminal.wait_for("▸", since=since, seconds=10) - at)
                text = terminal.text()
                read = "reading the logs" not in text and "✓ finished" in text.splitlines()[0]
                if read and text.count("×100") == 6:  # three bands in each chart, of all seeds
                    whole = time.perf_counter() - terminal.begun
            process = psutil.Process(terminal.pid)
            memory, cpu = process.memory_info().rss, sum(process.cpu_times()[:2])
    print(f"  {size / 1e6:.1f} MB of logs: first frame {first:.2f} s, first figures {useful:.2f} s, "
          f"all of it {whole:.2f} s ({cpu:.2f} s of CPU), "
          f"keys meanwhile at most {1000 * max(delays):.0f} ms, memory {memory / 1e6:.0f} MB")  # fmt: skip


def hour(minutes: float) -> None:
    """An hour's events at 100 times the speed: memory, CPU and key presses as the history grows."""
    seconds = 36.0 * minutes / 60
    epochs = int(seconds / 0.005 / 5)
    with streaming(epochs=epochs, block_seconds=0.005, limit=seconds + 30) as (folder, terminal):
        terminal.wait_for("accuracy")
        process = psutil.Process(terminal.pid)
        for part in range(4):
            before, begun = process.cpu_times(), time.perf_counter()
            delays = press(terminal, 20)
            time.sleep(max(0.0, begun + seconds / 4 - time.perf_counter()))
            after, passed = process.cpu_times(), time.perf_counter() - begun
            logs = sum(log.stat().st_size for log in folder.path.glob("*/events.jsonl"))
            cpu = (after.user + after.system - before.user - before.system) / passed
            print(f"  quarter {part + 1}: logs {logs / 1e6:5.1f} MB, memory "
                  f"{process.memory_info().rss / 1e6:4.0f} MB, CPU {100 * cpu:.0f} %, "
                  f"keys {statistics.median(delays):.0f} ms, at most {delays[-1]:.0f} ms")  # fmt: skip


def main() -> None:
    """Run the parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["first", "live", "buffer", "idle", "keys", "attach", "hour"])
    parser.add_argument("--samples", type=int, default=9, help="first frames of each kind")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long CPU and bytes are counted")
    parser.add_argument("--before", metavar="PYTHON", help="also measure the version that this Python has installed")
    parser.add_argument("--checkout", metavar="DIR", help="the checkout of that version, for 'live'")
    parser.add_argument("--feed", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.feed:
        feed(chosen.feed[0], chosen.feed[1], float(chosen.feed[2]), float(chosen.feed[3]))
        return
    parts: dict[str, tuple[str, Callable[[], None]]] = {
        "first": ("first painted frame", lambda: first_frame(chosen.samples, chosen.before)),
        "live": (
            "three live curves",
            lambda: (
                live_beside(chosen.seconds, chosen.samples, chosen.before, chosen.checkout)
                if chosen.checkout and chosen.before
                else live(chosen.seconds)
            ),
        ),
        "buffer": ("frame buffer or not", lambda: frame_buffer(chosen.seconds)),
        "idle": ("nothing changes", lambda: idle(min(chosen.seconds, 20.0))),
        "keys": ("key press to repaint while three runs stream", lambda: keys(120)),
        "attach": ("attach to 300 runs x 750 points", attach),
        "hour": ("an hour's events at 100x", lambda: hour(60.0)),
    }
    for name, (title, run) in parts.items():
        if chosen.only in {None, name}:
            print(title)
            run()


if __name__ == "__main__":
    main()
