"""How commands are registered and built, and the layout of their help."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from typer.core import TyperCommand, TyperGroup
from typer.main import get_command_from_info, get_install_completion_arguments
from typer.models import CommandInfo

Function = TypeVar("Function", bound=Callable[..., Any])

WATCH = "See and go on"
STEER = "Steer the training"
RESULTS = "Results"
TIDY = "Tidy up"
MACHINE = "This machine"

_MODULES = {
    "watching": "attach wait resume extend",
    "steering": "pause unpause stop skip retry",
    "results": "ls compare probe export",
    "explaining": "explain",
    "studying": "sweep curve",
    "organize": "history rename note pin unpin delete trash restore",
    "machine": "data models doctor",
    "config_command": "config",
}
"""Modules of this package -> their commands, in the order of --help. A command is built when it is called: building all
of them takes longer than most of them run."""
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}

ROOT_HELP = """Train the lab's three networks side by side and see what channel attention does.

An experiment is a set of models on one data set, each trained with one seed or several; each such training is a
run. Without a command, tui-attn starts an experiment and shows it: a dashboard on a terminal, lines elsewhere or
with --no-ui. Training runs in the background and continues when the terminal closes; 'tui-attn attach' shows it
again.

\b
Examples:
  tui-attn                                     three models on Fashion-MNIST
  tui-attn --dataset synthetic --epochs 3      a first try, without a download
  tui-attn --models base,se --dataset cifar10  two models on CIFAR-10
  tui-attn --no-ui --seeds 5                   five seeds of each, as lines
  tui-attn attach                              back to the newest experiment
  tui-attn compare --json | jq .               its figures, for a program

'tui-attn COMMAND --help' tells more about each command, 'tui-attn config' about settings that stay.
"""


def _sections(formatter: Any, rows: Iterable[tuple[str, tuple[str, str]]]) -> None:
    """Write rows under their headings, in the order in which the headings first appear."""
    found: dict[str, list[tuple[str, str]]] = {}
    for heading, row in rows:
        found.setdefault(heading, []).append(row)
    first = max((len(row[0]) for section in found.values() for row in section), default=0)
    for heading, section in found.items():
        with formatter.section(heading):
            formatter.write_dl([(name.ljust(min(first, 22)), text) for name, text in section])


def _option_rows(command: Any, context: Any) -> Iterable[tuple[str, tuple[str, str]]]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None:
            continue
        name, text = record
        if parameter.param_type_name == "argument":
            yield "Arguments", (name.partition(" <")[0], text)
            continue
        name = name.partition(" / ")[0]
        both = bool(parameter.secondary_opts) and not name.startswith("--no-")
        shown = f"--[no-]{name.removeprefix('--')}" if both else name
        yield getattr(parameter, "rich_help_panel", None) or "Options", (shown, text)


class Command(TyperCommand):
    """A command whose help has the same layout as that of the group."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options."""
        _sections(formatter, _option_rows(self, ctx))


class Group(TyperGroup):
    """The root command: `begin` starts an experiment, or prepares for the subcommand that follows."""

    def __init__(self, begin: Callable[[Any], int | None], params: list[Any]) -> None:
        super().__init__(
            name="tui-attn",
            commands=dict.fromkeys(_MODULE_OF),  # type: ignore[arg-type]
            params=[*params, *get_install_completion_arguments()],
            help=inspect.cleandoc(ROOT_HELP),
            invoke_without_command=True,
            context_settings={"help_option_names": ["-h", "--help"]},
            rich_markup_mode=None,
        )
        self._begin = begin

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command called `cmd_name`, built on first use; None where there is none."""
        if cmd_name in self.commands and self.commands[cmd_name] is None:
            self.commands[cmd_name] = get_command_from_info(
                _registered(cmd_name), pretty_exceptions_short=True, rich_markup_mode=None
            )
        return self.commands.get(cmd_name)

    def invoke(self, ctx: Any) -> Any:
        """Begin, then call the command if there is one."""
        self.callback = lambda **_: self._begin(ctx)
        return super().invoke(ctx)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, then the options of a start."""
        self.format_commands(ctx, formatter)
        _sections(formatter, _option_rows(self, ctx))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands under their headings, each with the first line of its help. Builds none of them."""
        found = {name: _registered(name) for name in _MODULE_OF}
        about = {name: inspect.cleandoc(info.callback.__doc__ or "").partition("\n")[0] for name, info in found.items()}
        _sections(formatter, [(str(info.rich_help_panel), (name, about[name])) for name, info in found.items()])


_REGISTERED: dict[str, CommandInfo] = {}


def _registered(name: str) -> CommandInfo:
    importlib.import_module(f"tui_attn.cli.{_MODULE_OF[name]}")
    return _REGISTERED[name]


def command(panel: str, *examples: str, cls: type[TyperCommand] = Command) -> Callable[[Function], Function]:
    """Make a function a subcommand: its docstring is the help, `panel` the heading under which --help lists it.

    `examples`: what a user may type after `tui-attn`; at least two blanks precede what it does.
    """
    lines = "".join(f"\n  tui-attn {example}" for example in examples)
    epilog = f"\b\nExamples:{lines}" if len(examples) > 1 else f"\b\nExample:{lines}"

    def register(function: Function) -> Function:
        about: dict[str, Any] = {"rich_help_panel": panel, "epilog": epilog, "context_settings": {}}
        _REGISTERED[function.__name__] = CommandInfo(function.__name__, cls=cls, callback=function, **about)
        return function

    return register
