"""What the subcommands do, apart from their options: list, compare, steer, resume, extend, data."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tui_attn import data
from tui_attn.cli import lines
from tui_attn.compare.effects import effects_json, effects_lines, effects_of
from tui_attn.compare.pooled import compare_together
from tui_attn.compare.remarks import find_remarks
from tui_attn.compare.summary import summarise, summary_json
from tui_attn.compare.text_tables import comparison_table
from tui_attn.experiment import reducer
from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.finding import experiments, find_experiment
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import Follower, read_state
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.ownership import STALLED_AFTER, supervisor_alive
from tui_attn.history import organize
from tui_attn.launch import control, probe_process, starting
from tui_attn.system import liveness
from tui_attn.system.console import FetchProgress, complain, say
from tui_attn.system.text import command_line, duration, safe_text, size

ACKNOWLEDGED_WITHIN = 15.0
"""Seconds that a supervisor gets to acknowledge a command."""

MODELS_WIDTH = 24
"""Of the models in a list of experiments."""

Dashboard = Callable[[ExperimentDir], int] | None


def resume(runs_dir: Path, name: str | None, *, as_json: bool, dashboard: Dashboard, trust_code: bool = False) -> int:
    """Take up what was stopped, failed or lost; of a finished experiment show the result."""
    folder = find_experiment(runs_dir, name)
    follower = read_state(folder)
    unfinished = [run for run in follower.state.runs.values() if run.state not in {"finished", "skipped"}]
    if follower.state.runs and not unfinished and follower.state.state in reducer.EXPERIMENT_ENDED:
        lines.print_result(follower)
        return follower.state.exit_code
    progress = FetchProgress()
    try:
        supervisor = starting.resume(folder, trust_code=trust_code, progress=progress, tell=say).supervisor
    finally:
        progress.close()
    if dashboard is not None:
        return dashboard(folder)
    say(f"going on with {folder.id}")
    return lines.watch(folder, as_json=as_json, own=True, supervisor=supervisor)


def extend(
    runs_dir: Path, name: str | None, seeds: int, *, as_json: bool, dashboard: Dashboard, trust_code: bool = False
) -> int:
    """Bring the experiment to `seeds` seeds, whether it runs or has ended."""
    folder = find_experiment(runs_dir, name)
    progress = FetchProgress()
    try:
        started = starting.extend(folder, seeds, trust_code=trust_code, progress=progress, tell=say)
    finally:
        progress.close()
    supervisor = None
    if isinstance(started, str):
        result = _await(folder, started)
        if result != "done":
            raise RunsError(result)
    else:
        supervisor = started.supervisor
    if dashboard is not None:
        return dashboard(folder)
    return lines.watch(folder, as_json=as_json, own=True, supervisor=supervisor)


def steer(runs_dir: Path, name: str | None, command: str, run: str | None) -> int:
    """Send a command to a running experiment and wait for its answer."""
    folder = find_experiment(runs_dir, name)
    if not supervisor_alive(folder):
        raise RunsError(f"{folder.id} isn't running: '{command_line('resume', folder.path)}' takes it up")
    if run is not None and run not in read_state(folder).state.runs:
        known = ", ".join(read_state(folder).state.runs)
        raise RunsError(f"{folder.id} has no run '{safe_text(run, one_line=True)}': it has {safe_text(known)}")
    result = _await(folder, control.send(folder, command, run))
    say(f"{command} {folder.id}{'' if run is None else ' ' + run}: {result}")
    return 0 if result == "done" else 1


def _await(folder: ExperimentDir, command_id: str) -> str:
    """The answer to a command, from the experiment's log."""
    log = LogReader(folder.events)
    deadline = time.monotonic() + ACKNOWLEDGED_WITHIN
    while time.monotonic() < deadline:
        for event in log.read():
            if event.type == "control_ack" and event["id"] == command_id:
                return safe_text(event["result"], one_line=True)
        if not supervisor_alive(folder):
            return f"the supervisor is gone: '{command_line('resume', folder.path)}' takes the work up"
        time.sleep(0.05)
    silent = liveness.age(folder.supervisor_lock)
    if silent is not None and silent > STALLED_AFTER:
        pid = liveness.holder(folder.supervisor_lock)
        return f"no answer: the supervisor (process {pid}) has been silent for {duration(silent)}; is it frozen?"
    return "no answer yet: the command waits in the control log"


def compare_models(runs_dir: Path, names: Sequence[str], *, as_json: bool, report: Path | None = None) -> int:
    """Print the comparison, of several experiments together where several are named; with `report` write its page."""
    folders = [find_experiment(runs_dir, name) for name in names] or [find_experiment(runs_dir, None)]
    folder = folders[0].path if len(set(folders)) == 1 else None
    if folder is None:
        if report is not None:
            raise RunsError("--report is of one experiment: name one, or leave it out")
        summary, remarks = compare_together(folders)
    else:
        follower = read_state(folders[0])
        if report is not None:
            _write_report(follower, report.expanduser())
        summary = summarise(follower)
        remarks = find_remarks(follower, summary)
    if as_json:
        _out(json.dumps(summary_json(summary)))
        return 0
    for line in comparison_table(summary, remarks, width=_width(), folder=folder):
        _out(line)
    return 0


def _write_report(follower: Follower, folder: Path) -> None:
    from tui_attn.report import ReportError, write_report

    try:
        say(f"the report is in {write_report(follower, folder)}")
    except ReportError as error:
        raise RunsError(str(error)) from None


def export(runs_dir: Path, name: str | None, kinds: Sequence[str], *, run: str | None, out: Path | None) -> int:
    """Export an experiment in each of `kinds`, and print the folders that were written to."""
    from tui_attn import export as exports

    if not kinds:
        raise RunsError("say what to export: --tensorboard, --csv or --safetensors")
    if out is not None and str(out) == "-":
        raise RunsError("an export is several files, which don't go to stdout: name a folder with --out")
    follower = read_state(find_experiment(runs_dir, name))
    found: dict[str, None] = {}
    for kind in kinds:
        where, problems = exports.export(follower, kind, None if out is None else out.expanduser(), run)
        for problem in problems:
            say(problem)
        found[str(where)] = None
    for path in found:
        _out(path)
    return 0


def probe(runs_dir: Path, name: str | None, run: str | None, *, as_json: bool) -> int:
    """Replace the attention of trained networks, all finished ones or one, and print what their accuracy becomes."""
    folder = find_experiment(runs_dir, name)
    code = probe_process.start(folder, [] if run is None else [run]).wait()
    if code not in {0, 1}:
        return code if code > 0 else 1
    found, problems = effects_of(read_state(folder), run)
    if as_json:
        _out(json.dumps({"experiment": folder.id, **effects_json(found, problems)}))
        return code
    for line in effects_lines(found, problems, width=_width()):
        _out(line)
    return code


def list_experiments(runs_dir: Path, *, as_json: bool) -> int:
    """Print a line for each experiment, or one JSON list. Damaged ones are told and don't hide the others."""
    rows: list[dict[str, Any]] = []
    for folder in experiments(runs_dir):
        try:
            rows.append(_row(read_state(folder)))
        except RunsError as error:
            rows.append({"experiment": folder.id, "state": "damaged", "reason": str(error), "troubles": []})
    for row in rows:
        if row["state"] == "damaged":
            complain(row["reason"])
        elif row["state"] == "lost":
            again = command_line("resume", runs_dir.absolute() / row["experiment"])
            say(f"{row['experiment']} was cut off: '{again}' takes it up again")
        for trouble in row["troubles"]:
            complain(f"{row['experiment']}/{trouble}")
    if as_json:
        _out(json.dumps(rows))
        return 0
    if not rows:
        raise RunsError(f"no experiment in {safe_text(runs_dir, one_line=True)}: start one with 'tui-attn'")
    cells: list[tuple[str, ...]] = [
        ("EXPERIMENT", "STATE", "DATA", "MODELS", "SEEDS", "EPOCHS", "DONE", "BEST", "TOOK")
    ]
    cells += [_cells(row) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for line in cells:
        _out("  ".join(text.ljust(wide) for text, wide in zip(line, widths, strict=True)).rstrip())
    return 0


def _row(follower: Follower) -> dict[str, Any]:
    now, config = follower.state, follower.manifest.config
    accuracies = {run.id: run.epochs[-1].test_accuracy for run in now.runs.values() if run.epochs}
    took = None
    if now.started_at is not None:
        took = (now.ended_at or time.time()) - now.started_at
    return {
        "experiment": follower.folder.id,
        "name": config.name,
        "state": follower.situation().experiment,
        "dataset": config.dataset,
        "models": list(config.models),
        "seeds": config.seeds,
        "epochs": config.epochs,
        "runs": len(config.models) * config.seeds,
        "finished": now.counts().get("finished", 0),
        "best": max(accuracies.values(), default=None),
        "created": follower.manifest.created,
        "seconds": took,
        "troubles": follower.troubles(),
    }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    if row["state"] == "damaged":
        return (safe_text(row["experiment"]), "damaged", *["–"] * 7)
    best = "–" if row["best"] is None else f"{row['best']:.4f}"
    return (
        safe_text(row["experiment"]),
        row["state"],
        safe_text(row["dataset"], one_line=True)[:24],
        _named(row["models"]),
        str(row["seeds"]),
        str(row["epochs"]),
        f"{row['finished']}/{row['runs']}",
        best,
        duration(row["seconds"]),
    )


def list_trash(runs_dir: Path, *, as_json: bool) -> int:
    """Print a line for each experiment in the trash, or one JSON list."""
    items = organize.trashed(runs_dir)
    if as_json:
        _out(
            json.dumps(
                [{"experiment": item.id, "deleted": item.since, "path": str(item.folder.path)} for item in items]
            )
        )
        return 0
    if not items:
        say(f"nothing is in the trash of {safe_text(runs_dir, one_line=True)}")
    for item in items:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(item.since))
        name = "damaged" if item.manifest is None else item.manifest.config.name or ""
        _out(f"{item.id}  deleted {when}  {safe_text(name, one_line=True)}".rstrip())
    return 0


def _named(models: list[str]) -> str:
    """The models in about as many characters as the lab's three take: `base,se,+2` where that is too little."""
    text, shown = ",".join(models), len(models)
    while len(text) > MODELS_WIDTH and shown > 1:
        shown -= 1
        text = ",".join([*models[:shown], f"+{len(models) - shown}"])
    return text


def show_data(data_dir: Path | None, names: list[str], *, fetch: bool, as_json: bool) -> int:
    """Print which data sets are here and whether they are whole; fetch `names`, or with `fetch` all that are missing.

    1 when one could not be had.
    """
    wanted = [data.parse_dataset(name) for name in names]
    if fetch and not wanted:
        wanted = [item.name for item in data.status(data_dir) if item.state != "ready"]
    failed = 0
    for name in wanted:
        progress = FetchProgress()
        try:
            located = data.ensure(name, data_dir, progress=progress)
        except data.DataError as error:
            progress.close()
            complain(str(error))
            failed = 1
        else:
            progress.close()
            say(f"{located.name} is ready ({located.source}): {located.root}")
    found = data.status(data_dir)
    if as_json:
        _out(json.dumps([_set_json(item) for item in found]))
        return failed
    for item in found:
        where = "" if item.located is None else f"  {item.located.source}: {item.located.root}"
        amount = "" if item.size == 0 else f"  {size(item.size)}"
        _out(safe_text(f"{item.name:<14} {item.state:<8}{amount:>11}{where}", one_line=True))
        for problem in item.problems:
            _out(safe_text(f"               {problem}", one_line=True))
        if item.state != "ready":
            _out(safe_text(f"               'tui-attn data {item.name}' fetches {item.how}", one_line=True))
    return failed


def _set_json(item: data.SetStatus) -> dict[str, Any]:
    return {
        "name": item.name,
        "state": item.state,
        "root": None if item.located is None else str(item.located.root),
        "source": None if item.located is None else item.located.source,
        "version": None if item.located is None else item.located.version,
        "bytes": item.size,
        "problems": [str(problem) for problem in item.problems],
    }


def _width() -> int:
    return os.get_terminal_size(1).columns if os.isatty(1) else 100


def _out(line: str) -> None:
    lines.print_line(line)
