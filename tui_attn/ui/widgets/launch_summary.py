"""What will be started: how long it will take, and the command line that does the same."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from rich.cells import cell_len

from tui_attn.system.text import safe_text
from tui_attn.ui.drawing import Pieces, fit
from tui_attn.ui.widgets.form import LABEL, Facts


def command_lines(arguments: Sequence[str], width: int) -> list[str]:
    """`tui-attn` with `arguments`, quoted for a shell, in lines of `width` cells that can be pasted as they stand.

    Each line but the last ends in a backslash; an option with its value that is too long is cut with an ellipsis.
    """
    lines = ["tui-attn"]
    for words in _options(arguments):
        text = safe_text(" ".join(shlex.quote(word) for word in words), one_line=True)
        if cell_len(lines[-1]) + 1 + cell_len(text) + 2 <= width:
            lines[-1] += f" {text}"
        else:
            lines.append(text if cell_len(text) + 2 <= width else fit(text, max(width - 2, 1)))
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]


def _options(arguments: Sequence[str]) -> list[list[str]]:
    """Each option with its value."""
    found: list[list[str]] = []
    for word in arguments:
        if found and len(found[-1]) == 1 and found[-1][0].startswith("--") and "=" not in found[-1][0]:
            found[-1].append(word)
        else:
            found.append([word])
    return found


class LaunchSummary(Facts):
    """Time, memory and command line of the experiment that is described."""

    def summarise(self, estimates: Sequence[tuple[str, str]], arguments: Sequence[str] | None, wrong: str) -> None:
        """Show `estimates` by label, the command line (None while entries are wrong), and why it didn't start."""
        width, height = self.screen.size
        rows: list[tuple[Pieces, Pieces]] = [([(f"  {name}", "muted")], [(text, "normal")]) for name, text in estimates]
        if arguments is None:
            command: Pieces = [("once all entries are valid", "muted")]
        else:
            most = 4 if height < 30 else 12
            lines = command_lines(arguments, max(width - LABEL - 1, 8))
            lines = lines if len(lines) <= most else [*lines[: most - 1], "… copy it to see the rest"]
            command = [("\n".join(lines), "normal")]
        rows.append(([("  command", "muted")], command))
        if wrong:
            rows.append(([], [(safe_text(wrong), "failed")]))
        self.show(rows)
