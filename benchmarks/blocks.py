"""Time of a training step of each built-in model, relative to the lab's model of the same structure.

    python benchmarks/blocks.py [--epochs 7]

One experiment trains all models in turns of one epoch of 50 steps, so that other load on the machine affects all alike.
The figures are medians over the epochs except the first. The reference is base, se or self-attention, by the kind of a
model's attention. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from tui_attn.experiment.finding import experiments
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.model_info import MODELS

STEPS = 50
CONTROL_OF = {control: name for name, info in MODELS.items() for control in info.controls}


def kin(model: str) -> str:
    """The lab's network of the same structure as `model`."""
    model = CONTROL_OF.get(model, model)
    return {"none": "base", "channel matrix": "self-attention"}.get(MODELS[model].attention, "se")


def main() -> None:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=7)
    epochs = parser.parse_args().epochs
    with tempfile.TemporaryDirectory() as name:
        what = ["--models", ",".join(MODELS), "--epochs", str(epochs), "--jobs", "1", "--test-limit", "256"]
        what += ["--train-limit", str(STEPS * 128), "--batch-size", "128", "--runs-dir", name, "--no-ui"]
        subprocess.run([sys.executable, "-P", "-m", "tui_attn", *what], check=True, stdout=sys.stderr)
        (folder,) = experiments(Path(name))
        follower = read_state(folder)
    about = follower.manifest
    print(f"{platform.machine()}, {os.cpu_count()} cores, {about.threads} threads, {about.precision}\n")
    print("| model | training step, ms | kin | of its kin's | operations, of its kin's |")
    print("| --- | ---: | --- | ---: | ---: |")
    steps, macs = {}, {}
    for run in follower.state.runs.values():
        times = [result.train_seconds for result in run.epochs]
        steps[run.model] = 1000 * statistics.median(after - before for before, after in pairwise(times)) / STEPS
        macs[run.model] = run.about["macs"]
    for model, step in steps.items():
        of = kin(model)
        print(f"| {model} | {step:.2f} | {of} | {step / steps[of]:.2f} | {macs[model] / macs[of]:.2f} |")


if __name__ == "__main__":
    main()
