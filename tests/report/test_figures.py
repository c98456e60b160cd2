"""Pictures in three forms: the same bytes each time, and in the page's colours on the page."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest

from tui_attn.report.figures import FAINT, GRID, INK, Picture, fonts_for, ink, picture, plain, styled

matplotlib = pytest.importorskip("matplotlib")


def drawing(figure: matplotlib.figure.Figure) -> None:  # type: ignore[name-defined]
    axes = figure.add_subplot()
    axes.plot([0, 1], [1, 2], color=ink("se"), label=plain("<se> & $x^2$ \x1b[2J 中 #1d6ec9"))
    axes.fill_between([0, 1], [0, 1], [2, 3], color=ink("base"), alpha=0.2)
    axes.imshow([[0, 1], [1, 0]], extent=(0, 1, 0, 1), interpolation="none")
    axes.set_title(plain("a <title> & $\\frac$"))
    axes.legend()


@pytest.fixture(scope="module")
def shown() -> Picture:
    return picture("a-name", 'it "shows" <this>', "caption", drawing, height=2)


def test_equal_drawings_give_equal_bytes(shown: Picture) -> None:
    assert picture("a-name", 'it "shows" <this>', "caption", drawing, height=2) == shown


def test_files_are_what_their_endings_say(shown: Picture) -> None:
    assert shown.png.startswith(b"\x89PNG\r\n")
    assert ElementTree.fromstring(shown.svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert b"<text" not in shown.svg  # letters are outlines: the file looks the same without our fonts


def elements(markup: str) -> Iterator[ElementTree.Element]:
    return ElementTree.fromstring(markup).iter()


def test_on_the_page_it_takes_the_pages_colours_and_font(shown: Picture) -> None:
    styles = " ".join(element.get("style", "") for element in elements(shown.inline))
    assert "var(--se)" in styles
    assert "var(--base)" in styles
    assert "currentColor" in styles
    assert INK not in styles
    assert "font-family" not in styles
    assert "<style" not in shown.inline
    assert "<metadata" not in shown.inline


def test_the_style_sheet_draws_in_colours_that_the_page_can_take() -> None:
    with styled():
        drawn = {key: value for key, value in matplotlib.rcParams.items() if key in STYLED}
    assert set(drawn.values()) == {INK, FAINT, GRID}


STYLED = (
    *("axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "grid.color", "text.color"),
    *("xtick.color", "ytick.color", "xtick.labelcolor", "ytick.labelcolor"),
)


def test_text_on_the_page_is_text_and_stays_as_it_is(shown: Picture) -> None:
    texts = [element.text for element in elements(shown.inline) if element.tag.endswith("}text")]
    assert "a <title> & $\\frac$" in texts
    assert "<se> & $x^2$ ␛[2J 中 #1d6ec9" in texts


def test_ids_are_the_pictures_own_and_all_that_is_pointed_to_is_there(shown: Picture) -> None:
    ids = [found for element in elements(shown.inline) if (found := element.get("id"))]
    assert len(ids) == len(set(ids))
    assert all(found.startswith("a-name-") for found in ids)
    pointed = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', shown.inline))
    assert pointed
    assert pointed <= set(ids)


def test_it_says_what_it_shows_to_those_who_do_not_see_it(shown: Picture) -> None:
    root = ElementTree.fromstring(shown.inline)
    assert (root.get("role"), root.get("aria-label")) == ("img", 'it "shows" <this>')


def test_drawing_leaves_matplotlibs_settings_alone() -> None:
    before = dict(matplotlib.rcParams)
    with styled():
        assert matplotlib.rcParams["text.parse_math"] is False
    assert dict(matplotlib.rcParams) == before


def missing_glyphs(names: list[str]) -> list[str]:
    """What matplotlib says of characters that it draws as boxes, with the fonts that are chosen for `names`."""
    import warnings

    from tui_attn.report.figures import look

    with look((), names), warnings.catch_warnings(record=True) as told, styled():
        warnings.simplefilter("always")
        figure = matplotlib.figure.Figure()
        figure.text(0.5, 0.5, "\n".join(names))
        figure.savefig(io.BytesIO(), format="png")
    return [str(warning.message) for warning in told]


def test_names_that_the_usual_font_lacks_are_drawn_in_an_installed_one_or_told() -> None:
    names = ["T恤", "운동화", "スニーカー", "Ankle boot"]
    families, missing = fonts_for(names)
    drawn = [name for name in names if not set(name) & set(missing)]
    assert "Ankle boot" in drawn
    assert missing_glyphs(drawn) == []
    assert bool(families) == (len(drawn) > 1)
    if shutil.which("fc-list") and subprocess.run(["fc-list", ":lang=ko"], capture_output=True, check=True).stdout:
        assert "운동화" in drawn


def test_characters_without_any_font_are_told_and_usual_ones_need_none() -> None:
    assert fonts_for(["Bag", "Trouser é"]) == ([], "")
    assert fonts_for(["a\U000e0fff"])[1] == "\U000e0fff"
