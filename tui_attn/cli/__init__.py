"""The command line: parse, check, hand over. Everything heavy is imported where it is needed.

`app` makes a function a command; a module for each group of commands; `options` holds what several share.
"""

from __future__ import annotations

from tui_attn.cli import (
    config_command,
    machine,
    organize,
    results,
    start,
    steering,
    watching,
)  # isort: skip # --help lists them in this order
from tui_attn.cli.entry import main, run

__all__ = ["config_command", "machine", "main", "organize", "results", "run", "start", "steering", "watching"]
