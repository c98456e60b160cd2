"""Following an experiment's logs while they are written, damaged, replaced or simply very many."""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.history.histories import RUN_IDS, History, fold, histories, known, log_by_log
from tests.processes import run_python
from tests.recorded import damage, record, scene, supervised
from tui_attn.experiment import events
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.event_log import LogWriter, last_event
from tui_attn.experiment.events import Event
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import Follower, read_state
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.writing import extend_manifest

SMALL: dict[str, Any] = {"points_per_epoch": 6, "points_per_block": 2, "predictions": False, "probes": False}
News = list[tuple[str | None, Event]]


def finished(tmp_path: Path, **options: Any) -> ExperimentDir:
    """A small experiment of three runs that all finished."""
    return record(tmp_path, config=ExperimentConfig(epochs=2), **SMALL, **options)


def drain(follower: Follower, limit: int) -> News:
    """All there is, read in turns of `limit` bytes."""
    news = follower.poll(limit=limit)
    while follower.behind:
        news += follower.poll(limit=limit)
    return news


def by_log(news: News) -> dict[str | None, list[Event]]:
    """What came from each log, in order."""
    found: dict[str | None, list[Event]] = {}
    for run, event in news:
        found.setdefault(run, []).append(event)
    return found


def all_known(follower: Follower) -> dict[str, Any]:
    """What is known of every run."""
    return {id_: known(run) for id_, run in follower.state.runs.items()}


@contextmanager
def opened() -> Iterator[Counter[str]]:
    """Counts the files that are opened meanwhile."""
    count: Counter[str] = Counter()

    def watch(frame: object, event: str, function: object) -> None:
        if event == "c_call" and function is os.open:
            count["files"] += 1

    sys.setprofile(watch)
    try:
        yield count
    finally:
        sys.setprofile(None)


def test_everything_comes_once_and_the_experiments_end_comes_last(tmp_path: Path) -> None:
    follower = Follower(finished(tmp_path))
    news = follower.poll()
    assert news[-1][1].type == "experiment_finished"
    assert [event.type for run, event in news if run == "se-s0"][-1] == "ended"
    assert (follower.behind, follower.damaged) == (False, {})
    assert follower.poll() == []
    assert follower.state.state == "finished"


@pytest.mark.parametrize("limit", [1, 500, 4096, 1 << 20])
def test_reading_in_turns_equals_reading_at_once(tmp_path: Path, limit: int) -> None:
    folder = finished(tmp_path)
    whole, turns = Follower(folder), Follower(folder)
    at_once, in_turns = whole.poll(), drain(turns, limit)
    assert by_log(in_turns) == by_log(at_once)
    assert in_turns[-1][1].type == "experiment_finished"
    assert all_known(turns) == all_known(whole)


def test_a_turn_is_bounded_and_no_log_keeps_the_others_waiting(tmp_path: Path) -> None:
    folder = record(tmp_path, config=ExperimentConfig(epochs=10), **SMALL | {"points_per_epoch": 40})
    sizes = {run: folder.run(run).events.stat().st_size for run in RUN_IDS}
    limit = 2000
    follower = Follower(folder)
    follower.poll(limit=1 << 20)
    follower = Follower(folder)
    seen: set[str | None] = set()
    turns = 0
    while len(seen) < 4:
        news = follower.poll(limit=limit)
        assert sum(1 for _ in news) < 100
        seen |= {run for run, _ in news}
        turns += 1
    assert turns < 12 < min(sizes.values()) / limit


def test_the_end_waits_for_what_came_into_the_runs_logs_during_a_long_round(tmp_path: Path) -> None:
    folder = scene(tmp_path, "running", config=ExperimentConfig(epochs=4), **SMALL)
    follower = Follower(folder)
    news = follower.poll(limit=300)
    while not any(run == RUN_IDS[1] for run, _ in news):
        news += follower.poll(limit=300)
    assert follower.behind
    for run in RUN_IDS:
        log = LogWriter(folder.run(run).events)
        log.append("warning", message=f"the last word of {run}")
        log.close()
    log = LogWriter(folder.events)
    log.append("experiment_finished", experiment=folder.id, state="finished")
    log.close()
    news += drain(follower, 300)
    assert news[-1][1].type == "experiment_finished"
    words = [event["message"] for _, event in news if event.type == "warning"]
    assert sorted(words) == sorted(f"the last word of {run}" for run in RUN_IDS)


def test_an_end_that_was_not_the_end_is_read_in_its_place(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    log = LogWriter(folder.events)
    log.append("experiment_started", experiment=folder.id, devices=["cpu"], jobs=1, resumed=True)
    log.append("run_queued", run="se-s1", model="se", seed=1)
    log.close()
    for limit in (1, 1 << 20):
        follower = Follower(folder)
        news = [event.type for run, event in drain(follower, limit) if run is None]
        assert news[-3:] == ["experiment_finished", "experiment_started", "run_queued"]
        assert follower.state.state == "running"


class Files:
    """Writes a history into the logs of a folder, byte by byte if need be."""

    def __init__(self, folder: ExperimentDir, history: History) -> None:
        self.folder = folder
        self.pieces = [
            (run, events.encode(event.type, event.data, seq=event.seq, t=event.t)) for run, event in history.events
        ]

    def write(self, count: int) -> None:
        """Append the next `count` bytes."""
        while count > 0 and self.pieces:
            run, data = self.pieces[0]
            path = self.folder.events if run is None else self.folder.run(run).events
            path.parent.mkdir(exist_ok=True)
            with path.open("ab") as file:
                file.write(data[:count])
            if len(data) > count:
                self.pieces[0] = (run, data[count:])
            else:
                self.pieces.pop(0)
            count -= len(data)


@given(
    history=histories(),
    looks=st.lists(st.tuples(st.integers(0, 1500), st.none() | st.integers(1, 600)), max_size=15),
)
def test_a_history_that_is_followed_comes_to_what_it_comes_to(
    history: History, looks: list[tuple[int, int | None]]
) -> None:
    with tempfile.TemporaryDirectory() as runs_dir:
        folder = scene(Path(runs_dir), "empty", experiment="x")
        files, follower = Files(folder, history), Follower(folder)
        news: News = []
        for count, limit in looks:
            files.write(count)
            news += follower.poll(limit=limit)
        files.write(1 << 30)
        news += follower.poll()
    expected = fold(log_by_log(history.events))
    assert all_known(follower) == {id_: known(run) for id_, run in expected.runs.items()}
    assert follower.state.state == expected.state
    assert len(news) == len(history.events)
    assert follower.damaged == {}


def test_a_runs_log_that_is_replaced_is_read_from_its_start(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    follower = read_state(folder)
    path = folder.run("se-s0").events
    lines = path.read_bytes().splitlines(keepends=True)
    half = lines[: len(lines) // 2]
    for content in (half, lines[2:], half[:1]):
        path.write_bytes(b"".join(content))
        news = follower.poll()
        assert len(news) == len(content)
        assert all_known(follower) == all_known(read_state(folder))
    assert follower.state.runs["se-s0"].state == "finished"


def test_the_experiments_log_replaced_means_to_begin_again(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    follower = read_state(folder)
    log = LogWriter(folder.events)
    log.append("warning", message="later")
    log.close()
    follower.poll()
    lines = folder.events.read_bytes().splitlines(keepends=True)
    folder.events.write_bytes(b"".join(lines[:3]))
    follower.poll()
    assert list(follower.state.runs) == ["base-s0", "se-s0"]
    assert follower.state.revision == read_state(folder).state.revision
    folder.events.write_bytes(b"")
    assert follower.poll() == []
    assert follower.state.runs == {}


@pytest.mark.parametrize("what", ["missing", "folder", "fifo", "link", "garbage"])
def test_a_run_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path, what: str) -> None:
    folder = finished(tmp_path)
    path = folder.run("se-s0").events
    copy = tmp_path / "copy"
    path.rename(copy)
    if what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "link":
        path.symlink_to(copy)
    elif what == "garbage":
        path.write_bytes(os.urandom(5000).replace(b"\n", b"x") + b"\n")
    follower = read_state(folder)
    assert [run.epoch for run in follower.state.runs.values()] == [2, 0, 2]
    assert follower.state.state == "finished"
    assert follower.damaged == ({"se-s0/events.jsonl": 1} if what == "garbage" else {})


def test_damaged_lines_are_counted_by_log(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    for at in (100, 2000):
        damage(folder.run("se-s0").events, at=at)
    damage(folder.events, at=len(folder.events.read_bytes().splitlines(keepends=True)[0]) + 20)
    follower = read_state(folder)
    assert follower.damaged == {"events.jsonl": 1, "se-s0/events.jsonl": 2}
    assert len(follower.state.runs) == 2


def test_a_folder_that_is_a_runs_link_is_no_way_out(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    log = LogWriter(folder.events)
    log.append("run_queued", run="../elsewhere", model="se", seed=9)
    log.close()
    (tmp_path / "elsewhere").mkdir()
    (folder.run("se-s0").events).rename(tmp_path / "elsewhere" / "events.jsonl")
    assert list(read_state(folder).state.runs) == list(RUN_IDS)


def test_thousands_of_queued_runs_are_not_looked_at_every_time(tmp_path: Path) -> None:
    folder = scene(tmp_path, "empty", config=ExperimentConfig(seeds=1000))
    log = LogWriter(folder.events)
    log.append("experiment_started", experiment=folder.id, devices=["cpu"], jobs=1, resumed=False)
    for seed in range(3000):
        log.append("run_queued", run=f"se-s{seed}", model="se", seed=seed)
    follower = Follower(folder)
    follower.poll()
    with opened() as count:
        follower.poll()
    assert 0 < count["files"] < 100

    folder.run("se-s2900").make()
    of_run = LogWriter(folder.run("se-s2900").events)
    of_run.append("warning", message="unexpected")
    looks = 0
    while not follower.poll():
        looks += 1
        assert looks < 100

    log.append("run_started", run="se-s1500", device="cpu", worker=1, attempt=1)
    folder.run("se-s1500").make()
    started = LogWriter(folder.run("se-s1500").events)
    started.append("warning", message="at once")
    assert [event.type for _, event in follower.poll()] == ["run_started", "warning"]
    started.append("warning", message="and again")
    assert [event["message"] for _, event in follower.poll()] == ["and again"]
    log.append("run_ended", run="se-s1500", state="failed", reason="x")
    started.append("warning", message="and in the end")
    assert [event.type for _, event in follower.poll()] == ["run_ended", "warning"]
    log.append("experiment_finished", experiment=folder.id, state="failed")
    of_run.append("warning", message="a last word")
    assert [event.type for _, event in follower.poll()] == ["warning", "experiment_finished"]


def test_the_manifest_is_read_again_when_the_experiment_is_extended(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    follower = read_state(folder)
    extend_manifest(folder, 4)
    follower.poll()
    log = LogWriter(folder.events)
    log.append("extended", seeds=4)
    follower.poll()
    assert follower.manifest.config.seeds == 4

    folder.manifest.write_bytes(b"{")
    log.append("extended", seeds=5)
    follower.poll()
    assert follower.manifest.config.seeds == 4
    log.close()


def test_what_is_no_experiment_is_refused(tmp_path: Path) -> None:
    good = finished(tmp_path)
    bad = scene(tmp_path, "empty", experiment="bad")
    bad.manifest.write_bytes(b"{}")
    with pytest.raises(RunsError):
        Follower(bad)
    with pytest.raises(RunsError):
        Follower(ExperimentDir(tmp_path / "nowhere"))
    assert read_state(good).state.state == "finished"


def test_a_run_whose_end_was_lost_is_not_live_in_an_experiment_that_ended(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    lines = folder.events.read_bytes().splitlines(keepends=True)
    lost = next(line for line in lines if b'"run_ended"' in line and b'"se-s0"' in line)
    folder.events.write_bytes(b"".join(b"damaged\n" if line is lost else line for line in lines))
    follower = read_state(folder)
    situation = follower.situation()
    assert (situation.experiment, situation.runs["se-s0"], situation.supervised) == ("finished", "lost", False)
    with supervised(folder):
        assert follower.situation() == situation._replace(supervised=False)


def test_problems_are_those_of_the_last_poll_and_cost_no_look_at_the_disk(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    follower = read_state(folder)
    assert follower.problems == {}
    folder.run("se-s0").path.rename(tmp_path / "elsewhere")
    assert follower.problems == {}
    follower.poll()
    assert follower.problems == {"se-s0/events.jsonl": "it is missing"}
    folder.run("se-s0").path.symlink_to(tmp_path / "elsewhere")
    follower.poll()
    assert "symbolic link" in follower.problems["se-s0/events.jsonl"]
    folder.run("se-s0").path.unlink()
    (tmp_path / "elsewhere").rename(folder.run("se-s0").path)
    follower.poll()
    assert follower.problems == {}


def test_a_log_of_a_tebibyte_of_nothing_is_passed_over(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    whole = read_state(folder).state.runs["se-s0"].epochs
    path = folder.run("se-s0").events
    with path.open("ab") as file:
        file.truncate(1 << 40)
    follower = read_state(folder)
    assert follower.state.runs["se-s0"].epochs == whole
    with path.open("ab") as file:
        file.write(b"\n")
    follower.poll()
    assert follower.damaged == {"se-s0/events.jsonl": 1}
    os.truncate(path, 1 << 40)
    assert last_event(path) is None
    with pytest.raises(OSError, match="no line"):
        LogWriter(path)


SPARSE = """
import resource, sys
from pathlib import Path
from tui_attn.experiment.event_log import LogReader, LogWriter

log = LogWriter(Path(sys.argv[1]))
log.append("warning", message="before the hole")
log.close()
with open(sys.argv[1], "ab") as file:
    file.truncate(1 << 40)
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))  # reading all of it takes minutes
reader = LogReader(Path(sys.argv[1]))
print([event.type for event in reader.read()], reader.position == 1 << 40)
"""


def test_a_log_with_a_hole_of_a_terabyte_is_read_at_once(tmp_path: Path) -> None:
    done = run_python(SPARSE, tmp_path / "events.jsonl")
    assert (done.returncode, done.stdout) == (0, "['warning'] True\n"), done.stderr
