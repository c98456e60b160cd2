"""Recorded experiments for the report, with results of interventions that no network was needed for."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.recorded import record
from tui_attn.compare.interventions import KINDS, LAYERS, Intervention, Interventions, path_in, to_json
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state


def experiment(folder: Path, *, effects: bool = True, **options: Any) -> ExperimentDir:
    """A small recorded experiment: three models, two seeds, two epochs, unless `options` say otherwise."""
    settings = {name: options.pop(name) for name in list(options) if name in ExperimentConfig.__dataclass_fields__}
    config = ExperimentConfig(**{"epochs": 2, "seeds": 2, **settings})
    made = record(folder, config=config, **{"test_size": 400, "points_per_epoch": 20, **options})
    if effects:
        intervene(made)
    return made


def intervene(folder: ExperimentDir, shift: float = 0.0) -> None:
    """Results of interventions for every finished run, all with effects around `shift`."""
    for run in read_state(folder).state.runs.values():
        if run.model not in KINDS or run.state != "finished" or not run.weights_sha256:
            continue
        rng = np.random.default_rng(int(hashlib.sha256(run.id.encode()).hexdigest()[:8], 16))
        accuracy = run.epochs[-1].test_accuracy
        items = []
        for kind in KINDS[run.model]:
            for layer in LAYERS[run.model]:
                delta = shift + float(rng.normal(0, 0.002))
                items.append(
                    Intervention(
                        kind=kind,
                        layer=layer,
                        accuracy=accuracy + delta,
                        delta=delta,
                        ci95=(delta - 0.003, delta + 0.003),
                        lost=max(0.0, -delta),
                        gained=max(0.0, delta),
                        draws=1,
                        channels=(1, 2, 3, 4) if kind == "most-open-off" and layer != "all" else None,
                        changed=0.01 + abs(delta),
                        loss=0.25 - delta,
                    )
                )
        found = Interventions(
            run=run.id,
            model=run.model,
            seed=run.seed,
            weights_sha256=run.weights_sha256,
            test_size=400,
            accuracy=accuracy,
            precision="fp32",
            seconds=1.5,
            interventions=tuple(items),
            loss=0.25,
        )
        path_in(folder.run(run.id)).write_text(json.dumps(to_json(found)))
