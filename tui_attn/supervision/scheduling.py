"""Which runs go to which worker: pure, so that it can be tested with devices that don't exist."""

from __future__ import annotations

from collections.abc import Sequence

from tui_attn.engines.workers import Slot


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
    if queued <= 0 or idle <= 0:
        return 0
    return min(models, -(-queued // idle))
