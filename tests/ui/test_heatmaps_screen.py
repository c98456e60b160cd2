"""The heatmaps' screen: the slider over the epochs, the untrained network beside it, and what the numbers say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from textual.pilot import Pilot

from tests import recorded
from tests.ui.harness import drawn, drive, make_app, screen_text, until
from tui_attn.compare.heatmaps import heatmap_facts
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.reducer import RunState
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.charts.matrix import matrix, number, signed
from tui_attn.ui.probes import Probed, largest_difference, matrices, read_probe
from tui_attn.ui.screens import heatmaps
from tui_attn.ui.widgets.epoch_slider import EpochSlider
from tui_attn.ui.widgets.heatmap import Heatmap
from tui_attn.ui.widgets.heatmap_facts import in_short


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ExperimentDir:
    config = ExperimentConfig(epochs=3)
    root = tmp_path_factory.mktemp("probed")
    return recorded.record(root, config=config, predictions=False, points_per_epoch=4, points_per_block=2)


async def opened(pilot: Pilot[int], app: DashboardApp) -> None:
    await drawn(pilot, app)
    await pilot.press("h")
    await until(pilot, lambda: "gates of se1" in screen_text(app))


def maps(app: DashboardApp) -> tuple[Heatmap, Heatmap]:
    return app.screen.query_one("#heatmap", Heatmap), app.screen.query_one("#untrained", Heatmap)


def test_the_slider_goes_through_the_epochs_by_key_and_by_mouse(folder: ExperimentDir) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        slider = app.screen.query_one(EpochSlider)
        assert screen_text(app).splitlines()[1].count("●") == 1
        await pilot.press("comma", "comma")
        await until(pilot, lambda: "se-s0 · epoch 1" in screen_text(app))
        await pilot.click(EpochSlider, offset=(slider._places[0], 0))
        await until(pilot, lambda: "se-s0 · untrained" in screen_text(app))
        assert "its pattern is that of random weights on these images" in " ".join(screen_text(app).split())

    drive(make_app(folder), script)


def test_it_plays_from_the_untrained_network_to_the_last_epoch(
    folder: ExperimentDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(heatmaps, "PLAY_SECONDS", 0.01)  # nobody watches
    read: list[int] = []

    def counted(folder: ExperimentDir, run: RunState, epoch: int) -> Probed:
        read.append(epoch)
        return read_probe(folder, run, epoch)

    monkeypatch.setattr(heatmaps, "read_probe", counted)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        await pilot.press("space")
        await until(pilot, lambda: read[-1:] == [3] and len(read) > 1 and "epoch 3" in screen_text(app))

    drive(make_app(folder), script)
    assert read == [3, 0, 1, 2, 3]


def test_over_ssh_nothing_plays(folder: ExperimentDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "a b c d")

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        await pilot.press("space")
        await until(pilot, lambda: "over SSH nothing plays" in screen_text(app))
        assert "epoch 3" in screen_text(app)

    drive(make_app(folder), script)


def test_the_untrained_network_stands_beside_it_or_in_its_place(folder: ExperimentDir) -> None:
    async def wide(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        await until(pilot, lambda: "gates of se1, untrained" in screen_text(app))
        trained, untrained = maps(app)
        await pilot.press("o", "d", "right", "down")
        await until(pilot, lambda: untrained.cursor == trained.cursor)
        assert (untrained.sort_by, untrained.difference) == (trained.sort_by, trained.difference) == ("mean", True)
        assert untrained.matrix.order("mean") == trained.matrix.order("mean")
        assert untrained.matrix.difference_scale == trained.matrix.difference_scale
        assert abs(untrained.matrix.differences).max() < abs(trained.matrix.differences).max()
        await pilot.press("v")
        await until(pilot, lambda: "untrained" not in screen_text(app).splitlines()[2])

    async def narrow(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        trained = maps(app)[0].value
        await pilot.press("v")
        await until(pilot, lambda: "gates of se1, untrained" in screen_text(app))
        assert maps(app)[0].value != trained
        await pilot.press("v")
        await until(pilot, lambda: maps(app)[0].value == trained)

    drive(make_app(folder), wide, size=(200, 60))
    drive(make_app(folder), narrow, size=(80, 24))


def test_the_two_stand_where_their_cells_are_larger(folder: ExperimentDir) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        await until(pilot, lambda: "gates of se1, untrained" in screen_text(app))
        trained, untrained = maps(app)
        assert untrained.region.y >= trained.region.bottom, "10 classes by 32 channels fill the width"
        titles = [line for line in screen_text(app).splitlines() if "gates of se1" in line]
        assert len(titles) == 2
        await pilot.press("j")
        await until(pilot, lambda: "attention" in trained.title and untrained.region.x >= trained.region.right)
        assert trained.matrix.shape == (64, 64), "64 rows need the height"
        assert trained._layout is not None
        assert (trained._layout.rows, trained._layout.columns) == (64, 64)

    drive(make_app(folder), script, size=(200, 60))


def test_what_the_numbers_say_stands_below(folder: ExperimentDir) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        shown = " ".join(screen_text(app).split())
        for text in (
            "grew in training",
            "levels of the channels (none before)",
            "variance",
            "below 0.05",
            "effective rank",
        ):
            assert text in shown
        await pilot.press("i")
        await until(pilot, lambda: "effective rank" not in screen_text(app))

    drive(make_app(folder), script, size=(80, 24))


def test_a_scale_of_its_own_is_kept_through_the_epochs(folder: ExperimentDir) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        heatmap = maps(app)[0]
        assert 0 < heatmap.matrix.lower < heatmap.matrix.upper < 1, "spread over the values in sight"
        await pilot.press("z")
        await until(pilot, lambda: (heatmap.matrix.lower, heatmap.matrix.upper) == (0.0, 1.0))
        await pilot.press("comma")
        await until(pilot, lambda: "epoch 2" in screen_text(app))
        assert (heatmap.matrix.lower, heatmap.matrix.upper) == (0.0, 1.0)
        await pilot.press("z")
        await until(pilot, lambda: heatmap.matrix.upper < 1.0)

    drive(make_app(folder), script)


def test_a_class_s_attention_differs_from_that_of_all_classes() -> None:
    rng = np.random.default_rng(0)
    weights = rng.random((3, 4, 4)).astype(np.float32)
    found = matrices({"attention/by_class": weights, "attention/by_head": weights}, ["a", "b", "c"])
    (one,) = [item for item in found if item.name == "attention, mean over heads, b"]
    shown = matrix(one.values, one.rows, reference=one.reference)
    assert shown.differences[2, 3] == pytest.approx(float(weights[1, 2, 3] - weights[:, 2, 3].mean()))
    assert next(item for item in found if item.name == "attention, mean over heads").reference is None
    with pytest.raises(ValueError, match="shape"):
        matrix(one.values, one.rows, reference=[[1.0]])


def test_the_short_facts_leave_out_what_is_not_known() -> None:
    by_class = np.array([[0.2, 0.8], [0.6, 0.5]], dtype=np.float32)
    (facts,) = heatmap_facts({"se1/by_class": by_class})
    assert in_short(facts) == ["effective rank 1.0 of 1"]


def test_without_a_model_with_attention_the_screen_says_so(tmp_path: Path) -> None:
    folder = recorded.record(tmp_path, config=ExperimentConfig(models=("base",), epochs=2), predictions=False)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("h")
        await until(pilot, lambda: "No model of this experiment has gates" in screen_text(app))

    drive(make_app(folder), script)


def keep_whole(folder: ExperimentDir, *epochs: int) -> None:
    """Let the probes of these epochs hold the attention by class and head, as those of the first and last do."""
    for epoch in epochs:
        path = folder.run("self-attention-s0").probes / f"epoch-{epoch:05d}.npz"
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        heads, classes = arrays["attention/by_head"], arrays["attention/by_class"]
        whole = (heads[None] + classes[:, None]) / 2
        np.savez(path, allow_pickle=False, **arrays, **{"attention/by_class_and_head": whole.astype(np.float16)})


def test_head_and_class_are_chosen_together(tmp_path: Path) -> None:
    folder = recorded.record(tmp_path, config=ExperimentConfig(epochs=3), predictions=False, points_per_epoch=4)
    keep_whole(folder, 0, 3)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("down", "down", "h")
        await until(pilot, lambda: "attention, mean over heads " in screen_text(app))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "attention, mean over heads, T-shirt/top" in screen_text(app))
        await pilot.press("m", "m", "right_square_bracket")
        await until(pilot, lambda: "attention, head 2, Trouser" in screen_text(app))
        heatmap = maps(app)[0]
        with np.load(folder.run("self-attention-s0").probes / "epoch-00003.npz", allow_pickle=False) as file:
            kept = file["attention/by_class_and_head"].astype(np.float32)
        assert heatmap.value == kept[1, 1, 0, 0]
        assert heatmap.matrix.differences[0, 0] == pytest.approx(float(kept[1, 1, 0, 0] - kept[:, 1, 0, 0].mean()))
        await pilot.press("comma")
        await until(pilot, lambda: "head 2 by class: see epoch 0 or the last" in screen_text(app))
        assert "attention, head 2  " in screen_text(app)
        await pilot.press("comma", "comma")
        await until(pilot, lambda: "self-attention-s0 · untrained" in screen_text(app))
        await until(pilot, lambda: "attention, head 2, Trouser" in screen_text(app))
        await pilot.press("left_square_bracket", "left_square_bracket")
        await until(pilot, lambda: "attention, head 2  " in screen_text(app))
        assert "by class" not in screen_text(app).splitlines()[1]

    drive(make_app(folder), script, size=(80, 24))


def test_experiments_of_before_have_classes_of_the_mean_and_say_so_of_a_head(folder: ExperimentDir) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("down", "down", "h")
        await until(pilot, lambda: "1 of 9" in screen_text(app))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "attention, mean over heads, T-shirt/top" in screen_text(app))
        await pilot.press("m")
        await until(pilot, lambda: "head 1 by class: not recorded" in screen_text(app))

    drive(make_app(folder), script)


def test_gates_have_their_classes_as_rows(folder: ExperimentDir) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "every row of this heatmap is a class" in screen_text(app))

    drive(make_app(folder), script)


def test_classes_without_a_mean_over_heads_stand_for_themselves() -> None:
    found = matrices({"attention/by_class": np.ones((2, 3, 3), dtype=np.float32)}, ["a", "b"])
    assert [(item.name, item.group) for item in found] == [
        ("attention, mean over heads, a", ""),
        ("attention, mean over heads, b", ""),
    ]


def test_the_scale_of_differences_holds_both_networks_and_passes_over_what_is_no_number() -> None:
    small = np.array([[0.1, 0.2], [0.1, 0.2]], dtype=np.float32)
    large = np.array([[0.0, np.nan], [1.0, 0.2]], dtype=np.float32)
    (one,), (two,) = (matrices({"se1/by_class": values}, ["a", "b"]) for values in (small, large))
    assert largest_difference(one, None) == 0.0
    assert largest_difference(one, two) == 0.5


def test_a_small_difference_is_read_out_with_its_digits() -> None:
    assert [signed(value) for value in (0.00002, -0.00002, 0.5, -0.5, 0.0)] == [
        "+0.0000200",
        "-0.0000200",
        "+0.5000",
        "-0.5000",
        "+0.0000",
    ]


def test_the_facts_speak_of_the_network_in_sight(folder: ExperimentDir) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        assert "the untrained network;" not in screen_text(app)
        await pilot.press("v")
        await until(pilot, lambda: "the untrained network;" in screen_text(app))

    drive(make_app(folder), script, size=(100, 40))


def test_an_error_that_nobody_expected_is_shown(folder: ExperimentDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Probed:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(heatmaps, "read_probe", fails)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("h")
        await until(pilot, lambda: "RuntimeError: no such thing" in screen_text(app))

    drive(make_app(folder), script)


def test_a_run_without_heatmaps_leads_to_one_of_its_seed_and_says_so(tmp_path: Path) -> None:
    config = ExperimentConfig(epochs=2, seeds=2)
    folder = recorded.record(tmp_path, config=config, predictions=False, points_per_epoch=4, points_per_block=2)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        app.push_screen(heatmaps.HeatmapsScreen(folder, app.snapshot, "base-s1"))
        await until(pilot, lambda: "se-s1 · epoch 2" in screen_text(app))
        assert "base-s1 has no heatmaps: this is se-s1" in screen_text(app)
        await pilot.press("j")
        await until(pilot, lambda: "self-attention-s1 · epoch 2" in screen_text(app))
        assert "has no heatmaps" not in screen_text(app)

    drive(make_app(folder), script)


def test_no_number_has_an_exponent() -> None:
    for value in (3e-9, -4.2e-5, 0.5, 12_345.0, 3e11, 0.0):
        assert "e" not in number(value)
        assert "e" not in signed(value)
