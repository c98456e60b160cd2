"""What `tui-attn doctor` says about the terminal."""

import os

import pytest

from tui_attn.cli import doctor


@pytest.mark.parametrize(
    ("environment", "size", "said"),
    [
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, (80, 24), ("ok", "80x24, truecolor")),
        ({"TERM": "xterm", "SSH_TTY": "/dev/pts/1"}, (80, 24), ("ok", "80x24, xterm, over SSH")),
        ({"TERM": "xterm", "NO_COLOR": "1"}, (79, 24), ("warning", "79x24, no colour")),
        ({"TERM": "dumb"}, (80, 24), ("warning", "TERM=dumb: lines instead of the dashboard")),
    ],
)
def test_the_terminal_is_described(environment: dict[str, str], size: tuple[int, int], said: tuple[str, str]) -> None:
    found = doctor._terminal(environment, True, os.terminal_size(size))
    assert (found.verdict, found.text) == said
