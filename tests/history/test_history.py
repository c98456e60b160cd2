"""The list of all experiments: what it says of each, what it passes over, what it remembers."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests import recorded
from tests.system.test_liveness import held_elsewhere
from tui_attn.compare.summary import summarise
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import began, read_state
from tui_attn.experiment.manifest import RunsError
from tui_attn.history import organize
from tui_attn.history.entries import Entry, History, from_json, keep, open_history, read_history, to_json
from tui_attn.history.tail_summary import summarise_tail


def read_entry(folder: ExperimentDir) -> Entry:
    """The line of one experiment."""
    return next(entry for entry in read_history(folder.path.parent) if entry.id == folder.id)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tui-attn" / "history"


def listed(runs_dir: Path) -> dict[str, Entry]:
    return {entry.id: entry for entry in open_history(runs_dir).look()}


@pytest.mark.parametrize("scene", recorded.SCENES)
def test_it_says_of_every_scene_what_reading_everything_says(tmp_path: Path, scene: str) -> None:
    folder = recorded.scene(tmp_path / "runs", scene, config=ExperimentConfig(epochs=5, seeds=2))
    follower, entry = read_state(folder), read_entry(folder)
    assert entry.state == follower.situation().experiment
    assert entry.finished == follower.state.counts().get("finished", 0)
    assert entry.runs == 6
    epochs = [run.epochs[-1].test_accuracy for run in follower.state.runs.values() if run.epochs]
    assert entry.accuracy == max(epochs, default=None)
    versus = [found.versus_base for found in summarise(follower).models if found.versus_base]
    best = max(versus, key=lambda found: found.delta, default=None)
    if best is None:
        assert entry.best is None
    else:
        assert entry.best is not None
        assert entry.best.delta == pytest.approx(best.delta, abs=1e-12)
        assert (entry.best.verdict, entry.best.seeds) == (best.verdict, len(best.seeds))


def test_a_run_with_a_long_log_after_its_last_epoch_is_still_known(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "finished")
    log = LogWriter(folder.run("se-s0").events)
    for number in range(500):
        log.append("warning", message=f"{number} " + "x" * 100)
    log.close()
    whole, ends = read_state(folder).state.runs["se-s0"], summarise_tail(folder)[0].runs["se-s0"]
    assert ends.epochs[-1] == whole.epochs[-1]
    assert ends.about == whole.about


def test_damaged_ends_of_logs_hide_no_experiment(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "finished")
    log = folder.run("se-s0").events
    recorded.damage(log, at=log.stat().st_size - 20)
    folder.run("base-s0").events.unlink()
    folder.run("self-attention-s0").events.write_bytes(b"\x00" * 4096)
    entry = read_entry(folder)
    assert (entry.state, entry.finished, entry.best) == ("finished", 3, None)


def test_a_running_experiment_is_as_old_as_its_supervisor_wherever_the_clock_was_set(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "running")  # whose log says that it began years ago
    state = read_state(folder).state
    trained = max(run.train_seconds for run in state.runs.values())
    with held_elsewhere(folder.supervisor_lock):
        start, seconds = began(folder, state), read_entry(folder).seconds
        assert start is not None and 0 <= time.time() - start < 100
        assert seconds is not None and seconds <= max(trained, 100)
    assert began(folder, state) == state.started_at


def test_what_is_not_ours_is_passed_over_and_what_is_damaged_is_a_row(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path / "runs", "finished")
    damaged = recorded.scene(tmp_path / "runs", "stopped")
    damaged.manifest.write_text("{")
    damaged.supervisor_lock.touch()
    (tmp_path / "runs" / "events.out.tfevents.1700000000.host.1.0").write_bytes(b"\x00" * 100)
    for name in ("resnet", "version_0"):
        (tmp_path / "runs" / name).mkdir()
        (tmp_path / "runs" / name / "events.out.tfevents.1700000000.host.1.0").write_bytes(b"\x00" * 100)
    (tmp_path / "runs" / "link").symlink_to(folder.path)
    (tmp_path / "runs" / "resnet" / "experiment.json").write_text('{"format": "another"}')
    found = listed(tmp_path / "runs")
    assert set(found) == {folder.id, damaged.id}
    assert found[damaged.id].state == "damaged"
    assert found[damaged.id].reason == "experiment.json is damaged: restore it from a copy"


def test_an_empty_folder_and_none_at_all_are_empty_lists(tmp_path: Path) -> None:
    assert listed(tmp_path / "none") == {}
    (tmp_path / "file").write_text("")
    with pytest.raises(RunsError, match="can't read"):
        listed(tmp_path / "file")


def test_texts_from_files_are_made_safe(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path / "runs", "finished")
    data = json.loads(folder.manifest.read_text())
    del data["crc"]
    folder.manifest.write_text(json.dumps(data | {"host": "a\x1b[2Jb", "precision": "fp32"}))
    organize.annotations_path(folder).write_text('{"note": "\\u202eevil", "pinned": true}')
    entry = listed(tmp_path / "runs")[folder.id]
    assert "\x1b" not in entry.facts
    assert "␛" in entry.facts
    assert entry.note == "\\u202eevil"
    assert entry.pinned


def test_verdicts_come_when_all_rows_have_come(tmp_path: Path) -> None:
    for name in ("a", "b"):
        recorded.scene(tmp_path / "runs", "finished", experiment=name, config=ExperimentConfig(epochs=2, seeds=3))
    history = History(tmp_path / "runs")
    told = [(entry.id, entry.best and entry.best.verdict is not None) for entry in history.look()]
    assert told == [("b", False), ("a", False), ("b", True), ("a", True)]
    again = list(history.look())
    assert again == [read_entry(ExperimentDir(tmp_path / "runs" / name)) for name in ("b", "a")]


# ---- what is remembered


def test_what_ended_is_read_from_the_cache_until_its_files_change(tmp_path: Path, cache: Path) -> None:
    folder = recorded.scene(tmp_path / "runs", "finished")
    first = open_history(tmp_path / "runs")
    (entry,) = first.look()
    keep(first)
    assert len(list(cache.iterdir())) == 1
    assert cache.stat().st_mode & 0o777 == 0o700
    for run in folder.path.glob("*/events.jsonl"):
        run.unlink()  # nobody looks
    (again,) = open_history(tmp_path / "runs").look()
    assert again == entry
    folder.events.touch()
    (changed,) = open_history(tmp_path / "runs").look()
    assert changed.accuracy is None


def test_notes_and_pins_are_never_taken_from_the_cache(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path / "runs", "finished")
    history = open_history(tmp_path / "runs")
    list(history.look())
    keep(history)
    organize.note(folder, "new")
    organize.pin(folder, True)
    (entry,) = open_history(tmp_path / "runs").look()
    assert (entry.note, entry.pinned) == ("new", True)


@pytest.mark.parametrize("scene", ["running", "paused", "empty"])
def test_who_may_still_change_is_looked_at_again(tmp_path: Path, scene: str) -> None:
    folder = recorded.scene(tmp_path / "runs", scene)
    history = History(tmp_path / "runs")
    with recorded.supervised(folder):
        (alive,) = history.look()
    (lost,) = history.look()
    assert alive.state != "lost"
    assert lost.state == "lost"
    keep(history)
    assert open_history(tmp_path / "runs").known == {}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1, "entries": {"a": 3}}', '{"version": 99}'])
def test_a_cache_that_makes_no_sense_is_read_anew(tmp_path: Path, cache: Path, text: str) -> None:
    folder = recorded.scene(tmp_path / "runs", "finished")
    history = open_history(tmp_path / "runs")
    list(history.look())
    keep(history)
    (file,) = cache.iterdir()
    file.write_text(text)
    assert set(listed(tmp_path / "runs")) == {folder.id}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "\x1b]52;c;eA==\x07"),
        ("models", ["base", 7]),
        ("created", 1e300),
        ("seconds", math.nan),
        ("best", {"model": "se", "delta": math.inf, "seeds": 3, "verdict": None}),
        ("best", {"model": "se", "delta": "much", "seeds": 3, "verdict": None}),
        ("best", {"model": "se", "delta": 0.1, "seeds": 3, "verdict": "\u202ebetter"}),
    ],
)
def test_a_line_of_the_cache_that_cannot_be_shown_is_read_anew(
    tmp_path: Path, cache: Path, field: str, value: object
) -> None:
    folder = recorded.scene(tmp_path / "runs", "finished")
    history = open_history(tmp_path / "runs")
    entries = list(history.look())
    keep(history)
    (file,) = cache.iterdir()
    kept = json.loads(file.read_text())
    kept["entries"][folder.id]["entry"][field] = value
    file.write_text(json.dumps(kept))
    assert open_history(tmp_path / "runs").known == {}
    assert list(listed(tmp_path / "runs").values()) == entries[-1:]


def test_a_cache_with_an_impossible_stamp_is_read_anew(tmp_path: Path, cache: Path) -> None:
    folder = recorded.scene(tmp_path / "runs", "finished")
    history = open_history(tmp_path / "runs")
    list(history.look())
    keep(history)
    (file,) = cache.iterdir()
    kept = json.loads(file.read_text())
    kept["entries"][folder.id]["stamp"] = [math.inf]
    file.write_text(json.dumps(kept))
    assert set(listed(tmp_path / "runs")) == {folder.id}


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded.scene(tmp_path / "runs", "finished")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    history = open_history(tmp_path / "runs")
    assert len(list(history.look())) == 1
    keep(history)


def test_what_is_gone_is_forgotten(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path / "runs", "finished")
    history = History(tmp_path / "runs")
    list(history.look())
    folder.path.rename(tmp_path / "elsewhere")
    assert list(history.look()) == []
    assert history.known == {}


def test_an_entry_survives_json(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "finished", config=ExperimentConfig(epochs=5, seeds=2, name="é 中"))
    entry = read_entry(folder)
    assert from_json(json.loads(json.dumps(to_json(entry)))) == entry
    for key, value in (("state", 3), ("seeds", "two"), ("created", "now"), ("models", "base"), ("best", 1)):
        with pytest.raises((TypeError, ValueError, KeyError)):
            from_json(to_json(entry) | {key: value})
    assert replace(entry, note="x").words != entry.words


def test_damage_to_what_is_read_is_told(tmp_path: Path) -> None:
    folder = recorded.record(tmp_path, probes=False, predictions=False)
    assert summarise_tail(folder)[1] == ()
    for log in (folder.events, folder.run("se-s0").events):
        data = log.read_bytes()
        last = data.rfind(b'"type":')
        log.write_bytes(data[: last + 9] + bytes([data[last + 9] ^ 1]) + data[last + 10 :])
    folder.run("base-s0").events.unlink()
    assert summarise_tail(folder)[1] == (
        "events.jsonl has damaged lines, which were passed over",
        "base-s0/events.jsonl can't be read: it is missing",
        "se-s0/events.jsonl has damaged lines, which were passed over",
    )


@pytest.mark.parametrize(("planned", "extended"), [(True, False), (True, True), (False, True)])
def test_the_verdict_of_the_list_is_that_of_the_newest_look(tmp_path: Path, planned: bool, extended: bool) -> None:
    config = ExperimentConfig(epochs=1, seeds=4, looks=(3, 5))
    folder = recorded.record(tmp_path / "runs", config=config, planned=planned, probes=False)
    if extended:
        log = LogWriter(folder.events)
        log.append("extended", seeds=4)
        log.append("experiment_finished", experiment=folder.id, state="finished")
        log.close()
    entry = read_entry(folder)
    versus = [found.versus_base for found in summarise(read_state(folder)).models if found.versus_base]
    assert entry.best is not None
    best = next(found for found in versus if found.delta == pytest.approx(entry.best.delta))
    assert (entry.best.verdict, entry.best.seeds) == (best.verdict, best.pairs)
    assert best.pairs == (3 if planned else 4)
