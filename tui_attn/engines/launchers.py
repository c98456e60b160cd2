"""The launcher for each engine."""

from __future__ import annotations

from tui_attn.engines.pipe import LocalLauncher, RemoteLauncher
from tui_attn.engines.workers import Launcher
from tui_attn.experiment.engine_spec import EngineSpec
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import RunsError


def launcher_for(spec: EngineSpec, folder: ExperimentDir) -> Launcher:
    """What starts the workers of `folder` on `spec`. Raises `RunsError`."""
    match spec.engine:
        case "local":
            return LocalLauncher(folder)
        case "slurm-alloc" | "ssh":
            return RemoteLauncher(folder, spec.hosts)
        case _:
            raise RunsError(f"--on {spec.engine} is not built yet: use local, ssh:HOST or slurm-alloc")
