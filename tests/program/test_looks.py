"""The plan of looks on the command line: recorded before training, told, and kept by extend."""

from __future__ import annotations

import json

from tests.program.conftest import Program
from tui_attn import data
from tui_attn.compare.predictions import load_predictions
from tui_attn.data.subset import draw_split
from tui_attn.experiment.follower import read_state

TINY = ("--dataset", "synthetic", "--train-limit", "256", "--test-limit", "200", "--epochs", "1", "--device", "cpu")


def test_looks_and_margin_are_recorded_told_and_kept(program: Program) -> None:
    done = program("--no-ui", *TINY, "--models", "base,eca", "--seeds", "2", "--looks", "2,4", "--margin", "1.5")
    assert done.code == 0, done.err
    assert "look 1 of 2, two seeds" in " ".join(done.out.split())
    recorded = json.loads(program.newest().manifest.read_text())
    assert recorded["plan"] == {"looks": [2, 4], "margin": 0.015}
    done = program("extend", "--seeds", "3", "--no-ui")
    assert done.code == 0, done.err
    assert "no verdict at 3 seeds: the next look is planned at 4" in done.err
    found = program("compare", "--json").json()["models"][1]["versus_base"]
    assert (found["look"], found["pairs"], found["margin"]) == ({"number": 1, "of": 2}, 2, 0.015)
    done = program("extend", "--seeds", "4", "--no-ui")
    assert "a verdict at 4 seeds, look 2 of 2 as planned, with 45 % of the error rate" in done.err
    found = program("compare", "--json").json()["models"][1]["versus_base"]
    assert (found["look"], found["pairs"], found["next_look"]) == ({"number": 2, "of": 2}, 4, None)


def test_looks_that_make_no_sense_are_refused(program: Program) -> None:
    done = program("--no-ui", *TINY, "--looks", "10,5")
    assert done.code == 2
    assert "--looks: must be ascending numbers of at least 2 seeds, such as 5,10, not 10,5" in done.err


def test_steps_end_the_last_epoch_early_and_are_recorded(program: Program) -> None:
    done = program("--no-ui", *TINY, "--models", "base", "--steps", "5")  # two steps an epoch
    assert done.code == 0, done.err
    found = program.newest().manifest_data().config
    assert (found.steps, found.epochs, found.length) == (5, 3, "5 steps")
    run = program("compare", "--json").json()["models"][0]["runs"][0]
    assert (run["state"], run["epoch"]) == ("finished", 3)


def test_a_validation_split_takes_the_place_of_the_test_set(program: Program) -> None:
    done = program("--no-ui", *TINY, "--models", "se", "--seeds", "2", "--validation", "150")
    assert done.code == 0, done.err
    folder = program.newest()
    manifest = folder.manifest_data()
    assert (manifest.config.validation, manifest.subset) == (150, "stratified")
    whole = data.load(data.ensure("synthetic"))
    for seed in (0, 1):
        _, held_out = draw_split(whole.train_labels, 256, 150, seed)
        labels = load_predictions(folder.run(f"se-s{seed}").predictions).labels
        assert labels.tolist() == whole.train_labels[held_out].tolist()
    assert "150 training images held out for each seed: the test set was not opened" in " ".join(done.out.split())
    refused = program("probe")
    assert (refused.code, "must not see the test set" in refused.err) == (2, True)


def test_more_images_than_there_are_can_t_be_held_out(program: Program) -> None:
    few = "tui-attn: --validation: there are 6,000 training images, too few for it"
    for more in ((), ("--dry-run",)):
        done = program("--no-ui", *TINY, "--validation", "20000", *more)
        assert (done.code, done.out, done.err) == (2, "", f"{few} besides those of --train-limit\n")
    done = program("sweep", "lr=0.1,0.2", "--dataset", "synthetic", "--validation", "6000", "--dry-run")
    assert (done.code, done.out, done.err) == (2, "", f"{few}\n")


def test_a_limit_above_the_number_of_images_takes_them_all(program: Program) -> None:
    limits = ("--train-limit", "100000", "--test-limit", "100000")
    done = program("--no-ui", *TINY, *limits, "--epochs", "1", "--models", "base")
    assert done.code == 0, done.err
    [run] = read_state(program.newest()).state.runs.values()
    assert (run.about["train_size"], run.about["test_size"]) == (6000, 1000)
    assert "6,000 training and 1,000 test images" in program("--dry-run", *TINY, *limits).out
