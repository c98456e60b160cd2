"""What the tests of the charts share: curves, looks and the text of strips."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Awaitable, Callable, Iterable, Sequence

from rich.style import Style
from textual.app import ComposeResult
from textual.pilot import Pilot
from textual.strip import Strip
from textual.widget import Widget

from tui_attn.ui.charts.series import Curve
from tui_attn.ui.options import UiOptions
from tui_attn.ui.styles import DrawingMode, Styles
from tui_attn.ui.theming import ThemedApp

NAN, INF = float("nan"), float("inf")
TRUE, ASCII = DrawingMode("true"), DrawingMode("none", ascii=True)
MODES = [TRUE, DrawingMode("256"), DrawingMode("16"), DrawingMode("none"), ASCII, DrawingMode("16", ascii=True)]

HOSTILE = [
    "acc[/bold]",
    "[/]",
    "[@click=app.quit]x[/]",
    "\x1b]52;c;aGk=\x07",
    "\x9b31mred",
    "a\u202eb\u2066c",
    "two\nlines\tand a tab",
    "日本語のラベル",
]


def styles(mode: DrawingMode = TRUE, *, dark: bool = True) -> Styles:
    """Styles without a theme: every part is grey."""
    return Styles(lambda name: Style(color="#808080"), mode, dark=dark, background="#10151b", selected="#1f2a36")


def curve(
    id_: str,
    values: Iterable[float],
    *,
    steps: Sequence[float] | None = None,
    group: str | None = None,
    revision: int = 1,
) -> Curve:
    """A curve of the model that `id_` begins with, a point every ten steps and every five seconds."""
    ys = array("d", values)
    xs = array("d", [10.0 * (i + 1) for i in range(len(ys))] if steps is None else steps)
    times = array("d", [x / 2 for x in xs])
    model = id_.rpartition("-s")[0] or id_
    return Curve.of(id_, id_, model, xs, ys, times, steps_per_epoch=100.0, group=group, revision=revision)


def text(strips: Sequence[Strip]) -> str:
    """The lines of `strips`, without spaces at their ends."""
    return "\n".join(strip.text.rstrip() for strip in strips)


class OneWidget(ThemedApp):
    """An app of one widget."""

    CSS = "Screen { layout: vertical; }"

    def __init__(self, widget: Widget, mode: DrawingMode = TRUE) -> None:
        super().__init__(UiOptions(theme="dark", ascii=mode.ascii))
        self.widget = widget
        self.set_drawing_mode(mode)

    def compose(self) -> ComposeResult:
        yield self.widget

    def screen_text(self) -> str:
        """What is on the screen."""
        return text(self.screen._compositor.render_strips())


def run(
    widget: Widget,
    steps: Callable[[OneWidget, Pilot[int]], Awaitable[None]],
    size: tuple[int, int] = (80, 24),
    mode: DrawingMode = TRUE,
) -> None:
    """Show `widget` alone, and do `steps` once it is drawn."""

    async def main() -> None:
        app = OneWidget(widget, mode)
        async with app.run_test(size=size) as pilot:
            await settled(pilot)
            await steps(app, pilot)

    asyncio.run(main())


async def settled(pilot: Pilot[int]) -> None:
    for _ in range(3):
        await pilot.pause()


def three() -> list[Curve]:
    return [
        curve("base", [2.0 - i / 60 for i in range(100)]),
        curve("se", [1.9 - i / 60 for i in range(100)]),
        curve("self-attention", [1.8 - i / 70 for i in range(100)]),
    ]
