"""Methods that run in the background."""

from __future__ import annotations

import asyncio
import gc
import warnings

from textual.app import App

from tui_attn.ui.jobs import background


class Asking(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    @background("asking", exclusive=True)
    async def ask(self, number: int) -> None:
        self.asked.append(number)


def test_one_that_a_later_one_replaces_before_it_began_leaves_no_warning() -> None:
    app = Asking()

    async def main() -> None:
        async with app.run_test():
            for number in range(3):
                worker = app.ask(number)
            await worker.wait()

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        asyncio.run(main())
        gc.collect()
    assert app.asked == [2]
    assert not [str(warning.message) for warning in found if "awaited" in str(warning.message)]
