"""How often heatmaps are called learned after training on random labels, and after training on the true ones.

    python benchmarks/random_labels.py RUNS_DIR [--seeds 50]

Trains se, self-attention and their random-label twins on 6,000 images of Fashion-MNIST for 3 epochs, and counts the
networks of which at least one heatmap is called learned: against the untrained weights alone, as without twins, and for
the true labels against the twin as well. Called again, it continues where it was stopped; it counts the seeds of which
all four networks have finished. Prints tables in Markdown.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tui_attn.compare.heatmaps import HeatmapFacts, heatmap_facts, load_probes
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.model_info import twin_name

MODELS = ("se", "self-attention")
SETTINGS = ("--train-limit", "6000", "--epochs", "3", "--test-limit", "1000", "--looks", "none")
"""The images of a probe are among the first 1,000 test images."""


def train(runs_dir: Path, seeds: int) -> ExperimentDir:
    """Start the experiment, or continue it."""
    program = [sys.executable, "-P", "-m", "tui_attn"]
    if not any(experiments(runs_dir)):
        what = ("--models", ",".join(MODELS), "--twin", "labels", "--seeds", str(seeds), *SETTINGS)
        subprocess.run([*program, "--no-ui", "--runs-dir", str(runs_dir), *what], check=True, stdout=sys.stderr)
    else:
        subprocess.run([*program, "resume", "--no-ui", "--runs-dir", str(runs_dir)], check=True, stdout=sys.stderr)
    return next(experiments(runs_dir))


def count(folder: ExperimentDir) -> None:
    """Print how many networks have a heatmap that is called learned."""
    runs = {(run.model, run.seed): run for run in read_state(folder).state.runs.values() if run.state == "finished"}
    names = [name for model in MODELS for name in (model, str(twin_name(model)))]
    seeds = [seed for model, seed in runs if model == MODELS[0] and all((name, seed) in runs for name in names)]
    learned: Counter[str] = Counter()
    layers: Counter[tuple[str, str]] = Counter()
    changes: Counter[tuple[str, str, str]] = Counter()
    for name in names:
        for seed in seeds:
            probes = load_probes(folder, runs[name, seed])
            alone = heatmap_facts(probes.trained, probes.untrained)
            learned[f"{name}, against the untrained weights"] += any(facts.learned for facts in alone)
            if name in MODELS:
                learned[f"{name}, against the twin as well"] += any(facts.learned for facts in probes.facts)
            for facts in alone:
                layers[name, facts.layer] += facts.learned is True
                for what, change in _changes(facts):
                    changes[f"{name}, {facts.layer}", what, change] += 1
    print(f"{len(seeds)} seeds; {os.cpu_count()} cores, {platform.machine()}\n")
    print("| network | at least one heatmap is called learned |\n| --- | ---: |")
    for name, number in learned.items():
        print(f"| {name} | {number} of {len(seeds)} |")
    print("\n| network | heatmap | called learned |\n| --- | --- | ---: |")
    for (name, layer), number in layers.items():
        print(f"| {name} | {layer} | {number} of {len(seeds)} |")
    print("\n| heatmap | pattern | against the untrained weights | of |\n| --- | --- | --- | ---: |")
    for (name, what, change), number in sorted(changes.items()):
        print(f"| {name} | {what} | {change} | {number} |")


def _changes(facts: HeatmapFacts) -> list[tuple[str, str]]:
    return [("levels", str(facts.levels.change)), ("classes", str(facts.classes.change))]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs_dir", type=Path)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--count", action="store_true", help="train nothing; count what there is")
    given = parser.parse_args()
    found = next(experiments(given.runs_dir)) if given.count else train(given.runs_dir, given.seeds)
    count(found)
