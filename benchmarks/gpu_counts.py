"""How often a training step launches work on the device and waits for it, from a profile."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

INTERVAL = 9
"""Steps between two points of the log."""
LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch", "cudaMemcpyAsync", "cudaMemsetAsync")
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "hipStreamSynchronize")


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one training step, between two points of the log."""

    launches: float
    """Calls that give work to the device."""
    kernels: float
    """At least; of a graph all that are in it."""
    syncs: float
    """Times that the host waits for the device."""

    def rounded(self) -> dict[str, float]:
        """As the JSON file names them."""
        return {
            "launches_per_step": round(self.launches, 3),
            "kernels_per_step": round(self.kernels, 3),
            "syncs_per_step": round(self.syncs, 3),
        }


COUNTED = "counted"


def counted(events: Iterable[Any]) -> Counts:
    """Of the events of a profile (torch.autograd.profiler_util.FunctionEvent), those of the range `COUNTED`."""
    found = list(events)
    host = [event for event in found if event.device_type.name == "CPU"]
    [whole] = [event.time_range for event in host if event.name == COUNTED]
    calls = [event.name for event in host if whole.start <= event.time_range.start <= whole.end]
    launches = sum(name.startswith(LAUNCHES) for name in calls)
    waits = sum(name in WAITS for name in calls)
    kernels = sum(event.device_type.name == "CUDA" and event.name != COUNTED for event in found)
    return Counts(launches / INTERVAL, kernels / INTERVAL, waits / INTERVAL)


def shown(row: dict[str, Any]) -> list[str]:
    """The cells of a row of the first table."""
    ways = [row["plain"], row["pooling"]["torch"], *([row["pooling"]["fused"]] if "fused" in row["pooling"] else [])]
    counts = [" → ".join(f"{way[key]:.1f}" for way in ways) for key in ways[0]]
    return [row["model"], row["precision"], "yes" if row["equal"] else "NO", *counts]
