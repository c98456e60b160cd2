"""The process that intervenes on finished runs: what it keeps, and what it tells in a line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tui_attn import data
from tui_attn.compare.effects import effects_of
from tui_attn.compare.interventions import load_interventions, path_in
from tui_attn.compare.predictions import load_predictions
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.manifest import Manifest
from tui_attn.experiment.writing import make_experiment, write_manifest
from tui_attn.train import interventions
from tui_attn.train.worker_context import WorkerContext

RUNS = ("base-s0", "se-s0", "self-attention-s0", "se-s1")


Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> ExperimentDir:
    """Networks trained for a few steps, each with its predictions and weights; to be read only."""
    config = ExperimentConfig(
        models=("base", "se", "self-attention"), dataset="synthetic", epochs=1, train_limit=1500, test_limit=450
    )
    folder = make_experiment(tmp_path_factory.mktemp("runs"), config)
    located = data.ensure("synthetic")
    where = {"root": str(located.root), "files": [], "source": located.source, "version": located.version}
    manifest = Manifest(
        id=folder.id,
        created=0.0,
        config=config,
        threads=torch.get_num_threads(),
        devices=("cpu",),
        precision="fp32",
        data=where,
        versions={},
        host="here",
    )
    write_manifest(folder, manifest)
    log = LogWriter(folder.events)
    log.append("experiment_started", experiment=folder.id, devices=["cpu"], jobs=1, resumed=False)
    context = WorkerContext(folder, manifest, "cpu", probes=False)
    for run in RUNS:
        model, _, seed = run.rpartition("-s")
        log.append("run_queued", run=run, model=model, seed=int(seed))
        log.append("run_started", run=run, device="cpu", worker=1, attempt=1)
        context.open(run)
        context.session(run).train_epoch(lambda: False)
        context.session(run).finish()
        context.close(run)
        log.append("run_ended", run=run, state="finished", reason=None)
    log.append("run_queued", run="se-s2", model="se", seed=2)
    log.append("run_queued", run="se-s3", model="se", seed=3)
    log.append("run_ended", run="se-s3", state="stopped", reason=None)
    log.append("run_queued", run="simam-s0", model="simam", seed=0)
    log.close()
    return folder


@pytest.fixture
def copy(trained: ExperimentDir, tmp_path: Path) -> ExperimentDir:
    """A copy to do with as one likes."""
    return ExperimentDir(Path(shutil.copytree(trained.path, tmp_path / trained.id)))


# ---- what is computed


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constants are tuned for 20 steps, which is enough to be better than the mean."""
    monkeypatch.setattr("tui_attn.train.tuned_constants.STEPS", 20)


def main(folder: ExperimentDir, *runs: str) -> int:
    """The process's own `main`, in this process."""
    threads = torch.get_num_threads()
    try:
        return interventions.main([str(folder.path), *runs])
    finally:
        torch.set_num_threads(threads)


def test_every_finished_run_with_attention_gets_results(
    copy: ExperimentDir, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(copy) == 0
    assert "se-s0: 25 interventions on 450 test images" in capsys.readouterr().err
    known = read_state(copy).state.runs
    for run in ("se-s0", "se-s1", "self-attention-s0"):
        found = load_interventions(copy.run(run), known[run].weights_sha256)
        logged = known[run].epochs[-1].test_accuracy
        assert found.accuracy == pytest.approx(logged, abs=0.01)
        assert path_in(copy.run(run)).stat().st_mode & 0o777 == 0o600
        for item in found.interventions:
            assert item.accuracy == pytest.approx(found.accuracy + item.delta)
            assert item.delta == pytest.approx(item.gained - item.lost)
            assert item.changed is not None and item.lost + item.gained <= item.changed + 1e-9 <= 1
            assert item.loss is not None and item.loss > 0
            assert item.ci95[0] <= item.delta <= item.ci95[1]
    by_model, problems = effects_of(read_state(copy))
    assert [found.model for found in by_model] == ["se", "self-attention"]
    assert [len(found.runs) for found in by_model] == [2, 1]
    assert problems == []


def test_results_that_speak_of_these_weights_are_kept_and_others_are_not(
    copy: ExperimentDir, capsys: pytest.CaptureFixture[str]
) -> None:
    path = path_in(copy.run("se-s0"))
    assert main(copy, "se-s0") == 0
    first = path.stat().st_mtime_ns
    capsys.readouterr()
    assert main(copy, "se-s0") == 0
    assert (path.stat().st_mtime_ns, capsys.readouterr().err) == (first, "")
    stale = json.loads(path.read_text()) | {"weights_sha256": "0" * 64, "accuracy": 0.123}
    path.write_text(json.dumps(stale))
    assert main(copy, "se-s0") == 0
    assert json.loads(path.read_text())["accuracy"] != 0.123


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        (("base-s0",), "base-s0 has no attention to intervene on"),
        (("simam-s0",), "simam-s0 gates single pixels, so there is no gate of a whole channel that could be replaced"),
        (("se-s2",), "se-s2 is queued: only a finished run"),
        (("se-s3",), "se-s3 is stopped: only a finished run"),
        (("se-s9",), "has no run 'se-s9'"),
        (("../se-s0\x1b[2J",), "has no run '../se-s0␛[2J'"),
    ],
)
def test_runs_that_cannot_be_intervened_on(
    trained: ExperimentDir, runs: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(trained, *runs) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 0xFF
    path.write_bytes(content)


def other_labels(path: Path) -> None:
    found = load_predictions(path)
    np.savez(path, logits=found.logits, labels=(found.labels + 1) % 10)


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("weights.safetensors", Path.unlink, "weights.safetensors is missing"),
        ("weights.safetensors", damage, "weights.safetensors is damaged"),
        ("weights.safetensors", lambda path: path.write_bytes(b""), "weights.safetensors is damaged"),
        ("weights.safetensors", link, "weights.safetensors is not a file"),
        ("predictions.npz", other_labels, "the test images are not those that it was evaluated on"),
        ("probes", link, "symbolic link"),
    ],
)
def test_a_run_whose_files_are_not_as_they_were_is_told_and_the_others_go_on(
    copy: ExperimentDir, file: str, change: Change, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(copy.run("se-s0").path / file)
    assert main(copy, "se-s0", "self-attention-s0") == 1
    said = capsys.readouterr().err
    assert f"se-s0: {words}" in said or (words in said and "se-s0: " in said)
    assert "Traceback" not in said
    assert not path_in(copy.run("se-s0")).exists()
    assert path_in(copy.run("self-attention-s0")).exists()


def test_missing_predictions_are_no_obstacle(copy: ExperimentDir) -> None:
    copy.run("self-attention-s0").predictions.unlink()
    assert main(copy, "self-attention-s0") == 0


def test_a_data_set_that_changed_is_told_before_torch_is_loaded(
    copy: ExperimentDir, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = copy.manifest_data()
    write_manifest(copy, replace(manifest, data=manifest.data | {"version": "another"}))
    assert main(copy) == 2
    assert "the data set synthetic has changed" in capsys.readouterr().err


def test_an_experiment_without_attention_says_so(copy: ExperimentDir, capsys: pytest.CaptureFixture[str]) -> None:
    log = copy.events.read_text().splitlines(keepends=True)
    copy.events.write_text("".join(line for line in log if "se-s" not in line and "self" not in line))
    assert main(copy) == 2
    assert "simam gates single pixels" in capsys.readouterr().err
    copy.events.write_text("".join(line for line in log if not any(name in line for name in ("se-s", "self", "simam"))))
    assert main(copy) == 2
    assert "has no finished run of a model with attention" in capsys.readouterr().err


def test_an_unforeseen_error_costs_one_run_and_leaves_its_traceback_in_the_runs_log(
    copy: ExperimentDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ArithmeticError("for no reason")

    monkeypatch.setattr(interventions, "paired_change", fail)
    assert main(copy, "se-s0") == 1
    said = capsys.readouterr().err
    assert "se-s0: ArithmeticError: for no reason" in said
    assert "Traceback" not in said
    assert "Traceback" in copy.run("se-s0").worker_log.read_text()
