"""Commands about this machine: data, models, doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui_attn.cli.app import MACHINE, command
from tui_attn.cli.completion import complete
from tui_attn.cli.context import engine
from tui_attn.cli.option_types import BY_NAME, RUNS, AsJson, DataDir, RunsDir
from tui_attn.cli.output import print_json, print_line
from tui_attn.experiment.engine_spec import EngineSpec
from tui_attn.experiment.model_info import MODELS
from tui_attn.system.console import FetchProgress, complain, say
from tui_attn.system.text import safe_text, size

if TYPE_CHECKING:
    from tui_attn.data import Located, SetStatus
    from tui_attn.experiment.model_info import ModelInfo


Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME...", help="Fetch these where missing.", autocompletion=complete(BY_NAME["dataset"])),
]


@command(MACHINE, "data                      what is here", "data cifar10              fetch CIFAR-10 where missing")
def data(
    names: Names = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Fetch all that are missing.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> int:
    """Show which data sets are where, and fetch what is missing."""
    from tui_attn import data as sets

    wanted = [sets.parse_dataset(name) for name in names or []]
    if fetch and not wanted:
        wanted = [item.name for item in sets.status(data_dir) if item.state != "ready"]
    failed = 0
    found: list[SetStatus] = []
    for name in wanted:
        try:
            with FetchProgress() as progress:
                if name.startswith(sets.FOLDER):
                    from tui_attn.data.folder_content import folder_status

                    found.append(folder_status(name, progress))
                    failed = max(failed, int(found[-1].state != "ready"))
                    continue
                located = sets.ensure(name, data_dir, progress=progress)
        except sets.DataError as error:
            complain(str(error))
            failed = 1
        else:
            say(f"{located.name} is ready ({_place(located)})")
    found += sets.status(data_dir)
    if as_json:
        print_json([_set_json(item) for item in found])
        return failed
    for item in found:
        for line in _set_lines(item):
            print_line(safe_text(line, one_line=True))
    return failed


def _place(located: Located) -> str:
    return f"{located.source}: {located.root}" if located.root.parts else located.source


def _set_lines(item: SetStatus) -> list[str]:
    where = "" if item.located is None else f"  {_place(item.located)}"
    amount = "" if item.size == 0 else f"  {size(item.size)}"
    lines = [f"{item.name:<14} {item.state:<8}{amount:>11}{where}"]
    lines += [f"{'':15}{text}" for text in (*item.notes, *item.problems)]
    if item.state != "ready" and not item.name.startswith("folder:"):
        lines.append(f"{'':15}'tui-attn data {item.name}' fetches {item.how}")
    return lines


def _set_json(item: SetStatus) -> dict[str, Any]:
    return {
        "name": item.name,
        "state": item.state,
        "root": None if item.located is None else str(item.located.root),
        "source": None if item.located is None else item.located.source,
        "version": None if item.located is None else item.located.version,
        "bytes": item.size,
        "problems": [str(problem) for problem in item.problems],
        "images": None if item.sizes is None else {"train": item.sizes[0], "test": item.sizes[1]},
        "counts": None if item.located is None else item.located.counts or None,
        "notes": list(item.notes),
    }


@command(MACHINE, "models", "models --json | jq '.[].name'")
def models(as_json: AsJson = False) -> int:
    """List the built-in models."""
    if as_json:
        return print_json([_model_json(info) for info in MODELS.values()])
    width = max(map(len, MODELS))
    for info in MODELS.values():
        print_line(f"{info.name:<{width}}  {info.class_name:<18} {info.parameters:>8,} parameters  {info.description}")
    return 0


def _model_json(info: ModelInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "class": info.class_name,
        "paper": info.paper,
        "parameters": info.parameters,
        "attends_to": info.attends_to,
    }


@command(
    MACHINE,
    "doctor --device cuda:0      also train there for some seconds",
    "doctor --on slurm           also ask a node what it sees",
)
def doctor(
    context: typer.Context,
    device: Annotated[
        str | None, typer.Option("--device", metavar="DEVICE", help="Train the lab's models there for some seconds.")
    ] = None,
    runs_dir: RunsDir = RUNS,
    on: Annotated[str, typer.Option("--on", metavar="ENGINE", help="Also ask the hosts of an engine.")] = "local",
    as_json: AsJson = False,
) -> int:
    """Check devices, torch, data, terminal, disk, and what a logout does."""
    from tui_attn.cli import doctor as checks

    return checks.report(runs_dir, EngineSpec.parse(engine(context, on)), device, as_json=as_json)
