"""The picture of the screen: what is written turns what a terminal shows into what it should show, and no more."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import pyte
from hypothesis import given
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from tui_attn.ui.frames import FrameBuffer
from tui_attn.ui.textual_private import Patch, read_update

WIDTH, HEIGHT = 24, 4
STYLES = [
    Style(),
    Style(color="#ff0000"),
    Style(color="#ff0000", bgcolor="#000040"),
    Style(color="#00ff00", bold=True),
    Style(bgcolor="#303030", underline=True),
    Style(reverse=True),
]
TEXT = st.text(st.sampled_from("ab cXYZ─━│▶●⣿⡇▁█é漢字"), min_size=0, max_size=8)
SEGMENTS = st.lists(st.builds(Segment, TEXT, st.sampled_from(STYLES), st.none()), max_size=8)


def read(update: object) -> Patch:
    """What `update` draws."""
    found = read_update(update)
    assert found is not None
    return found


def layout(lines: list[list[Segment]]) -> Patch:
    """The update for a whole screen of these lines, each cut or padded to the width."""
    strips: list[Iterable[Strip]] = [[Strip(line).adjust_cell_length(WIDTH)] for line in lines]
    return read(LayoutUpdate(strips, Region(0, 0, WIDTH, len(lines))))


def chops(y: int, x: int, segments: list[Segment]) -> Patch:
    """The update of a part of line `y`; beside it the chops hold nothing or what lies below."""
    strip = Strip(segments)
    end = x + strip.cell_length
    found: list[dict[int, Strip | None]] = [{} for _ in range(HEIGHT)]
    ends = [[WIDTH]] * HEIGHT
    below = Strip([Segment(" " * (WIDTH - end))])
    if x:
        found[y][0] = None
    found[y][x], found[y][end] = strip, below
    ends[y] = [x, end, WIDTH] if x else [end, WIDTH]
    return read(ChopsUpdate(found, [(y, x, end)], ends))


def terminal() -> tuple[pyte.Screen, pyte.Stream]:
    """A terminal of the size of the picture."""
    screen = pyte.Screen(WIDTH, HEIGHT)
    return screen, pyte.Stream(screen)


def shown(screen: pyte.Screen) -> list[list[tuple[str, str, str, bool, bool, bool]]]:
    """Text and looks of every cell."""
    return [
        [
            (cell.data, cell.fg, cell.bg, cell.bold, cell.underscore, cell.reverse)
            for cell in (screen.buffer[y][x] for x in range(WIDTH))
        ]
        for y in range(HEIGHT)
    ]


@given(st.lists(st.lists(SEGMENTS, min_size=HEIGHT, max_size=HEIGHT), min_size=1, max_size=5))
def test_differences_lead_to_the_same_screen_as_drawing_it_whole(pictures: list[list[list[Segment]]]) -> None:
    frames = FrameBuffer(ColorSystem.TRUECOLOR)
    screen, stream = terminal()
    for picture in pictures:
        frames.apply(layout(picture))
        stream.feed(frames.flush())
    whole = FrameBuffer(ColorSystem.TRUECOLOR)
    whole.apply(layout(pictures[-1]))
    expected, expected_stream = terminal()
    expected_stream.feed(whole.flush())
    assert shown(screen) == shown(expected)


@given(st.integers(0, HEIGHT - 1), st.integers(0, WIDTH - 10), SEGMENTS)
def test_a_part_of_a_line_lands_where_it_belongs(y: int, x: int, segments: list[Segment]) -> None:
    strip = Strip(segments).crop(0, WIDTH - x)
    if not strip.cell_length:
        return
    frames = FrameBuffer(ColorSystem.TRUECOLOR)
    screen, stream = terminal()
    frames.apply(layout([[Segment("." * WIDTH)] for _ in range(HEIGHT)]))
    stream.feed(frames.flush())
    frames.apply(chops(y, x, list(strip)))
    stream.feed(frames.flush())
    before = "." * x
    after = "." * (WIDTH - x - strip.cell_length)
    assert "".join(screen.display[y]) == before + strip.text + after
    assert all("".join(screen.display[row]) == "." * WIDTH for row in range(HEIGHT) if row != y)


def test_nothing_is_written_when_nothing_changed() -> None:
    frames = FrameBuffer(ColorSystem.TRUECOLOR)
    picture = [[Segment("loss 0.25", STYLES[1])] for _ in range(HEIGHT)]
    frames.apply(layout(picture))
    assert frames.flush()
    frames.apply(layout(picture))
    assert frames.flush() == ""
    assert not frames.dirty


def test_one_changed_figure_costs_a_few_bytes() -> None:
    frames = FrameBuffer(ColorSystem.TRUECOLOR)
    frames.apply(layout([[Segment("loss 0.2581", STYLES[1])]] + [[Segment("x" * WIDTH)]] * 3))
    frames.flush()
    frames.apply(layout([[Segment("loss 0.2579", STYLES[1])]] + [[Segment("x" * WIDTH)]] * 3))
    written = frames.flush()
    assert written == "\x1b[38;2;255;0;0m\x1b[1;10H79\x1b[0m"


def test_differences_that_were_never_written_are_covered_by_the_next() -> None:
    frames = FrameBuffer(ColorSystem.TRUECOLOR)
    screen, stream = terminal()
    frames.apply(layout([[Segment("one")]] * HEIGHT))
    stream.feed(frames.flush())
    frames.apply(layout([[Segment("two")]] * HEIGHT))
    frames.apply(layout([[Segment("three")]] * HEIGHT))
    stream.feed(frames.flush())
    assert [line.rstrip() for line in screen.display] == ["three"] * HEIGHT


def test_forgetting_writes_everything_again() -> None:
    frames = FrameBuffer(ColorSystem.TRUECOLOR)
    frames.apply(layout([[Segment("same")]] * HEIGHT))
    first = frames.flush()
    frames.forget()
    assert frames.flush() == first


@given(st.text(st.characters(max_codepoint=0x10FFFF), max_size=30))
def test_no_control_character_of_a_text_is_ever_written(text: str) -> None:
    frames = FrameBuffer(ColorSystem.TRUECOLOR)
    frames.apply(layout([[Segment(text)]] + [[Segment("")]] * 3))
    written = frames.flush()
    for _ in range(HEIGHT * (WIDTH + 1)):
        written = written.replace("\x1b[", "", 1)
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u200e\u200f\u202e\u2066\u2069" for c in written)


def test_colours_are_those_that_the_terminal_has() -> None:
    picture = layout([[Segment("x", Style(color="#ff0000"))]] * HEIGHT)
    written = {}
    for system in (ColorSystem.TRUECOLOR, ColorSystem.EIGHT_BIT, ColorSystem.STANDARD):
        frames = FrameBuffer(system)
        frames.apply(picture)
        written[system] = frames.flush()
    assert "38;2;255;0;0" in written[ColorSystem.TRUECOLOR]
    assert "38;5;196" in written[ColorSystem.EIGHT_BIT]
    assert "\x1b[31m" in written[ColorSystem.STANDARD]


def test_links_in_styles_are_not_written() -> None:
    frames = FrameBuffer(ColorSystem.TRUECOLOR)
    frames.apply(layout([[Segment("x", Style(link="https://example.org/\x1b]52;c;AAAA"))]] * HEIGHT))
    written = frames.flush()
    assert "x" in written
    assert "]8;" not in written
    assert "]52" not in written


def _steps_to_write_a_row(width: int) -> int:
    """Lines and calls of Python that a row of `width` new cells takes."""
    buffer, steps = FrameBuffer(ColorSystem.TRUECOLOR), 0

    def trace(*_: object) -> object:
        nonlocal steps
        steps += 1
        return trace

    buffer.apply(Patch((width, 1), [(0, 0, [Segment("x" * width)])]))
    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        buffer.flush()
    finally:
        sys.settrace(before)
    return steps


def test_a_row_of_twice_the_width_takes_twice_the_work() -> None:
    assert _steps_to_write_a_row(200) < 2.5 * _steps_to_write_a_row(100)
