"""The private parts of Textual that are used: a new version that changes one of them fails here."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import pkgutil
import textwrap
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from rich.color import ColorSystem
from textual import _compositor
from textual._compositor import CompositorUpdate
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingsMap
from textual.dom import DOMNode
from textual.drivers.linux_driver import LinuxDriver
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, Static

import tui_attn.ui
from tests.ui.terminal import Terminal
from tui_attn.ui.frames import FrameBuffer
from tui_attn.ui.textual_private import bindings_of, is_allowed, read_update, remapped_bindings

UI = Path(inspect.getfile(FrameBuffer)).parent
PRIVATE = UI / "textual_private.py"

RELIED_ON = [
    (App, "_display", ["self", "screen", "renderable"]),
    (App, "_fatal_error", ["self"]),
    (App, "_close_messages_no_wait", ["self"]),
    (App, "_set_pointer_shape", ["self", "shape"]),
    (App, "_check_action_state", ["self", "action", "default_namespace"]),
    (Screen, "_push_result_callback", ["self", "requester", "callback", "future"]),
    (LinuxDriver, "_get_terminal_size", ["self"]),
    (Input, "_position_to_cell", ["self", "position"]),
]
"""Methods that are called or overridden, with their parameters."""


@pytest.mark.parametrize(("owner", "name", "parameters"), RELIED_ON)
def test_methods_have_the_parameters_that_are_relied_on(owner: type, name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == parameters


def test_attributes_exist() -> None:
    app = App[int]()
    missing = [
        name
        for name in ("_driver", "_sync_available", "_filters", "_running", "_closed", "_batch_count", "_return_code")
        if not hasattr(app, name)
    ]
    assert missing == []
    assert hasattr(app, "_keymap")
    assert isinstance(inspect.getattr_static(Input, "_value"), property)
    source = inspect.getsource(LinuxDriver) + inspect.getsource(LinuxDriver.__mro__[1])
    assert "self._file" in source
    assert "self._app" in source


def test_the_pin_is_one_minor_version() -> None:
    major, minor = version("textual").split(".")[:2]
    project = tomllib.loads((UI.parents[1] / "pyproject.toml").read_text())["project"]
    found = next(line for line in project["dependencies"] if line.startswith("textual"))
    assert set(found.removeprefix("textual").split(",")) == {f">={major}.{minor}", f"<{major}.{int(minor) + 1}"}


class Sub(ModalScreen[None]):
    """Something above the first screen."""

    def compose(self) -> ComposeResult:
        yield Static("above", id="above")


class Captured(App[None]):
    """Applies every update of the screen to a frame buffer."""

    CSS = "#above { width: 10; height: 1; }"
    BINDINGS = [Binding("x", "bell", id="bell")]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.frames = FrameBuffer(ColorSystem.TRUECOLOR)
        self.kinds: set[str] = set()

    def compose(self) -> ComposeResult:
        for number in range(3):
            yield Static(f"line {number}", id=f"line{number}")
        yield Input()

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        if isinstance(renderable, CompositorUpdate):
            patch = read_update(renderable)
            assert patch is not None, f"an update of an unknown kind: {renderable!r}"
            self.kinds.add(type(renderable).__name__)
            self.frames.apply(patch)
        super()._display(screen, renderable)

    def drawn(self) -> list[str]:
        """The rows of the frame buffer."""
        return ["".join(text for text, _ in row).rstrip() for row in self.frames._wanted]

    def expected(self) -> list[str]:
        """The rows that Textual would draw."""
        return [strip.text.rstrip() for strip in self.screen._compositor.render_strips()]


def test_updates_drawn_into_the_frame_buffer_are_what_textual_shows() -> None:
    asyncio.run(_compare(Captured()))


async def _compare(app: Captured) -> None:
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.pause()
        app.query_one("#line1", Static).update("changed")
        await pilot.press("tab", "a", "b", "c")
        await pilot.pause()
        assert app.drawn() == app.expected()
        assert "changed" in app.drawn()[1]
        await app.push_screen(Sub())
        await pilot.pause()
        assert app.drawn()[0].startswith("above")
        app.pop_screen()
        await pilot.resize_terminal(30, 8)
        await pilot.pause()
        assert app.drawn() == app.expected()
        assert app.kinds == {"LayoutUpdate", "ChopsUpdate"}


def test_bindings_follow_the_keymap() -> None:
    asyncio.run(_remap(Captured()))


async def _remap(app: Captured) -> None:
    app.set_keymap({"bell": "y"})
    async with app.run_test() as pilot:
        await pilot.pause()
        node: DOMNode = app
        assert isinstance(bindings_of(node), BindingsMap)
        keys = {binding.key for _, binding in remapped_bindings(node) if binding.id == "bell"}
        assert keys == {"y"}
        assert all(is_allowed(binding, node) for _, binding in remapped_bindings(node) if binding.id == "bell")


def test_kinds_of_updates_that_are_not_read_are_those_of_inline_apps_only() -> None:
    kinds = {
        name
        for name, found in vars(_compositor).items()
        if inspect.isclass(found) and issubclass(found, CompositorUpdate) and found is not CompositorUpdate
    }
    assert kinds == {"LayoutUpdate", "ChopsUpdate", "InlineUpdate"}


UNREADABLE = """
from textual.widgets import Static
from tui_attn.ui import painter, textual_private

class Unreadable(painter.PaintingApp):
    def compose(self):
        yield Static("drawn by Textual")

textual_private.read_update = lambda update: None
Unreadable(ascii_only=False).run()
"""


def test_an_update_that_cannot_be_read_is_drawn_by_textual() -> None:
    terminal = Terminal(None, command=["-c", UNREADABLE])  # type: ignore[arg-type]
    try:
        terminal.until("drawn by Textual")
    finally:
        terminal.close()


def test_an_update_of_another_form_is_not_read() -> None:
    changed = object.__new__(_compositor.LayoutUpdate)
    assert read_update(changed) is None
    assert read_update(CompositorUpdate()) is None


def _sources() -> Iterator[Path]:
    return (path for path in UI.rglob("*.py") if path != PRIVATE)


def test_no_other_file_imports_private_modules_of_textual() -> None:
    found = []
    for path in _sources():
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [name.name for name in node.names] if isinstance(node, ast.Import) else []
            private = [name for name in modules if name.startswith(("textual", "rich")) and "._" in name]
            found += [f"{path.name}: {name}" for name in private]
    assert found == []


def test_no_other_file_uses_private_members_of_other_objects() -> None:
    found = []
    for path in _sources():
        source = path.read_text()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Attribute) and f"self.{node.attr} =" in source:
                continue  # of another object of the same class
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                owner = node.value
                if not (isinstance(owner, ast.Name) and owner.id in {"self", "cls", "os"}):
                    found.append(f"{path.name}:{node.lineno} {ast.unparse(node)}")
    assert [entry for entry in found if "_get_unique_pixels" not in entry] == []  # that one is plotext's


def test_no_other_file_overrides_or_uses_private_members_of_its_bases() -> None:
    found = []
    for module in pkgutil.walk_packages(tui_attn.ui.__path__, "tui_attn.ui."):
        if module.name == "tui_attn.ui.textual_private":
            continue
        for cls in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(cls) and cls.__module__ == module.name:
                bases = [base for base in cls.__mro__ if base.__module__.startswith("textual")]
                private = {name for base in bases for name in _private_names(base)}
                found += [f"{module.name}.{cls.__name__}.{name}" for name in sorted(_own_names(cls) & private)]
    assert found == []


@cache
def _tree(cls: type) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(cls)))


@cache
def _private_names(cls: type) -> frozenset[str]:
    return frozenset(name for name in _own_names(cls) if name.startswith("_") and not name.startswith("__"))


def _own_names(cls: type) -> set[str]:
    """Methods and attributes of `self` that the source of `cls` names."""
    nodes = list(ast.walk(_tree(cls)))
    names = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return names | {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    }
