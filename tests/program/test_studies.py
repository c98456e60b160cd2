"""Studies as a user has them: planned, killed, resumed, looked at, renamed, deleted and restored."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.notice_server import notice_server
from tests.program.conftest import Program
from tests.waiting import eventually
from tui_attn import data
from tui_attn.compare.predictions import load_predictions
from tui_attn.data.subset import draw_split
from tui_attn.experiment.study import StudyDir, studies
from tui_attn.launch import control
from tui_attn.study.analysis import read_results
from tui_attn.system import liveness

TINY = ("--dataset", "synthetic", "--test-limit", "200", "--device", "cpu", "--models", "base,se", "--seeds", "2")
SWEEP = ("sweep", "lr=0.001,0.01", *TINY, "--epochs", "1", "--train-limit", "256", "--validation", "150")


@pytest.fixture
def study_program(program: Program) -> Iterator[Program]:
    yield program
    for study in studies(program.runs):
        kill(study)


def kill(study: StudyDir) -> None:
    """SIGKILL to the study's process, its supervisors and its workers."""
    locks = [study.lock, *study.path.glob("*/supervisor.lock"), *study.path.glob("*/*/lock")]
    for lock in locks:
        liveness.signal_holder(lock, signal.SIGKILL)
    for member in study.members():
        control.kill(member)
    eventually(lambda: all(liveness.holder(lock) is None for lock in locks))


def test_a_killed_sweep_goes_on_where_it_was_and_opens_the_test_set_once(study_program: Program) -> None:
    program = study_program
    done = program(*SWEEP, "--detach", "--name", "rates")
    assert done.code == 0, done.err
    assert "2 cells x 2 models x 2 seeds, then the best of each model with new seeds: 12 runs; " in done.err
    (study,) = studies(program.runs)
    eventually(lambda: read_results(study).ended >= 1)
    kill(study)
    assert read_results(study).state == "stopped"
    listed = json.loads(program("ls", "--json").out)
    assert [(entry["experiment"], entry["study"], entry["state"]) for entry in listed] == [
        (study.id, "sweep", "stopped")
    ]
    done = program("resume", "rates", "--no-ui")
    assert done.code == 0, done.err
    assert "the test set was opened once, by 4 runs" in " ".join(done.out.split())

    found = program("compare", "rates", "--json").json()
    assert (found["state"], found["ended"], found["test_openings"], found["test_runs"]) == ("finished", 12, 1, 4)
    whole = data.load(data.ensure("synthetic"), test_limit=200)
    for member in study.members():
        config = member.manifest_data().config
        for model in config.models:
            for seed in config.seed_list:
                labels = load_predictions(member.run(f"{model}-s{seed}").predictions).labels
                _, held_out = draw_split(whole.train_labels, 256, config.validation, seed)
                expected = whole.train_labels[held_out] if config.validation else whole.test_labels
                assert labels.tolist() == expected.tolist()
                assert (config.validation is None) == (member.id.startswith("final-") and seed in {2, 3})

    before = study.plan().winners
    assert program("resume", "rates").code == 0, "of a finished study it prints the table"
    assert study.plan().winners == before
    report = program("compare", "rates", "--report", "page")
    assert report.code == 0, report.err
    page = (Path(program.folder) / "page" / "index.html").read_text()
    assert "the test set was opened once, by 4 runs" in page
    assert "<svg" in page

    assert program("rename", "rates", "learning rates").code == 0
    assert study.plan().config.name == "learning rates"
    assert program("delete", "learning rates").code == 0
    assert not study.path.exists()
    assert "learning rates" in program("trash").out
    assert program("restore").code == 0
    assert len(program("ls", study.id).out.splitlines()) >= 4, "the experiments of the study, under headings"
    assert read_results(study).state == "finished"


def test_the_end_of_a_study_is_told_once(study_program: Program, tmp_path: Path) -> None:
    with notice_server() as server:
        config = tmp_path / "settings.toml"
        config.write_text(f'[notify]\nwebhook = "{server.address}/hook"\n')
        words = ("sweep", "lr=0.001,0.01", *TINY, "--epochs", "1", "--train-limit", "256", "--name", "rates")
        done = study_program("--config", str(config), *words, "--no-ui")
        assert done.code == 0, done.err
        (told,) = server.to("/hook")
    (study,) = studies(study_program.runs)
    assert (told.body["event"], told.body["experiment"]) == ("finished", study.id)
    assert told.body["text"] == "tui-attn: rates: sweep finished: 8 of 8 runs ended"


def test_what_would_be_trained_is_told_first_and_nothing_is_created(program: Program) -> None:
    done = program("curve", *TINY, "--sizes", "100,200,400", "--epochs", "2", "--controls", "--dry-run")
    assert done.code == 0, done.err
    assert "3 cells x 6 models x 2 seeds: 36 runs" in done.err
    assert [line.split()[0] for line in done.out.splitlines()] == [f"train-limit={n}" for n in (100, 200, 400)]
    assert not program.runs.exists()
    (program.folder / "config.toml").write_text('[sweep]\nlr = [0.001, 0.01, 0.1]\naugment = ["none", "flip"]\n')
    done = program("--config", "config.toml", "sweep", *TINY, "--dry-run")
    assert (done.code, len(done.out.splitlines())) == (0, 6)
    done = program("sweep", "speed=3", "--dry-run")
    assert done.code == 2
    assert "a sweep can't vary 'speed'" in done.err


def told(process: subprocess.Popen[str], words: str) -> None:
    """Wait until `process` says `words` on stderr."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if words in line:
            return
    pytest.fail(f"it ended without '{words}': {said}")


def test_a_signal_stops_the_study_of_the_command_that_started_it_only(study_program: Program) -> None:
    words = ("--dataset", "synthetic", "--device", "cpu", "--models", "base", "--seeds", "2", "--train-limit", "256")
    with study_program.start("sweep", "epochs=1,500", *words, "--test-limit", "200", "--no-ui") as owner:
        told(owner, "1 of 2: ")
        (study,) = studies(study_program.runs)
        with study_program.start("attach", study.id, "--no-ui") as watcher:
            told(watcher, "1 of 2: ")
            watcher.send_signal(signal.SIGINT)
            told(watcher, "training continues: 'tui-attn attach ")
        assert watcher.returncode == 130
        assert study.running
        owner.send_signal(signal.SIGINT)
        told(owner, "stopping after this step")
        told(owner, f"{study.id} has 2 runs to train: 'tui-attn resume ")
    assert owner.returncode == 130
    assert read_results(study).state == "stopped"
