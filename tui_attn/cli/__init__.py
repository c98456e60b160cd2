"""The command line. Whatever is slow to import is imported where it is needed.

`app` makes a function a command. Each group of commands has a module; `option_types` holds the options that they share.
"""

from __future__ import annotations

import gc

gc.set_threshold(50_000)  # imports make no garbage; by default the collector would run some hundred times

from tui_attn.cli.entry import main, run  # noqa: E402

__all__ = ["main", "run"]
