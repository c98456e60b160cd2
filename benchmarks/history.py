"""How fast a long history is listed: `python benchmarks/history.py [--experiments 1000]`.

Makes recorded experiments (3 models, 1 to 3 seeds, 15 epochs) in a temporary folder and times, in a process of its own
each, a first look, which reads the ends of all logs; a look at what was kept from the time before; and a second look of
the same process. With `--keys`, opens the history in the dashboard without a terminal, nothing kept, presses keys
without pause, and says how long the rows took to come in and the keys to be obeyed meanwhile. With `--ls`, compares
`tui-attn ls` with a bare look at 100 experiments of 9 runs each, in processor time of whole processes, in turn. With
`--data-table`, tells for how long Textual's DataTable keeps the event loop from keys, with as many rows of 11 columns.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests import recorded
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.writing import write_manifest

LOOK = """
import sys, time
from pathlib import Path
from tui_attn.history.entries import keep, open_history
runs = Path(sys.argv[1])
begun, spent = time.perf_counter(), time.process_time()
history = open_history(runs)
first, seen = None, set()
for entry in history.look():
    first = first or time.perf_counter() - begun
    if entry.id not in seen:
        seen.add(entry.id)
        listed = time.perf_counter() - begun
total = time.perf_counter() - begun
processor = time.process_time() - spent
begun = time.perf_counter()
again = sum(1 for _ in history.look())
second = time.perf_counter() - begun
keep(history)
print(first, listed, total, processor, second, len(seen))
"""


def make(runs_dir: Path, count: int) -> None:
    """Write `count` experiments: a few recorded ones, and copies of them under other names and times."""
    templates = runs_dir.parent / "templates"
    kinds = [
        recorded.record(
            templates,
            experiment=f"template-{seeds}-{state}",
            config=ExperimentConfig(epochs=15, seeds=seeds),
            states=state,
            probes=False,
            predictions=False,
        )
        for seeds in (1, 2, 3)
        for state in ("finished", "stopped")
    ]
    for number in range(count):
        kind = kinds[number % len(kinds)]
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(recorded.T0 + 3600 * number))
        folder = ExperimentDir(runs_dir / f"{stamp}-fashion-mnist")
        shutil.copytree(kind.path, folder.path)
        write_manifest(folder, replace(kind.manifest_data(), created=recorded.T0 + 3600 * number))


def look(runs_dir: Path, cache: Path) -> list[float]:
    """Seconds to first row, last row and last verdict, processor time, a second look, rows; in a fresh process."""
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(runs_dir)], env=environment, capture_output=True, text=True, check=True
    )
    return [float(number) for number in done.stdout.split()]


LIST = """
import sys
from pathlib import Path
from tui_attn.history.entries import read_history
print(len(read_history(Path(sys.argv[1]))))
"""


def processor_seconds(command: list[str], cache: Path) -> float:
    """Processor time of a whole process, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    subprocess.run([sys.executable, *command], env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare_ls(root: Path, times: int) -> None:
    """Print the processor time of `tui-attn ls` and of the history's reader."""
    kind = recorded.record(
        root / "templates-ls", config=ExperimentConfig(epochs=15, seeds=3), probes=False, predictions=False
    )
    for number in range(100):
        folder = ExperimentDir(root / "ls" / f"{number:03d}-fashion-mnist")
        shutil.copytree(kind.path, folder.path)
        write_manifest(folder, replace(kind.manifest_data(), created=recorded.T0 + 3600 * number))
    size = sum(path.stat().st_size for path in (root / "ls").glob("*/**/events.jsonl"))
    print(f"100 experiments of 9 runs, {size / 1e6:.0f} MB of logs; processor seconds, medians of {times}")
    runs = str(root / "ls")
    for title, kept in (("nothing kept", False), ("kept from before", True)):
        found: dict[str, list[float]] = {"reader": [], "ls": []}
        for number in range(times):
            for name, command in (
                ("reader", ["-c", LIST, runs]),
                ("ls", ["-P", "-m", "tui_attn", "ls", "--runs-dir", runs]),
            ):
                cache = root / f"cache-ls-{name}{'' if kept else number}"
                if kept and number == 0:
                    processor_seconds(command, cache)
                found[name].append(processor_seconds(command, cache))
        reader, ls = (statistics.median(found[name]) for name in ("reader", "ls"))
        print(f"{title:<17} reader {reader:.3f}  ls {ls:.3f}  ({ls / reader:.2f} times)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--keys", action="store_true", help="also press keys while the rows come in")
    parser.add_argument("--data-table", action="store_true", help="only measure Textual's DataTable")
    parser.add_argument("--ls", action="store_true", help="only compare tui-attn ls with the history's reader")
    chosen = parser.parse_args()
    if chosen.data_table:
        asyncio.run(data_table(chosen.experiments, chosen.times))
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        if chosen.ls:
            compare_ls(root, chosen.times)
            return
        make(root / "runs", chosen.experiments)
        print(f"{chosen.experiments} experiments; seconds, medians of {chosen.times}")
        fresh = [look(root / "runs", root / f"cache-{number}") for number in range(chosen.times)]
        kept = [look(root / "runs", root / "cache-0") for _ in range(chosen.times)]
        for title, found in (("nothing kept", fresh), ("kept from before", kept)):
            medians = [statistics.median(column) for column in zip(*found, strict=True)]
            first, last, whole, processor, again, _ = medians
            print(
                f"{title:<17} first row {first:.3f}  all rows {last:.3f}  all verdicts {whole:.3f} "
                f"(processor {processor:.3f})  ",
                end="",
            )
            print(f"second look {again:.3f}")
        if chosen.keys:
            for number in range(chosen.times):
                asyncio.run(press(root, number))


async def press(root: Path, number: int) -> None:
    """Open the history, never seen before, and go down it without pause until all verdicts are there."""
    from textual import events

    from tests.ui.harness import make_app
    from tui_attn.ui.screens.history import HistoryScreen

    os.environ["XDG_CACHE_HOME"] = str(root / f"cache-keys-{number}")
    sys.setswitchinterval(0.001)
    app = make_app(None, runs_dir=root / "runs")
    begun, waits, listed = time.perf_counter(), [], 0.0
    expected = len(list((root / "runs").iterdir()))
    async with app.run_test(size=(120, 40)):
        screen = app.screen
        assert isinstance(screen, HistoryScreen)
        while not screen.view.rows:
            await asyncio.sleep(0.001)
        first = time.perf_counter() - begun
        while not screen.view.complete:
            pressed, before = time.perf_counter(), screen.view.index
            key = "down" if before < len(screen.view.rows) - 1 else "up"
            app.post_message(events.Key(key, None))  # a pilot's key waits until nothing is computed any more
            while screen.view.index == before and not screen.view.complete:
                await asyncio.sleep(0.001)
            waits.append(time.perf_counter() - pressed)
            listed = listed or (len(screen.view.rows) == expected) * (time.perf_counter() - begun)
        total = time.perf_counter() - begun
    print(
        f"keys without pause  first row {first:.3f}  all rows {listed or total:.3f}  all verdicts {total:.3f}  ",
        end="",
    )
    print(f"{len(waits)} keys, median {1000 * statistics.median(waits):.0f} ms, ", end="")
    print(f"95 % within {1000 * statistics.quantiles(waits, n=20)[-1]:.0f} ms, longest {1000 * max(waits):.0f} ms")


async def data_table(count: int, times: int) -> None:
    """Print how long a DataTable of `count` rows blocks the event loop when its rows change."""
    from rich.text import Text
    from textual.app import App
    from textual.widgets import DataTable

    class TableApp(App[None]):
        def compose(self) -> Iterator[DataTable[Text]]:
            yield DataTable(cursor_type="row")

    rows = [[Text(f"cell {row} {column}") for column in range(11)] for row in range(count)]
    gaps: list[float] = []

    async def tick() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.0005)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    app = TableApp()
    async with app.run_test(size=(120, 40)):
        table = app.query_one(DataTable)
        for column in range(11):
            table.add_column(f"column {column}", width=9, key=str(column))

        def rebuild(number: int) -> None:
            table.clear()
            for key, row in enumerate(rows):
                table.add_row(*row, key=str(key), height=1)

        def verdicts(number: int) -> None:
            for key in range(count // 4):
                table.update_cell(str(key), "7", Text(f"+0.{number}"))

        ticking = asyncio.create_task(tick())
        for name, change in (("all rows anew", rebuild), ("verdicts of a quarter", verdicts)):
            found = []
            for number in range(max(times, 3)):
                await asyncio.sleep(0.2)
                gaps.clear()
                change(number)
                await asyncio.sleep(0.5)
                found.append(1000 * max(gaps))
            print(
                f"DataTable, {count} rows, {name}: median {statistics.median(found):.0f} ms, longest {max(found):.0f}"
            )
        ticking.cancel()


if __name__ == "__main__":
    main()
