"""What part of the history a chart shows: fitted, zoomed, logarithmic, and what it says of the rest."""

from __future__ import annotations

import pytest

from tests.ui.chart_helpers import ASCII, TRUE, curve, text
from tests.ui.test_chart_plot import falling, picture, places_of
from tui_attn.ui.charts.geometry import Span
from tui_attn.ui.charts.series import Curve
from tui_attn.ui.styles import DrawingMode


@pytest.mark.parametrize(("mode", "down"), [(TRUE, "↓"), (ASCII, "v")])
def test_what_a_fitted_range_leaves_out_has_an_arrow_at_the_edge(mode: DrawingMode, down: str) -> None:
    values = [0.1, 0.2, 0.3, *([0.9] * 60)]
    drawn = picture([curve("base", values)], 80, 20, mode, fit=True)
    assert drawn.frame is not None
    assert drawn.frame.y.lower > 0.3
    (place,) = places_of(down, drawn)
    assert place == (drawn.frame.column(30.0), drawn.frame.height - 1)
    assert "outside" in text(drawn.strips)
    whole = picture([curve("base", values)], 80, 20, mode, fit=False)
    assert not places_of(down, whole)
    assert "outside" not in text(whole.strips)
    assert "full range" in text(whole.strips)


def test_the_first_epoch_of_the_test_curve_is_not_lost_without_a_mark() -> None:
    epochs = Curve.of("t", "base", "base", [100.0 * n for n in range(1, 16)], [0.5, *([0.9] * 14)], smooth=False)
    train = curve("base-train", [0.9] * 150)
    train.faint = True
    drawn = picture([epochs, train], 80, 20, fit=True)
    assert drawn.frame is not None
    assert (drawn.frame.column(100.0), drawn.frame.height - 1) in places_of("↓", drawn)


def test_a_zoomed_range_has_arrows_on_both_sides() -> None:
    drawn = picture([curve("base", [0.0, 0.0, 0.5, 1.0, 1.0])], 80, 20, y=Span(0.4, 0.6))
    assert len(places_of("↑", drawn)) == len(places_of("↓", drawn)) == 1


def test_the_x_axis_can_be_logarithmic() -> None:
    drawn = picture([curve("base", falling(1000))], 100, 20, log_x=True, cursor=2.0)
    shown = text(drawn.strips).splitlines()
    assert shown[-1].rstrip().endswith("step (log)")
    assert "100" in shown[-1]
    assert "1000" in shown[-1]
    assert "step 100" in shown[0]
    assert "log x" in shown[0]
    assert drawn.frame is not None
    assert abs(drawn.frame.column(2.0) - drawn.frame.width // 3) <= 1


def test_only_the_part_asked_for_is_shown_and_y_follows_it() -> None:
    values = [100.0] * 50 + [1.0, 2.0] * 25
    zoomed = picture([curve("base", values)], x=Span(600.0, 900.0))
    assert zoomed.frame is not None
    assert (zoomed.frame.x.lower, zoomed.frame.x.upper) == (600.0, 900.0)
    assert zoomed.frame.y.upper < 3
    assert "zoomed" in text(zoomed.strips)


def test_the_end_of_the_axis_stands_still_while_a_few_points_arrive() -> None:
    ends = {picture([curve("base", falling(n))]).frame.x.upper for n in range(101, 105)}  # type: ignore[union-attr]
    assert len(ends) == 1
