"""The report of recorded experiments: whole, self-contained, the same each time, whatever the experiment is like."""

from __future__ import annotations

import csv
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.recorded import SCENES, damage, scene, supervised
from tui_attn.compare.effects import dependence_sentence, effects_of
from tui_attn.compare.interventions import path_in
from tui_attn.compare.remarks import find_remarks
from tui_attn.compare.summary import summarise
from tui_attn.compare.text_tables import model_rows
from tui_attn.compare.wording import sentences
from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.report import PAGE, ReportError, figures, write_report

from .probed import experiment, intervene

VOID = {"meta", "br", "hr", "img", "col", "wbr", "input", "link"}


class Page(HTMLParser):
    """A page as a browser reads it: balanced, and with what is in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.pointers: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), f"a handler: {name}"
            if name == "id":
                self.ids.append(value or "")
            if name in {"href", "src", "xlink:href"}:
                self.pointers.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(folder: Path) -> Page:
    text = (folder / PAGE).read_text("utf-8")
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    outside = [pointer for pointer in page.pointers if not pointer.startswith(("#", "data:image/png;base64,"))]
    assert outside == []
    assert {pointer[1:] for pointer in page.pointers if pointer.startswith("#")} <= set(page.ids)
    assert not re.search(r"url\((?!#)|@import", text)
    return page


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are composed, but neither laid out nor put into files."""
    monkeypatch.setattr(figures, "_saved", lambda *_, **__: b'<svg xmlns="http://www.w3.org/2000/svg"/>')


def written(folder: ExperimentDir, to: Path) -> Page:
    assert write_report(read_state(folder), to) == to / PAGE
    return read(to)


# ---- a whole one


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExperimentDir, Path]:
    base = tmp_path_factory.mktemp("whole")
    made = experiment(base, models=("base", "se"), name="Two networks & a question")
    written(made, base / "report")
    return made, base / "report"


def test_the_page_says_what_the_comparison_says(whole: tuple[ExperimentDir, Path]) -> None:
    made, report = whole
    text = " ".join(read(report).text.replace("−", "-").replace("\N{NO-BREAK SPACE}", " ").split())
    follower = read_state(made)
    summary = summarise(follower)
    for sentence in sentences(summary, "se"):
        assert sentence.removeprefix("se: ")[1:] in text
    for row in model_rows(summary):
        for cell in row:
            assert cell.strip() in text
    for remark in find_remarks(follower, summary):
        assert remark in text
    (effects,) = effects_of(follower)[0]
    assert dependence_sentence(effects) in text
    for words in (
        "Hu et al. 2018",
        "A random-label twin:",
        "References",
        "cross-entropy",
        "none recorded before training",
    ):
        assert words in text
    for run in summary.models[1].runs:
        assert str(run.weights_sha256) in text


def test_every_section_is_there_and_reachable(whole: tuple[ExperimentDir, Path]) -> None:
    page = read(whole[1])
    assert page.tags.count("section") == 10
    assert {"answer", "models", "curves", "classes", "calibration", "attention", "interventions", "runs"} <= set(
        page.ids
    )
    assert page.tags.count("svg") == len(list((whole[1] / "pictures").glob("*.svg")))


def test_every_picture_comes_as_png_and_svg(whole: tuple[ExperimentDir, Path]) -> None:
    names = {path.name for path in (whole[1] / "pictures").iterdir()}
    expected = {
        "accuracies",
        "differences",
        "curve-test-accuracy",
        "curve-test-loss",
        "curve-training-loss",
        "classes",
        "reliability",
        "cost",
        "confusion-base",
        "confusion-se",
        "gates-se-s0-se1",
        "gates-se-s0-se2",
        "interventions-se",
    }
    assert names == {f"{name}.{kind}" for name in expected for kind in ("png", "svg")}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_tables_hold_the_numbers_as_they_are(whole: tuple[ExperimentDir, Path]) -> None:
    made, report = whole
    summary = summarise(read_state(made))
    models = rows(report / "tables" / "models.csv")
    assert [row["model"] for row in models] == ["base", "se"]
    versus = summary.models[1].versus_base
    assert versus is not None
    assert float(models[1]["delta_from_base"]) == versus.delta
    assert models[1]["verdict"] == versus.verdict
    assert models[0]["verdict"] == ""
    runs = rows(report / "tables" / "runs.csv")
    assert {row["run"]: float(row["test_accuracy_fraction"]) for row in runs} == {
        run.run: run.test_accuracy for entry in summary.models for run in entry.runs
    }
    epochs = rows(report / "tables" / "epochs.csv")
    assert [(row["run"], row["epoch"]) for row in epochs][:3] == [("base-s0", "1"), ("base-s0", "2"), ("base-s1", "1")]
    confusion = rows(report / "tables" / "confusion-se.csv")
    assert sum(int(value) for row in confusion for key, value in row.items() if key != "class") == 2 * 400
    effects = rows(report / "tables" / "interventions.csv")
    assert len(effects) == 3 * 27  # the mean and two runs
    gates = rows(report / "tables" / "gates.csv")
    assert len(gates) == 2 * 2 * 10 * (32 + 64)
    assert {row["epoch"] for row in gates} == {"0", "2"}
    facts = rows(report / "tables" / "heatmaps.csv")
    assert [(row["run"], row["layer"]) for row in facts] == [
        (run, layer) for run in ("se-s0", "se-s1") for layer in ("se1", "se2")
    ]


def test_equal_experiments_give_equal_bytes_in_any_process_and_time_zone(
    whole: tuple[ExperimentDir, Path], tmp_path: Path
) -> None:
    made, report = whole
    environment = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Pacific/Kiritimati", "LC_ALL": "C"}
    command = [sys.executable, "-P", "-m", "tui_attn", "compare", str(made.path), "--report", str(tmp_path / "again")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stderr == f"the report is in {tmp_path / 'again' / PAGE}\n"
    assert "two networks" in done.stdout.lower()

    def files(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert files(tmp_path / "again") == files(report)


def test_times_are_compared_to_an_accuracy_that_every_run_reached(tmp_path: Path, quick: None) -> None:
    made = experiment(tmp_path, accuracies={"base": [0.91, 0.93], "se": [0.9225, 0.95], "self-attention": [0.92, 0.93]})
    summary = summarise(read_state(made))
    assert summary.common_accuracy == 0.91
    assert "training time to 91 %" in written(made, tmp_path / "report").text.replace("\N{NO-BREAK SPACE}", " ")
    assert replace(summary, models=()).common_accuracy is None


# ---- whatever the experiment is like


@pytest.mark.parametrize("name", SCENES)
def test_experiments_in_every_state_have_a_report(tmp_path: Path, name: str, quick: None) -> None:
    made = scene(tmp_path, name, test_size=200, points_per_epoch=10)
    with supervised(made):
        page = written(made, tmp_path / "report")
    assert ("No epoch is done yet." in page.text) == (name == "empty")
    assert ("No run has finished yet." in page.text) == (name in {"empty", "running", "paused", "stopped", "lost"})


def test_odd_pictures_can_be_drawn(tmp_path: Path) -> None:
    """A run whose loss became NaN beside one with heatmaps of a strange shape."""
    made = experiment(tmp_path, states={"base-s0": "failed"}, models=("base", "se"), seeds=1)
    log = LogWriter(made.run("base-s0").events)
    log.append("metrics", epoch=2, step=[900], loss=[math.nan], accuracy=[0.1], train_seconds=99.0)
    log.close()
    odd_probes(made)
    page = written(made, tmp_path / "report")
    assert "✕: there a run's value became NaN or infinite." in page.text
    assert "NaN" in [text.strip() for text in re.findall(">([^<]*)</text>", (tmp_path / "report" / PAGE).read_text())]


def no_probes(made: ExperimentDir) -> None:
    for path in made.path.glob("*/probes/*.npz"):
        path.unlink()


def no_untrained(made: ExperimentDir) -> None:
    for path in made.path.glob("*/probes/epoch-00000.npz"):
        path.unlink()


def odd_probes(made: ExperimentDir) -> None:
    for path in made.path.glob("*/probes/epoch-00002.npz"):
        shape = (3, 5, 5) if "attention" in str(path) else (3, 7)
        name = "attention" if "attention" in str(path) else "se1"
        arrays = {f"{name}/by_class": np.full(shape, 0.2, np.float32), "attention/by_head": np.full((2, 2), np.nan)}
        np.savez(path, allow_pickle=False, **arrays)


def no_predictions(made: ExperimentDir) -> None:
    for path in made.path.glob("*/predictions.npz"):
        path.unlink()


def bad_predictions(made: ExperimentDir) -> None:
    for path in made.path.glob("*/predictions.npz"):
        damage(path, at=3000)


def bad_effects(made: ExperimentDir) -> None:
    path_in(made.run("se-s0")).write_text("{}")
    path_in(made.run("self-attention-s0")).write_text('{"format": "tui-attn-interventions", "version": 99}')


def great_effects(made: ExperimentDir) -> None:
    intervene(made, -0.2)


@pytest.mark.parametrize(
    ("options", "change", "words"),
    [
        ({"seeds": 1}, None, "one seed: no intervals and no verdict"),
        ({"models": ("se",)}, None, "se is the only model of this experiment"),
        ({"models": ("se", "self-attention")}, None, "base is not in this experiment"),
        ({"models": ("base",), "effects": False}, None, "there is nothing to intervene on"),
        ({"effects": False}, None, "No interventions on se-s0"),
        ({"states": {"se-s1": "failed"}}, None, "se-s1 failed after 1 of 2 epochs"),
        ({"done": {"se-s1": 1}}, None, "se-s1 has no result of its last epoch"),
        ({"about": {"se-s0": {"batch_size": 64}}}, None, "they differ in batch size"),
        ({}, no_probes, "the heatmaps of se-s0 can't be shown: is missing"),
        ({}, no_untrained, "the untrained network's heatmap is missing"),
        ({}, odd_probes, "se1: the untrained network's heatmap is missing"),
        ({}, no_predictions, "No finished run has predictions that can be used."),
        ({}, bad_predictions, "base-s0/predictions.npz"),
        ({}, bad_effects, "se-s0/probes/interventions.json is damaged"),
        ({}, bad_effects, "was written by another version of tui-attn"),
        ({}, great_effects, "come from the individual image"),
        ({"class_names": [f"class {index}" for index in range(40)]}, None, "There are too many classes to draw"),
        ({"class_names": ["a", "b"]}, None, "a taken for b"),
        ({"accuracies": {"se": [0.5, 0.5], "base": [0.5, 0.5]}}, None, "undecided"),
    ],
)
def test_what_is_missing_or_odd_is_told_in_words(
    tmp_path: Path, options: dict[str, Any], change: Callable[[ExperimentDir], None] | None, words: str, quick: None
) -> None:
    made = experiment(tmp_path, **options)
    if change is not None:
        change(made)
    page = written(made, tmp_path / "report")
    assert words in page.text.replace("\N{NO-BREAK SPACE}", " ")


EVIL = "</style></title><script>alert(1)</script>\"'><b>&amp; $\\frac$ \u202e"


def test_hostile_names_are_shown_and_nothing_more(tmp_path: Path) -> None:
    names = [f"{EVIL}{index}" for index in range(3)]
    about = {"se-s0": {"device_name": EVIL, "torch": EVIL, "precision": EVIL}}
    made = experiment(
        tmp_path,
        seeds=1,
        epochs=1,
        models=("se",),
        name=EVIL.replace("\u202e", ""),
        class_names=names,
        about=about,
        reason=EVIL,
        versions={EVIL: EVIL},
        data={"version": EVIL},
    )
    page = written(made, tmp_path / "report")
    assert "</style></title><script>alert(1)</script>" in page.text
    assert "\u202e" not in (tmp_path / "report" / PAGE).read_text("utf-8")
    for path in (tmp_path / "report" / "tables").iterdir():
        assert "\u202e" not in path.read_text("utf-8")


def test_names_cannot_become_formulas_in_a_spreadsheet(tmp_path: Path, quick: None) -> None:
    names = ["=1+1", "+x", "-x", "@SUM(A1)"]
    made = experiment(tmp_path, seeds=1, epochs=1, models=("se",), class_names=names)
    written(made, tmp_path / "report")
    found = rows(tmp_path / "report" / "tables" / "classes.csv")
    assert [row["class"] for row in found] == ["'=1+1", "'+x", "'-x", "'@SUM(A1)"]


def test_class_names_that_no_font_has_are_told(tmp_path: Path, quick: None) -> None:
    made = experiment(tmp_path, seeds=1, epochs=1, models=("se",), class_names=["a", "b\U000e0fff"])
    assert "The pictures show boxes for" in written(made, tmp_path / "report").text.replace(
        "the pictures", "The pictures"
    )


def test_without_matplotlib_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = experiment(tmp_path, effects=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ReportError, match=r"pip install 'tui-attn\[report\]'"):
        write_report(read_state(made), tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_models_of_ones_own_have_inks_and_names_of_their_own(tmp_path: Path) -> None:
    from tests.recorded import record
    from tui_attn.experiment.config import ExperimentConfig

    models = ("base", "/nets/my_net.py:MyNet", "/nets/other.py:Other")
    folder = record(tmp_path / "runs", config=ExperimentConfig(models=models, epochs=2, seeds=3))
    text = write_report(read_state(folder), tmp_path / "report").read_text()
    page = Page(text)
    assert re.findall(r'data-model="([^"]+)" data-ink="([^"]+)"', text) == [
        ("my_net-mynet", "custom-1"),
        ("other-other", "custom-2"),
    ]
    assert "var(--custom-1)" in text
    assert "My_net" not in page.text
    with figures.look(("base", "my_net-mynet", "other-other")):
        assert figures.marker("my_net-mynet") != figures.marker("other-other")
    assert figures.ink("my_net-mynet") == figures.OTHER_INK
