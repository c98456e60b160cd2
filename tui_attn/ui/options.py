"""Options of the dashboard. Stdlib only, so that the command line can check them cheaply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tui_attn.experiment.options import SHOW, Choice, Switch, option, options_of

if TYPE_CHECKING:
    from tui_attn.supervision.notify_settings import NotifySettings

THEMES = ("dark", "light", "colour-blind", "terminal", "ascii")
"""Names of the themes, in the order of the list."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UiOptions:
    """How the dashboard looks and takes input. Raises `ConfigError`."""

    theme: str | None = option(
        None,
        Choice("theme", *THEMES, colorblind="colour-blind"),
        "dark, light, colour-blind, terminal, ascii.",
        heading=SHOW,
        unset="what was chosen last, or dark",
        example='"dark"',
    )
    """None: `dark`, or `terminal` where the terminal has 16 colours."""
    ascii: bool | None = option(
        None, Switch(), "Draw with ASCII characters only.", heading=SHOW, unset="depends on the locale", example="true"
    )
    """The theme `ascii` does so in any case."""
    mouse: bool = option(True, Switch(), "Enable mouse support.", heading=SHOW, example="false")
    animations: bool | None = option(
        None, Switch(), "Animate panels.", heading=SHOW, unset="not over SSH", example="false"
    )
    keymap: Mapping[str, str] = field(default_factory=dict)
    """Binding id -> keys, separated by commas."""
    theme_said_by: str = ""
    """What sets `theme`, such as "--theme"; empty where it is the one chosen last."""
    usual: Mapping[str, Any] = field(default_factory=dict)
    """What the configuration file says of new experiments: fields of `ExperimentConfig`, and `runs_dir`."""

    engines: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By engine: what `--on` asks of it where it doesn't say."""
    notify: NotifySettings | None = None
    """Where supervisors that the dashboard starts send notices."""

    def __post_init__(self) -> None:
        for each in UI_OPTIONS:
            each.check(getattr(self, each.field))
        if self.keymap:
            from tui_attn.ui.keymap import check_keymap  # costs start-up time: it loads every table of keys

            check_keymap(self.keymap)


UI_OPTIONS = options_of(UiOptions)
