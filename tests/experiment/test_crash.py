"""A fault of the program's own: a line for the user, the rest in a file."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest

from tui_attn.cli.entry import _crash


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("TUI_ATTN_DEBUG", raising=False)
    return tmp_path


@pytest.mark.parametrize("message", ["plain", "of\nthree\nlines", "\udcff\x1b[2J", ""])
def test_it_is_told_in_two_lines_the_second_of_which_says_where_the_rest_is(
    scratch: Path, capsys: pytest.CaptureFixture[str], message: str
) -> None:
    assert _crash(ZeroDivisionError(message)) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("tui-attn: internal error: ZeroDivisionError:")
    assert "\x1b" not in first
    (kept,) = scratch.iterdir()
    assert second == f"the details are in {kept}: please report them"
    assert re.match("ZeroDivisionError", kept.read_text())
    assert kept.stat().st_mode & 0o777 == 0o600


def test_without_a_place_for_the_rest_it_says_how_to_see_it(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(scratch / "nowhere"))
    assert _crash(ZeroDivisionError("x")) == 1
    assert "TUI_ATTN_DEBUG=1 shows them" in capsys.readouterr().err


def test_who_asks_for_it_sees_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUI_ATTN_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        _crash(ZeroDivisionError("x"))
