"""Missing pieces are told in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.recorded import damage, record, scene, supervised
from tui_attn.compare.pairs import comparable
from tui_attn.compare.remarks import find_remarks
from tui_attn.compare.summary import summarise
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state


def config(**options: Any) -> ExperimentConfig:
    return ExperimentConfig(**{"epochs": 3, "seeds": 2, **options})


def told(folder: ExperimentDir) -> str:
    follower = read_state(folder)
    found = find_remarks(follower, summarise(follower))
    assert len(set(found)) == len(found), "told twice"
    return "\n".join(found)


def test_nothing_is_told_where_nothing_is_missing(tmp_path: Path) -> None:
    assert told(record(tmp_path, config=config(), planned=True)) == ""


def test_one_seed(tmp_path: Path) -> None:
    folder = record(tmp_path, config=config(seeds=1))
    text = told(folder)
    assert "one seed: no intervals and no verdict" in text
    assert f"'tui-attn extend {folder.id} --runs-dir {folder.path.parent} --seeds 5' trains more" in text


def test_a_reader_elsewhere_is_told_no_commands(tmp_path: Path) -> None:
    follower = read_state(record(tmp_path, config=config(seeds=1), states={"se-s0": "failed"}))
    text = "\n".join(find_remarks(follower, summarise(follower), commands=False))
    assert "one seed: no intervals" in text
    assert "tui-attn" not in text


def test_one_model(tmp_path: Path) -> None:
    assert "base is the only model" in told(record(tmp_path, config=config(models=("base",))))


def test_no_base_and_no_se(tmp_path: Path) -> None:
    without_base = told(record(tmp_path, experiment="a", config=config(models=("se", "self-attention"))))
    assert "base is not in this experiment" in without_base
    assert "no model with channel gates" not in without_base
    assert "no model with channel gates" in told(
        record(tmp_path, experiment="b", config=config(models=("base", "self-attention")))
    )


def test_failed_runs_say_why(tmp_path: Path) -> None:
    folder = record(tmp_path, config=config(), states={"se-s0": "failed"}, reason="the loss is nan at step 9\x1b[2J")
    text = told(folder)
    assert "se-s0 failed after 1 of 3 epochs: the loss is nan at step 9␛[2J" in text
    assert "they do not enter means and verdicts" in text
    assert f"'tui-attn resume {folder.id} --runs-dir {folder.path.parent}' continues what failed" in text
    assert "different numbers of seeds (base 2, se 1, self-attention 2)" in text


def test_a_reason_that_several_runs_share_is_each_one_s(tmp_path: Path) -> None:
    reason = "its worker was killed by SIGKILL"
    one = told(record(tmp_path, experiment="a", config=config(), states={"se-s0": "failed"}, reason=reason))
    assert f"se-s0 failed after 1 of 3 epochs: {reason}\n" in one
    states = {"base-s0": "failed", "se-s0": "failed"}
    two = told(record(tmp_path, experiment="b", config=config(), states=states, reason=reason))
    assert f"base-s0, se-s0 each failed after 1 of 3 epochs: {reason}\n" in two


def test_stopped_skipped_and_lost_runs(tmp_path: Path) -> None:
    text = told(record(tmp_path, config=config(), states={"se-s0": "stopped", "base-s1": "skipped"}, done={"se-s0": 2}))
    assert "se-s0 stopped after 2 of 3 epochs" in text
    assert "base-s1 skipped\n" in text
    lost = told(scene(tmp_path, "lost"))
    assert "base-s0, se-s0, self-attention-s0 lost after 2 of 5 epochs: no process trains any more" in lost


def test_runs_that_go_on(tmp_path: Path) -> None:
    folder = scene(tmp_path, "running", config=config())
    with supervised(folder):
        text = told(folder)
    assert "not all runs have ended (3 running, 3 queued)" in text
    assert "resume" not in text


def test_many_runs_are_told_as_one(tmp_path: Path) -> None:
    text = told(record(tmp_path, config=config(seeds=10), states="stopped"))
    assert text.count("stopped after") == 1
    assert "and 25 more" in text


def test_unequal_epochs(tmp_path: Path) -> None:
    folder = record(tmp_path, config=config(), done={"se-s0": 2}, about={"base-s1": {"epochs": 2}})
    text = told(folder)
    assert "se-s0 has no result of its last epoch in its log (the newest is of epoch 2 of 3); it is left out" in text
    assert "base-s1 was trained for 2 epochs, not 3; it is left out" in text


def test_runs_of_different_data_and_versions_are_refused(tmp_path: Path) -> None:
    text = told(record(tmp_path, config=config(), about={"se-s0": {"test_size": 9_000, "torch": "2.16.0"}}))
    assert "se-s0 is not compared with base-s0: they differ in test images: 9000 against 10000" in text
    assert "2 different numbers of test images" in text
    assert "2 different versions of torch" in text


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.unlink(), "se-s0/predictions.npz is missing"),
        (lambda path: path.write_bytes(b"no zip"), "se-s0/predictions.npz is damaged"),
        (lambda path: damage(path, at=2_000), "se-s0/predictions.npz is damaged"),
    ],
)
def test_damaged_predictions(tmp_path: Path, spoil: Any, words: str) -> None:
    folder = record(tmp_path, config=config(seeds=1))
    spoil(folder.run("se-s0").predictions)
    text = told(folder)
    assert words in text
    assert "the networks of se and base can't be compared image by image" in text
    assert "self-attention and base can't" not in text


def test_predictions_of_different_test_images(tmp_path: Path) -> None:
    folder = record(tmp_path, config=config(seeds=1, test_limit=1_000))
    other = record(tmp_path, experiment="other", config=config(seeds=1, test_limit=1_005))
    other.run("se-s0").predictions.replace(folder.run("se-s0").predictions)
    assert "predictions of base-s0 and se-s0 are on different test images" in told(folder)


def test_damaged_log_lines(tmp_path: Path) -> None:
    folder = record(tmp_path, config=config())
    damage(folder.run("se-s0").events, at=900)
    assert "se-s0/events.jsonl: 1 damaged line passed over" in told(folder)


def test_text_from_logs_is_made_safe(tmp_path: Path) -> None:
    folder = record(tmp_path, config=config())
    log = LogWriter(folder.events)
    log.append("run_queued", run="evil\x1b]52;c;x\x07-s0", model="base", seed=0)
    log.append("run_ended", run="evil\x1b]52;c;x\x07-s0", state="finished", reason=None)
    log.close()
    assert "\x1b" not in told(folder)
    assert "\x07" not in told(folder)


def test_equal_experiments_are_comparable(tmp_path: Path) -> None:
    one = read_state(record(tmp_path, experiment="a", config=config())).manifest
    two = read_state(record(tmp_path, experiment="b", config=config(seeds=3, seed=10, name="again"))).manifest
    assert comparable(one, two) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"dataset": "cifar10"}, "data set: fashion-mnist and cifar10"),
        ({"train_limit": 100}, "--train-limit: none and 100"),
        ({"epochs": 4}, "epochs: 3 and 4"),
        ({"lr": 0.01}, "learning rate: 0.001 and 0.01"),
        ({"augment": ("flip",)}, "augmentation: none and flip"),
    ],
)
def test_experiments_under_other_settings_are_refused(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    one = read_state(record(tmp_path, experiment="a", config=config())).manifest
    assert comparable(one, replace(one, config=replace(one.config, **change))) == [reason]


def test_experiments_of_other_versions_are_refused(tmp_path: Path) -> None:
    one = read_state(record(tmp_path, config=config())).manifest
    other = replace(
        one,
        precision="bf16",
        data={**one.data, "version": "2"},
        versions={**one.versions, "torch": "2.16.0", "python": "3.13.0"},
    )
    assert comparable(one, other) == [
        "precision: fp32 and bf16",
        "version of the data set: 1 and 2",
        "version of torch: 2.15.0 and 2.16.0",
    ]


def test_seeds_that_began_with_the_same_weights_are_told(tmp_path: Path) -> None:
    folder = record(tmp_path, config=ExperimentConfig(models=("base", "se"), epochs=3, seeds=3))
    follower = read_state(folder)
    for run in follower.state.runs.values():
        run.about["start_sha256"] = "ab" if run.model == "se" else f"{run.seed}"
    told = [text for text in find_remarks(follower, summarise(follower)) if "same weights" in text]
    assert len(told) == 1 and told[0].startswith("se: 3 seeds began with the same weights")


def test_runs_of_different_hardware(tmp_path: Path) -> None:
    folder = record(tmp_path, config=config(seeds=1), planned=True)
    follower = read_state(folder)
    for run, (capability, host) in zip(follower.state.runs.values(), (("AVX2", "n1"), ("AVX512", "n2")), strict=False):
        run.about |= {"cpu_capability": capability, "host": host}
    (said,) = [text for text in find_remarks(follower, summarise(follower)) if "hardware" in text]
    assert said.endswith("equal seeds need not give equal bits: AVX2 (n1); AVX512 (n2)")


@pytest.mark.parametrize(("epochs", "told_why"), [(3, True), (7, False)])
def test_se_that_is_worse_after_few_steps_is_told_why(tmp_path: Path, epochs: int, told_why: bool) -> None:
    """469 steps an epoch."""
    accuracies = {
        "base": [0.910, 0.912, 0.909, 0.911, 0.910],
        "se": [0.900, 0.903, 0.899, 0.902, 0.900],
        "half": [0.895, 0.898, 0.894, 0.895, 0.896],
    }
    for models, words in (
        (("base", "se"), "the controls half and static (--controls) tell how much of its deficit that is"),
        (("base", "se", "half"), "half, which only has that scale, is -1.48 points"),
    ):
        about = ExperimentConfig(models=models, seeds=5, epochs=epochs)
        text = told(record(tmp_path, experiment="-".join(models), config=about, accuracies=accuracies))
        assert ("se begins with gates near 0.5 in both layers" in text) is told_why
        assert (words in text) is told_why
