"""What is to be done about logging out, by what logind is set to."""

from __future__ import annotations

import pytest

from tui_attn.launch.logout import remedy_for

SESSION = "0::/user.slice/user-1000.slice/session-3.scope\n"
OUTSIDE = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope\n"


@pytest.mark.parametrize(
    ("kills", "lingers", "group", "remedy"),
    [
        (False, False, SESSION, None),
        (False, True, SESSION, None),
        (True, False, SESSION, "loginctl enable-linger, then start with: systemd-run --user --scope tui-attn"),
        (True, True, SESSION, "systemd-run --user --scope tui-attn"),
        (True, True, OUTSIDE, None),
        (True, False, OUTSIDE, "loginctl enable-linger"),
        (False, False, OUTSIDE, "loginctl enable-linger"),
        (False, False, "", None),
    ],
)
def test_logging_out(kills: bool, lingers: bool, group: str, remedy: str | None) -> None:
    assert remedy_for(kills=kills, lingers=lingers, group=group) == remedy
