"""Keys typed before the earlier ones have been handled: none is lost, and each does what it does on a slow hand."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from textual import events
from textual.app import ComposeResult
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Input

from tests.recorded import record
from tests.ui.harness import DEADLINE, burst, drive, make_app, until
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.typed_ahead import KeysInTurn

pytestmark = pytest.mark.usefixtures("own_folders")


@pytest.mark.parametrize(
    "keys",
    [
        "n escape q",
        "h n escape escape q",
        "question_mark escape q",
        "question_mark q u escape q",
        "c 3 escape q",
        "c escape h escape q",
        "T escape q",
        "m escape q",
        "enter escape q",
    ],
)
def test_the_last_key_leaves_after_screens_that_the_others_opened_and_closed(tmp_path: Path, keys: str) -> None:
    left = []

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        burst(app, *keys.split())
        await until(pilot, lambda: app.return_code is not None)
        left.append(len(app.screen_stack))

    config = ExperimentConfig(models=("base", "se"), epochs=2, train_limit=6_000, test_limit=1_000)
    drive(make_app(record(tmp_path / "runs", config=config, predictions=False)), script)
    assert left == [1]


class Leaving(Widget, can_focus=True):
    """Takes a key, and with it leaves; or doesn't come to its end until it is let go."""

    def __init__(self, ends: bool) -> None:
        super().__init__()
        self.ends, self.let_go = ends, asyncio.Event()

    async def on_key(self, event: events.Key) -> None:
        event.stop()
        if self.ends:
            await self.remove()
        else:
            self.screen.set_focus(None)
            await self.let_go.wait()


class Small(KeysInTurn):
    BINDINGS = [("q", "exit(3)", "leave")]  # noqa: RUF012
    _KEY_SECONDS = 0.01

    def __init__(self, ends: bool) -> None:
        super().__init__()
        self.leaving, self.left = Leaving(ends), asyncio.Event()

    def compose(self) -> ComposeResult:
        yield self.leaving

    def on_mount(self) -> None:
        self.leaving.focus()

    def action_exit(self, code: int) -> None:
        self.exit(return_code=code)
        self.left.set()


@pytest.mark.parametrize("ends", [True, False])
def test_a_widget_that_is_removed_or_hangs_holds_up_no_later_key(ends: bool) -> None:
    app = Small(ends)

    async def main() -> None:
        async with app.run_test():
            burst(app, "x", "q")
            try:
                await asyncio.wait_for(app.left.wait(), DEADLINE)
            finally:
                app.leaving.let_go.set()

    asyncio.run(main())
    assert app.return_code == 3


def test_a_turn_that_comes_after_the_end_is_none() -> None:
    app = KeysInTurn()

    async def end_then_go_on() -> None:
        async with app.run_test():
            pass
        assert not app.screen_stack
        app._typed.append(events.Key("q", "q"))
        await app._next_key(app._key)

    asyncio.run(end_then_go_on())
    assert len(app._typed) == 1


class Line(KeysInTurn):
    def compose(self) -> ComposeResult:
        yield Input()


def test_a_paste_takes_its_turn_among_the_keys() -> None:
    app = Line()

    async def main() -> None:
        async with app.run_test() as pilot:
            burst(app, "a", "b")
            app.post_message(events.Paste("-pasted-"))
            burst(app, "c", "d")
            line = app.query_one(Input)
            await until(pilot, lambda: len(line.value) == 12)
            assert line.value == "ab-pasted-cd"

    asyncio.run(main())
