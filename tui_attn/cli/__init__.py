"""The command line: parse, check, hand over. Everything heavy is imported where it is needed.

`app` makes a function a command; a module for each group of commands; `options` holds what several share.
"""

from __future__ import annotations

from tui_attn.cli.entry import main, run

__all__ = ["main", "run"]
