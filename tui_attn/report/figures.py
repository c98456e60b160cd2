"""A picture in its three forms: PNG and SVG files, and SVG for the page, which takes the page's colours and font."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from tui_attn.experiment.model_info import FURTHER_STYLES, MODELS, TWINS, further_style, has_style, hex_color
from tui_attn.system.text import safe_text

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"

INK, FAINT, GRID, PAPER = "#1b1f24", "#5d6673", "#d8dde3", "#fefefe"
OTHER_INK = "#50545a"

STYLES = {
    **{name: info.style for name, info in MODELS.items() if info.style is not None},
    **{f"custom-{number}": style for number, style in enumerate(FURTHER_STYLES, start=1)},
}
"""The dashboard's styles, by the names of variables in the style sheet."""
_VARIABLES = {
    INK: "currentColor",
    FAINT: "var(--faint)",
    GRID: "var(--grid)",
    PAPER: "var(--paper)",
    OTHER_INK: "var(--other)",
    **{hex_color(style.light): f"var(--{name})" for name, style in STYLES.items()},
}
_COLOR = re.compile("|".join(_VARIABLES))
_NOT_FOR_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]")
_REFERENCE = re.compile(r"#([A-Za-z][\w.-]*)")

_STYLE = Path(__file__).with_name("templates") / "report.mplstyle"
FONT = "DejaVu Sans"
"""It comes with matplotlib."""
WIDTH = 4.4
"""Of a picture, in inches; shown at some 430 pixels, its letters are as large as the page's small print."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of the report."""

    name: str
    """Of its files, without an ending."""
    alt: str
    """What it shows, in a sentence, for those who don't see it."""
    caption: str
    png: bytes
    svg: bytes
    inline: Markup
    """For the page."""


@dataclass(frozen=True, slots=True)
class Look:
    """What depends on the experiment in how its pictures look."""

    custom_models: tuple[str, ...] = ()
    """In the order of their colours and markers."""
    fonts: tuple[str, ...] = ()
    """Families of fonts for characters that the usual font lacks."""


_USUAL = Look()
_look = ContextVar("look", default=_USUAL)


@contextmanager
def look(models: Iterable[str], texts: Iterable[str] = ()) -> Iterator[str]:
    """Within it, custom models have colours of their own, and `texts` an installed font that has their characters.

    Yields the characters that no installed font has.
    """
    fonts, missing = fonts_for(texts)
    token = _look.set(Look(tuple(model for model in models if not has_style(model)), tuple(fonts)))
    try:
        yield missing
    finally:
        _look.reset(token)


def fonts_for(texts: Iterable[str]) -> tuple[list[str], str]:
    """Families of installed fonts that have what the usual font lacks of `texts`, and the characters that none has."""
    from matplotlib import font_manager

    def lacking(path: str, characters: set[str]) -> set[str]:
        font = font_manager.get_font(path)
        return {character for character in characters if not font.get_char_index(ord(character))}

    missing = lacking(font_manager.findfont(FONT), {character for text in texts for character in plain(text)})
    families: list[str] = []
    # matplotlib's own list of fonts is cached and lacks those installed since.
    paths = font_manager.findSystemFonts() if missing else []
    paths.sort(key=lambda path: ("sans" not in path.lower(), "regular" not in path.lower(), path))
    while missing and paths:
        path = min(paths, key=lambda path: len(lacking(path, missing)))
        left = lacking(path, missing)
        if left == missing:
            break
        font_manager.fontManager.addfont(path)
        families.append(font_manager.get_font(path).family_name)
        missing = left
    return families, "".join(sorted(missing))


def variable(model: str) -> str:
    """What the page's style sheet calls the colour of a model: `se`, `custom-1`."""
    custom = _look.get().custom_models
    if model in custom:
        return f"custom-{custom.index(model) % len(FURTHER_STYLES) + 1}"
    return model if has_style(model) else "other"


def ink(model: str) -> str:
    """The colour of a model."""
    style = STYLES.get(variable(model))
    return hex_color(style.light) if style else OTHER_INK


def is_name(word: str) -> bool:
    """Whether `word` is the name of a model or of one of its runs."""
    names = (*MODELS, *TWINS, *_look.get().custom_models)
    return word in names or word.startswith(tuple(f"{name}-s" for name in names))


def marker(model: str) -> str:
    """The marker of a model's points."""
    custom = _look.get().custom_models
    style = further_style(custom.index(model)) if model in custom else STYLES.get(model)
    return style.plot_marker if style else "D"


def plain(text: object) -> str:
    """`text` without anything that an HTML page or an SVG picture may not hold."""
    return _NOT_FOR_XML.sub("\N{REPLACEMENT CHARACTER}", safe_text(text))


@contextmanager
def styled() -> Iterator[None]:
    """Within it, matplotlib draws as this report does, and says nothing of letters that its font lacks."""
    import logging
    import warnings

    import matplotlib

    style = matplotlib.rc_params_from_file(_STYLE, use_default_template=False)
    with matplotlib.rc_context(style | {"font.family": [FONT, *_look.get().fonts]}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        logger = logging.getLogger("matplotlib")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


def picture(
    name: str, alt: str, caption: str, draw: Callable[[Figure], None], *, height: float, width: float = WIDTH
) -> Picture:
    """Let `draw` fill a figure of so many inches, and make a picture of it. Equal drawings give equal bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        with matplotlib.rc_context({"svg.hashsalt": name}):
            png = _saved(figure, "png", dpi=200, metadata={"Software": None}, facecolor="white")
            figure.set_layout_engine(None)  # what was laid out once is not laid out again
            nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
            with matplotlib.rc_context({"svg.fonttype": "path"}):
                svg = _saved(figure, "svg", metadata=nothing, facecolor="white")
            with matplotlib.rc_context({"svg.fonttype": "none"}):
                inline = _inline(_saved(figure, "svg", metadata=nothing, transparent=True), name, alt)
    return Picture(name, alt, caption, png, svg, inline)


def plot(
    name: str, alt: str, caption: str, draw: Callable[[Axes], None], *, title: str, legend: bool = False, **size: float
) -> Picture:
    """A picture of one plot, whose axes `draw` fills; `size`: as for `picture`."""

    def whole(figure: Figure) -> None:
        axes = figure.add_subplot(title=title)
        draw(axes)
        if legend and axes.get_legend_handles_labels()[0]:  # matplotlib warns of an empty legend
            figure.legend(loc="outside lower center", ncols=3)

    return picture(name, alt, caption, whole, **size)


def picture_files(pictures: Iterable[Picture]) -> dict[str, bytes]:
    """The files of pictures by their names in the folder of a report."""
    return {f"pictures/{each.name}.{kind}": getattr(each, kind) for each in pictures for kind in ("png", "svg")}


MOST_CLASSES = 30
"""Most classes that a picture has room for."""


def shortened(name: str, length: int = 16) -> str:
    """A name for the side of a picture."""
    name = plain(name)
    return name if len(name) <= length else f"{name[: length - 1]}…"


def name_rows(axes: Axes, labels: Sequence[str], *, labelsize: float = 7.5) -> None:
    """Let the y axis name rows, with a grid along x only."""
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0, labelcolor=INK, labelsize=labelsize)
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")


def without_frame(axes: Axes) -> None:
    """Leave out the grid and the spines, as a picture of a matrix does."""
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _saved(figure: Figure, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, **options)
    return buffer.getvalue()


def _inline(svg: bytes, name: str, alt: str) -> Markup:
    """The picture as an element of an HTML page: colours as variables, the page's font, ids that are its own."""
    from markupsafe import Markup

    root = ElementTree.fromstring(svg)  # noqa: S314  written by matplotlib just now
    used = {
        match
        for element in root.iter()
        for key, value in element.attrib.items()
        if key != "id" and not value.startswith("data:")
        for match in _REFERENCE.findall(value)
    }
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in {f"{{{SVG}}}metadata", f"{{{SVG}}}style"}:
                parent.remove(child)
        _adapt(parent, name, used)
    for attribute in ("width", "height"):
        root.attrib.pop(attribute, None)
    root.set("role", "img")
    root.set("class", "plot")
    root.set("aria-label", plain(alt))
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704  written here


def _adapt(element: ElementTree.Element, name: str, used: set[str]) -> None:
    for key, value in list(element.attrib.items()):
        if key == "id" and value not in used:
            del element.attrib[key]
        elif key == "id":
            element.set(key, f"{name}-{value}")
        elif key == "style":
            kept = [part for part in value.split("; ") if not part.startswith("font-family")]
            style = _COLOR.sub(lambda match: _VARIABLES[match.group()], "; ".join(kept))
            element.set(key, _REFERENCE.sub(rf"#{name}-\1", style) if "url(#" in style else style)
        elif not value.startswith("data:"):
            element.set(key, _REFERENCE.sub(rf"#{name}-\1", value))
    if element.text is not None and not element.text.strip() and element.tag != f"{{{SVG}}}text":
        element.text = None
    if element.tail is not None and not element.tail.strip():
        element.tail = None
