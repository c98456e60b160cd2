"""A clock for tests."""

from __future__ import annotations

from dataclasses import dataclass

T0 = 1_700_000_000.0
"""When every recorded experiment starts, unix seconds."""


@dataclass
class Clock:
    """A clock that stands still until it is moved; unix seconds."""

    now: float = T0

    def __call__(self) -> float:
        return self.now
