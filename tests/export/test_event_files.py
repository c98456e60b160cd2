"""Event files as TensorBoard's own reader finds them, and what becomes of them when something goes wrong."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.hparams import metadata

from tests.recorded import damage, record
from tui_attn.compare.heatmaps import load_probes
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.events import Event
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.export import TensorBoardExport, export
from tui_attn.export.stream import RunStream
from tui_attn.export.tensorboard import NAME, EventFile

CONFIG = ExperimentConfig(epochs=3, seeds=1)


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentDir:
    return record(tmp_path / "runs", config=CONFIG)


def exported(folder: ExperimentDir, run: str = "se-s0") -> bytes:
    export(read_state(folder), "tensorboard")
    return (folder.run(run).path / NAME).read_bytes()


def events(folder: ExperimentDir, run: str = "se-s0") -> EventAccumulator:
    """What TensorBoard reads of `run`, from its whole folder with our own files in it."""
    found = EventAccumulator(str(folder.run(run).path), size_guidance={"scalars": 0, "histograms": 0})
    return found.Reload()


def steps(found: EventAccumulator, tag: str) -> list[int]:
    return [event.step for event in found.Scalars(tag)]


def test_the_curves_are_those_of_the_log(folder: ExperimentDir) -> None:
    exported(folder)
    run = read_state(folder).state.runs["se-s0"]
    found = events(folder)
    assert steps(found, "loss/train") == [int(step) for step in run.steps]
    assert [event.value for event in found.Scalars("loss/train")] == pytest.approx(list(run.losses))
    assert [event.value for event in found.Scalars("accuracy/train")] == pytest.approx(list(run.accuracies))
    assert steps(found, "loss/test") == [result.step for result in run.epochs]
    accuracies = [event.value for event in found.Scalars("accuracy/test")]
    assert accuracies == pytest.approx([result.test_accuracy for result in run.epochs])
    assert [event.value for event in found.Scalars("learning_rate")] == pytest.approx([CONFIG.lr] * CONFIG.epochs)


def test_times_are_those_of_the_training(folder: ExperimentDir) -> None:
    exported(folder)
    run = read_state(folder).state.runs["se-s0"]
    found = events(folder)
    times = [event.wall_time for event in found.Scalars("loss/train")]
    assert times == sorted(times)
    assert [event.wall_time for event in found.Scalars("loss/test")] == [result.t for result in run.epochs]
    assert times[-1] <= run.epochs[-1].t
    speeds = [event.value for event in found.Scalars("speed/images_per_second")]
    assert speeds == pytest.approx([run.images_per_second] * len(speeds), rel=0.01)


def test_there_is_a_histogram_for_each_se_layer_and_epoch(folder: ExperimentDir) -> None:
    exported(folder)
    run = read_state(folder).state.runs["se-s0"]
    found = events(folder)
    assert set(found.Tags()["histograms"]) == {f"gates/{layer}" for layer in run.gates}
    for layer in run.gates:
        spread = found.Histograms(f"gates/{layer}")
        assert [event.step for event in spread] == [0, *(result.step for result in run.epochs)]
        gates = load_probes(folder, run).trained[f"{layer}/by_class"]
        last = spread[-1].histogram_value
        assert last.num == gates.size == sum(last.bucket)
        assert last.sum / last.num == pytest.approx(gates.mean(), rel=1e-5)
        assert last.bucket_limit[-1] == 1.0
    assert events(folder, "base-s0").Tags()["histograms"] == []


def test_the_gates_of_a_probe_that_is_gone_or_damaged_are_those_of_the_log(folder: ExperimentDir) -> None:
    run = read_state(folder).state.runs["se-s0"]
    probes = sorted(folder.run("se-s0").probes.glob("epoch-*.npz"))
    probes[-1].unlink()
    damage(probes[0])
    exported(folder)
    found = events(folder)
    for layer, values in run.gates.items():
        first, second, *_, last = (event.histogram_value.num for event in found.Histograms(f"gates/{layer}"))
        assert (first, second, last) == (len(values), 10 * len(values), len(values))


def test_the_real_data_provider_lists_runs_and_hyperparameters(folder: ExperimentDir) -> None:
    exported(folder)
    runs = folder.path.parent
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(runs))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(runs))
    names = {run.run_name for run in provider.list_runs(RequestContext(), experiment_id="")}
    assert names == {f"{folder.id}/{run}" for run in read_state(folder).state.runs}
    told = provider.list_tensors(RequestContext(), experiment_id="", plugin_name=metadata.PLUGIN_NAME)
    series = told[f"{folder.id}/se-s0"]
    begun = metadata.parse_session_start_info_plugin_data(series[metadata.SESSION_START_INFO_TAG].plugin_content)
    assert begun.hparams["model"].string_value == "se"
    assert begun.hparams["seed"].number_value == 0
    assert begun.hparams["lr"].number_value == CONFIG.lr
    assert begun.hparams["dataset"].string_value == "fashion-mnist"
    assert {"batch_size", "epochs", "precision", "device", "experiment"} <= set(begun.hparams)
    ended = metadata.parse_session_end_info_plugin_data(series[metadata.SESSION_END_INFO_TAG].plugin_content)
    assert ended.end_time_secs > begun.start_time_secs


def test_tensorboards_inspector_finds_it_in_order(folder: ExperimentDir) -> None:
    exported(folder)
    command = [sys.executable, "-m", "tensorboard.main", "--inspect", "--logdir", str(folder.run("se-s0").path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "loss/train" in told
    assert "gates/se1" in told
    assert [line.split() for line in told.splitlines() if "outoforder" in line] == [["outoforder_steps", "[]"]] * 4


def test_points_that_a_resume_drops_are_dropped_there_too(tmp_path: Path) -> None:
    folder = record(tmp_path, config=ExperimentConfig(epochs=4), states={"se-s0": "resumed"})
    exported(folder)
    run = read_state(folder).state.runs["se-s0"]
    assert run.resumed_from
    found = events(folder)
    assert steps(found, "loss/train") == [int(step) for step in run.steps]
    assert [event.value for event in found.Scalars("loss/train")] == pytest.approx(list(run.losses))
    assert steps(found, "loss/test") == [result.step for result in run.epochs]


def test_a_second_export_adds_nothing(folder: ExperimentDir) -> None:
    first = exported(folder)
    assert exported(folder) == first


@pytest.mark.parametrize("keep", [0, 1, 11, 24, 500, 5000, -1])
def test_a_file_that_was_cut_off_is_completed(folder: ExperimentDir, keep: int) -> None:
    whole = exported(folder)
    path = folder.run("se-s0").path / NAME
    path.write_bytes(whole[:keep])
    before = path.stat().st_ino
    assert exported(folder) == whole
    assert path.stat().st_ino == before  # a TensorBoard that has it open goes on reading


@pytest.mark.parametrize("there", [b"notes", b"\0" * 100_000])
def test_a_file_that_holds_anything_else_is_replaced(folder: ExperimentDir, there: bytes) -> None:
    whole = exported(folder)
    (folder.run("se-s0").path / NAME).write_bytes(there)
    assert exported(folder) == whole


def pieces(log: Path, count: int) -> list[bytes]:
    """The log in `count` pieces that end anywhere, in the middle of lines too."""
    data = log.read_bytes()
    bounds = [len(data) * number // count for number in range(count + 1)]
    return [data[start:end] for start, end in pairwise(bounds)]


def grow(folder: ExperimentDir, between: Callable[[int], None]) -> None:
    """Let the log of se-s0 grow, and call `between` with the number of each piece once it is there."""
    log = folder.run("se-s0").events
    parts = pieces(log, 7)
    log.write_bytes(b"")
    for number, part in enumerate(parts):
        with log.open("ab") as file:
            file.write(part)
        between(number)


def test_following_a_log_gives_the_same_file_as_reading_it_once(folder: ExperimentDir) -> None:
    whole = exported(folder)
    path = folder.run("se-s0").path / NAME
    path.unlink()
    live = TensorBoardExport(folder)
    sizes = []

    def follow(number: int) -> None:
        live.catch_up()
        sizes.append(path.stat().st_size)

    grow(folder, follow)
    assert path.read_bytes() == whole
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("lost", ["exporter", "file", "part of the file"])
def test_whatever_is_lost_meanwhile_nothing_is_missing_or_twice_there(folder: ExperimentDir, lost: str) -> None:
    whole = exported(folder)
    path = folder.run("se-s0").path / NAME
    path.unlink()
    live = [TensorBoardExport(folder)]

    def follow(number: int) -> None:
        live[0].catch_up()
        if number == 3:
            match lost:
                case "exporter":
                    live[0] = TensorBoardExport(folder)
                case "file":
                    path.unlink()
                case _:
                    os.truncate(path, path.stat().st_size - 7)

    grow(folder, follow)
    assert path.read_bytes() == whole


def test_it_is_private_and_no_link_is_followed(folder: ExperimentDir, tmp_path: Path) -> None:
    exported(folder)
    path = folder.run("se-s0").path / NAME
    assert path.stat().st_mode & 0o777 == 0o600
    victim = tmp_path / "victim"
    victim.write_bytes(b"")
    path.unlink()
    path.symlink_to(victim)
    live = TensorBoardExport(folder)
    live.catch_up()
    assert set(live.problems) == {"se-s0"}
    assert victim.read_bytes() == b""
    path.unlink()
    live.catch_up()  # the cause is gone: it comes after all
    assert live.problems == {}
    assert path.stat().st_size > 0


def test_a_full_disk_leaves_what_can_be_completed(tmp_path: Path) -> None:
    """A limit on the size of files cuts a write short and refuses the next, as a disk that fills up does."""
    path = tmp_path / NAME
    data = bytes(range(256)) * 40
    file = EventFile(path)
    file.add(data)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            file.flush()
        assert path.stat().st_size == 5000
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    file.add(b"more")
    assert file.flush()
    assert path.read_bytes() == data + b"more"


def test_a_block_without_a_point_before_all_others_is_passed_over(folder: ExperimentDir) -> None:
    run = read_state(folder).state.runs["se-s0"]
    log = LogReader(folder.run(run.id).events).read()
    first = next(place for place, event in enumerate(log) if event.type == "metrics")
    empty = Event("metrics", log[first].seq, log[first].t, {**log[first].data, "step": [], "loss": [], "accuracy": []})
    plain, other = (RunStream(folder.run(run.id), run, folder.id, CONFIG) for _ in range(2))
    for event in log[:first]:
        plain.feed(event)
        other.feed(event)
    assert other.feed(empty) == b""
    assert [other.feed(event) for event in log[first:]] == [plain.feed(event) for event in log[first:]]
