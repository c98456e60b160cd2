"""The launcher for each engine."""

from __future__ import annotations

from tui_attn.engines.mailbox import mailboxes
from tui_attn.engines.pipe import LocalLauncher, RemoteLauncher
from tui_attn.engines.ray_workers import RayLauncher
from tui_attn.engines.slurm import SlurmLauncher, dismiss
from tui_attn.engines.workers import Launcher
from tui_attn.experiment.engine_spec import FORMS, EngineSpec
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import RunsError


def launcher_for(spec: EngineSpec, folder: ExperimentDir) -> Launcher:
    """What starts the workers of `folder` on `spec`. Raises `RunsError`."""
    match spec.engine:
        case "local":
            launcher: Launcher = LocalLauncher(folder)
        case "slurm-alloc" | "ssh":
            launcher = RemoteLauncher(folder, spec.hosts)
        case "slurm":
            return SlurmLauncher(folder, spec)
        case "ray":
            launcher = RayLauncher(folder, spec.address)
        case engine:
            raise RunsError(f"{engine} is no engine: use one of {', '.join(FORMS)}")
    for mailbox in mailboxes(folder):  # of jobs that were submitted before the experiment moved to another engine
        dismiss(mailbox)
    return launcher
