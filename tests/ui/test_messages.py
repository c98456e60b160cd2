"""The order of what happens: pictures, then what follows from them."""

from __future__ import annotations

from pathlib import Path

from textual.message import Message
from textual.pilot import Pilot

from tests.ui.harness import drawn, drive, make_app, screen_text, staged, until
from tui_attn.experiment.event_log import LogWriter
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.feed import Snapshot
from tui_attn.ui.screens.comparison import ComparisonScreen
from tui_attn.ui.widgets.run_table import RunTable


class Heard(list[Snapshot]):
    """The snapshots that the app showed, and when another run was selected."""

    def __init__(self) -> None:
        super().__init__()
        self.app: DashboardApp | None = None
        self.selected_after: list[int] = []
        """After how many snapshots another run was selected."""

    def __call__(self, message: Message) -> None:
        snapshot = None if self.app is None else self.app.snapshot
        if snapshot is not None and (not self or self[-1] is not snapshot):
            self.append(snapshot)
        if isinstance(message, RunTable.Selected) and len(self) not in self.selected_after:
            self.selected_after.append(len(self))


def test_from_the_first_picture_to_the_comparison(tmp_path: Path) -> None:
    heard = Heard()

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        log = LogWriter(folder.events)
        for run in ("base-s0", "se-s0", "self-attention-s0"):
            log.append("run_ended", run=run, state="finished", reason=None)
        log.append("experiment_finished", experiment=folder.id, state="finished")
        log.close()
        await until(pilot, lambda: isinstance(app.screen, ComparisonScreen))
        await until(pilot, lambda: not app.screen.busy)  # type: ignore[attr-defined]

    with staged(tmp_path, "running") as folder:
        heard.app = make_app(folder)
        drive(heard.app, script, message_hook=heard)
    assert heard.selected_after == [1]
    assert next(picture.state for picture in heard if picture.complete) == "running"
    assert heard[-1].state == "finished"
    assert [picture.stamp for picture in heard] == sorted(picture.stamp for picture in heard)


def test_a_command_is_sent_before_its_answer_is_shown(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        assert app.opened is not None
        steering = app.opened.steering
        assert steering is not None
        await pilot.press("p")
        await until(pilot, lambda: steering.pending != {})
        assert "pause base-s0: sent" in screen_text(app)
        ((command, text),) = steering.pending.items()
        assert text == "pause base-s0"
        log = LogWriter(folder.events)
        log.append("control_ack", id=command, command="pause", run="base-s0", result="done")
        log.close()
        await until(pilot, lambda: app.snapshot is not None and command in app.snapshot.acknowledged)
        assert steering.pending == {}
        assert "pause base-s0: done" in screen_text(app)

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)
