"""Assignment of runs to workers as pure functions, which can be tested without devices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, geometric_mean

from tui_attn.engines.workers import Slot

SIDE_BY_SIDE = 24
"""Runs that a worker on CUDA computes at once. A GPU has at most 32 hardware queues for streams, and fewer of these
networks keep it busy; besides, the first seeds should finish before the last ones start."""


def make_slots(devices: Sequence[str], jobs: int | None) -> list[Slot]:
    """`jobs` slots, by default one per device, assigned to the devices round-robin."""
    count = len(devices) if jobs is None else jobs
    return [Slot(devices[number % len(devices)], number // len(devices)) for number in range(count)]


def queue_order(models: Sequence[str], seeds: Sequence[int]) -> list[tuple[str, int]]:
    """Models x seeds, seed by seed, so that finished runs can be compared early."""
    return [(model, seed) for seed in seeds for model in models]


def share(queued: int, idle: int, models: int) -> int:
    """How many of the `queued` runs one of `idle` idle workers takes.

    A worker trains its runs in turns of one epoch, so it takes at most one seed's models, and fewer where another
    worker would get none.
    """
    return share_by_speed(queued, [1.0] * idle, [], models)


def share_by_speed(queued: int, idle: Sequence[float], busy: Sequence[tuple[float, float]], models: int) -> int:
    """How many of the `queued` runs the first idle worker takes, where the devices differ in speed.

    `idle`: seconds of a run on the device of each idle worker. `busy`: the same for each busy worker, and the seconds
    until it is done. Each run goes where it would end first (list scheduling: Graham 1969, "Bounds on Multiprocessing
    Timing Anomalies"), so that a slow device leaves the last runs to a fast one that is soon free.
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
    """Relative speeds of devices, from the images per second of runs of the same model."""

    def __init__(self, measured: Iterable[tuple[str, str, float]]) -> None:
        """`measured`: device, model and images per second of each run that has them."""
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
        """The approximate time of a `share` of a run of `model` on `device`, per image of the run.

        Unmeasured models and devices count as average.
        """
        average = fmean(self._models.values()) if self._models else 1.0
        return share / self._models.get(model, average) / self._devices.get(device, 1.0)
