"""experiment.json: what goes in comes out, and whatever damage is refused in one line."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.experiment.strategies import HOSTILE, json_values, texts
from tests.recorded import scene
from tui_attn.experiment.config import ExperimentConfig, Plan
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import Manifest, RunsError
from tui_attn.experiment.writing import extend_manifest, write_manifest
from tui_attn.system.text import has_control_characters

CONFIG = ExperimentConfig(models=("se", "base"), seeds=2, name="a [name]", lr=0.01, device="cpu")


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentDir:
    """An experiment with a manifest."""
    return scene(tmp_path, "empty", config=CONFIG)


@pytest.fixture(scope="module")
def spare(tmp_path_factory: pytest.TempPathFactory) -> ExperimentDir:
    """An experiment whose manifest is spoilt over and over."""
    return scene(tmp_path_factory.mktemp("runs"), "empty", config=CONFIG)


def change(folder: ExperimentDir, **fields: Any) -> None:
    """Write other fields into the manifest, without its checksum."""
    data = json.loads(folder.manifest.read_bytes())
    del data["crc"]
    folder.manifest.write_text(json.dumps(data | fields))


def read(folder: ExperimentDir) -> Manifest | None:
    """The manifest, or None when it was refused as it should be; everything in it makes sense."""
    try:
        found = folder.manifest_data()
    except RunsError as error:
        assert not has_control_characters(str(error))
        assert str(folder.path) in str(error)
        return None
    assert found.id == folder.id
    assert 1 <= found.threads <= 1024
    assert found.devices
    assert not any("/" in device or device.startswith(".") for device in found.devices)
    assert ExperimentConfig.from_json(found.config.to_json()) == found.config
    assert 0 <= found.created < 1e12
    return found


def test_what_goes_in_comes_out(folder: ExperimentDir) -> None:
    manifest = replace(
        folder.manifest_data(),
        created=1.5,
        devices=("cuda:0", "cuda:1"),
        precision="bf16",
        data={"root": "/not \udcff utf-8", "files": ["a"], "version": None},
        versions={"torch": "2.15", "odd": HOSTILE[1]},
        host="\u202ehost",
    )
    write_manifest(folder, manifest)
    assert folder.manifest_data() == manifest
    assert stat.S_IMODE(folder.manifest.stat().st_mode) == 0o600
    assert json.loads(folder.manifest.read_bytes())["format"] == "tui-attn"


def test_cut_off_anywhere_it_is_refused(folder: ExperimentDir) -> None:
    whole = folder.manifest.read_bytes()
    expected = read(folder)
    for length in [*range(0, len(whole) - 8, 3), *range(len(whole) - 8, len(whole))]:
        folder.manifest.write_bytes(whole[:length])
        assert read(folder) == (expected if length == len(whole) - 1 else None)


def test_with_any_bit_flipped_it_is_refused_or_says_the_same(folder: ExperimentDir) -> None:
    whole = folder.manifest.read_bytes()
    expected = read(folder)
    for place in range(0, len(whole), 3):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << place % 8
        folder.manifest.write_bytes(spoilt)
        assert read(folder) in (None, expected)


@given(data=st.data(), value=json_values())
def test_with_any_value_for_a_field_it_is_refused_or_says_another_thing(
    spare: ExperimentDir, data: st.DataObject, value: Any
) -> None:
    whole = a_manifest(spare).to_json()
    key = data.draw(st.sampled_from(sorted(whole)))
    spare.manifest.write_text(json.dumps(whole | {key: value}))
    read(spare)


@given(junk=st.binary(max_size=60) | json_values().map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_refused(spare: ExperimentDir, junk: bytes) -> None:
    spare.manifest.write_bytes(junk)
    assert read(spare) is None


def a_manifest(folder: ExperimentDir) -> Manifest:
    """A whole manifest for `folder`."""
    return Manifest(
        id=folder.id,
        created=1.0,
        config=CONFIG,
        threads=2,
        devices=("cpu",),
        precision="auto",
        data={},
        versions={},
        host="here",
    )


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", "mlflow", "is not an experiment of tui-attn"),
        ("version", 2, "was written by a later version of tui-attn: update tui-attn to read it"),
        ("plan", {"looks": [10, 5], "margin": 0.005}, "is damaged"),
        ("plan", {"looks": [5], "margin": 2}, "is damaged"),
        ("plan", [5, 10], "is damaged"),
        ("devices", [], "is damaged: restore it from a copy"),
        ("devices", "cpu", "is damaged"),
        ("devices", ["../../etc/x"], "is damaged"),
        ("devices", [5], "is damaged"),
        ("devices", [f"cuda:{index}" for index in range(5000)], "is damaged"),
        ("precision", "fp8", "is damaged"),
        ("precision", ["fp32"], "is damaged"),
        ("threads", None, "is damaged"),
        ("threads", float("inf"), "is damaged"),
        ("created", float("nan"), "is damaged"),
        ("created", 10**400, "is damaged"),
        ("created", 1e15, "is damaged"),
        ("config", [], "is damaged"),
        ("config", {"epochs": 0}, "is damaged"),
        ("data", 5, "is damaged"),
        ("versions", ["x"], "is damaged"),
    ],
)
def test_a_field_that_makes_no_sense_is_told(folder: ExperimentDir, key: str, value: Any, message: str) -> None:
    change(folder, **{key: value})
    with pytest.raises(RunsError, match=message):
        folder.manifest_data()


@pytest.mark.parametrize(("threads", "found"), [(0, 1), (-5, 1), (8, 8), (10**9, 1024)])
def test_a_number_of_threads_is_brought_into_bounds(folder: ExperimentDir, threads: int, found: int) -> None:
    change(folder, threads=threads)
    assert folder.manifest_data().threads == found


def test_a_change_that_makes_sense_is_noticed_by_the_checksum_however_it_is_laid_out(folder: ExperimentDir) -> None:
    data = json.loads(folder.manifest.read_bytes())
    expected = read(folder)
    folder.manifest.write_text(json.dumps(dict(reversed(data.items())), indent=4))
    assert read(folder) == expected
    folder.manifest.write_text(json.dumps(data | {"threads": 3}))
    assert read(folder) is None


def test_nested_too_deeply_and_too_large_it_is_refused(folder: ExperimentDir) -> None:
    for content in (b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5000, b" " * (1 << 24) + b"{}"):
        folder.manifest.write_bytes(content)
        assert read(folder) is None


def test_a_hostile_path_is_shown_safely(tmp_path: Path) -> None:
    folder = ExperimentDir(tmp_path / "\x1b[2J\nx")
    with pytest.raises(RunsError) as caught:
        folder.manifest_data()
    assert not has_control_characters(str(caught.value))


def test_an_experiment_is_extended_and_never_shrunk(folder: ExperimentDir) -> None:
    before = folder.manifest_data()
    wider = extend_manifest(folder, 5)
    assert wider == folder.manifest_data() == replace(before, config=replace(before.config, seeds=5))
    for seeds in (5, 4, 0, -1):
        with pytest.raises(RunsError, match="has 5 seeds already: ask for more with --seeds"):
            extend_manifest(folder, seeds)
    with pytest.raises(RunsError, match="--seeds: must be a whole number"):
        extend_manifest(folder, 10_001)
    assert folder.manifest_data() == wider


@given(text=texts())
def test_texts_of_every_kind_come_back(spare: ExperimentDir, text: str) -> None:
    manifest = replace(a_manifest(spare), host=text, versions={text: text}, data={"root": text})
    write_manifest(spare, manifest)
    assert spare.manifest_data() == manifest


def test_a_manifest_that_could_not_be_read_is_not_written(folder: ExperimentDir) -> None:
    before = folder.manifest_data()
    with pytest.raises(OSError, match="at most"):
        write_manifest(folder, replace(before, data={"files": ["x" * 100] * 200_000}))
    assert folder.manifest_data() == before


def test_the_plan_is_kept_and_older_experiments_have_none(spare: ExperimentDir) -> None:
    planned = replace(a_manifest(spare), plan=Plan((5, 10), 0.005))
    write_manifest(spare, planned)
    assert spare.manifest_data().plan == planned.plan
    write_manifest(spare, replace(planned, plan=None))
    assert "plan" not in json.loads(spare.manifest.read_text())
    assert spare.manifest_data().plan is None
