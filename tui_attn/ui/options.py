"""What the user chose for the dashboard. Stdlib only, so that the command line can check it at no cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tui_attn.config import ConfigError, suggest
from tui_attn.text import safe_text
from tui_attn.ui.keys import check_keymap

THEMES = ("dark", "light", "colour-blind", "terminal")
"""Names of the themes, in the order in which a key takes them in turn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UiOptions:
    """How the dashboard looks and listens. Raises `ConfigError` for what doesn't exist."""

    mouse: bool = True
    ascii: bool | None = None
    """Draw with ASCII only; None: as the locale says."""
    theme: str | None = None
    """One of `THEMES`; None: `dark`, or `terminal` where the terminal has 16 colours."""
    animations: bool | None = None
    """None: not over SSH."""
    keymap: Mapping[str, str] = field(default_factory=dict)
    """Binding id -> keys, separated by commas."""

    def __post_init__(self) -> None:
        if self.theme is not None and self.theme not in THEMES:
            shown = safe_text(self.theme, one_line=True)
            raise ConfigError(f"unknown theme '{shown}': {suggest(shown, THEMES)}")
        check_keymap(self.keymap)
