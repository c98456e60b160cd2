"""Which runs go to which worker: pure, so that it can be tested with devices that don't exist."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, geometric_mean

from tui_attn.engines.workers import Slot

SIDE_BY_SIDE = 24
"""Runs that a worker on CUDA computes at once. A GPU has 32 queues at most for streams, and its processors are busy
with fewer of these networks; the first seeds should be finished before the last ones."""


def make_slots(devices: Sequence[str], jobs: int | None) -> list[Slot]:
    """`jobs` slots (by default one a device), dealt to the devices in turn."""
    count = len(devices) if jobs is None else jobs
    return [Slot(devices[number % len(devices)], number // len(devices)) for number in range(count)]


def queue_order(models: Sequence[str], seeds: Sequence[int]) -> list[tuple[str, int]]:
    """Models x seeds, seed by seed, so that whatever is finished can be compared."""
    return [(model, seed) for seed in seeds for model in models]


def share(queued: int, idle: int, models: int) -> int:
    """How many of the `queued` runs an idle worker takes, `idle` counting it.

    The worker trains what it holds in turns of one epoch each, so it takes one seed's models at most, and fewer
    where that would leave another worker without any.
    """
    return share_by_speed(queued, [1.0] * idle, [], models)


def share_by_speed(queued: int, idle: Sequence[float], busy: Sequence[tuple[float, float]], models: int) -> int:
    """How many of the `queued` runs the first idle worker takes, where the devices differ in speed.

    `idle`: seconds that a run takes on the device of each idle worker; `busy`: the same of those that are at work, and
    in how many seconds they are done. Each run goes where it would end first (list scheduling: Graham, "Bounds on
    Multiprocessing Timing Anomalies"), so that a slow device leaves the last runs to a fast one that is soon free.
    """
    if queued <= 0 or not idle:
        return 0
    seconds = [*idle, *(each for each, _ in busy)]
    ends = [0.0] * len(idle) + [left for _, left in busy]
    taken = 0
    for _ in range(queued):
        if taken == models:
            break
        best = min(range(len(seconds)), key=lambda at: ends[at] + seconds[at])
        ends[best] += seconds[best]
        taken += best == 0
    return taken


class Speeds:
    """How fast devices train, from the images per second of runs: only runs of one model are compared."""

    def __init__(self, measured: Iterable[tuple[str, str, float]]) -> None:
        """`measured`: device, model and images per second of each run that tells."""
        by_model: dict[str, dict[str, list[float]]] = {}
        for device, model, speed in measured:
            by_model.setdefault(model, {}).setdefault(device, []).append(speed)
        self._models = {model: fmean(map(fmean, found.values())) for model, found in by_model.items()}
        ratios: dict[str, list[float]] = {}
        for model, found in by_model.items():
            for device, speeds in found.items():
                ratios.setdefault(device, []).append(fmean(speeds) / self._models[model])
        self._devices = {device: geometric_mean(found) for device, found in ratios.items()}

    def seconds(self, device: str, model: str, share: float) -> float:
        """About how long a `share` of a run of `model` takes on `device`, in units of one image a run.

        What was not measured counts as average.
        """
        average = fmean(self._models.values()) if self._models else 1.0
        return share / self._models.get(model, average) / self._devices.get(device, 1.0)
