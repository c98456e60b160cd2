"""The comparison's pages, by keyboard and mouse, on recorded experiments."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot

from tests import recorded
from tests.ui.chart_helpers import styles
from tests.ui.harness import drawn, drive, make_app, screen_text, staged, until
from tui_attn import data
from tui_attn.compare import verdict
from tui_attn.compare.interventions import KINDS, LAYERS, Intervention, Interventions, path_in, to_json
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.comparison import disagreements, statistics
from tui_attn.ui.comparison.parts import Page, interval_bar, interval_span
from tui_attn.ui.comparison.source import Choices, ExperimentSource, GivenSource, pairs_of
from tui_attn.ui.drawing import Row
from tui_attn.ui.jobs import Job, Jobs
from tui_attn.ui.screens.comparison import ComparisonScreen
from tui_attn.ui.screens.confirm import ConfirmScreen
from tui_attn.ui.styles import DrawingMode

BASE = (0.910, 0.912, 0.911, 0.909, 0.913)
SE = (0.921, 0.922, 0.923, 0.918, 0.924)
SELF = (0.890, 0.893, 0.889, 0.891, 0.892)
FIVE = ExperimentConfig(epochs=2, seeds=5)
SMALL: dict[str, Any] = {"test_size": 500, "points_per_epoch": 4, "points_per_block": 2}


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> ExperimentDir:
    """Five seeds: SE is better, self-attention worse."""
    accuracies = {"base": BASE, "se": SE, "self-attention": SELF}
    return recorded.record(tmp_path_factory.mktemp("five"), config=FIVE, accuracies=accuracies, **SMALL)


def plain(rows: list[Row]) -> str:
    return "\n".join("".join(text for text, _ in row.pieces).rstrip() for row in rows)


def inked(rows: list[Row], text: str) -> set[str]:
    return {str(ink) for row in rows for piece, ink in row.pieces if text in piece}


def page(width: int = 120, mode: DrawingMode | None = None) -> Page:
    return Page(width, styles(mode or DrawingMode()))


async def opened(pilot: Pilot[int], app: DashboardApp, *keys: str) -> None:
    await drawn(pilot, app)
    for key in ("c", *keys):
        await pilot.press(key)
        await pilot.pause()
        await until(pilot, lambda: not getattr(app.screen, "busy", False))


# ---- the statistics


def test_the_statistics_say_verdict_interval_and_seeds(five: ExperimentDir) -> None:
    rows = statistics.rows(ExperimentSource(five).overview(), Choices(), page(), can_extend=True)
    found = verdict(BASE, SE, comparisons=2, resolution=1 / 500)
    assert found.verdict == "better" and found.ci95 is not None
    shown = plain(rows)
    assert f"{100 * found.ci95[0]:+.2f} to {100 * found.ci95[1]:+.2f}" in shown
    assert inked(rows, "better") >= {"running"} and inked(rows, "worse") >= {"failed"}
    assert "peak memory" in shown and "the lab expects*" in shown and "CIFAR-10's" not in shown
    assert "se was ahead in 5 of 5 seeds" in shown
    assert "more seeds  1 more seed, 6 in all" in shown


def test_nothing_of_the_statistics_is_cut_at_80_columns(tmp_path: Path) -> None:
    near = [value + 0.0001 * seed for seed, value in enumerate(BASE)]
    folder = recorded.record(tmp_path, config=FIVE, accuracies={"base": BASE, "se": SE, "self-attention": near},
                             planned=True, **SMALL)  # fmt: skip
    overview = ExperimentSource(folder).overview()
    assert {entry.model: entry.versus_base.verdict for entry in overview.summary.models if entry.versus_base} == {
        "se": "better",
        "self-attention": "no difference above margin",
    }
    shown = plain(statistics.rows(overview, Choices(), page(80), can_extend=True)).splitlines()
    assert max(map(len, shown)) <= 80
    (line,) = [line for line in shown[:9] if line.startswith(" self-attention  no difference above margin ")]
    assert re.search(r"[+-]\d\.\d\d to [+-]\d\.\d\d, p \S+$", line)


def test_the_time_to_an_accuracy_is_that_of_the_runs_that_reached_it(five: ExperimentDir) -> None:
    found = ExperimentSource(five).overview()

    def line(target: float | None) -> str:
        rows = statistics.rows(found, Choices(target=target), page(), can_extend=True)
        return next(line for line in plain(rows).splitlines() if "time to" in line)

    assert "time to 88.5 %" in line(None)  # the highest half point that all runs reached
    assert line(0.905).count("not reached") == 1
    assert line(0.99).count("not reached") == 3


def test_seeds_are_counted_for_the_chosen_difference(five: ExperimentDir) -> None:
    summary = ExperimentSource(five).overview().summary
    few, many = (statistics.more_seeds(summary, Choices(difference=size)) for size in (0.01, 0.001))
    assert few == 1 and many > 10  # a sixth seed is needed for a point
    assert statistics.more_seeds(summary, Choices(more=7)) == 7


def test_the_question_before_more_seeds_says_how_long(five: ExperimentDir) -> None:
    found = ExperimentSource(five).overview()
    seconds = statistics.seed_seconds(found)
    assert seconds is not None and seconds > 0
    question, facts = statistics.extend_question(found, Choices(more=2))
    assert question == "Train 2 more seeds?"
    assert "7 seeds, 6 more runs" in dict(facts)["then"] and "a seed" in dict(facts)["time"]


def test_with_one_seed_there_is_no_verdict_and_no_interval(tmp_path: Path) -> None:
    folder = recorded.record(tmp_path, config=ExperimentConfig(epochs=2), **SMALL)
    rows = statistics.rows(ExperimentSource(folder).overview(), Choices(), page(80), can_extend=True)
    assert "no verdict: one seed" in plain(rows)
    assert "━" not in plain(rows)
    assert max(len(line) for line in plain(rows).splitlines()) <= 80


def test_several_experiments_come_as_a_summary_and_remarks(five: ExperimentDir) -> None:
    follower = read_state(five)
    from tui_attn.compare.summary import summarise

    given = GivenSource(lambda: (summarise(follower), ["two experiments together"])).overview()
    shown = plain(statistics.rows(given, Choices(), page(), can_extend=False))
    assert "two experiments together" in shown
    assert "time to" not in shown and "e trains them" not in shown


@pytest.mark.parametrize(("middle", "ends"), [(0.5, (0.0, 1.0)), (0.0, None), (-0.5, (-0.9, -0.1))])
def test_an_interval_lies_where_its_numbers_are(middle: float, ends: tuple[float, float] | None) -> None:
    cells = "".join(text for text, _ in interval_bar(middle, ends, (-1.0, 1.0), 21, "normal"))
    assert len(cells) == 21
    places = [-1, -1] if ends is None else [round((end + 1) / 2 * 20) for end in ends]
    assert [cells.find(sign) for sign in "┣█┫"] == [places[0], round((middle + 1) / 2 * 20), places[1]]


def test_the_scale_holds_0_and_all_finite_values() -> None:
    for values in ([0.0031, -0.0049], [0.012, float("nan")], [-0.2, -0.1], []):
        low, high = interval_span(values)
        assert low < min([0.0, *values]) and max([0.0, *(value for value in values if value == value)]) < high


def test_pairs_are_of_one_seed(five: ExperimentDir) -> None:
    pairs = pairs_of(ExperimentSource(five).overview().summary)
    assert [len(found) for found in pairs] == [5, 5, 5]
    assert pairs[0][2] == ("base-s2", "se-s2") and pairs[2][4] == ("se-s4", "self-attention-s4")


# ---- pages by key


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_all_pages_are_a_key_away_and_fit(five: ExperimentDir, size: tuple[int, int]) -> None:
    expected = {
        "2": "against base, paired by seed",
        "3": "right, % of each class's test images",
        "4": "% of a true class (rows)",
        "5": "they disagree on",
        "6": "no interventions on",
        "1": "difference from base, points",
    }

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        for key, text in expected.items():
            await pilot.press(key)
            await until(pilot, lambda text=text: text in screen_text(app))  # type: ignore[misc]
        await pilot.press("tab")
        await until(pilot, lambda: "against base, paired by seed" in screen_text(app))
        await pilot.press("shift+tab")
        await until(pilot, lambda: "difference from base, points" in screen_text(app))
        await pilot.click("TabBar", offset=(28, 0))
        await until(pilot, lambda: "right, % of each class's" in screen_text(app))

    drive(make_app(five), script, size=size)


def test_models_seeds_and_groups_go_round(five: ExperimentDir) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app, "4")
        await until(pilot, lambda: " base  5 runs together" in screen_text(app))
        await pilot.press("m")
        await until(pilot, lambda: " se  5 runs together" in screen_text(app))
        await pilot.press("5")
        await until(pilot, lambda: "base-s0 and self-attention-s0" in screen_text(app))
        await pilot.press("right_square_bracket", "m")
        await until(pilot, lambda: "se-s1 and self-attention-s1" in screen_text(app))

    drive(make_app(five), script)


def test_more_seeds_are_trained_only_after_a_yes(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app, "2")
        await pilot.press("plus", "e")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert "Train 5 more seeds?" in screen_text(app)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, ComparisonScreen))
        assert not folder.control.exists()
        await pilot.press("e", "y")
        await until(pilot, folder.control.exists)

    located = data.find("synthetic")
    assert located is not None
    config, states = ExperimentConfig(epochs=2, dataset="synthetic"), {"se-s0": "running"}
    folder = recorded.record(tmp_path, config=config, states=states, data={"version": located.version}, **SMALL)
    with recorded.supervised(folder):
        drive(make_app(folder), script)
    command = json.loads(folder.control.read_text().splitlines()[0])
    assert (command["type"], command["seeds"]) == ("extend", 6)


def test_what_is_damaged_or_missing_is_told_in_words(tmp_path: Path) -> None:
    folder = recorded.record(tmp_path, config=FIVE, states={"se-s1": "failed"}, **SMALL)
    recorded.damage(folder.run("base-s0").predictions)
    (folder.run("base-s1").predictions).unlink()

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app, "3")
        await until(pilot, lambda: "base-s1/predictions.npz is missing" in screen_text(app))
        assert "base-s0/predictions.npz is damaged" in screen_text(app)
        await pilot.press("5")
        await until(pilot, lambda: "base-s0/predictions.npz is damaged" in screen_text(app))

    drive(make_app(folder), script)


def test_an_error_that_nobody_expected_is_shown(five: ExperimentDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: ExperimentSource) -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(ExperimentSource, "overview", fails)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("c")
        await until(pilot, lambda: "RuntimeError: no such thing" in screen_text(app))

    drive(make_app(five), script)


# ---- images


def test_images_are_drawn_where_the_test_set_is_that_of_the_runs(tmp_path: Path) -> None:
    config = ExperimentConfig(epochs=2, dataset="synthetic", test_limit=500)
    located = data.find("synthetic")
    assert located is not None
    folder = recorded.record(tmp_path, config=config, data={"version": located.version}, **SMALL)
    labels = data.load(located, train_limit=1, test_limit=500).test_labels
    for run in ("base-s0", "se-s0"):
        recorded.write_predictions(folder.run(run), run.split("-")[0], 0, 0.9, labels, 10)
    source = ExperimentSource(folder)
    source.overview()
    found = source.disagreement("base-s0", "se-s0")
    assert isinstance(found, disagreements.Disagreement)
    assert found.pictures is not None and sum(map(len, found.groups)) > 0
    assert "▀" in plain(disagreements.rows(found, 0, page()))
    for mode in (DrawingMode("256"), DrawingMode("16"), DrawingMode("none"), DrawingMode("true", ascii=True)):
        assert ("▀" in plain(disagreements.rows(found, 0, page(80, mode)))) == (
            mode.colors != "none" and not mode.ascii
        )


def test_images_that_are_others_are_not_drawn(five: ExperimentDir) -> None:
    source = ExperimentSource(five)
    source.overview()
    found = source.disagreement("base-s0", "se-s0")
    assert isinstance(found, disagreements.Disagreement)
    assert found.pictures is None
    shown = plain(disagreements.rows(found, 0, page()))
    assert found.problem in shown and "base-s0 says" in shown


def test_a_picture_is_two_pixels_high_a_cell_and_never_large() -> None:
    pixels = np.zeros((1, 64, 64), dtype=np.uint8)
    pixels[:, :32] = 255
    drawn_rows = disagreements.picture_rows(pixels, page())
    assert (len(drawn_rows), len(drawn_rows[0])) == (16, 32)
    pixel = styles().pixels
    assert drawn_rows[0][0] == ("▀", pixel((248,) * 3, (248,) * 3))
    assert drawn_rows[-1][0] == ("▀", pixel((0,) * 3, (0,) * 3))
    pixels[:, :2, :8] = np.array([0, 70, 180, 250], dtype=np.uint8).repeat(2)
    greys = {ink for _, ink in disagreements.picture_rows(pixels, page(80, DrawingMode("16")))[0]}
    assert {pixel((grey,) * 3, (255,) * 3) for grey in (0, 85, 170, 255)} == greys
    glyphs = disagreements.picture_rows(pixels[:, 2:], page(80, DrawingMode("none", ascii=True)))
    assert glyphs[0][0][0] == "@" * 32 and glyphs[-1][0][0] == " " * 32


# ---- jobs


def program(text: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", text], stderr=subprocess.PIPE)


def test_a_job_tells_its_lines_and_its_end(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        heard: list[Job] = []
        talks = "import sys; print('on it\\x1b[2J', file=sys.stderr); sys.exit(3)"
        job = Jobs().start("x", lambda: program(talks), heard.append)
        await until(pilot, lambda: not job.working and len(heard) >= 2)
        assert job.code == 3 and job.lines == ["on it␛[2J"]

        def fails() -> subprocess.Popen[bytes]:
            raise OSError("no such program")

        broken = Jobs().start("y", fails, heard.append)
        await until(pilot, lambda: not broken.working)
        assert (broken.code, broken.lines) == (1, ["no such program"])

    with staged(tmp_path, "finished") as folder:
        drive(make_app(folder), script)


def test_jobs_end_with_the_dashboard_and_start_once(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        jobs = Jobs()
        job = jobs.start("x", lambda: program("import time; time.sleep(600)"), lambda _: None)
        assert jobs.start("x", lambda: program("pass"), lambda _: None) is job
        await until(pilot, lambda: job._process is not None)
        jobs.stop()
        await until(pilot, lambda: not job.working)
        assert job.code == -15

    with staged(tmp_path, "finished") as folder:
        drive(make_app(folder), script)


def test_interventions_are_shown_with_the_plain_sentence(tmp_path: Path) -> None:
    folder = recorded.record(tmp_path, config=ExperimentConfig(epochs=2), **SMALL)
    write_interventions(folder, "se-s0", "se", -0.03)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app, "6")
        await until(pilot, lambda: "falls by 3.00 points" in screen_text(app))
        assert "their mean over all images" in screen_text(app)
        assert "%: it is the mean over other runs, or rounds otherwise. The changes" in " ".join(
            screen_text(app).split()
        )
        assert "no interventions on self-attention-s0 yet" in " ".join(screen_text(app).split())

    drive(make_app(folder), script, size=(120, 60))


def test_a_key_starts_the_interventions_and_tells_what_hinders_them(tmp_path: Path) -> None:
    folder = recorded.record(tmp_path, config=ExperimentConfig(epochs=2), data={"version": "another"}, **SMALL)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app, "6")
        await pilot.press("I")
        await until(pilot, lambda: "tui-attn: the data set" in screen_text(app))

    drive(make_app(folder), script)


def write_interventions(folder: ExperimentDir, run: str, model: str, delta: float) -> None:
    items = [
        Intervention(kind, layer, 0.9 + delta, delta, (delta - 0.002, delta + 0.002), -delta, 0.0, 1, None)
        for kind in KINDS[model]
        for layer in LAYERS[model]
    ]
    sha = read_state(folder).state.runs[run].weights_sha256 or ""
    found = Interventions(run, model, 0, sha, 500, 0.9, "fp32", 1.0, tuple(items))
    path_in(folder.run(run)).write_text(json.dumps(to_json(found)))
