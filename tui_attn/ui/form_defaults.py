"""What a new experiment starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tui_attn.experiment import trust
from tui_attn.experiment.config import MODEL_CLASSES, ConfigError, ExperimentConfig
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import RunsError


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the entries come from."""

    id: str
    """The experiment's id, or empty."""
    config: ExperimentConfig
    usual: ExperimentConfig
    """What holds where nobody says anything."""
    usual_runs_dir: Path


def find_origin(runs_dir: Path, folder: ExperimentDir | None, said: Mapping[str, Any]) -> Origin:
    """Start from the experiment in `folder`, else from the newest one, else from what the configuration file says.

    `said` is that: fields of `ExperimentConfig`, and `runs_dir`. What can't be read is passed over.
    """
    usual = _usual({key: value for key, value in said.items() if key != "runs_dir"})
    id_, config = "", usual
    try:
        folder = folder or next(experiments(runs_dir), None)
        if folder is not None:
            id_, config = folder.id, _to_start_from(folder.manifest_data().config)
    except RunsError:
        pass
    return Origin(id_, config, usual, Path(said.get("runs_dir", "runs")))


def _usual(said: dict[str, Any]) -> ExperimentConfig:
    try:
        return ExperimentConfig(**said)
    except ConfigError:
        return ExperimentConfig()


def _to_start_from(config: ExperimentConfig) -> ExperimentConfig:
    """What of another experiment's configuration is taken: not its name, nor code that this user never named."""
    kept = [
        model
        for model in config.models
        if model in MODEL_CLASSES or trust.is_trusted(str(config.custom_model(model).sha256))
    ]
    specs = dict(zip(config.models, config.model_specs, strict=True))
    models = tuple(specs[model] for model in kept) or tuple(MODEL_CLASSES)
    return replace(config, models=models, custom_models=(), name=None)
