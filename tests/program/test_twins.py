"""`--twin labels`: the models with attention are also trained on random labels, for their heatmaps alone."""

from __future__ import annotations

import json

import numpy as np

from tests.program.conftest import Program
from tui_attn.compare.heatmaps import load_probes
from tui_attn.compare.pairs import best_pair
from tui_attn.experiment.follower import read_state

TINY = ("--dataset", "synthetic", "--train-limit", "300", "--test-limit", "200", "--epochs", "1", "--device", "cpu")


def test_twins_are_trained_recorded_told_and_never_compared(program: Program) -> None:
    done = program("--no-ui", *TINY, "--models", "base,se", "--twin", "labels", "--seeds", "2", "--looks", "2")
    assert done.code == 0, done.err
    assert "trained on random labels: se-labels" in " ".join(done.out.split())

    folder = program.newest()
    config = folder.manifest_data().config
    assert (config.models, config.twin) == (("base", "se", "se-labels"), "labels")
    runs = read_state(folder).state.runs
    assert {name: run.about.get("labels") for name, run in runs.items() if run.seed == 0} == {
        "base-s0": None,
        "se-s0": None,
        "se-labels-s0": "random",
    }
    # The same start, another training; the test labels are the true ones.
    first, twin = (load_probes(folder, runs[name], 0).trained for name in ("se-s0", "se-labels-s0"))
    assert all(np.array_equal(first[name], twin[name]) for name in first)
    one, other = (np.load(folder.run(name).predictions) for name in ("se-s0", "se-labels-s0"))
    assert np.array_equal(one["labels"], other["labels"])
    assert not np.array_equal(one["logits"], other["logits"])
    for facts in load_probes(folder, runs["se-s0"]).facts:
        assert facts.levels.twin and facts.classes.twin
    for facts in load_probes(folder, runs["se-labels-s0"]).facts:
        assert facts.levels.twin is None

    found = program("compare", "--json").json()
    assert [model["model"] for model in found["models"]] == ["base", "se"]
    assert found["models"][1]["versus_base"]["comparisons"] == 1
    [also] = found["twins"]
    assert (also["model"], also["twin_of"], also["versus_base"]) == ("se-labels", "se", None)
    best = best_pair(read_state(folder).state, folder.manifest_data(), over=True)
    assert best is not None and best.model == "se"

    probed = program("probe", "--run", "se-labels-s0")
    assert probed.code == 2
    assert "was trained on random labels" in probed.err
    done = program("compare", "--report", "report")
    assert done.code == 0, done.err
    page = (program.folder / "report" / "report.html").read_text()
    assert "rained on random labels: se-labels" in page
    assert "Shown is se-labels-s0, trained on random labels (one of 2" in page
    rows = (program.folder / "report" / "tables" / "heatmaps.csv").read_text().splitlines()
    assert {"levels_twin", "classes_twin"} <= set(rows[0].split(","))


def test_twins_of_extended_experiments_are_extended(program: Program) -> None:
    assert program("--no-ui", *TINY, "--models", "eca", "--twin", "labels").code == 0
    assert program("extend", "--seeds", "2", "--no-ui").code == 0
    state = read_state(program.newest()).state
    assert {name for name, run in state.runs.items() if run.state == "finished"} == {
        f"{model}-s{seed}" for model in ("eca", "eca-labels") for seed in (0, 1)
    }


def test_only_labels_can_be_random(program: Program) -> None:
    done = program("--no-ui", *TINY, "--twin", "images")
    assert done.code == 2
    assert "unknown twin 'images': choose from labels" in done.err
    assert json.loads(program("models", "--json").out)[0]["name"] == "base"
