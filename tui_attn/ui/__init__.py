"""The dashboard: the only part that imports textual and plotext, and that only when it opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tui_attn.ui.entry import load, run_dashboard
    from tui_attn.ui.options import THEMES, UiOptions

__all__ = ["THEMES", "UiOptions", "load", "run_dashboard"]


def __getattr__(name: str) -> Any:
    """Load what is asked for: the command line needs the table of keys alone."""
    if name not in __all__:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{'entry' if name in {'load', 'run_dashboard'} else 'options'}"), name)
