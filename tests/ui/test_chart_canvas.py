from __future__ import annotations

import math
from itertools import groupby, pairwise

import numpy as np
import plotext
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ui.chart_helpers import INF, NAN
from tui_attn.ui.charts import canvas
from tui_attn.ui.charts.canvas import Drawings, Layer, draw
from tui_attn.ui.charts.geometry import clipped, columns_of, compact, decimate, min_max, polylines

DOTS = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]]


def pixels(*points: tuple[int, int]) -> np.ndarray:
    return np.array(points, dtype=np.int64)


# ---- decimation


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(-1e9, 1e9)), min_size=1, max_size=200),
    st.integers(1, 50),
)
def test_decimation_keeps_the_extremes_of_every_column(points: list[tuple[float, float]], columns: int) -> None:
    points.sort()
    x, y = np.array(points).T
    kept, breaks = decimate(x, y, 0.0, 100.0, columns)
    where = columns_of(x, 0.0, 100.0, columns)
    assert (np.diff(kept) > 0).all()
    assert breaks == []
    for column in np.unique(where):
        all_of_it, drawn = y[where == column], y[kept][where[kept] == column]
        assert len(drawn) <= 2
        assert (drawn.min(), drawn.max()) == (all_of_it.min(), all_of_it.max())


@given(st.lists(st.floats(), max_size=80), st.integers(1, 20))
def test_decimation_breaks_the_line_exactly_where_values_are_missing(values: list[float], columns: int) -> None:
    y = np.array(values)
    x = np.arange(len(y), dtype=float)
    kept, breaks = decimate(x, y, 0.0, max(len(y) - 1.0, 1.0), columns)
    assert np.isfinite(y[kept]).all()
    holes = [i for i in range(1, len(kept)) if not np.isfinite(y[kept[i - 1] : kept[i]]).all()]
    assert breaks == holes


def test_decimation_keeps_a_neighbour_on_either_side_of_the_view() -> None:
    x = np.arange(10.0)
    kept, _ = decimate(x, x, 3.5, 5.5, 10)
    assert kept.tolist() == [3, 4, 5, 6]


def test_min_max_of_nothing_is_nothing() -> None:
    assert min_max(np.zeros(0, dtype=np.intp), np.zeros(0)).tolist() == []


# ---- clipping

coordinates = st.floats(-1e9, 1e9)
places = st.tuples(coordinates, coordinates)


@given(st.lists(places, max_size=12), st.integers(1, 300), st.integers(1, 150))
def test_nothing_leaves_the_canvas(line: list[tuple[float, float]], right: int, top: int) -> None:
    for piece in polylines(np.array(line).reshape(-1, 2), [], right, top):
        assert len(piece)
        assert piece.min() >= 0
        assert piece[:, 0].max() <= right
        assert piece[:, 1].max() <= top


def test_a_line_that_leaves_and_comes_back_is_in_two_pieces() -> None:
    found = polylines(np.array([(1.0, 1.0), (1.0, 9.0), (3.0, 9.0), (3.0, 1.0)]), [], 5, 5)
    assert [piece.tolist() for piece in found] == [[[1, 1], [1, 5]], [[3, 5], [3, 1]]]


def test_a_line_from_far_away_comes_from_the_right_side() -> None:
    found = polylines(np.array([(2.0, 3.0), (5.0, 1e300), (8.0, 3.0), (8.0, -1e300)]), [], 10, 10)
    assert [piece.tolist() for piece in found] == [[[2, 3], [2, 10]], [[8, 10], [8, 0]]]


Place = tuple[float, float]


def part_inside(start: Place, end: Place, size: float) -> tuple[Place, Place] | None:
    """What of a segment is within [0, size] x [0, size] (Liang and Barsky, 1984)."""
    way = (end[0] - start[0], end[1] - start[1])
    enter, leave = 0.0, 1.0
    for delta, room in [
        *zip((-way[0], -way[1]), start, strict=True),
        *zip(way, (size - at for at in start), strict=True),
    ]:
        if delta == 0 and room < 0:
            return None
        if delta < 0:
            enter = max(enter, room / delta)
        elif delta > 0:
            leave = min(leave, room / delta)
    if enter >= leave:
        return None
    first, last = ((start[0] + share * way[0], start[1] + share * way[1]) for share in (enter, leave))
    return first, last


near = st.floats(-4, 14, width=16)


@given(st.lists(st.tuples(near, near), min_size=2, max_size=12))
def test_a_clipped_line_is_what_is_left_of_its_segments(line: list[Place]) -> None:
    line = [place for place, _ in groupby(line)]
    parts = [part_inside(start, end, 10.0) for start, end in pairwise(line)]
    ends = [place for part in parts if part for place in part]
    found = clipped(np.array(line), 10.0, 10.0)
    for place in ends:
        assert any(np.hypot(*(piece - place).T).min() < 1e-4 for piece in found), place
    length = sum(math.dist(*part) for part in parts if part)
    assert sum(np.hypot(*np.diff(piece, axis=0).T).sum() for piece in found) == pytest.approx(length, abs=1e-4)
    assert all((piece >= -1e-4).all() and (piece <= 10 + 1e-4).all() for piece in found)


def test_a_layer_that_was_drawn_before_is_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: Drawings = {}
    layers = [Layer([pixels((0, 0), (11, 11))]), Layer([pixels((0, 11), (11, 0))])]
    first = draw(layers, 6, 3, kept)
    monkeypatch.setattr(canvas, "_drawn", lambda *_: pytest.fail("drawn again"))
    assert draw(layers[::-1], 6, 3, kept) == first[::-1]
    assert draw(layers[:1], 6, 3, kept) == first[:1]
    assert len(kept) == 1, "only the layers of the last drawing"


def test_points_that_change_nothing_go() -> None:
    line = pixels((0, 0), (0, 0), (1, 1), (2, 2), (5, 5), (5, 4), (5, 6), (6, 6))
    assert compact(line).tolist() == [[0, 0], [5, 5], [5, 4], [5, 6], [6, 6]]


# ---- the kernel


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (6, 3), (200, 1), (1, 60)])
def test_every_pixel_lands_on_its_dot(size: tuple[int, int]) -> None:
    width, height = size
    rng = np.random.default_rng(0)
    for x, y in zip(rng.integers(0, width * 2, 40).tolist(), rng.integers(0, height * 4, 40).tolist(), strict=True):
        (lines,) = draw([Layer([pixels((x, y))])], width, height)
        assert [len(line) for line in lines] == [width] * height
        assert ord(lines[height - 1 - y // 4][x // 2]) == 0x2800 + DOTS[x % 2][3 - y % 4]
        assert sum(glyph != " " for line in lines for glyph in line) == 1


def test_layers_are_drawn_apart_and_pieces_are_not_joined() -> None:
    one, other = draw(
        [Layer([pixels((0, 0), (3, 0)), pixels((8, 0), (11, 0))]), Layer([pixels((0, 3), (11, 3))])], 6, 1
    )
    assert one == ["⣀⣀  ⣀⣀"]
    assert other == ["⠉⠉⠉⠉⠉⠉"]


def test_an_ascii_layer_is_drawn_with_its_marker() -> None:
    assert draw([Layer([pixels((0, 0), (2, 2))], "x")], 3, 3) == [["  x", " x ", "x  "]]


def test_the_figure_is_left_empty_and_taken_over_whatever_its_state() -> None:
    plotext.figure.title("somebody else's")
    plotext.figure.draw(plotext.figure.signal([1, 2, 3], [3, 2, 1]))
    try:
        first = draw([Layer([pixels((0, 0), (11, 11))])], 6, 3)
        assert first == draw([Layer([pixels((0, 0), (11, 11))])], 6, 3)
        assert "".join(first[0]).count("somebody") == 0
        assert draw([Layer([])], 6, 3) == [["      "] * 3]
    finally:
        plotext.figure.clear()


@pytest.mark.parametrize("bad", [(-1, 0), (12, 0), (0, -1), (0, 12)])
def test_a_pixel_outside_never_reaches_the_kernel(bad: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="canvas"):
        draw([Layer([pixels((0, 0), bad)])], 6, 3)


def test_infinite_places_are_nothing_to_draw() -> None:
    kept, breaks = decimate(np.array([0.0, 1.0, 2.0]), np.array([INF, NAN, -INF]), 0.0, 2.0, 10)
    assert (len(kept), breaks) == (0, [])
