"""Keys typed ahead, and pastes: each waits until the one before has done what it does."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any, TypeAlias

from textual import events
from textual.app import App
from textual.message import Message

Typed: TypeAlias = events.Key | events.Paste


class KeyHandled(Message):
    """Follows a key from widget to widget, and so reaches the app when the key has been handled."""

    def __init__(self, key: Typed | None) -> None:
        super().__init__()
        self.key = key


class KeysInTurn(App[int]):
    """An app that hands keys, and pastes among them, on one by one.

    Textual sends a key to the widget that has the focus when the key arrives. If an earlier key is about to close the
    screen of that widget, the later one is lost; if it is about to open a screen, the later one misses that.
    """

    _KEY_SECONDS = 0.5
    """How long keys wait for one whose widget was removed meanwhile, or that starts something long."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._key: Typed | None = None
        """The key that is being handled."""
        self._typed: deque[Typed] = deque()
        """Keys that wait."""

    def wants(self, key: Typed) -> bool:
        """Whether to hand on `key`, now that it has its turn."""
        return True

    async def on_event(self, event: events.Event) -> None:
        """Hand `event` on; a key only in its turn."""
        if not isinstance(event, (events.Key, events.Paste)):
            await super().on_event(event)
        elif event.is_forwarded:  # no widget took it: it is the app's
            if self.wants(event):
                await super().on_event(event)
            await self._next_key(event)
        else:
            self._typed.append(event)
            if self._key is None:
                await self._next_key(None)
            elif len(self._typed) == 1:
                self._bound()

    async def on_key_handled(self, message: KeyHandled) -> None:
        """Hand on the next key."""
        await self._next_key(message.key)

    async def _next_key(self, handled: Typed | None) -> None:
        while self._key is handled and self.screen_stack:  # none is left when the app ends
            if not self.screen.is_mounted and self.screen.post_message(KeyHandled(handled)):
                return  # the message arrives once the screen has its widgets
            self._key = handled = self._typed.popleft() if self._typed else None
            if handled is None:
                return
            if not self.wants(handled):
                continue
            target = self.focused or self.screen
            await super().on_event(handled)
            if handled.is_forwarded and target.post_message(KeyHandled(handled)):
                if self._typed:
                    self._bound()
                return

    def _bound(self) -> None:
        self.set_timer(self._KEY_SECONDS, partial(self._next_key, self._key))
