"""What a new experiment starts from, and what of another's configuration is not taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.recorded import record
from tui_attn.experiment import trust
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.writing import write_manifest
from tui_attn.ui.form_state import find_defaults

SHA256 = "ab" * 32


pytestmark = pytest.mark.usefixtures("own_folders")


def with_custom_model(folder: Path) -> ExperimentConfig:
    config = ExperimentConfig(models=("base", f"{folder}/net.py:Net"), epochs=3, name="theirs")
    return replace(config, custom_models=tuple(replace(model, sha256=SHA256) for model in config.custom_models))


def test_the_newest_experiment_else_what_the_file_says(tmp_path: Path) -> None:
    runs_dir = tmp_path / "runs"
    said = {"epochs": 7, "runs_dir": "~/lab"}
    origin = find_defaults(runs_dir, None, said)
    assert (origin.id, origin.config) == ("", ExperimentConfig(epochs=7))
    assert origin.usual_runs_dir == Path("~/lab")
    folder = record(runs_dir, config=ExperimentConfig(epochs=3, name="mine"), predictions=False, probes=False)
    origin = find_defaults(runs_dir, None, said)
    assert (origin.id, origin.config) == (folder.id, ExperimentConfig(epochs=3))
    assert origin.usual == ExperimentConfig(epochs=7)


def test_a_damaged_experiment_is_no_origin(tmp_path: Path) -> None:
    folder = record(tmp_path, predictions=False, probes=False)
    folder.manifest.write_text("{}")
    assert find_defaults(tmp_path, folder, {}).config == ExperimentConfig()


def test_code_that_this_user_never_named_is_left_out(tmp_path: Path) -> None:
    folder = record(tmp_path / "runs", config=ExperimentConfig(epochs=3), predictions=False, probes=False)
    manifest = replace(folder.manifest_data(), config=with_custom_model(tmp_path))
    write_manifest(folder, manifest)
    assert find_defaults(tmp_path / "runs", folder, {}).config.models == ("base",)
    trust.trust(SHA256)
    kept = find_defaults(tmp_path / "runs", folder, {}).config
    assert kept.model_specs == ("base", f"{tmp_path}/net.py:Net")
