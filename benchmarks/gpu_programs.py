"""Whole programs that train on a GPU, ours and others, within a limit of time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
LAB = ("base", "se", "self-attention")
EPOCHS = 15
PEERS = ("student", "lightning_")


def programs(device: str, precision: str, seconds_left: Callable[[], float]) -> Iterator[tuple[str, str]]:
    """Whole programs from start to end, as long as there is time: what, and how long it took or what it says."""
    with tempfile.TemporaryDirectory() as folder:
        name, data_dir = "synthetic", folder
        with contextlib.suppress(Exception):  # no network, for example
            from tui_attn import data

            name, data_dir = "fashion-mnist", str(data.ensure("fashion-mnist", offline=True).root)
        ours = [sys.executable, "-P", "-m", "tui_attn", "--no-ui", "--device", device, "--epochs", str(EPOCHS)]
        ours += ["--dataset", name, "--precision", precision]
        limited = ["--model", "base", "--epochs", "1", "--train-limit", "60000", "--test-limit", "10000", "--data"]
        peers = {which: [sys.executable, "-m", f"benchmarks.peers.{which}", *limited, data_dir] for which in PEERS}
        this = [sys.executable, str(REPOSITORY / "benchmarks" / "gpu.py"), "--device", device, "--precision", precision]
        for what, command in (
            (f"the lab on {name}, from Enter to the verdict", [*ours, "--runs-dir", f"{folder}/lab"]),
            (f"30 seeds of the lab on {name}", [*ours, "--seeds", "30", "--runs-dir", f"{folder}/seeds"]),
            ("a student's script, one epoch of base", peers["student"]),
            ("Lightning, one epoch of base", peers["lightning_"]),
            *((f"{model}, torch.compile, max-autotune", [*this, "--compiled", model]) for model in LAB),
        ):
            yield what, took(command, seconds_left())


def took(command: list[str], most: float) -> str:
    """How long `command` takes, within `most` seconds; of one that prints a rate, that."""
    if most < 5:
        return "no time was left"
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        # In a session of its own: what it starts ends with it, and no pipe keeps this process waiting.
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=out, stderr=err, start_new_session=True)
        try:
            code = process.wait(most)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"more than {most:.0f} s"
        seconds = time.perf_counter() - begin
        said = [_last_line(file) for file in (out, err)]
    if code != 0:
        return f"failed: {said[1][:100]}"
    return said[0] if said[0].endswith("images/s") else f"{seconds:.1f} s"


def _last_line(file: Any) -> str:
    file.seek(0)
    lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
