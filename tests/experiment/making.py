"""Experiments that have said nothing yet, and how they are listed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.recorded import scene
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.finding import experiments, find_experiment
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.writing import write_manifest
from tui_attn.system.text import has_control_characters

NOW = 1_700_000_000.0


def make(runs_dir: Path, experiment: str, *, created: float = NOW, name: str | None = None) -> ExperimentDir:
    """An experiment that has said nothing yet."""
    folder = scene(runs_dir, "empty", experiment=experiment, config=ExperimentConfig(name=name))
    write_manifest(folder, replace(folder.manifest_data(), created=created))
    return folder


def listed(runs_dir: Path) -> list[str]:
    """The ids of the experiments, in the order in which they are listed."""
    return [folder.id for folder in experiments(runs_dir)]


def refused(runs_dir: Path, name: str | None) -> str:
    """The message with which `name` is refused; one line, fit to be shown."""
    with pytest.raises(RunsError) as caught:
        find_experiment(runs_dir, name)
    assert not has_control_characters(str(caught.value))
    return str(caught.value)
