"""The order of what happens: pictures, then what follows from them."""

from __future__ import annotations

from pathlib import Path

from textual.message import Message
from textual.pilot import Pilot

from tests.ui.harness import drawn, drive, make_app, staged, until
from tui_attn.experiment.event_log import LogWriter
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.feed import Snapshot
from tui_attn.ui.messages import (
    CommandSent,
    DevicesRead,
    LogsAdvanced,
    RunSelected,
)
from tui_attn.ui.screens.comparison import ComparisonScreen

OURS = (CommandSent, DevicesRead, LogsAdvanced, RunSelected)


class Heard(list[Message]):
    """Our messages, in the order in which they were handled first."""

    def __call__(self, message: Message) -> None:
        if isinstance(message, OURS) and not any(message is known for known in self):
            self.append(message)

    @property
    def names(self) -> list[str]:
        """Their kinds; the same in a row once."""
        found: list[str] = []
        for message in self:
            name = type(message).__name__
            if not found or found[-1] != name:
                found.append(name)
        return found


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
        drive(make_app(folder), script, message_hook=heard)
    names = [name for name in heard.names if name != "DevicesRead"]
    assert names == ["LogsAdvanced", "RunSelected", "LogsAdvanced"]
    pictures = [message.snapshot for message in heard if isinstance(message, LogsAdvanced)]
    assert next(picture.state for picture in pictures if picture.complete) == "running"
    assert pictures[-1].state == "finished"
    assert [picture.stamp for picture in pictures] == sorted(picture.stamp for picture in pictures)


def test_a_command_is_sent_before_its_answer_is_shown(tmp_path: Path) -> None:
    heard = Heard()

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("p")
        await until(pilot, lambda: "CommandSent" in heard.names)
        command = next(message for message in heard if isinstance(message, CommandSent))
        log = LogWriter(folder.events)
        log.append("control_ack", id=command.id, command="pause", run="base-s0", result="done")
        log.close()
        await until(pilot, lambda: app.snapshot is not None and command.id in app.snapshot.acknowledged)
        assert app.opened is not None
        assert app.opened.steering is not None
        assert app.opened.steering.pending == {}

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script, message_hook=heard)
    assert heard.names.index("CommandSent") < len(heard.names) - 1
    assert heard.names[-1] == "LogsAdvanced"


def test_newer_pictures_replace_older_ones_and_nothing_else() -> None:
    picture = Snapshot("x", "running", True, {}, [], 0, [], 0, {}, None, None, None, True, 0)
    older, newer = LogsAdvanced(picture), LogsAdvanced(picture)
    assert older.can_replace(newer)
    assert not older.can_replace(RunSelected())
    assert not CommandSent("id", "pause", None).can_replace(CommandSent("id2", "pause", None))
