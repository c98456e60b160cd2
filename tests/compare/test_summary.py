"""The object of `compare --json`, on recorded experiments."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.recorded import damage, record, scene, supervised, write_predictions
from tests.recorded_curves import labels
from tui_attn.compare import verdict
from tui_attn.compare.pairs import final_accuracy
from tui_attn.compare.predictions import load_predictions
from tui_attn.compare.summary import summarise, summary_json
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state

TOP = ["experiment", "state", "dataset", "epochs", "models"]
MODEL = ["model", "class", "parameters", "macs", "runs", "test_accuracy", "versus_base", "versus_control"]
RUN = [
    "run",
    "seed",
    "state",
    "epoch",
    "test_accuracy",
    "test_loss",
    "train_seconds",
    "images_per_second",
    "weights_sha256",
]
VERSUS = ["delta", "ci95", "p_value", "margin", "look", "pairs", "verdict", "these_networks"]
GIVEN = {
    "base": [0.9100, 0.9120, 0.9090, 0.9110, 0.9105],
    "se": [0.9150, 0.9160, 0.9140, 0.9165, 0.9145],
    "self-attention": [0.9110, 0.9100, 0.9095, 0.9120, 0.9085],
}


def config(**options: Any) -> ExperimentConfig:
    return ExperimentConfig(**{"epochs": 3, "seeds": 5, **options})


def summary_of(folder: ExperimentDir) -> dict[str, Any]:
    found = summary_json(summarise(read_state(folder)))
    assert json.loads(json.dumps(found, allow_nan=False)) == found, "not plain JSON"
    return found


def model(summary: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in summary["models"] if entry["model"] == name)
    return found


def starts_with(found: dict[str, Any], keys: list[str]) -> bool:
    return list(found)[: len(keys)] == keys


def test_the_contracts_keys_come_first_and_in_order(tmp_path: Path) -> None:
    found = summary_of(record(tmp_path, config=config(), accuracies=GIVEN))
    assert starts_with(found, TOP)
    for entry in found["models"]:
        assert starts_with(entry, MODEL)
        assert list(entry["test_accuracy"]) == ["mean", "ci95"]
        assert all(starts_with(run, RUN) for run in entry["runs"])
    assert starts_with(model(found, "se")["versus_base"], VERSUS)
    assert starts_with(model(found, "se")["versus_base"]["these_networks"], ["test", "p_value"])


def test_a_finished_experiment(tmp_path: Path) -> None:
    folder = record(tmp_path, config=config(models=("se", "base", "self-attention")), accuracies=GIVEN)
    found = summary_of(folder)
    assert (found["experiment"], found["state"], found["dataset"], found["epochs"]) == (
        folder.id,
        "finished",
        "fashion-mnist",
        3,
    )
    assert [entry["model"] for entry in found["models"]] == ["se", "base", "self-attention"]
    se = model(found, "se")
    assert (se["class"], se["parameters"], se["macs"]) == ("CNN_SE", 53_258, 3_872_896)
    assert se["macs_as_run"] is None  # runs of 0.1.0 don't say it
    assert [run["run"] for run in se["runs"]] == [f"se-s{seed}" for seed in range(5)]
    assert [run["test_accuracy"] for run in se["runs"]] == GIVEN["se"]
    first = se["runs"][0]
    assert (first["seed"], first["state"], first["epoch"]) == (0, "finished", 3)
    assert len(first["weights_sha256"]) == 64
    assert first["images_per_second"] == pytest.approx(3 * 60_000 / first["train_seconds"])
    judge = stats.ttest_1samp(GIVEN["se"], 0).confidence_interval()
    assert se["test_accuracy"]["mean"] == pytest.approx(np.mean(GIVEN["se"]))
    assert se["test_accuracy"]["ci95"] == pytest.approx([judge.low, judge.high])
    assert summarise(read_state(folder)).get("se").accuracies == dict(enumerate(GIVEN["se"]))


def test_the_difference_from_base_is_the_verdict_for_two_comparisons(tmp_path: Path) -> None:
    found = summary_of(record(tmp_path, config=config(), accuracies=GIVEN))
    assert model(found, "base")["versus_base"] is None
    for name, word in [("se", "better"), ("self-attention", "no difference above margin")]:
        versus, expected = model(found, name)["versus_base"], verdict(GIVEN["base"], GIVEN[name], 2)
        assert versus["delta"] == pytest.approx(expected.delta)
        assert versus["ci95"] == pytest.approx(expected.ci95)
        assert versus["p_value"] == pytest.approx(expected.p_value)
        assert versus["verdict"] == expected.verdict == word
        assert (versus["seeds"], versus["level"]) == ([0, 1, 2, 3, 4], 0.975)


def test_one_seed_has_no_interval_and_no_verdict_but_its_two_networks(tmp_path: Path) -> None:
    folder = record(tmp_path, config=config(seeds=1, seed=7))
    found = summary_of(folder)
    se = model(found, "se")
    assert se["test_accuracy"] == {"mean": se["runs"][0]["test_accuracy"], "ci95": None}
    versus = se["versus_base"]
    assert versus["delta"] == pytest.approx(
        se["runs"][0]["test_accuracy"] - model(found, "base")["runs"][0]["test_accuracy"]
    )
    assert (versus["ci95"], versus["p_value"], versus["verdict"]) == (None, None, None)
    base, other = (load_predictions(folder.run(run).predictions).right for run in ("base-s7", "se-s7"))
    one, two = int((base & ~other).sum()), int((other & ~base).sum())
    expected = stats.binomtest(one, one + two).pvalue
    assert versus["these_networks"] == {
        "test": "mcnemar",
        "p_value": pytest.approx(expected),
        "seed": 7,
        "base_only": one,
        "other_only": two,
    }


def test_without_base_nothing_is_compared(tmp_path: Path) -> None:
    found = summary_of(record(tmp_path, config=config(models=("se", "self-attention"))))
    assert [entry["versus_base"] for entry in found["models"]] == [None, None]


@pytest.mark.parametrize("state", ["queued", "starting", "running", "resumed", "paused", "stopped", "failed"])
def test_only_finished_runs_count(tmp_path: Path, state: str) -> None:
    folder = record(tmp_path, config=config(), accuracies=GIVEN, states={"se-s1": state})
    with supervised(folder):
        found = summary_of(folder)
    se = model(found, "se")
    assert [run["counts"] for run in se["runs"]] == [True, False, True, True, True]
    assert se["runs"][1]["state"] == ("running" if state == "resumed" else state)
    assert se["runs"][1]["weights_sha256"] is None
    kept = [GIVEN["se"][seed] for seed in (0, 2, 3, 4)]
    assert se["test_accuracy"]["mean"] == pytest.approx(np.mean(kept))
    assert model(found, "base")["test_accuracy"]["mean"] == pytest.approx(np.mean(GIVEN["base"]))
    versus = se["versus_base"]
    assert versus["seeds"] == [0, 2, 3, 4]
    if state in {"stopped", "failed"}:  # a missing pair; anything else may still come
        expected = verdict([GIVEN["base"][seed] for seed in (0, 2, 3, 4)], kept, 2, missing=1)
        assert (versus["ci95"], versus["missing"]) == (pytest.approx(expected.ci95), [1])
    else:
        assert (versus["ci95"], versus["verdict"], versus["pairs"], versus["missing"]) == (None, None, 4, [])
    assert model(found, "self-attention")["versus_base"]["seeds"] == [0, 1, 2, 3, 4]


def test_a_stopped_run_shows_its_last_epoch(tmp_path: Path) -> None:
    folder = record(tmp_path, config=config(seeds=1), states={"se-s0": "stopped"}, done={"se-s0": 2})
    found = summary_of(folder)
    run = model(found, "se")["runs"][0]
    last = read_state(folder).state.runs["se-s0"].epochs[-1]
    assert (run["epoch"], run["test_accuracy"], run["test_loss"]) == (2, last.test_accuracy, last.test_loss)
    assert found["state"] == "stopped"
    assert model(found, "se")["test_accuracy"] == {"mean": None, "ci95": None}
    assert model(found, "se")["versus_base"] is None


def test_what_is_not_known_yet_is_null(tmp_path: Path) -> None:
    folder = scene(tmp_path, "empty")
    with supervised(folder):
        found = summary_of(folder)
    assert (found["state"], found["epochs"]) == ("starting", 5)
    for entry in found["models"]:
        assert (entry["parameters"], entry["macs"], entry["versus_base"]) == (None, None, None)
        assert entry["test_accuracy"] == {"mean": None, "ci95": None}
        (run,) = entry["runs"]
        assert (run["state"], run["epoch"]) == ("queued", 0)
        assert all(run[key] is None for key in RUN[4:])


@pytest.mark.parametrize(
    ("name", "state", "runs"),
    [
        ("empty", "lost", {"lost"}),
        ("running", "lost", {"lost"}),
        ("lost", "lost", {"lost"}),
        ("paused", "lost", {"lost"}),
        ("finished", "finished", {"finished"}),
        ("stopped", "stopped", {"stopped"}),
        ("skipped", "finished", {"finished", "skipped"}),
        ("failed", "failed", {"finished", "failed"}),
    ],
)
def test_states_are_what_they_are_without_a_supervisor(tmp_path: Path, name: str, state: str, runs: set[str]) -> None:
    found = summary_of(scene(tmp_path, name))
    assert found["state"] == state
    assert {run["state"] for entry in found["models"] for run in entry["runs"]} == runs


def test_extended_seeds_are_there_before_the_manifest_was_read_again(tmp_path: Path) -> None:
    folder = record(tmp_path, config=config(seeds=2))
    follower = read_state(folder)
    log = LogWriter(folder.events)
    log.append("run_queued", run="base-s2", model="base", seed=2)
    log.append("run_queued", run="intruder-s2", model="intruder", seed=2)
    log.append("run_queued", run="../base-s3", model="base", seed=3)
    log.close()
    follower.poll()
    found = summary_json(summarise(follower))
    assert [run["run"] for run in model(found, "base")["runs"]] == ["base-s0", "base-s1", "base-s2"]
    assert [run["run"] for run in model(found, "se")["runs"]] == ["se-s0", "se-s1", "se-s2"]
    assert found["seeds"] == [0, 1, 2]


def test_a_finished_run_without_its_last_epoch_does_not_count(tmp_path: Path) -> None:
    folder = record(tmp_path, config=config(), accuracies=GIVEN, done={"se-s0": 2})
    se = model(summary_of(folder), "se")
    assert [run["counts"] for run in se["runs"]] == [False, True, True, True, True]


@pytest.mark.parametrize("accuracy", [float("nan"), float("inf"), 1.5, -0.1])
def test_an_accuracy_that_is_none_is_null(tmp_path: Path, accuracy: float) -> None:
    folder = record(tmp_path, config=config(seeds=2), states={"se-s0": "queued"})
    log = LogWriter(folder.run("se-s0").events)
    log.append(
        "epoch",
        epoch=3,
        step=1407,
        train_loss=float("nan"),
        train_accuracy=0.1,
        test_loss=float("nan"),
        test_accuracy=accuracy,
        images=180_000,
        train_seconds=1.0,
        peak_memory=None,
    )
    log.close()
    log = LogWriter(folder.events)
    log.append("run_ended", run="se-s0", state="finished", reason=None)
    log.close()
    run = model(summary_of(folder), "se")["runs"][0]
    assert (run["test_accuracy"], run["test_loss"], run["peak_memory"]) == (None, None, None)
    assert (run["state"], run["counts"]) == ("finished", False)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("test_size", 9_999),
        ("train_size", 1),
        ("batch_size", 64),
        ("torch", "2.16.0"),
        ("precision", "bf16"),
        ("class_names", ["a", "b"]),
        ("data_version", "2"),
    ],
)
def test_runs_on_other_data_or_versions_are_not_paired(tmp_path: Path, key: str, value: object) -> None:
    about = {"base-s1": {"data_version": "1"}, "se-s1": {key: value}}
    folder = record(tmp_path, config=config(), accuracies=GIVEN, about=about)
    found = summary_of(folder)
    assert model(found, "se")["versus_base"]["seeds"] == [0, 2, 3, 4]
    assert model(found, "self-attention")["versus_base"]["seeds"] == [0, 1, 2, 3, 4]


def test_a_damaged_line_does_not_cost_a_pair(tmp_path: Path) -> None:
    folder = record(tmp_path, config=config(), accuracies=GIVEN)
    damage(folder.run("se-s0").events)
    se = model(summary_of(folder), "se")
    assert se["versus_base"]["seeds"] == [0, 1, 2, 3, 4]
    assert se["parameters"] == 53_258


def test_the_next_seed_stands_in_for_damaged_predictions(tmp_path: Path) -> None:
    folder = record(tmp_path, config=config(seeds=4))
    folder.run("se-s0").predictions.write_bytes(b"PK\3\4 and then nothing")
    folder.run("base-s1").predictions.unlink()
    truth = np.roll(labels(10_000, 10), 1)
    write_predictions(
        folder.run("se-s2"), "se", 2, model(summary_of(folder), "se")["runs"][2]["test_accuracy"], truth, 10
    )
    assert model(summary_of(folder), "se")["versus_base"]["these_networks"]["seed"] == 3
    assert model(summary_of(folder), "self-attention")["versus_base"]["these_networks"]["seed"] == 0


def test_predictions_of_another_network_are_not_used(tmp_path: Path) -> None:
    folder = record(tmp_path, config=config(seeds=1), accuracies={"base": [0.91], "se": [0.95]})
    shutil.copy(folder.run("base-s0").predictions, folder.run("se-s0").predictions)
    assert model(summary_of(folder), "se")["versus_base"]["these_networks"] is None


@pytest.mark.parametrize("classes", [10, 4])
def test_a_run_that_diverged_has_the_accuracy_of_guessing(tmp_path: Path, classes: int) -> None:
    names = {"class_names": [f"class {index}" for index in range(classes)]}
    about = {f"{name}-s{seed}": names for name in GIVEN for seed in range(5)}
    folder = record(tmp_path, config=config(), accuracies=GIVEN, states={"se-s1": "failed"}, about=about)
    follower = read_state(folder)
    run = follower.state.runs["se-s1"]
    assert final_accuracy(run, 3) is None, "a killed worker is no result"
    run.reason = "the loss became NaN at step 7: a smaller --lr may help"
    found = summarise(follower).get("se")
    assert found.accuracies[1] == 1 / classes
    assert found.runs[1].diverged and found.runs[1].counts
    assert found.versus_base is not None
    assert (found.versus_base.seeds, found.versus_base.missing) == ((0, 1, 2, 3, 4), ())


def test_a_finished_run_with_a_loss_that_is_not_finite_diverged(tmp_path: Path) -> None:
    run = read_state(record(tmp_path, config=ExperimentConfig(epochs=3))).state.runs["se-s0"]
    assert final_accuracy(run, 3) == run.epochs[-1].test_accuracy
    run.epochs[-1] = replace(run.epochs[-1], test_loss=math.nan)
    assert final_accuracy(run, 3) == 0.1
