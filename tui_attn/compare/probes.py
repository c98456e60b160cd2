"""A run's newest heatmaps, and those of its untrained network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tui_attn.compare.archives import ArchiveError, read_archive
from tui_attn.compare.heatmaps import HeatmapFacts, heatmap_facts
from tui_attn.experiment.folders import ID, ExperimentDir
from tui_attn.experiment.reducer import RunState

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Probes:
    """The arrays of a run's probes, by the names that `tui_attn.train.probe.collect` gives them."""

    epoch: int
    """Of the newest probe."""
    trained: dict[str, NDArray[Any]]
    untrained: dict[str, NDArray[Any]] | None
    """Of epoch 0; None where it is missing or damaged."""
    facts: list[HeatmapFacts]
    """By layer."""


def load_probes(folder: ExperimentDir, run: RunState, epoch: int | None = None) -> Probes:
    """The newest heatmaps of `run`, or those of an epoch, beside the untrained ones.

    Raises `ArchiveError` where there are none, or they can't be read.
    """
    files = dict(run.probes)
    epoch = max(files, default=0) if epoch is None else epoch
    if epoch not in files:
        raise ArchiveError("there is no probe of this run" if not files else f"there is no probe of epoch {epoch}")
    trained = _load(folder, run, files[epoch])
    try:
        untrained = _load(folder, run, files[0]) if 0 in files else None
    except ArchiveError:
        untrained = None
    return Probes(epoch, trained, untrained, heatmap_facts(trained, untrained))


def _load(folder: ExperimentDir, run: RunState, file: str) -> dict[str, NDArray[Any]]:
    if not ID.fullmatch(file):
        raise ArchiveError("is not a probe's name")
    return read_archive(folder.run(run.id).probes / file)
