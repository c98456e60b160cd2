"""What the dashboard remembers from one start to the next: the theme that was chosen last. Stdlib only.

It is kept in the program's state folder, so that a user's configuration file is never rewritten.
"""

from __future__ import annotations

import json
from pathlib import Path

from tui_attn.system.files import read_json, user_folder, write_atomically
from tui_attn.ui.options import THEMES


def _file() -> Path | None:
    folder = user_folder("state")
    return None if folder is None else folder / "screen.json"


def remembered_theme() -> str | None:
    """The theme that was chosen last; None when none was, or what is there makes no sense."""
    file = _file()
    found = None if file is None else read_json(file, limit=1 << 16)
    theme = (found or {}).get("theme")
    return theme if isinstance(theme, str) and theme in THEMES else None


def remember_theme(name: str) -> str | None:
    """Remember the theme `name`; what was in the way, if it can't be."""
    file = _file()
    if file is None:
        return "there is no home folder"
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(file, json.dumps({"theme": name}).encode() + b"\n")
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None
