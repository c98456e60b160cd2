"""Text made safe for a terminal, and figures as people say them."""

from __future__ import annotations

import math
import shlex
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.experiment.strategies import HOSTILE, texts
from tui_attn.system.text import (
    command_line,
    duration,
    has_control_characters,
    percent,
    safe_text,
    size,
    stand_ins,
)

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def is_unsafe(character: str) -> bool:
    """Whether a character does something to a terminal or to the order of what is read, but newline and tab."""
    return (unicodedata.category(character) in {"Cc", "Cs"} or character in BIDI) and character not in "\n\t"


@given(text=texts())
def test_nothing_unsafe_survives_and_doing_it_twice_changes_nothing(text: str) -> None:
    shown = safe_text(text)
    assert not any(map(is_unsafe, shown))
    assert safe_text(shown) == shown
    assert shown.count("\n") == text.count("\n")
    line = safe_text(text, one_line=True)
    assert not any(map(is_unsafe, line))
    assert "\n" not in line
    assert "\t" not in line
    shown.encode()  # what could not be printed is gone


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_become_harmless(text: str) -> None:
    assert not any(map(is_unsafe, safe_text(text)))


def test_every_control_and_bidi_character_of_unicode_is_replaced_and_nothing_else() -> None:
    separators = {"\u2028", "\u2029", "\ufeff"}
    for code in range(0x11000):
        character = chr(code)
        shown = safe_text(character)
        if is_unsafe(character) or character in separators:
            assert shown != character
            assert has_control_characters(character)
        else:
            assert shown == character
            assert has_control_characters(character) == (character in "\n\t")


@given(text=st.text(st.characters(categories=["L", "M", "N", "P", "S", "Zs"])))
def test_what_can_be_printed_stays_as_it_is(text: str) -> None:
    assert safe_text(text) == text
    assert safe_text(text, one_line=True) == text
    assert not has_control_characters(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("\x00\x1f\x7f", "␀␟␡"),
        ("\x9b2J\u202ex", "\\x9b2J\\u202ex"),
        ("a\r\nb\tc", "a␍\nb\tc"),
        (ValueError("why\x07"), "why␇"),
        (None, "None"),
    ],
)
def test_how_it_is_shown(text: object, shown: str) -> None:
    assert safe_text(text) == shown


def test_on_one_line_breaks_are_spaces() -> None:
    assert safe_text("a\n\n\tb", one_line=True) == "a b"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "–"),
        (-1, "–"),
        (0, "0s"),
        (0.4, "0s"),
        (8, "8s"),
        (59.6, "1m 00s"),
        (185, "3m 05s"),
        (3599.7, "1h 00m"),
        (7440, "2h 04m"),
        (86399.6, "1d 00h"),
        (266_400, "3d 02h"),
    ],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("n_bytes", "shown"),
    [
        (0, "0 B"),
        (812, "812 B"),
        (999.6, "1.0 kB"),
        (1000, "1.0 kB"),
        (31_240_000, "31.2 MB"),
        (999_960, "1.0 MB"),
        (5e9, "5.0 GB"),
        (2.5e12, "2.5 TB"),
        (3e15, "3000.0 TB"),
        (-1500, "-1.5 kB"),
    ],
)
def test_sizes(n_bytes: float, shown: str) -> None:
    assert size(n_bytes) == shown


def test_a_command_line_names_the_runs_folder_when_it_is_not_the_usual_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command_line("attach", tmp_path / "runs" / "x") == "tui-attn attach x"
    assert command_line("stop", tmp_path / "more" / "x") == "tui-attn stop x --runs-dir more"
    assert command_line("stop", Path("/data/my runs/x")) == "tui-attn stop x --runs-dir '/data/my runs'"
    assert command_line("extend", tmp_path / "runs" / "x", "--seeds 5") == "tui-attn extend x --seeds 5"
    assert command_line("extend", tmp_path / "a" / "x", "--seeds 5") == "tui-attn extend x --runs-dir a --seeds 5"


@pytest.mark.parametrize("name", ["My Copy", "-rf", "it's", "$(reboot)"])
def test_an_experiment_whose_folder_has_another_name_is_called_by_its_path(tmp_path: Path, name: str) -> None:
    line = command_line("resume", tmp_path / name)
    assert shlex.split(line) == ["tui-attn", "resume", str(tmp_path / name)]


@given(text=texts())
def test_stand_ins_keep_every_place(text: str) -> None:
    shown = stand_ins(text)
    assert len(shown) == len(text)
    assert not has_control_characters(shown)
    assert all(new == old for new, old in zip(shown, text, strict=True) if not has_control_characters(old))


def test_a_fraction_in_per_cent() -> None:
    assert [percent(value) for value in (0.8717, 1.0, None, float("nan"))] == ["87.17", "100.00", "–", "–"]
    assert (percent(0.846, "%"), percent(None, "%")) == ("84.60%", "–")
