"""HTML from Python values: nothing that comes from outside can become markup."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_attn.report.html import Markup, inside, plain, table, tag


class Reader(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def read(markup: str) -> Reader:
    reader = Reader()
    reader.feed(markup)
    reader.close()
    return reader


@given(st.text(), st.text())
def test_text_stays_text_and_values_stay_values(text: str, value: str) -> None:
    seen = read(tag("p", text, title=value))
    assert seen.tags == ["p"]
    assert [name for name, _ in seen.attributes] == ["title"]
    assert not set(seen.text) & set(map(chr, range(9)))


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "&lt;b&gt;", '"><img src=x onerror=alert(1)>', "a & b < c > d", "]]>"]
)
def test_markup_in_text_is_shown_as_it_is(text: str) -> None:
    assert read(tag("td", text)).text == text
    assert read(tag("td", text)).tags == ["td"]
    assert read(tag("a", "x", href=text)).attributes == [("href", text)]


def test_markup_passes_and_nothing_is_nothing() -> None:
    assert tag("p", [tag("b", "x"), None, "y"], None, class_="c") == '<p class="c"><b>x</b>y</p>'
    assert tag("meta", charset="utf-8", media=None) == '<meta charset="utf-8">'
    assert inside() == ""
    assert isinstance(tag("br"), Markup)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-1.71 points", "−1.71 points"),
        ("(-3.49 to -0.07)", "(−3.49 to −0.07)"),
        ("95 % interval", "95\N{NO-BREAK SPACE}% interval"),
        ("tui-attn extend --seeds 7, se-s0, 2026-11-23, 1e-3", "tui-attn extend --seeds 7, se-s0, 2026-11-23, 1e-3"),
    ],
)
def test_numbers_are_typeset(text: str, shown: str) -> None:
    assert read(tag("p", text)).text == shown


def test_plain_text_has_nothing_that_xml_refuses() -> None:
    assert plain("a\x00\x1b[2J\ud800\uffff\ufdd0é中") == "a␀␛[2J\\ud800��é中"


def test_a_table_has_heads_and_rows() -> None:
    seen = read(table([["", "a"], ["x", "1"], ["  below x", "2"]]))
    assert seen.tags == ["div", "table", "thead", "tr", "th", "th", "tbody", "tr", "th", "td", "tr", "th", "td"]
    assert ("data-sub", "1") in seen.attributes
    assert ("scope", "row") in seen.attributes
