"""The answer screen: everything that matters in one screen, at every size, with few models and many."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.style import Style
from textual.pilot import Pilot

from tests import recorded
from tests.ui.chart_helpers import styles
from tests.ui.harness import drive, make_app, screen_text, staged, until
from tests.ui.test_comparison import BASE, FIVE, SE, SELF, SMALL, inked, opened, plain, write_interventions
from tui_attn.compare.headline import headline
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.comparison import answer
from tui_attn.ui.comparison.parts import Page
from tui_attn.ui.comparison.source import Choices, ExperimentSource
from tui_attn.ui.drawing import Row
from tui_attn.ui.screens.comparison import ComparisonScreen
from tui_attn.ui.screens.heatmaps import HeatmapsScreen
from tui_attn.ui.styles import DrawingMode

SIZES = ((80, 24), (120, 40), (200, 60))


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> ExperimentDir:
    accuracies = {"base": BASE, "se": SE, "self-attention": SELF}
    return recorded.record(tmp_path_factory.mktemp("five"), config=FIVE, accuracies=accuracies, **SMALL)


def shown(folder: ExperimentDir, size: tuple[int, int], mode: DrawingMode | None = None) -> list[Row]:
    source = ExperimentSource(folder)
    made = source.overview()
    page = Page(size[0], styles(mode or DrawingMode()), size[1] - 3)
    return answer.rows(made, source.details(), Choices(), page, can_extend=True)


def fits(rows: list[Row], size: tuple[int, int]) -> bool:
    return len(rows) <= size[1] - 3 and max(cell_len(line) for line in plain(rows).splitlines()) <= size[0]


@pytest.mark.parametrize("size", SIZES)
def test_sentence_verdicts_intervals_and_next_are_in_sight(five: ExperimentDir, size: tuple[int, int]) -> None:
    rows = shown(five, size)
    text = plain(rows)
    assert fits(rows, size)
    assert headline(ExperimentSource(five).overview().summary) in " ".join(text.split())
    assert "better" in text
    assert inked(rows, "worse") >= {"failed"}
    assert text.count("█") >= 2
    assert "← worse" in text
    assert text.count("∘") >= 6, "a dot for each seed"
    last = text.splitlines()[-4:]
    assert "next" in last[0]
    assert "more seed" in last[1]
    assert "(about " in last[1]
    assert ("test accuracy by epoch" in text) == (size[0] >= 120)
    assert "what it costs" in text


def test_large_screens_show_classes_and_matrices(five: ExperimentDir) -> None:
    text = plain(shown(five, (200, 60)))
    assert "accuracy by class" in text
    assert text.count("1 T-shirt/top") == 3
    assert "where they differ most" in plain(shown(five, (120, 40)))


def test_models_stand_in_the_order_of_the_sentence_everywhere(tmp_path: Path) -> None:
    accuracies = {"base": BASE, "se": SELF, "self-attention": SE}
    folder = recorded.record(tmp_path, config=FIVE, accuracies=accuracies, **SMALL)
    text = plain(shown(folder, (120, 40)))
    assert "self-attention is better" in text.splitlines()[1]
    cards, bars = text.partition("█ mean")[::2]
    assert cards.rindex("self-attention ─") < cards.index(" se ─")
    assert re.findall(r"^ . (se|self-attention) ", bars, re.MULTILINE)[:2] == ["self-attention", "se"]
    costs = text.partition("what it costs")[2]
    assert costs.index("base") < costs.index("self-attention") < costs.index(" se ")
    large = plain(shown(folder, (200, 60)))
    for part in ("accuracy by class", "mistakes:"):
        names = re.search(r"base +.*self-attention +.*se(?: |$)", large.partition(part)[2], re.MULTILINE)
        assert names is not None, part


def test_the_other_pages_list_the_models_as_they_were_given(tmp_path: Path) -> None:
    config = replace(FIVE, models=("self-attention", "base", "se"))
    accuracies = {"base": BASE, "se": SE, "self-attention": SELF}
    folder = recorded.record(tmp_path, config=config, accuracies=accuracies, **SMALL)
    for seed in range(5):
        for model in ("se", "self-attention"):
            write_interventions(folder, f"{model}-s{seed}", model, -0.03)
    source = ExperimentSource(folder)
    overview, details = source.overview(), source.details()
    assert details is not None
    assert overview.summary.names == list(config.models)
    assert [item.model for item in details.classes] == list(config.models)
    assert [item.model for item in details.effects] == ["self-attention", "se"], details.no_effects


def test_the_key_to_seeds_that_share_a_cell_leaves_room_for_the_chart(tmp_path: Path) -> None:
    accuracies = {"base": BASE, "se": (0.92, 0.922, 0.93, 0.921, 0.923), "self-attention": SELF}
    folder = recorded.record(tmp_path, config=FIVE, accuracies=accuracies, **SMALL)
    text = plain(shown(folder, (120, 40)))
    assert re.search(r"points from base  █ mean ━ 95 %  ∘ one seed, \d = \d seeds +test accuracy by epoch", text)


def test_what_lies_below_the_accuracies_in_sight_is_marked(tmp_path: Path) -> None:
    config = ExperimentConfig(epochs=8, seeds=2)
    folder = recorded.record(tmp_path, config=config, **SMALL)
    text = plain(shown(folder, (120, 40)))
    assert "↑↓ outside" in text
    assert "↓" in text.partition("↑↓ outside")[2].partition("what it costs")[0]


def test_where_no_run_has_a_result_the_way_on_is_said(tmp_path: Path) -> None:
    config = ExperimentConfig(epochs=2, models=("base", "se"))
    folder = recorded.record(tmp_path, config=config, states={"base-s0": "failed", "se-s0": "failed"}, **SMALL)
    source = ExperimentSource(folder)
    text = plain(answer.rows(source.overview(), source.details(), Choices(), Page(120, styles(), 37), can_extend=False))
    assert "esc no run has a result: in the list of runs enter shows why, and r trains again" in text
    assert "write the report" not in text


def test_a_better_model_with_more_parameters_lacks_a_control(tmp_path: Path) -> None:
    accuracies = {"base": BASE, "se": SELF, "self-attention": SE, "base-wide": BASE}
    hint = "parameters alone would do what self-attention does (control: base-wide)"
    without = recorded.record(tmp_path / "without", config=FIVE, accuracies=accuracies, **SMALL)
    assert f"Not shown: whether 2.6x the {hint}" in " ".join(plain(shown(without, (100, 60))).split())
    config = replace(FIVE, models=(*FIVE.models, "base-wide"))
    wide = recorded.record(tmp_path / "wide", config=config, accuracies=accuracies, **SMALL)
    assert "Not shown" not in plain(shown(wide, (100, 60)))


@pytest.mark.parametrize("size", SIZES[1:])
def test_what_the_interval_is_of_is_said_and_a_blank_row_parts_next_from_the_keys(
    five: ExperimentDir, size: tuple[int, int]
) -> None:
    rows = shown(five, size)
    assert "95 % interval of the mean over seeds" in plain(rows)
    assert not rows[-1].pieces
    assert max(cell_len(line) for line in plain(rows).splitlines()) < size[0], "the right card ends where rules end"


def test_where_nothing_is_compared_the_reason_is_said(tmp_path: Path) -> None:
    config = ExperimentConfig(epochs=2, seeds=2, models=("base", "se"))
    failed = recorded.record(tmp_path / "a", config=config, states={"se-s0": "failed", "se-s1": "failed"}, **SMALL)
    text = plain(shown(failed, (120, 40)))
    assert "No seed has a result of both base and another model." in text
    assert "no seed has a result of both, 2 runs have no result" in text
    without = replace(config, models=("se", "self-attention"))
    text = plain(shown(recorded.record(tmp_path / "b", config=without, **SMALL), (120, 40)))
    assert "base is missing, so no verdicts" in text
    running = recorded.record(tmp_path / "c", config=config, states={"se-s0": "running", "se-s1": "queued"}, **SMALL)
    text = plain(shown(running, (120, 40)))
    assert "test accuracy by epoch" in text
    assert "no seed has a result of both" in text


@pytest.mark.parametrize("size", SIZES)
def test_one_seed_gives_no_verdict_and_no_interval(tmp_path: Path, size: tuple[int, int]) -> None:
    folder = recorded.record(tmp_path, config=ExperimentConfig(epochs=2), **SMALL)
    rows = shown(folder, size)
    assert fits(rows, size)
    assert "One seed: nothing decided yet" in plain(rows)
    assert "no verdict: one seed" in plain(rows)
    assert "┣" not in plain(rows)


@pytest.mark.parametrize("size", SIZES)
def test_two_models_and_all_models_fit(tmp_path: Path, size: tuple[int, int]) -> None:
    two = recorded.record(tmp_path / "two", config=ExperimentConfig(epochs=2, seeds=2, models=("base", "se")), **SMALL)
    assert fits(shown(two, size), size)
    many: dict[str, Any] = {**SMALL, "probes": False}
    models = ("base", "se", "self-attention", *(f"/n/net{at}.py:Net{at}" for at in range(14)))
    folder = recorded.record(tmp_path / "all", config=ExperimentConfig(epochs=2, seeds=3, models=models), **many)
    rows = shown(folder, size)
    assert fits(rows, size)
    assert "next" in plain(rows)
    assert all(f"net{at}-net{at}" in plain(rows) for at in range(14))
    assert plain(rows).count("█") >= 16


def test_names_of_custom_models_push_nothing_out(tmp_path: Path) -> None:
    models = ("base", "/n/my_net.py:MyNet", "/n/long.py:" + "Long" * 9)
    folder = recorded.record(tmp_path, config=ExperimentConfig(epochs=2, seeds=3, models=models), **SMALL)
    for size in SIZES:
        assert fits(shown(folder, size), size)


def test_without_colours_signs_tell_the_verdicts(five: ExperimentDir) -> None:
    text = plain(shown(five, (80, 24), DrawingMode("none", ascii=True)))
    assert "↑ better" in text
    assert "↓ worse" in text


def test_whether_the_attention_matters_is_a_line_a_model(tmp_path: Path) -> None:
    folder = recorded.record(tmp_path, config=ExperimentConfig(epochs=2), **SMALL)
    write_interventions(folder, "se-s0", "se", -0.03)
    text = plain(shown(folder, (120, 40)))
    assert "-3.00  it uses the individual image" in text
    assert "not measured: 6 and I measure it" in text


def test_a_gain_without_use_of_the_image_is_explained_in_one_sentence(tmp_path: Path) -> None:
    accuracies = {"base": BASE, "se": SE, "self-attention": SELF}
    folder = recorded.record(tmp_path, config=FIVE, accuracies=accuracies, **SMALL)
    for seed in range(5):
        write_interventions(folder, f"se-s{seed}", "se", (-0.0002, 0.0001, 0.0, 0.0002, -0.0001)[seed])
        write_interventions(folder, f"self-attention-s{seed}", "self-attention", -0.03)
    said = "It isn't shown that se's gain depends on the individual image"
    rows = shown(folder, (120, 40))
    assert " ".join(plain(rows).split()).count(said) == 1
    assert "no effect shown (at most " in plain(rows)
    assert fits(rows, (120, 40))
    assert "points gained or lost with the average attention" in plain(rows)
    for seed in range(5):
        write_interventions(folder, f"se-s{seed}", "se", -0.03)
    assert said not in plain(shown(folder, (120, 40)))


def test_each_label_stands_in_the_row_where_its_line_ends(five: ExperimentDir) -> None:
    lines = plain(shown(five, (120, 40))).splitlines()
    for label in ("se", "base", "self-attention"):
        line = next(line for line in lines if re.search(rf" {label} +\d\d\.\d\d%$", line))
        assert re.search(r"[⠁-⣿]([◆●▲■◼]) \1 ", line), "the line and its marker, and the marker of the label"


def test_while_training_it_says_how_far_it_is_and_fills(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        await until(pilot, lambda: "No seed has a result of both" in screen_text(app))
        assert "0 of 3 runs have ended" in screen_text(app)
        log = LogWriter(folder.events)
        for run in ("base-s0", "se-s0"):
            log.append("run_ended", run=run, state="finished", reason=None)
        log.close()
        await until(pilot, lambda: "2 of 3 runs have ended" in screen_text(app))

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_it_is_what_opens_at_the_end_and_leads_to_the_heatmaps(five: ExperimentDir) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        assert isinstance(app.screen, ComparisonScreen)
        assert "1 answer" in screen_text(app)
        assert "next" in screen_text(app)
        await pilot.press("h")
        await until(pilot, lambda: isinstance(app.screen, HeatmapsScreen))

    drive(make_app(five), script, size=(80, 24))


@pytest.mark.parametrize("scene", ["empty", "failed", "lost"])
@pytest.mark.parametrize("size", SIZES)
def test_every_state_fits(tmp_path: Path, scene: str, size: tuple[int, int]) -> None:
    folder = recorded.scene(tmp_path, scene, config=ExperimentConfig(epochs=2))
    assert fits(shown(folder, size), size)


def test_ascii_has_a_sign_of_its_own_for_each_verdict_and_dot(five: ExperimentDir) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        await until(pilot, lambda: "difference from base" in screen_text(app))
        assert "? one seed" not in screen_text(app)
        assert ". one seed" in screen_text(app)

    drive(make_app(five, ascii=True), script, size=(80, 24))


def test_what_more_seeds_are_for_is_said_where_looks_are_planned(tmp_path: Path) -> None:
    accuracies = {"base": BASE, "se": SE, "self-attention": SELF}
    folder = recorded.record(tmp_path, config=FIVE, accuracies=accuracies, planned=True, **SMALL)
    assert "train 5 more seeds" in plain(shown(folder, (120, 40)))
    assert ", look 2 of 2" in plain(shown(folder, (120, 40)))


def test_lines_that_meet_are_seen_by_turns(tmp_path: Path) -> None:
    folder = recorded.record(tmp_path, config=FIVE, accuracies={"base": BASE, "se": BASE}, **SMALL)
    inks = {ink for row in shown(folder, (120, 40)) for text, ink in row.pieces if re.search("[⠁-⣿]", text)}
    colors = {ink.color for ink in inks if isinstance(ink, Style)}
    assert {styles()(f"model:{model}").color for model in ("base", "se")} <= colors
