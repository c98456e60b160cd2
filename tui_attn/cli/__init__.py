"""The command line: parse, check, hand over. Everything heavy is imported where it is needed.

`app` makes a function a command; a module for each group of commands; `options` holds what several share.
"""

from __future__ import annotations

import gc

gc.set_threshold(20_000)  # imports make no garbage, and by default they would be searched for it some hundred times

from tui_attn.cli.entry import main, run  # noqa: E402

__all__ = ["main", "run"]
