"""What the user chose for the dashboard. Stdlib only, so that the command line can check it at no cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tui_attn.experiment.config import ConfigError, suggest
from tui_attn.system.text import safe_text
from tui_attn.ui.keymap import check_keymap

THEMES = ("dark", "light", "colour-blind", "terminal", "ascii")
"""Names of the themes, in the order in which a key takes them in turn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UiOptions:
    """How the dashboard looks and listens. Raises `ConfigError` for what doesn't exist."""

    mouse: bool = True
    ascii: bool | None = None
    """Draw with ASCII only; None: as the locale says. The theme `ascii` does so in any case."""
    theme: str | None = None
    """One of `THEMES`; None: `dark`, or `terminal` where the terminal has 16 colours."""
    animations: bool | None = None
    """None: not over SSH."""
    keymap: Mapping[str, str] = field(default_factory=dict)
    """Binding id -> keys, separated by commas."""

    theme_said_by: str = ""
    """Who asks for `theme` in words, such as "--theme"; empty where it is only what was chosen last."""

    usual: Mapping[str, Any] = field(default_factory=dict)
    """What the configuration file says of new experiments: fields of `ExperimentConfig`, and `runs_dir`."""

    def __post_init__(self) -> None:
        if self.theme is not None:
            check_theme(self.theme)
        check_keymap(self.keymap)


def check_theme(name: str) -> None:
    """Raise `ConfigError` when there is no theme `name`."""
    if name not in THEMES:
        shown = safe_text(name, one_line=True)[:60]
        raise ConfigError(f"unknown theme '{shown}': {suggest(shown, THEMES)}")
