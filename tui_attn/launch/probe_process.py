"""Starts the process that intervenes on trained networks; its results are files that `tui_attn.compare` reads."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import IO

from tui_attn.engines.workers import worker_environment
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import Manifest
from tui_attn.launch import choosing, devices
from tui_attn.system import children


def start(
    folder: ExperimentDir, runs: Sequence[str] = (), *, stderr: int | IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Begin to intervene on `runs` of an experiment, or on all finished ones of models with attention.

    Its exit code is 0 when all of them have results, 1 when some have none, and 2 when it could not begin. It reports
    progress and errors on `stderr`, by default this process's own, one line each. It may be ended by a signal at any
    time; complete results are kept. Raises `RunsError`.
    """
    manifest = folder.manifest_data()
    return children.python(
        "tui_attn.train.interventions",
        folder.path.absolute(),
        *runs,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        environment=worker_environment(manifest.threads, crowded=True, uuid=_gpu_here(manifest)),
    )


def _gpu_here(manifest: Manifest) -> str | None:
    """The UUID of the first GPU of the training, or of another one of its model; empty if missing, None if unknown."""
    if not manifest.gpus:
        return None
    machine = devices.probe()
    found = choosing.same_gpus(manifest, machine)
    about = machine.about(found[0]) if found else None
    return about.uuid if about is not None and about.uuid else ""
