"""What a few typed letters find."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_attn.ui.fuzzy import match


def score(typed: str, text: str) -> int:
    found = match(typed, text)
    assert found is not None
    return found[0]


@pytest.mark.parametrize(
    ("typed", "text", "places"),
    [
        ("sto", "stop all", (0, 1, 2)),
        ("ALL", "stop all", (5, 6, 7)),
        ("sa", "stop all", (0, 5)),
        ("all sto", "stop all", (0, 1, 2, 5, 6, 7)),
        ("spl", "stop all", (0, 3, 6)),
        ("", "stop all", ()),
    ],
)
def test_the_places_that_match(typed: str, text: str, places: tuple[int, ...]) -> None:
    found = match(typed, text)
    assert found is not None
    assert found[1] == places


@pytest.mark.parametrize(
    ("typed", "text"), [("x", "stop"), ("pots", "stop"), ("stop x", "stop all"), ("stopp", "stop")]
)
def test_what_does_not_match(typed: str, text: str) -> None:
    assert match(typed, text) is None


def test_the_better_match_comes_first() -> None:
    assert score("st", "stop") > score("st", "all stop") > score("st", "last") > score("st", "so late")
    assert score("sa", "stop all") > score("sa", "scan later a")


@given(typed=st.text("abc ", max_size=6), text=st.text("abcABC ", max_size=12))
def test_what_matches_is_in_the_text_in_order(typed: str, text: str) -> None:
    found = match(typed, text)
    letters = [letter for letter in typed.lower() if letter != " "]
    if found is None:
        assert letters
    else:
        assert {text.lower()[at] for at in found[1]} == set(letters)
        assert list(found[1]) == sorted(set(found[1]))
