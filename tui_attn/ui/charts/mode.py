"""What the terminal can show: how many colours, and whether anything beyond ASCII."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Colors = Literal["true", "256", "16", "none"]
"""True colour, the 256-colour palette, the 16 ANSI colours, or none at all (NO_COLOR)."""


@dataclass(frozen=True, slots=True)
class DrawingMode:
    """How charts are drawn. The app sets it once, as its attribute `drawing_mode`."""

    colors: Colors = "true"
    ascii: bool = False
    """Draw with the 95 printable ASCII characters only."""

    @property
    def shades(self) -> bool:
        """Whether enough colours are there to tell values apart by colour alone."""
        return self.colors in {"true", "256"}


DEFAULT_MODE = DrawingMode()


def drawing_mode(owner: object, own: DrawingMode | None = None) -> DrawingMode:
    """Return `own`, else the `drawing_mode` of `owner` (an app), else the default."""
    if own is not None:
        return own
    found = getattr(owner, "drawing_mode", None)
    return found if isinstance(found, DrawingMode) else DEFAULT_MODE
