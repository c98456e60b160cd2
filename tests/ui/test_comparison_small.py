"""The comparison in 80 columns: what is missing is told, and nothing that matters is pushed out of sight."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.cells import cell_len
from textual.pilot import Pilot

from tests import recorded
from tests.ui.harness import drive, make_app, screen_text, until
from tests.ui.test_comparison import FIVE, SMALL, opened, page, plain
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.comparison import by_class, statistics
from tui_attn.ui.comparison.parts import aligned
from tui_attn.ui.comparison.source import Choices, ExperimentSource


def test_failed_runs_and_models_without_a_result_are_told_above_the_fold(tmp_path: Path) -> None:
    states = {"se-s1": "failed", **{f"self-attention-s{seed}": "failed" for seed in range(5)}}
    folder = recorded.record(tmp_path, config=FIVE, states=states, **SMALL)
    made = ExperimentSource(folder).overview()
    top = plain(statistics.rows(made, Choices(), page(80), can_extend=True)[:7])
    assert "6 of 15 runs have no result" in top
    assert "self-attention  no verdict: no seed has a result of both" in top
    assert max(map(len, top.splitlines())) <= 80


def test_a_title_that_has_room_for_less_keeps_the_state_and_the_way_to_scroll(tmp_path: Path) -> None:
    folder = recorded.record(tmp_path, config=FIVE, **SMALL)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app, "2")
        title = screen_text(app).splitlines()[1]
        assert "fashion-mnist, 2 epochs, 5 seeds, finished" in title
        assert re.search(r"1–21 of \d+ ↓", title)
        await pilot.press("end")
        await until(pilot, lambda: re.search(r" of \d+ ↑ ", screen_text(app).splitlines()[1]) is not None)

    drive(make_app(folder), script, size=(80, 24))


def test_without_attention_nothing_can_be_replaced(tmp_path: Path) -> None:
    config = ExperimentConfig(epochs=2, models=("base",))
    folder = recorded.record(tmp_path, config=config, **SMALL)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app, "6")
        await until(pilot, lambda: "No model of this experiment has attention" in screen_text(app))
        assert "computes it" not in screen_text(app)

    drive(make_app(folder), script, size=(80, 24))


def test_long_names_of_models_push_no_number_out_of_sight(tmp_path: Path) -> None:
    config = ExperimentConfig(
        epochs=2, seeds=3, models=("base", "se", "/n/my_net.py:MyNet", "/n/long.py:" + "Long" * 9)
    )
    folder = recorded.record(tmp_path, config=config, **SMALL)
    source = ExperimentSource(folder)
    made, details = source.overview(), source.details()
    assert details is not None
    top = statistics.rows(made, Choices(), page(80), can_extend=True)
    verdicts = [
        line for line in plain(top).splitlines()[:9] if "no difference above margin" in line or "undecided" in line
    ]
    assert len(verdicts) == 3
    assert all(line.endswith("three seeds") for line in verdicts)
    classes = by_class.class_rows(details, page(80))
    assert "less base" in plain(top)
    assert len(plain(classes).splitlines()[4].split()) >= 5
    for rows in (top, classes, by_class.confusion_rows(details, 3, page(80))):
        assert max(map(cell_len, plain(rows).splitlines())) <= 80


def test_wide_screens_show_all_matrices_and_what_differs_from_base(tmp_path: Path) -> None:
    folder = recorded.record(tmp_path, config=FIVE, **SMALL)
    source = ExperimentSource(folder)
    source.overview()
    details = source.details()
    assert details is not None
    large = plain(by_class.confusion_rows(details, 1, page(200)))
    assert large.count("1 T-shirt/top") == 5, "three matrices and two differences"
    assert "se less base, points" in large and "self-attention less base, points" in large
    assert " se  m: the next model" in large and "most frequent mistakes" in large
    one = plain(by_class.confusion_rows(details, 1, page(120)))
    assert one.count("1 T-shirt/top") == 2 and "se less base, points" in one
    assert "se less base" in plain(by_class.confusion_rows(details, 0, page(120)))
    base, se = details.classes[:2]
    share = [item.confusion[0, 0] / item.confusion[0].sum() for item in (base, se)]
    shown = one.partition("less base, points")[2].splitlines()[2].split()
    assert shown[0:2] == ["1", "T-shirt/top"]
    delta = 100 * (share[1] - share[0])
    assert shown[2] == ("·" if abs(delta) < 0.05 else f"{delta:+.1f}")
    for width in (80, 120, 200):
        for rows in (by_class.confusion_rows(details, 2, page(width)), by_class.class_rows(details, page(width))):
            assert max(map(cell_len, plain(rows).splitlines())) <= width


def test_classes_are_compared_with_base_by_bars(tmp_path: Path) -> None:
    folder = recorded.record(tmp_path, config=FIVE, **SMALL)
    source = ExperimentSource(folder)
    source.overview()
    details = source.details()
    assert details is not None
    below = plain(by_class.class_rows(details, page(120))).partition("less base, points")[2]
    assert below.count("│") == 20, "a bar for each of ten classes and two models"


def test_a_model_with_other_classes_is_compared_with_nothing(tmp_path: Path) -> None:
    source = ExperimentSource(recorded.record(tmp_path, config=FIVE, **SMALL))
    source.overview()
    details = source.details()
    assert details is not None
    base, se, other = details.classes
    more = replace(se, names=(*se.names, "an eleventh"), accuracy=np.pad(se.accuracy, ((0, 0), (0, 1))))
    below = plain(by_class.class_rows(replace(details, classes=(base, more, other)), page(120)))
    below = below.partition("less base, points")[2]
    assert below.count("│") == 10 and "an eleventh" not in below


def test_accuracies_seed_by_seed_come_with_their_differences(tmp_path: Path) -> None:
    accuracies = {"base": (0.91, 0.912), "se": (0.921, 0.902)}
    config = ExperimentConfig(epochs=2, seeds=2, models=("base", "se"))
    folder = recorded.record(tmp_path, config=config, accuracies=accuracies, **(SMALL | {"test_size": 1000}))
    shown = plain(statistics.rows(ExperimentSource(folder).overview(), Choices(), page(120), can_extend=True))
    lines = shown.partition("seed by seed")[2].splitlines()[2:5]
    assert [line.split() for line in lines[1:]] == [["0", "91.00", "92.10", "+1.10"], ["1", "91.20", "90.20", "-1.00"]]


def test_columns_of_a_table_are_in_line() -> None:
    rows = aligned([[("a", "muted"), ("12", "bold")], [("name", "muted"), ("7", "bold")]], pads=(0, 3))
    assert ["".join(text for text, _ in row) for row in rows] == ["a      12", "name    7"]
    rows = aligned([[("a", "muted"), ("12", "bold")], [("name", "muted"), ("7", "bold")]], left=(1,), gap=1)
    assert ["".join(text for text, _ in row) for row in rows] == ["   a 12", "name 7 "]
