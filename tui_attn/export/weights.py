"""The weights of finished runs as a folder each: model.safetensors, config.json, README.md and the network's code."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import tui_attn
from tui_attn.compare.archives import ArchiveError, read_weights
from tui_attn.compare.summary import summarise
from tui_attn.experiment.custom_model import CustomModelError, read_source, sha256
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.model_info import info_of
from tui_attn.experiment.reducer import RunState
from tui_attn.export.card import OWN_MODULE, Card
from tui_attn.export.outfolder import ExportError, OutFolder


def write_weights(follower: Follower, out: OutFolder, only: str | None = None) -> list[str]:
    """Write a folder for each finished run, or for the one called `only`; returns why runs were left out.

    The weights are a copy of the training's file, whose digest is checked. Raises `ExportError` where no run can be
    exported.
    """
    summary = summarise(follower)
    problems: list[str] = []
    written = 0
    for run in _asked(follower, only):
        if not run.about:
            problems.append(f"{run.id}: its log doesn't say what it is")
            continue
        try:
            content = read_weights(follower.folder.run(run.id), run.weights_sha256)
            code = _network_code() if info_of(run.model) else _own_code(follower, run.model)
        except (ArchiveError, CustomModelError) as error:
            problems.append(f"{run.id}: {'' if isinstance(error, CustomModelError) else 'weights.safetensors '}{error}")
            continue
        card = Card(follower, summary, run)
        files = {
            "model.safetensors": content,
            "config.json": json.dumps(card.config(), indent=2).encode() + b"\n",
            "README.md": card.text().encode(),
            **code,
        }
        for name, data in files.items():
            with out.file(f"{run.id}/{name}") as file:
                file.write(data)
        written += 1
    if not written:
        raise ExportError(problems[0] if problems else f"{follower.folder.id} has no finished run to export")
    return problems


def _asked(follower: Follower, only: str | None) -> list[RunState]:
    runs = [run for run in follower.state.runs.values() if only in {None, run.id}]
    finished = [run for run in runs if run.state == "finished" and run.epochs]
    if only is not None and runs and not finished:
        raise ExportError(f"{only} is {runs[0].state}, not finished: its weights are not final")
    return finished


def _network_code() -> dict[str, bytes]:
    """The files of `tui_attn.models` and their licence by name, read without importing them."""
    folder = Path(tui_attn.__file__).parent / "models"
    found = {f"models/{path.name}": path.read_bytes() for path in sorted(folder.glob("*.py"))}
    for path in importlib.metadata.files("tui-attn") or ():
        if path.name == "LICENSE":
            found["models/LICENSE"] = path.read_binary()
    return found


def _own_code(follower: Follower, model: str) -> dict[str, bytes]:
    """The file of a custom model. Raises `CustomModelError` where it was altered."""
    source = read_source(follower.folder.custom_model(model), follow_links=False)
    if sha256(source) != follower.manifest.config.custom_model(model).sha256:
        raise CustomModelError("the code of its network was altered since it was trained")
    return {f"{OWN_MODULE}.py": source}
