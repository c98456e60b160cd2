"""The pictures of a study: what is known stands where it belongs, and what is not known is not drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.study.making import Accuracies, curve, write_study
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.study import StudyDir
from tui_attn.report import figures
from tui_attn.report import study as page
from tui_attn.study.analysis import read_results

Figure = pytest.importorskip("matplotlib.figure").Figure

CONFIG = ExperimentConfig(models=("base", "se"), seeds=3, epochs=2, train_limit=2000)
LOW, HIGH = (0.80, 0.81, 0.82), (0.83, 0.85, 0.86)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[[StudyDir], dict[str, Any]]:
    """Name -> the axes of each picture of a study."""
    made: dict[str, Any] = {}
    original = figures.picture

    def picture(name: str, alt: str, caption: str, draw: Callable[[Any], None], **size: float) -> figures.Picture:
        figure = Figure()
        draw(figure)
        (made[name],) = figure.axes
        return original(name, alt, caption, draw, **size)

    def draw(study: StudyDir) -> dict[str, Any]:
        assert {each.name for each in page.study_pictures(read_results(study))} == set(made)
        return made

    monkeypatch.setattr(figures, "picture", picture)
    return draw


def intervals(axes: Any) -> dict[str, tuple[float, tuple[float, float] | None]]:
    """Row -> where its marker stands, and its interval."""
    lines = [line for line in axes.lines if line.get_linestyle() == "-"]
    ends = {line.get_ydata()[0]: tuple(line.get_xdata()) for line in lines if len(line.get_xdata()) == 2}
    marks = {line.get_ydata()[0]: line.get_xdata()[0] for line in lines if len(line.get_xdata()) == 1}
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert set(marks) == set(range(len(labels)))
    return {label: (marks[at], ends.get(at)) for at, label in enumerate(labels)}


def test_differences_of_a_sweep_stand_at_their_values_in_the_order_of_the_cells(
    tmp_path: Path, drawn: Callable[[StudyDir], dict[str, Any]]
) -> None:
    cells: list[Accuracies] = [{"base": LOW, "se": HIGH}, {"base": LOW, "se": LOW}]
    study = write_study(tmp_path, CONFIG, [{"lr": 0.001}, {"lr": 0.01}], cells)
    (axes,) = drawn(study).values()
    found = intervals(axes)
    assert list(found) == ["lr=0.01  se", "lr=0.001  se"], "from below"
    at, ends = found["lr=0.001  se"]
    assert at == pytest.approx(11 / 3)
    assert ends is not None and ends[0] < at < ends[1]
    assert found["lr=0.01  se"][0] == 0, "the models are equal"


def test_differences_of_a_curve_stand_over_its_sizes(
    tmp_path: Path, drawn: Callable[[StudyDir], dict[str, Any]]
) -> None:
    pictures = drawn(curve(tmp_path, CONFIG, [1000, 2000], [{"base": LOW, "se": HIGH}, {"base": LOW, "se": LOW}]))
    assert set(pictures) == {"curve", "slopes"}
    (line,) = (line for line in pictures["curve"].lines if line.get_label() == "se")
    assert list(line.get_xdata()) == pytest.approx([1020, 2040]), "moved apart a little"
    assert list(line.get_ydata()) == pytest.approx([11 / 3, 0])
    ((at, ends),) = intervals(pictures["slopes"]).values()
    assert at == pytest.approx(-11 / 3)
    assert ends is not None and ends[0] < at < ends[1]


def test_what_has_no_pair_yet_is_not_drawn(tmp_path: Path, drawn: Callable[[StudyDir], dict[str, Any]]) -> None:
    pictures = drawn(curve(tmp_path, CONFIG, [1000, 2000], [{"base": LOW, "se": HIGH}]))
    assert set(pictures) == {"curve"}, "no seed has a slope"
    (line,) = (line for line in pictures["curve"].lines if line.get_label() == "se")
    assert len(line.get_xdata()) == 1


@pytest.mark.filterwarnings("error")
def test_a_curve_without_any_pair_is_drawn_without_a_legend_and_warns_of_nothing(
    tmp_path: Path, drawn: Callable[[StudyDir], dict[str, Any]]
) -> None:
    pictures = drawn(curve(tmp_path, CONFIG, [1000, 2000], []))
    assert set(pictures) == {"curve"}
    assert not pictures["curve"].figure.legends
