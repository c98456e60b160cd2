"""Exports: event files for TensorBoard, tables as CSV and LaTeX, weights as safetensors with a model card.

The only package that imports tensorboard, inside functions: it is an optional dependency.
"""

from __future__ import annotations

from pathlib import Path

from tui_attn.experiment.follower import Follower
from tui_attn.export.outfolder import ExportError, OutFolder
from tui_attn.export.tensorboard import TensorBoardExport, require_tensorboard, write_event_files

KINDS = ("tensorboard", "csv", "latex", "safetensors")

__all__ = ["KINDS", "ExportError", "TensorBoardExport", "export", "require_tensorboard"]


def export(follower: Follower, kind: str, out: Path | None = None, run: str | None = None) -> tuple[Path, list[str]]:
    """Export an experiment, or one `run` of it; return the folder, and what was left out and why.

    `kind` is one of `KINDS`. `out` is by default the experiment's own folder for tensorboard, else `<id>-export` in
    the working directory. Raises `ExportError`.
    """
    if kind == "tensorboard":
        require_tensorboard()
    if run is not None and run not in follower.state.runs:
        known = ", ".join(follower.state.runs) or "none yet"
        raise ExportError(f"{follower.folder.id} has no run '{run}': it has {known}")
    if kind == "tensorboard":
        return write_event_files(follower.folder, out, run)
    from tui_attn.export.tables import write_latex, write_tables
    from tui_attn.export.weights import write_weights

    folder = OutFolder(Path(f"{follower.folder.id}-export") if out is None else out, follower.folder.id)
    with folder:
        write = {"csv": write_tables, "latex": write_latex, "safetensors": write_weights}[kind]
        problems = write(follower, folder, run)
    return folder.path, problems
