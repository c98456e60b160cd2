"""A study: experiments planned together, in the study's folder, and the content of its `study.json`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from tui_attn.experiment.config import BY_FIELD, OPTIONS, ExperimentConfig
from tui_attn.experiment.finding import candidates, experiments, only_match
from tui_attn.experiment.folders import ID, ExperimentDir, FileIn
from tui_attn.experiment.manifest import MOST_BYTES, RunsError, checksum, point_in_time, with_checksum
from tui_attn.experiment.options import ConfigError
from tui_attn.system import liveness
from tui_attn.system.files import exclusive, read_json, write_atomically
from tui_attn.system.text import safe_text

FORMAT = "tui-attn-study"
_VERSION = 1
SWEEP, CURVE = "sweep", "curve"
_SETTINGS = {each.field for each in OPTIONS} - {"models", "dataset", "seed", "seeds", "name", "looks", "validation"}
_FINAL = "final-"


class Cell(NamedTuple):
    """One experiment of a study."""

    id: str
    """The name of its folder."""
    settings: Mapping[str, Any]
    """The fields of `ExperimentConfig` that differ from the study's."""

    @property
    def label(self) -> str:
        """Its settings as they are written on the command line: `lr=0.001 batch-size=64`."""
        shown = ((BY_FIELD[field], value) for field, value in self.settings.items())
        return " ".join(f"{option.name}={option.show(value) or 'none'}" for option, value in shown)


class StudyPlan(NamedTuple):
    """The content of `study.json`, fixed before training."""

    kind: str
    """`SWEEP` or `CURVE`."""
    created: float
    config: ExperimentConfig
    """The configuration that its experiments share; its name is the study's."""
    cells: tuple[Cell, ...]
    drawn: str = ""
    """How the cells of a random sweep were drawn."""
    winners: Mapping[str, str] = MappingProxyType({})
    """Model -> the cell that the validation split chose for it; empty before all cells are trained."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "format": FORMAT,
            "version": _VERSION,
            "kind": self.kind,
            "created": self.created,
            "config": self.config.to_json(),
            "cells": [{"id": cell.id, "settings": _plain(cell.settings)} for cell in self.cells],
            "drawn": self.drawn,
            "winners": dict(self.winners),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StudyPlan:
        """The inverse of `to_json`. Raises `ConfigError`, `KeyError`, `TypeError` or `ValueError`."""
        kind, cells = data["kind"], tuple(_cell(each) for each in data["cells"])
        if kind not in {SWEEP, CURVE} or len({cell.id for cell in cells}) != len(cells):
            raise ValueError("no study")
        plan = cls(
            kind=kind,
            created=point_in_time(data["created"]),
            config=ExperimentConfig.from_json(data["config"]),
            cells=cells,
            drawn=str(data.get("drawn", "")),
            winners={str(model): str(cell) for model, cell in dict(data.get("winners", {})).items()},
        )
        for cell in (*plan.cells, *plan.finals):
            plan.cell_config(cell)
        return plan

    @property
    def selects(self) -> bool:
        """Whether the cells are evaluated on validation splits, and winners on the test set."""
        return self.kind == SWEEP and self.config.validation is not None

    @property
    def finals(self) -> tuple[Cell, ...]:
        """The experiments that train winners again with new seeds, on the test set: one for each winning cell."""
        won = dict.fromkeys(self.winners.values())
        return tuple(Cell(f"{_FINAL}{cell.id}"[:64], cell.settings) for cell in self.cells if cell.id in won)

    def final_models(self, cell: Cell) -> tuple[str, ...]:
        """The models that the final `cell` trains."""
        return tuple(model for model in self.config.models if f"{_FINAL}{self.winners.get(model)}"[:64] == cell.id)

    def cell_config(self, cell: Cell) -> ExperimentConfig:
        """The configuration of the experiment `cell`. Raises `ConfigError`."""
        config = replace(self.config, **cell.settings, name=cell.label or None)
        if not cell.id.startswith(_FINAL):
            return config
        models = self.final_models(cell)
        custom = tuple(model for model in config.custom_models if model.name in models)
        return replace(
            config,
            name=f"final {cell.label}".strip(),
            models=models,
            custom_models=custom,
            controls=False,
            validation=None,
            seed=config.seed + config.seeds,
        )


@dataclass(frozen=True, slots=True)
class StudyDir:
    """The files of a study; its experiments are subfolders."""

    path: Path

    @property
    def id(self) -> str:
        """The study's id, its folder's name."""
        return self.path.name

    file = FileIn("study.json")
    """The plan."""
    lock = FileIn("study.lock")
    """Held by the process that trains the experiments one after another."""
    log = FileIn("study.log")
    """What that process printed."""

    @property
    def running(self) -> bool:
        """Whether that process is alive on this host."""
        return liveness.holder(self.lock) is not None

    def member(self, cell: Cell) -> ExperimentDir:
        """The experiment of `cell`, which may not have begun."""
        return ExperimentDir(self.path / cell.id)

    def members(self) -> Iterator[ExperimentDir]:
        """Its experiments that have begun, newest first. Raises `RunsError`."""
        return experiments(self.path)

    def begun(self, cell: Cell) -> bool:
        """Whether the experiment of `cell` has begun."""
        member = self.member(cell)
        return member.manifest.is_file() and not member.path.is_symlink()

    def plan(self) -> StudyPlan:
        """Read the plan. Raises `RunsError`."""
        data = read_json(self.file, limit=MOST_BYTES)
        where = safe_text(self.path, one_line=True)
        if data is None or data.get("format") != FORMAT:
            raise RunsError(f"{where}/study.json is damaged: restore it from a copy")
        if data.get("version") != _VERSION:
            raise RunsError(f"{where} was written by a later version of tui-attn: update tui-attn to read it")
        try:
            if data.get("crc") != checksum(data):
                raise ValueError("its checksum is wrong")
            return StudyPlan.from_json(data)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
            raise RunsError(f"{where}/study.json is damaged: restore it from a copy") from None

    def write(self, plan: StudyPlan) -> None:
        """Write the plan atomically. Raises `OSError`."""
        write_atomically(self.file, with_checksum(plan.to_json()))

    def change(self, **fields: Any) -> StudyPlan:
        """Replace fields of the plan, one process at a time. Raises `RunsError` and `OSError`."""
        with exclusive(self.path / "experiment.lock"):
            changed = self.plan()._replace(**fields)
            self.write(changed)
        return changed


def is_study(folder: Path) -> bool:
    """Whether this program made `folder` as a study."""
    return os.path.lexists(folder / "study.json") and (read_json(folder / "study.json") or {}).get("format") == FORMAT


def studies(runs_dir: Path) -> Iterator[StudyDir]:
    """The studies under `runs_dir`, newest first. Raises `RunsError` where it can't be read."""
    try:
        names = sorted((path.name for path in candidates(runs_dir) if is_study(path)), reverse=True)
    except FileNotFoundError:
        return
    yield from (StudyDir((runs_dir / name).absolute()) for name in names)


def find_study(runs_dir: Path, name: str | None) -> StudyDir | None:
    """The study called `name`, by id, the start of one, display name or path; None where an experiment is meant.

    Without a name, the newest study if it is newer than every experiment. Raises `RunsError` where a name fits several.
    """
    if name is None:
        newest = next(studies(runs_dir), None)
        other = next(experiments(runs_dir), None)
        if newest is None or other is None:
            return newest
        return newest if newest.plan().created > other.manifest_data().created else None
    place = Path(name).expanduser() if "/" in name else runs_dir / name
    if is_study(place):
        return StudyDir(place.absolute())
    if "/" in name or (ID.fullmatch(name) and (runs_dir / name).is_dir()):
        return None
    called = [study for study in studies(runs_dir) if study.id.startswith(name) or _name(study) == name]
    if not called or any(folder.id.startswith(name) for folder in experiments(runs_dir)):
        return None
    where = safe_text(runs_dir, one_line=True)
    return only_match(name, called, _name, where=where, lists="tui-attn ls")


def _name(study: StudyDir) -> str | None:
    try:
        return study.plan().config.name
    except RunsError:
        return None


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}


def _cell(data: Mapping[str, Any]) -> Cell:
    id_, settings = str(data["id"]), dict(data["settings"])
    if not ID.fullmatch(id_) or not settings.keys() <= _SETTINGS:
        raise ConfigError("no cell of a study")
    return Cell(id_, {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()})
