"""The list of experiments as the user arranges it."""

from __future__ import annotations

import time

import pytest

from tui_attn.compare.pairs import QuickResult
from tui_attn.history.entries import Entry
from tui_attn.ui.history_view import COLUMNS, HistoryView, columns, when_text


def entry(id_: str, created: float = 1.0, state: str = "finished", **options: object) -> Entry:
    return Entry(id=id_, state=state, created=created, **options)  # type: ignore[arg-type]


def view(*entries: Entry) -> HistoryView:
    found = HistoryView()
    found.take(entries)
    return found


def ids(shown: HistoryView) -> list[str]:
    return [row.id for row in shown.rows]


def test_the_newest_come_first_and_pinned_ones_before_them() -> None:
    shown = view(entry("a", 1), entry("b", 3), entry("c", 2), entry("d", 0, pinned=True))
    assert ids(shown) == ["d", "b", "c", "a"]


def test_every_column_sorts_both_ways_with_the_unknown_last() -> None:
    known = entry("a", 1, name="x", dataset="d", models=("se",), seeds=1, epochs=1, accuracy=0.5, seconds=1.0, note="n",
                  best=QuickResult("se", 0.1, 1, None))  # fmt: skip
    more = entry("b", 2, state="paused", name="y", dataset="e", models=("se", "base"), seeds=2, epochs=2, accuracy=0.6,
                 seconds=2.0, note="o", best=QuickResult("se", 0.2, 1, None))  # fmt: skip
    for column in COLUMNS:
        shown = view(more, entry("c", 0, state="stopped", name="z"), known)
        shown.sort = ""
        shown.sort_by(column.name)
        first = [id_ for id_ in ids(shown) if id_ != "c"]
        shown.sort_by(shown.sort)
        assert [id_ for id_ in ids(shown) if id_ != "c"] == first[::-1]
        if column.name not in {"experiment", "state"}:
            assert ids(shown)[-1] == "c"


def test_numbers_and_dates_begin_with_the_greatest_and_words_with_a() -> None:
    shown = view(entry("a", seeds=1), entry("b", seeds=3), entry("c", seeds=2))
    shown.sort_by("seeds")
    assert ids(shown) == ["b", "c", "a"]
    shown.sort_by("experiment")
    assert ids(shown) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {"a", "b"}),
        ("LAB", {"a"}),
        ("lab kmnist", set()),
        ("kmnist", {"b"}),
        ("self-attention", {"b"}),
        ("failed", {"b"}),
        ("report", {"a"}),
        ("  a ", {"a", "b"}),
    ],
)
def test_all_words_must_be_somewhere(text: str, found: set[str]) -> None:
    shown = view(
        entry("a", name="the Lab", dataset="mnist", models=("base",), note="for the report"),
        entry("b", state="failed", dataset="kmnist", models=("self-attention",)),
    )
    shown.set_filter(text)
    assert set(ids(shown)) == found


def test_the_place_is_kept_while_rows_come_and_go() -> None:
    shown = view(entry("a", 1), entry("b", 2), entry("c", 3))
    shown.move(1)
    assert shown.selected == "b"
    shown.take([entry("d", 4)])
    assert (shown.index, shown.selected) == (2, "b")
    shown.take([], {"b"})
    assert shown.selected == "a"
    shown.take([], {"a", "c", "d"})
    assert shown.current is None
    shown.move(1)
    assert shown.selected is None


def test_marks_outlive_the_filter_and_not_the_experiment() -> None:
    shown = view(entry("a", 1), entry("b", 2), entry("x", 3, state="damaged"))
    shown.mark()
    assert shown.marked == set(), "a damaged one can't be compared"
    shown.move(1)
    shown.mark()
    shown.set_filter("nothing")
    assert [found.id for found in shown.chosen] == ["b"]
    shown.take([], {"b"})
    assert shown.chosen == []


@pytest.mark.parametrize("width", [80, 100, 110, 120, 150, 200, 300])
def test_the_columns_fill_the_width_and_no_more(width: int) -> None:
    found = columns(width)
    gap = 2 if width >= 150 else 1
    used = 5 + sum(size + gap for _, size in found)
    assert width - 4 <= used <= width + gap
    assert {"experiment", "state", "data", "models", "seeds", "vs base", "when"} <= {column.name for column, _ in found}


@pytest.mark.parametrize(
    ("created", "width", "text"),
    [
        (1_700_000_000.0, 7, "22:13"),
        (1_699_900_000.0, 7, "13 Nov"),
        (1_600_000_000.0, 7, "2020-09"),
        (1_699_900_000.0, 12, "13 Nov 18:26"),
        (1_600_000_000.0, 12, "2020-09-13"),
        (1_600_000_000.0, 16, "2020-09-13 12:26"),
        (0.0, 16, "–"),
    ],
)
def test_a_date_says_what_tells_it_apart(created: float, width: int, text: str) -> None:
    assert when_text(created, 1_700_003_000.0, time.gmtime, width) == text
