"""Commands that show and export results: ls, compare, probe, export."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from tui_attn.cli.app import RESULTS, command
from tui_attn.cli.context import user_path
from tui_attn.cli.option_types import RUNS, AsJson, Experiment, Experiments, OneRun, RunsDir
from tui_attn.cli.output import output_width, print_json, print_line, print_lines
from tui_attn.experiment.options import ConfigError
from tui_attn.system.console import complain, say, takes_ascii, working
from tui_attn.system.text import command_line, duration, percent, safe_text
from tui_attn.system.textfit import cells, cut, left

if TYPE_CHECKING:
    from tui_attn.experiment.study import StudyDir
    from tui_attn.history.entries import Entry

MODELS_WIDTH = 24
"""Characters of the models in a list of experiments."""


@command(RESULTS, "ls", "ls lr-sweep                the experiments of a study", "ls --json | jq '.[0]'")
def ls(
    study: Annotated[str | None, typer.Argument(metavar="STUDY", help="List the experiments of this study.")] = None,
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
) -> int:
    """List the experiments and studies, newest first."""
    from tui_attn.experiment.study import find_study

    found = None if study is None else find_study(runs_dir, study)
    if study is not None and found is None:
        raise ConfigError(f"no study '{safe_text(study, one_line=True)}': 'tui-attn ls' lists those there are")
    return list_experiments(runs_dir if found is None else found.path, as_json=as_json)


@command(
    RESULTS,
    "compare                   the newest experiment",
    "compare lab more-seeds    two experiments as one",
    "compare --report lab      also a page to hand in",
)
def compare(
    experiments: Experiments = None,
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", metavar="DIR", callback=user_path, help="Also write a page with tables and pictures to DIR."
        ),
    ] = None,
) -> int:
    """Compare the models of an experiment, or of several together."""
    from tui_attn.compare.pooled import compare_together
    from tui_attn.compare.remarks import find_remarks
    from tui_attn.compare.summary import summarise, summary_json
    from tui_attn.compare.text_tables import comparison_table
    from tui_attn.experiment.finding import find_experiment
    from tui_attn.experiment.follower import read_state
    from tui_attn.experiment.study import find_study

    names: list[str] | list[None] = experiments or [None]
    if len(names) == 1 and (study := find_study(runs_dir, names[0])):
        return _compare_study(study, as_json=as_json, report=report)
    folders = [find_experiment(runs_dir, name) for name in names]
    folder = folders[0].path if len(set(folders)) == 1 else None
    if folder is None:
        if report is not None:
            raise ConfigError("--report is of one experiment: name one, or leave it out")
        with working("comparing"):
            summary, remarks = compare_together(folders)
    else:
        with working("reading the logs"):
            follower = read_state(folders[0])
        if report is not None:
            with working("writing the report"):
                from tui_attn.report import write_report

                where = write_report(follower, report.expanduser())
            say(f"the report is in {where}")
        with working("comparing"):
            summary = summarise(follower)
            remarks = find_remarks(follower, summary)
    if as_json:
        return print_json(summary_json(summary))
    print_lines(comparison_table(summary, remarks, output_width(), takes_ascii(sys.stdout), folder=folder))
    return 0


def _compare_study(study: StudyDir, *, as_json: bool, report: Path | None) -> int:
    from tui_attn.cli.studying import print_study

    if report is not None:
        with working("writing the report"):
            from tui_attn.report.study import write_study

            where = write_study(study, report.expanduser())
        say(f"the report is in {where}")
    print_study(study, as_json=as_json)
    return 0


@command(RESULTS, "probe                     all finished runs with attention", "probe --run se-s0         one run")
def probe(experiment: Experiment = None, run: OneRun = None, runs_dir: RunsDir = RUNS, as_json: AsJson = False) -> int:
    """Replace the attention, and see what the accuracy becomes."""
    from tui_attn.compare.effects import effects_json, effects_lines, effects_of
    from tui_attn.experiment.finding import find_experiment
    from tui_attn.experiment.follower import read_state
    from tui_attn.launch import probe_process

    folder = find_experiment(runs_dir, experiment)
    code = probe_process.start(folder, [] if run is None else [run]).wait()
    if code not in {0, 1}:
        return code if code > 0 else 1
    found, problems = effects_of(read_state(folder), run)
    if as_json:
        print_json({"experiment": folder.id, **effects_json(found, problems)})
        return code
    print_lines(effects_lines(found, problems, width=output_width()))
    return code


@command(
    RESULTS,
    "export --tensorboard      then: tensorboard --logdir runs",
    "export --csv --out lab    tables of runs, epochs, points and gates",
    "export --safetensors      weights with a model card, run by run",
)
def export(
    experiment: Experiment = None,
    run: OneRun = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Event files, in the experiment's folder where --out names no other.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Tables as CSV.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="The comparison as a LaTeX table.")] = False,
    safetensors: Annotated[
        bool, typer.Option("--safetensors", help="Weights of finished runs, each with a model card.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", callback=user_path, help="Where to, an empty folder. [EXPERIMENT-export]"),
    ] = None,
    runs_dir: RunsDir = RUNS,
) -> int:
    """Write TensorBoard event files, CSV or LaTeX tables, or weights."""
    from tui_attn import export as exports
    from tui_attn.experiment.finding import find_experiment
    from tui_attn.experiment.follower import read_state

    kinds = {"tensorboard": tensorboard, "csv": csv, "latex": latex, "safetensors": safetensors}
    wanted = [kind for kind, asked in kinds.items() if asked]
    if not wanted:
        raise ConfigError("say what to export: --tensorboard, --csv, --latex or --safetensors")
    if out is not None and str(out) == "-":
        raise ConfigError("an export is several files, which don't go to stdout: name a folder with --out")
    follower = read_state(find_experiment(runs_dir, experiment))
    written: dict[Path, None] = {}
    for kind in wanted:
        with working(f"writing {kind}"):
            where, problems = exports.export(follower, kind, None if out is None else out.expanduser(), run)
        for problem in problems:
            say(problem)
        written[where] = None
    for path in written:
        print_line(safe_text(path, one_line=True))
    return 0


# ---- the list of experiments


def list_experiments(runs_dir: Path, *, as_json: bool) -> int:
    """Print a line for each experiment, or one JSON list. Damaged ones are reported and don't hide the others."""
    from tui_attn.history.entries import read_history

    entries = read_history(runs_dir)
    for entry in entries:
        if entry.state == "damaged":
            complain(f"{entry.id}: {entry.reason}")
        elif entry.state == "lost":
            again = command_line("resume", runs_dir.absolute() / entry.id)
            say(f"{entry.id} was interrupted: '{again}' continues it")
        elif entry.waits:
            say(f"{entry.id}: {entry.finished} of {entry.runs} · {entry.waits}")
        for trouble in entry.troubles:
            complain(f"{entry.id}/{trouble}")
    if as_json:
        return print_json([_entry_json(entry) for entry in entries])
    if not entries:
        raise ConfigError(f"no experiment in {safe_text(runs_dir, one_line=True)}: start one with 'tui-attn'")
    print_lines(_table(entries, output_width() if os.isatty(1) else None))
    return 0


def _entry_json(entry: Entry) -> dict[str, Any]:
    if entry.state == "damaged":
        return {"experiment": entry.id, "state": "damaged", "reason": entry.reason, "troubles": []}
    best = entry.best
    return {
        "experiment": entry.id,
        "name": entry.name or None,
        "state": entry.state,
        "dataset": entry.dataset,
        "models": list(entry.models),
        "seeds": entry.seeds,
        "epochs": entry.epochs,
        "runs": entry.runs,
        "finished": entry.finished,
        "best": entry.accuracy,
        "versus_base": best
        and {"model": best.model, "delta": best.delta, "pairs": best.seeds, "verdict": best.verdict},
        "created": entry.created,
        "seconds": entry.seconds,
        "waits": entry.waits or None,
        "troubles": list(entry.troubles),
        "study": entry.study or None,
    }


class _Column(NamedTuple):
    heading: str
    cell: Callable[[Entry], str]
    least: int = 0
    """Minimum width in cells; 0 for a column that is never cut."""
    leave: int = 0
    """Columns are left out from the highest number down; 0 for one that stays."""


def _table(entries: Sequence[Entry], width: int | None) -> list[str]:
    """The experiments under headings, in lines of at most `width` cells where possible."""
    found = {column: [column.heading, *(_cell(column, entry) for entry in entries)] for column in _COLUMNS}
    found = {column: texts for column, texts in found.items() if any(text.strip("–") for text in texts[1:])}
    wide = {column: max(map(cells, texts)) for column, texts in found.items()}

    def excess() -> int:
        return 0 if width is None else sum(wide[column] + 2 for column in found) - 2 - width

    for column in sorted((column for column in found if column.least), key=lambda column: -wide[column]):
        if excess() > 0 and wide[column] > column.least:
            room = max(column.least, len(column.heading), wide[column] - excess())
            found[column] = [cut(text, room) for text in found[column]]
            wide[column] = max(map(cells, found[column]))
    while excess() > 0 and any(column.leave for column in found):
        del found[max(found, key=lambda column: column.leave)]
    rows = zip(*found.values(), strict=True)
    return [
        "  ".join(left(text, wide[column]) for column, text in zip(found, row, strict=True)).rstrip() for row in rows
    ]


def _cell(column: _Column, entry: Entry) -> str:
    readable = entry.state != "damaged" or column.heading in {"EXPERIMENT", "NAME", "STATE"}
    return column.cell(entry) if readable else "–"


def _models(models: Sequence[str]) -> str:
    """As many models as fit into `MODELS_WIDTH`: `base,se,+2`."""
    text, shown = ",".join(models), len(models)
    while len(text) > MODELS_WIDTH and shown > 1:
        shown -= 1
        text = ",".join([*models[:shown], f"+{len(models) - shown}"])
    return text


def _verdict(entry: Entry) -> str:
    """The model furthest ahead of base: its difference in points, and the verdict."""
    from tui_attn.compare.wording import points

    if entry.study:
        return f"{entry.study}, see compare"
    if entry.best is None:
        return "–"
    said = (entry.best.verdict or "no look yet").replace("no difference", "no diff.")
    return f"{entry.best.model} {points(entry.best.delta)} {said}"


_COLUMNS = (
    _Column("EXPERIMENT", lambda entry: entry.id),
    _Column("NAME", lambda entry: entry.name or "–", least=12, leave=1),
    _Column("STATE", lambda entry: entry.state),
    _Column("DATA", lambda entry: entry.dataset, least=10, leave=4),
    _Column("MODELS", lambda entry: _models(entry.models), least=12, leave=5),
    _Column("SEEDS", lambda entry: str(entry.seeds), leave=7),
    _Column("EPOCHS", lambda entry: str(entry.epochs), leave=6),
    _Column("DONE", lambda entry: f"{entry.finished}/{entry.runs}"),
    _Column("BEST", lambda entry: percent(entry.accuracy, "%"), leave=3),
    _Column("TOOK", lambda entry: duration(entry.seconds), leave=2),
    _Column("VERDICT", _verdict, least=24),
)
