"""The feed: what is in the logs reaches the screen, in pictures that never change."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from tests import recorded
from tests.ui.harness import DEADLINE, alive
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import Follower
from tui_attn.history import organize
from tui_attn.ui.feed import Feed, Snapshot, _copy


class Screen:
    """Takes pictures as the screen does, and keeps them."""

    def __init__(self, *, take: bool = True) -> None:
        self.pictures: list[Snapshot] = []
        self.feed: Feed | None = None
        self._take = take
        self._news = threading.Condition()

    def __call__(self, snapshot: Snapshot) -> None:
        with self._news:
            self.pictures.append(snapshot)
            self._news.notify_all()
        if self._take and self.feed is not None:
            self.feed.taken()

    def wait(self, condition: Callable[[Snapshot], bool]) -> Snapshot:
        """The first picture, from now on or the last one, for which `condition` holds."""
        end = time.monotonic() + DEADLINE
        with self._news:
            while not self.pictures or not condition(self.pictures[-1]):
                assert self._news.wait(max(0.0, end - time.monotonic())), "no such picture came in time"
            return self.pictures[-1]


@contextlib.contextmanager
def following(folder: ExperimentDir, *, interval: float = 0.0, take: bool = True) -> Iterator[tuple[Feed, Screen]]:
    """A feed on `folder` that runs."""
    screen = Screen(take=take)
    feed = screen.feed = Feed(folder, screen, interval=interval)
    feed.start()
    try:
        yield feed, screen
    finally:
        feed.stop()
        feed.join(DEADLINE)
        assert not feed.is_alive()


def whole(snapshot: Snapshot) -> bool:
    """Whether everything was read."""
    return snapshot.complete


@pytest.mark.parametrize("scene", recorded.SCENES)
def test_the_picture_tells_what_the_logs_tell(tmp_path: Path, scene: str) -> None:
    folder = recorded.scene(tmp_path, scene)
    follower = Follower(folder)
    follower.poll()
    with following(folder) as (_, screen):
        snapshot = screen.wait(whole)
    expected = follower.situation()
    assert snapshot.state == expected.experiment
    assert {id_: view.shown for id_, view in snapshot.runs.items()} == expected.runs
    assert {id_: view.state for id_, view in snapshot.runs.items()} == follower.state.runs
    assert snapshot.log[: snapshot.log_length] == follower.state.log


def test_a_live_experiment_is_not_lost(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "running")
    with alive(folder), following(folder) as (_, screen):
        snapshot = screen.wait(whole)
    assert snapshot.state == "running"
    assert {view.shown for view in snapshot.runs.values()} == {"running"}


def test_it_notices_that_the_supervisor_died(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "running")
    with following(folder) as (feed, screen):
        with alive(folder):
            feed.nudge()
            screen.wait(lambda snapshot: snapshot.state == "running")
        snapshot = screen.wait(lambda snapshot: snapshot.state == "lost")
    assert {view.shown for view in snapshot.runs.values()} == {"lost"}


def test_it_notices_a_silent_worker(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "running")
    with alive(folder), following(folder) as (_, screen):
        screen.wait(whole)
        recorded.silence(folder, "se-s0")
        snapshot = screen.wait(lambda snapshot: snapshot.runs["se-s0"].shown == "stalled")
    assert snapshot.runs["base-s0"].shown == "stalled", "the same worker trains it"


def test_pictures_never_change(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "running")
    with alive(folder), following(folder) as (_, screen):
        first = screen.wait(whole)
        before = first.runs["base-s0"].state
        points, epochs = list(before.steps), list(before.epochs)
        append_points(folder, "base-s0", before.step)
        second = screen.wait(lambda snapshot: snapshot.runs["base-s0"].state.step > before.step)
    assert list(before.steps) == points
    assert before.epochs == epochs
    assert len(second.runs["base-s0"].state.steps) == len(points) + 2


def test_runs_in_which_nothing_happened_are_the_same_objects(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "running")
    with alive(folder), following(folder) as (_, screen):
        first = screen.wait(whole)
        append_points(folder, "base-s0", first.runs["base-s0"].state.step)
        second = screen.wait(lambda snapshot: snapshot.runs["base-s0"] is not first.runs["base-s0"])
    assert second.runs["se-s0"] is first.runs["se-s0"]
    assert second.runs["base-s0"].revision != first.runs["base-s0"].revision


def test_a_screen_that_takes_nothing_gets_one_picture_and_then_the_newest(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "running")
    with alive(folder), following(folder, take=False) as (feed, screen):
        first = screen.wait(lambda snapshot: True)
        step = 100_000.0
        for _ in range(5):
            append_points(folder, "base-s0", step)
            step += 10
        follower = Follower(folder)
        follower.poll()
        assert screen.pictures == [first]
        while follower.state.runs["base-s0"].step != screen.pictures[-1].runs["base-s0"].state.step:
            count = len(screen.pictures)
            feed.taken()
            screen.wait(lambda snapshot, count=count: len(screen.pictures) > count)  # type: ignore[misc]
    assert len(screen.pictures) <= 4


def test_a_long_history_comes_in_pieces(tmp_path: Path) -> None:
    folder = recorded.record(tmp_path, config=ExperimentConfig(epochs=15, seeds=20), predictions=False, probes=False)
    with following(folder) as (_, screen):
        last = screen.wait(whole)
    assert len(screen.pictures) > 2
    assert len(screen.pictures[0].runs) == 60, "the run list is there from the first picture on"
    assert not screen.pictures[0].complete
    assert all(len(view.state.epochs) == 15 for view in last.runs.values())
    assert last.state == "finished"


def test_nobody_waits_for_a_picture_once_all_is_read(tmp_path: Path) -> None:
    folder = recorded.record(tmp_path, config=ExperimentConfig(epochs=15, seeds=20), predictions=False, probes=False)
    with following(folder, interval=math.inf) as (_, screen):
        screen.wait(whole)
    assert [picture.complete for picture in screen.pictures] == [False, True]


def test_the_end_comes_after_everything_else(tmp_path: Path) -> None:
    folder = recorded.record(tmp_path, config=ExperimentConfig(epochs=15, seeds=20), predictions=False, probes=False)
    with following(folder) as (_, screen):
        screen.wait(whole)
    for picture in screen.pictures:
        if picture.ended:
            assert all(len(view.state.epochs) == 15 for view in picture.runs.values())


def test_a_log_that_is_replaced_is_read_again(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path / "one", "finished")
    other = recorded.scene(tmp_path / "two", "failed")
    with following(folder) as (feed, screen):
        screen.wait(lambda snapshot: snapshot.complete and snapshot.state == "finished")
        other.events.replace(folder.events)
        feed.nudge()
        snapshot = screen.wait(lambda snapshot: snapshot.state == "failed")
    assert any(view.shown == "failed" for view in snapshot.runs.values())


def test_damaged_lines_are_counted(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "finished")
    recorded.damage(folder.run("se-s0").events, at=900)
    with following(folder) as (_, screen):
        snapshot = screen.wait(whole)
    assert snapshot.damaged == 1


def test_an_error_that_nobody_foresaw_is_told(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "finished")
    told: list[str] = []

    def listener(snapshot: Snapshot) -> None:
        raise ZeroDivisionError("of a screen")

    feed = Feed(folder, listener, failed=told.append)
    feed.start()
    feed.join(DEADLINE)
    assert len(told) == 1
    assert "ZeroDivisionError: of a screen" in told[0]


def append_points(folder: ExperimentDir, run: str, after: float) -> None:
    """Let the worker of `run` log two points more."""
    log = LogWriter(folder.run(run).events)
    steps = [after + 5, after + 10]
    log.append("metrics", epoch=3, step=steps, loss=[0.5, 0.4], accuracy=[0.8, 0.9], train_seconds=1e6 + after)
    log.close()


def test_another_name_makes_another_picture(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "finished")
    with following(folder) as (feed, screen):
        before = screen.wait(lambda picture: picture.complete)
        organize.rename(folder, "the lab")
        feed.nudge()
        after = screen.wait(lambda picture: picture.config is not None and picture.config.name == "the lab")
        assert list(after.runs.values()) == list(before.runs.values())


def test_a_snapshot_shares_nothing_mutable_with_the_state(tmp_path: Path) -> None:
    follower = Follower(recorded.scene(tmp_path, "running"))
    while follower.poll():
        pass
    run = follower.state.runs["se-s0"]
    shown = _copy(run)
    assert shown == run
    mutable = [name.name for name in fields(run) if isinstance(getattr(run, name.name), (array, list, dict))]
    assert {"steps", "about", "gates", "metrics", "warnings"} <= set(mutable)
    assert all(shown.metrics[name] is not values for name, values in run.metrics.items())
    assert all(getattr(shown, name) is not getattr(run, name) for name in mutable)
