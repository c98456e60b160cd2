"""Previews what a start, resume or extension would train, where and for how long. Nothing is started or fetched."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tui_attn.experiment import writing
from tui_attn.experiment.config import ExperimentConfig, Plan
from tui_attn.experiment.folders import ExperimentDir, run_id
from tui_attn.experiment.follower import read_state
from tui_attn.launch import choosing, placement, preflight, starting
from tui_attn.launch.control import LaunchError, check_owner
from tui_attn.launch.estimate import Guess, MemoryEstimate, estimate_memory, guess, paces
from tui_attn.supervision.scheduling import make_slots
from tui_attn.system.text import safe_text


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be trained."""

    config: ExperimentConfig
    plan: Plan | None
    """None: none was recorded before training."""
    runs: tuple[str, ...]
    devices: tuple[str, ...]
    precision: str
    threads: int
    """Of each worker."""
    data: str
    """Whether the data set is here, in words."""
    sizes: tuple[int, int] | None
    """Training and test images; None where only reading the data set would tell."""
    memory: MemoryEstimate | None
    time: Guess | None
    whole: bool = True
    """Whether it is a new experiment; for one that continues, the time is an upper bound."""

    @property
    def workers(self) -> int:
        """The number of processes that would train."""
        runs = max(len(self.runs), 1)
        here = self.config.engine.here
        return len(make_slots(self.devices, self.config.jobs)[:runs]) if here else placement.workers(self.config, runs)

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Labels and texts for people."""
        config, sizes = self.config, self.sizes
        images = "" if sizes is None else f", {sizes[0]:,} training and {sizes[1]:,} test images"
        workers = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        looks = self.plan and " and ".join(map(str, self.plan.looks))
        margin = 100 * self.plan.margin if self.plan else config.margin
        time = "no estimate: the data set can't be read" if self.time is None else self.time.words()
        memory = "no estimate: the data set can't be read" if self.memory is None else self.memory.words()
        jobs = placement.submission(config, len(self.runs))
        bound = "" if self.whole or self.time is None or self.time.missing else "at most "
        return [
            ("runs", f"{len(self.runs)}: {' '.join(self.runs)}"),
            ("data", safe_text(f"{config.dataset}{images}: {self.data}", one_line=True)),
            ("training", f"{config.epochs} epochs, batch {config.batch_size}, learning rate {config.lr:g}"),
            ("device", f"{', '.join(self.devices)}, {self.precision} precision, {workers} x {self.threads} threads"),
            *([("jobs", jobs)] if jobs else []),
            ("verdicts", f"{f'at {looks} seeds' if looks else 'without a plan'}, margin {margin:g} points"),
            ("memory", memory),
            ("time", bound + time),
        ]

    def to_json(self) -> dict[str, Any]:
        """The same for programs; null for what isn't known."""
        time = self.time
        return {
            "runs": list(self.runs),
            "config": self.config.to_json(),
            "devices": list(self.devices),
            "precision": self.precision,
            "threads": self.threads,
            "workers": self.workers,
            "jobs": placement.submission(self.config, len(self.runs)) or None,
            "data": self.data,
            "train_images": self.sizes and self.sizes[0],
            "test_images": self.sizes and self.sizes[1],
            "memory_bytes": None if self.memory is None else self.memory.total,
            "seconds": None if time is None or time.missing else [time.low, time.high],
        }


def preview_start(config: ExperimentConfig, runs_dir: Path, tell: placement.Tell) -> Preview:
    """What `starting.start` would train; `tell` gets remarks on the devices.

    Raises `ConfigError`, `DataError`, `ExportError`, `LaunchError` and `RunsError`.
    """
    writing.check_place(runs_dir)
    config, machine, chosen = starting.prepare(config, tell)
    if config.custom_models:
        found = preflight.of_custom_models(",".join(model.spec for model in config.custom_models))
        _refuse(found.status)
        config = found.signed(config)
    return _preview(
        config,
        runs_dir,
        [run_id(model, seed) for seed in config.seed_list for model in config.models],
        plan=config.plan,
        devices=chosen,
        precision=choosing.precision(config.precision, chosen, machine) if config.engine.here else config.precision,
        threads=placement.chosen_threads(config.engine),
    )


def preview_rest(folder: ExperimentDir, seeds: int | None = None) -> Preview:
    """The runs that an experiment lacks, or lacks to reach `seeds` seeds. Raises `RunsError` and `LaunchError`."""
    check_owner(folder)
    follower = read_state(folder)
    manifest, known = follower.manifest, follower.state.runs
    config = manifest.config if seeds is None else replace(manifest.config, seeds=max(seeds, manifest.config.seeds))
    wanted = [run_id(model, seed) for seed in config.seed_list for model in config.models]
    runs = [run for run in wanted if run not in known or known[run].state not in {"finished", "skipped"}]
    where = {"devices": manifest.devices, "precision": manifest.precision, "threads": manifest.threads}
    return _preview(config, folder.path.parent, runs, plan=manifest.plan, whole=False, **where)


def _preview(config: ExperimentConfig, runs_dir: Path, runs: Sequence[str], **known: Any) -> Preview:
    """The preview with these facts `known`, and what follows from them."""
    found = preflight.of_data(config.dataset, config.data_dir)
    _refuse(found.status)
    sizes = None if found.sizes is None else config.sizes(*found.sizes)
    config = config if sizes is None else config.with_epochs(sizes[0])
    rounds = replace(config, seeds=max(math.ceil(len(runs) / len(config.models)), 1))
    memory = None if sizes is None else estimate_memory(config, known["devices"], sizes)
    time = guess(rounds, known["devices"], paces(runs_dir, platform.node()), sizes)
    return Preview(
        config=config, runs=tuple(runs), data=found.status.text, sizes=sizes, memory=memory, time=time, **known
    )


def _refuse(status: preflight.FieldStatus) -> None:
    if status.level == "wrong":
        raise LaunchError(status.text)
