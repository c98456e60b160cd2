"""Computes what the comparison shows, in threads that the screen never waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_attn.compare.predictions import class_results
from tui_attn.compare.summary import Summary, summarise
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.reducer import EXPERIMENT_ENDED

if TYPE_CHECKING:
    from tui_attn.compare.effects import Effects
    from tui_attn.compare.predictions import ClassResults
    from tui_attn.experiment.follower import Follower
    from tui_attn.experiment.reducer import RunState
    from tui_attn.ui.comparison.disagreements import Disagreement


@dataclass(frozen=True, slots=True)
class Overview:
    """The comparison as `summarise` and `remarks` give it."""

    summary: Summary
    remarks: Sequence[str]
    runs: Mapping[str, RunState]
    """By id; empty where only the summary is known."""
    workers: int = 1
    """How many runs train at once."""
    folder: Path | None = None
    """Of the experiment, where it is one."""

    @property
    def ended(self) -> bool:
        """Whether nothing trains any more."""
        return self.summary.state in EXPERIMENT_ENDED or self.summary.state == "lost"


@dataclass(frozen=True, slots=True)
class Details:
    """What takes longer to read than the overview may: predictions and interventions."""

    classes: Sequence[ClassResults]
    no_classes: Sequence[str]
    """In words, which runs have no usable predictions."""
    effects: Sequence[Effects]
    no_effects: Sequence[str]


@dataclass(frozen=True, slots=True)
class Choices:
    """What the reader chose."""

    target: float | None = None
    """The accuracy that the time is taken to, a fraction; None: the highest that all reached."""
    difference: float = 0.01
    """The difference that seeds are counted for."""
    more: int | None = None
    """How many more seeds to train; None: as many as show the difference."""


class Source:
    """Where a comparison comes from. Its methods are called in threads, one at a time."""

    folder: ExperimentDir | None = None
    """The experiment, where it is one: only then are there details, more seeds and interventions."""

    def overview(self) -> Overview:
        """Compute it from the logs as they stand. Raises `RunsError`."""
        raise NotImplementedError

    def details(self) -> Details | None:
        """What the other pages show; None where there is only an overview."""
        return None

    def disagreement(self, first: str, second: str) -> Disagreement | str:
        """The images on which two runs disagree, or in words why there are none to show."""
        raise NotImplementedError


class ExperimentSource(Source):
    """The comparison of one experiment."""

    def __init__(self, folder: ExperimentDir) -> None:
        self.folder: ExperimentDir = folder
        self._follower: Follower | None = None
        self._one_at_a_time = threading.Lock()
        self._images: Any = None

    def overview(self) -> Overview:
        """Read what is new in the logs, and compare."""
        from tui_attn.compare.remarks import find_remarks

        with self._one_at_a_time:
            follower = self._follower
            if follower is None:
                follower = self._follower = read_state(self.folder)
            else:
                follower.poll()
            summary = summarise(follower)
            manifest = follower.manifest
            workers = manifest.config.jobs or len(manifest.devices)
            runs = dict(follower.state.runs)
            return Overview(summary, find_remarks(follower, summary), runs, max(workers, 1), self.folder.path)

    def details(self) -> Details | None:
        """Read predictions and results of interventions, of the runs that the overview is of."""
        from tui_attn.compare.effects import effects_of

        with self._one_at_a_time:
            follower = self._follower
            if follower is None:
                return None
            return Details(*class_results(follower), *effects_of(follower))

    def disagreement(self, first: str, second: str) -> Disagreement | str:
        """Read both runs' predictions, and once the test images."""
        from tui_attn.ui.comparison.disagreements import find_test_images, read_disagreement

        with self._one_at_a_time:
            follower = self._follower
            if follower is None:
                return "the logs are not read yet"
            if self._images is None:
                self._images = find_test_images(follower.manifest)
            return read_disagreement(follower, first, second, self._images)


class GivenSource(Source):
    """A comparison that comes ready-made, as that of several experiments together does."""

    def __init__(self, compute: Callable[[], tuple[Summary, Sequence[str]]]) -> None:
        self._compute = compute

    def overview(self) -> Overview:
        """Summary and remarks."""
        return Overview(*self._compute(), {})


def pairs_of(summary: Summary) -> list[list[tuple[str, str]]]:
    """For every two models, those of their runs that count and have one seed; pairs of models without are left out."""
    counted = [{run.seed: run.run for run in entry.counted} for entry in summary.models]
    found = [
        [(first[seed], second[seed]) for seed in first if seed in second] for first, second in combinations(counted, 2)
    ]
    return [pairs for pairs in found if pairs]
