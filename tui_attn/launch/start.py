"""From a configuration to a supervised experiment: the same steps for the command line and for the form."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tui_attn import data, export
from tui_attn.data import Progress
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.launch import custom_models, devices, steering


class CancelledError(Exception):
    """Whoever asked for a start has thought better of it; nothing was made."""


@dataclass(frozen=True, slots=True)
class Started:
    """An experiment and the process that supervises it, which is this process's child."""

    folder: ExperimentDir
    supervisor: subprocess.Popen[bytes]


def start(
    config: ExperimentConfig,
    *,
    runs_dir: Path,
    progress: Progress | None = None,
    may_create: Callable[[], bool] = lambda: True,
    tell: Callable[[str], object] = lambda _: None,
) -> Started:
    """Get the data set of `config`, try its models of one's own, make its experiment's folder, start its supervisor.

    Nothing is made in `runs_dir` before the data set is here and the models can be trained; then `may_create` is asked
    once more. `tell` hears what is odd about the models. `progress` and `tell` may raise to break off. Raises
    `ConfigError`, `DataError`, `RunsError`, `LaunchError` and `CancelledError`.
    """
    if config.tensorboard:
        export.require_tensorboard()
    config = replace(config, dataset=data.parse_dataset(config.dataset))  # a folder's path is made absolute
    machine = devices.probe()
    devices.choose(config.device, machine)
    where = Path(config.data_dir) if config.data_dir else None
    located = data.ensure(config.dataset, where, progress=progress)
    config, sources = custom_models.prepare(config, tell)
    if not may_create():
        raise CancelledError
    folder = steering.create(config, runs_dir=runs_dir, data=_found(located), machine=machine, sources=sources)
    return Started(folder, steering.start_supervisor(folder))


def _found(located: data.Located) -> dict[str, Any]:
    """What the manifest keeps of where the data set lies."""
    return {
        "root": str(located.root),
        "files": [str(file) for file in located.files],
        "source": located.source,
        "version": located.version,
    }


class Attempt:
    """A start that may be cancelled until its folder is made. Its methods may be called from any thread."""

    def __init__(self, config: ExperimentConfig, runs_dir: Path) -> None:
        self._config = config
        self._runs_dir = runs_dir
        self._lock = threading.Lock()
        self._cancelled = self._created = False

    def run(self, progress: Progress) -> Started:
        """Start. Raises what `start` raises."""

        def heard(phase: str, done: int, total: int | None) -> None:
            if self._cancelled:
                raise CancelledError
            progress(phase, done, total)

        return start(
            self._config,
            runs_dir=self._runs_dir,
            progress=heard,
            may_create=self._may_create,
            tell=lambda text: heard(text, 0, None),
        )

    def cancel(self) -> bool:
        """Break off, as soon as the step in progress allows; False when the experiment is there already."""
        with self._lock:
            self._cancelled = not self._created
            return self._cancelled

    def _may_create(self) -> bool:
        with self._lock:
            self._created = not self._cancelled
            return self._created
