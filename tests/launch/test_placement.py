"""Where workers run is this user's word on this machine, never an experiment's."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.recorded import record
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.engine_spec import EngineSpec
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.options import ConfigError
from tui_attn.experiment.writing import write_manifest
from tui_attn.launch import placement
from tui_attn.launch.control import LaunchError


@pytest.fixture
def sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExperimentDir:
    """An experiment whose manifest names a host."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = record(tmp_path / "runs")
    manifest = folder.manifest_data()
    write_manifest(folder, replace(manifest, config=replace(manifest.config, on="ssh:evil.example")))
    return folder


def test_a_sent_experiment_chooses_no_host(sent: ExperimentDir) -> None:
    with pytest.raises(LaunchError, match=r"ran on ssh:evil\.example, and you did not start it from here"):
        placement.placement(sent, None)
    assert placement.placement(sent, "local") == EngineSpec("local")


def test_what_this_user_said_here_counts_until_something_else_is_said(sent: ExperimentDir) -> None:
    placement.remember(sent, EngineSpec.parse("slurm:cpus=2"))
    assert placement.placement(sent, None) == EngineSpec.parse("slurm:cpus=2")
    placement.remember(sent, EngineSpec("local"))
    assert placement.placement(sent, None) == EngineSpec("local")


def test_another_experiment_at_the_same_place_is_another_one(sent: ExperimentDir, tmp_path: Path) -> None:
    placement.remember(sent, EngineSpec.parse("ssh:gpu1"))
    manifest = sent.manifest_data()
    shutil.copytree(sent.path, tmp_path / "copy" / sent.id)
    with pytest.raises(LaunchError):
        placement.placement(ExperimentDir(tmp_path / "copy" / sent.id), None)
    write_manifest(sent, replace(manifest, created=manifest.created + 1))
    with pytest.raises(LaunchError):
        placement.placement(sent, None)


def test_a_note_that_others_may_write_is_not_believed(sent: ExperimentDir, tmp_path: Path) -> None:
    placement.remember(sent, EngineSpec.parse("ssh:gpu1"))
    (note,) = (tmp_path / "state" / "tui-attn" / "engines").iterdir()
    note.chmod(0o666)
    with pytest.raises(LaunchError):
        placement.placement(sent, None)


def test_a_mistake_after_resume_names_the_option(sent: ExperimentDir) -> None:
    with pytest.raises(ConfigError, match=r"^--on: unknown engine 'slrum'"):
        placement.placement(sent, "slrum")


@pytest.mark.parametrize(
    ("on", "device", "chosen"),
    [
        ("slurm", "auto", ("cpu",)),
        ("slurm:gres=gpu:1", "auto", ("cuda",)),
        ("slurm:gres=gpu:1", "cpu", ("cpu",)),
        ("ssh:a,b", "cuda", ("cuda",)),
    ],
)
def test_the_devices_of_an_engine_are_what_is_asked_for(on: str, device: str, chosen: tuple[str, ...]) -> None:
    config = ExperimentConfig(on=on, device=device)
    assert placement.chosen_devices(config, config.engine, print) == chosen


def test_threads_are_the_cpus_that_are_asked_for() -> None:
    assert placement.chosen_threads(EngineSpec.parse("slurm:cpus=3")) == 3


def test_an_engine_whose_program_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    for on in ("slurm", "slurm-alloc", "ssh:gpu1"):
        with pytest.raises(ConfigError, match="which isn't here"):
            placement.check(EngineSpec.parse(on))
