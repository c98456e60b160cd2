"""The dashboard: the only part that imports textual and plotext, and that only when it opens."""

from __future__ import annotations

from tui_attn.ui.entry import run_dashboard
from tui_attn.ui.options import THEMES, UiOptions

__all__ = ["THEMES", "UiOptions", "run_dashboard"]
