"""Starts the process that intervenes on trained networks; its results are files that `tui_attn.compare` reads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import IO

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.supervision.workers import worker_environment


def start(
    folder: ExperimentDir, runs: Sequence[str] = (), *, stderr: int | IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Begin to intervene on `runs` of an experiment, or on all finished ones of models with attention.

    Ends with 0 when all of them have results, with 1 when some could not be had, and with 2 when it could not begin. It
    says on `stderr`, by default this process's own, what it does and what went wrong, a line each; it finishes the runs
    it can. It may be ended by a signal at any time; results that are complete are kept. Raises `RunsError`.
    """
    manifest = folder.manifest_data()
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "tui_attn.train.interventions", str(folder.path), *runs],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env=worker_environment(manifest.threads, crowded=True),
    )
