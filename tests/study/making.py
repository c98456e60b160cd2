"""Recorded studies: members with known accuracies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.recorded import T0, record
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.study import CURVE, SWEEP, Cell, StudyDir, StudyPlan

Accuracies = Mapping[str, Sequence[float]]


def write_study(
    runs_dir: Path,
    config: ExperimentConfig,
    settings: Sequence[Mapping[str, Any]],
    accuracies: Sequence[Accuracies],
    *,
    name: str = "20231114-221320-sweep",
    kind: str = SWEEP,
    created: float = T0,
    states: Mapping[int, Mapping[str, str]] | None = None,
) -> StudyDir:
    """A study whose first cells have these accuracies, by model in the order of the seeds; the others haven't begun."""
    cells = tuple(Cell(f"{number}-cell", each) for number, each in enumerate(settings, start=1))
    plan = StudyPlan(kind=kind, created=created, config=config, cells=cells)
    study = StudyDir(runs_dir.absolute() / name)
    study.path.mkdir(parents=True)
    study.write(plan)
    for number, (cell, found) in enumerate(zip(cells, accuracies, strict=False)):
        write_member(study, plan, cell, found, states=(states or {}).get(number, {}))
    return study


def write_member(
    study: StudyDir, plan: StudyPlan, cell: Cell, accuracies: Accuracies, states: Mapping[str, str] | None = None
) -> None:
    """The finished experiment of `cell`."""
    record(
        study.path,
        experiment=cell.id,
        config=plan.cell_config(cell),
        accuracies=accuracies,
        states=dict(states or {}),
        predictions=False,
        probes=False,
    )


def curve(runs_dir: Path, config: ExperimentConfig, sizes: Sequence[int], found: Sequence[Accuracies]) -> StudyDir:
    return write_study(runs_dir, config, [{"train_limit": size} for size in sizes], found, kind=CURVE)
