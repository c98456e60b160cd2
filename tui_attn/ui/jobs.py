"""Background work: functions in threads, and programs that report their progress on stderr."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import subprocess
import threading
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from textual.dom import DOMNode
from textual.screen import Screen
from textual.worker import Worker

from tui_attn.system.text import safe_text
from tui_attn.ui.protocols import app_of

P = ParamSpec("P")
T = TypeVar("T")
Node = TypeVar("Node", bound=DOMNode)

KEPT = 50
"""Lines of a job that are kept."""


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `work` in a daemon thread and return what it returns, or raise what it raises.

    `asyncio.to_thread` and Textual's thread workers are joined when the program ends. A call that hangs, for example on
    a network drive, would then keep the user from leaving.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(set_outcome: Callable[[Any], None], outcome: object) -> None:
        if not done.done():  # cancelled meanwhile
            set_outcome(outcome)

    def run() -> None:
        try:
            outcome, set_outcome = work(*args, **kwargs), done.set_result
        except BaseException as error:
            outcome, set_outcome = error, done.set_exception  # type: ignore[assignment]
        with contextlib.suppress(RuntimeError):  # the program ended meanwhile
            loop.call_soon_threadsafe(settle, set_outcome, outcome)

    threading.Thread(target=run, name=getattr(work, "__name__", "work"), daemon=True).start()
    return await done


_SILENT_SECONDS, _TURN_SECONDS = 0.5, 0.2


async def shown_while(
    screen: Screen[Any], text: str, work: Awaitable[T], *, wanted: Callable[[], bool] = lambda: True
) -> T:
    """Await `work`; after half a second, show `text` with a turning sign in the footer of `screen` while `wanted`.

    Textual's own indicator would hide what a panel says meanwhile, such as how much is read.
    """
    from tui_attn.ui.widgets.key_bar import KeyBar

    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=_SILENT_SECONDS)
    signs = itertools.cycle("|/-\\")
    shown = ""
    try:
        while not done:
            before, shown = shown, f"{next(signs)} {text}" if wanted() else ""
            for bar in screen.query(KeyBar):
                bar.say(shown, "muted", over=before)
            done, _ = await asyncio.wait({task}, timeout=_TURN_SECONDS)
        return await task
    finally:
        task.cancel()
        for bar in screen.query(KeyBar):
            bar.unsay(shown)


Async = Callable[Concatenate[Node, P], Coroutine[Any, Any, None]]
Started = Callable[Concatenate[Node, P], Worker[None]]


def background(group: str, *, exclusive: bool = False) -> Callable[[Async[Node, P]], Started[Node, P]]:
    """Let calls of an async method return at once and run it as a Textual worker.

    An exclusive worker cancels the earlier ones of its node and group. An unexpected exception is shown to the user.
    """

    def decorate(method: Async[Node, P]) -> Started[Node, P]:
        @wraps(method)
        def start(self: Node, *args: P.args, **kwargs: P.kwargs) -> Worker[None]:
            async def guarded() -> None:
                app = app_of(self)
                try:
                    await method(self, *args, **kwargs)
                except Exception as error:  # whatever it is, the user must know
                    app.report(error)

            owner: Any = self
            worker: Worker[None] = owner.run_worker(guarded, name=method.__name__, group=group, exclusive=exclusive)
            return worker

        return cast("Started[Node, P]", start)

    return decorate


class Job(threading.Thread):
    """A running program. `listener` is called from this thread for each of its lines and when it ends."""

    def __init__(self, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        super().__init__(name="job", daemon=True)
        self.lines: list[str] = []
        self.code: int | None = None
        """The exit code; None while it runs."""
        self.listener: Callable[[Job], object] = lambda _: None
        self._start_program = start
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False

    @property
    def working(self) -> bool:
        """Whether it hasn't ended."""
        return self.code is None

    def result(self, name: str) -> str:
        """How the job called `name` ended, in a line."""
        how = "done" if self.code == 0 else f"failed without a message (exit code {self.code})"
        return self.lines[-1] if self.lines else f"{name}: {how}"

    def end(self) -> None:
        """End it if it still runs."""
        self._ended = True
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def run(self) -> None:
        """Read what it says until it ends."""
        try:
            process = self._process = self._start_program()
        except Exception as error:  # whatever it is, the user must know
            self._say(safe_text(error, one_line=True))
            self._close(1)
            return
        if self._ended:
            process.terminate()
        for line in process.stderr or ():
            self._say(safe_text(line.decode(errors="replace").strip(), one_line=True))
        self._close(process.wait())

    def _say(self, line: str) -> None:
        if line:
            self.lines = [*self.lines, line][-KEPT:]
            self.listener(self)

    def _close(self, code: int) -> None:
        self.code = code
        self.listener(self)


class Jobs:
    """The jobs of a dashboard by name. They end with it."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def get(self, name: str) -> Job | None:
        """The newest job called `name`, running or ended."""
        return self._jobs.get(name)

    def start(self, name: str, start: Callable[[], subprocess.Popen[bytes]], listener: Callable[[Job], object]) -> Job:
        """Start a job, or return the one that runs under this name."""
        found = self._jobs.get(name)
        if found is None or not found.working:
            found = self._jobs[name] = Job(start)
            found.start()
        found.listener = listener
        listener(found)  # it may have ended before anyone listened
        return found

    def stop(self) -> None:
        """End all of them."""
        for job in self._jobs.values():
            job.end()
