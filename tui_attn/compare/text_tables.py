"""The comparison as plain text, for `tui-attn compare` and the end of `--no-ui`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import fsum
from pathlib import Path

from tui_attn.compare.headline import headline
from tui_attn.compare.pairs import BASE
from tui_attn.compare.summary import ModelSummary, RunSummary, Summary, Versus, time_to_accuracy
from tui_attn.compare.wording import UNKNOWN, counted, interval_percent, interval_points, p_value, points, sentences
from tui_attn.experiment.model_info import MODELS
from tui_attn.experiment.reducer import RunState
from tui_attn.system.text import duration, percent, plain, safe_text, size
from tui_attn.system.textfit import cells, columns, cut, wrap

_time = partial(duration, tenths=True)
MOST_RUNS = 12
"""Runs that get a line each; of more only those that didn't finish do."""
LEAST_WIDTH = 20
LAB_DATASET = "cifar10"
"""On which the lab's figures were measured; elsewhere only the differences between its models can be expected."""
_LITERAL = "self-attention-lab"
_ACCURACY, _DIFFERENCE, _LAB = "test accuracy, %", "against base, points", "  the lab expects*"
_BLIND, _AS_RUN = "against blind control", "  as run"
"""Labels of rows."""


def comparison_table(
    summary: Summary, remarks: Sequence[str], width: int, ascii: bool = False, *, folder: Path | None = None
) -> list[str]:
    """The comparison `summary` and the `remarks` on it, in lines of at most `width` cells (20 at least).

    Models stand side by side where there is room, else below one another. `ascii`: nothing but ASCII. `folder`: that
    of the experiment, where it is one, which more seeds can be trained in.
    """
    width = max(width, LEAST_WIDTH)
    show: Callable[[str], str] = plain if ascii else str

    def wrapped(texts: Iterable[str], first: str = "", rest: str = "  ") -> list[str]:
        return [line for text in texts for line in wrap(show(text), width, first=first, rest=rest)]

    parts = [wrapped([headline(summary)], rest=""), wrapped([title(summary)], rest="")]
    parts += [_models(summary, width, show), _runs(summary, width, show)]
    for verdict, *further in filter(None, (sentences(summary, each.model, folder=folder) for each in summary.models)):
        parts.append([*wrapped([verdict], rest=""), *wrapped(further, first="  ")])
    parts += [wrapped((safe_text(each, one_line=True) for each in remarks), first="- "), wrapped(footnotes(summary))]
    return [line.rstrip() for part in parts if part for line in ("", *part)][1:]


def title(summary: Summary) -> str:
    """What is compared: name, data set, epochs, seeds and state; made safe."""
    seeds, epochs = len(summary.seeds), summary.epochs
    dataset = safe_text(summary.dataset, one_line=True)
    if dataset.startswith("folder:"):  # where it lies is in the settings
        dataset = f"folder {dataset.rstrip('/').rpartition('/')[2]}"
    name = safe_text(summary.name or summary.experiment, one_line=True)
    named = name if dataset in name else f"{name}: {dataset}"
    return f"{named}, {counted(epochs, 'epoch')}, {counted(seeds, 'seed')}, {summary.state}"


# ---- models side by side


def model_rows(summary: Summary) -> list[list[str]]:
    """The models side by side: a title row of their names, then a row for each figure that any of them has.

    Stars in the labels stand for the `footnotes`; two blanks lead a label that belongs to the one before.
    """
    entries = summary.models
    rows = [["", *(entry.model for entry in entries)]]
    rows += [[label, *map(value, entries)] for label, value in _ROWS.items()]
    alike = [_AS_RUN] if all(entry.macs_as_run == entry.macs for entry in entries) else []
    known = {row[0] for row in rows if set(row[1:]) != {UNKNOWN}}
    rows = [row for row in rows if row[0] not in alike and row[0] in known | _ALWAYS]
    if len(entries) > 1 and rows[-1][0] == "peak memory" and len(set(rows[-1][1:])) == 1:
        rows[-1][0] = "peak memory of their worker"  # which trains them in turn, so it says nothing of one model
    figure = _ACCURACY if summary.dataset == LAB_DATASET else _DIFFERENCE
    expected = [_expected(entry.model, figure, summary.names) for entry in entries]
    labels = [row[0] for row in rows]
    if figure in labels and any(text != UNKNOWN for text in expected):
        place = labels.index(figure) + 1
        while labels[place].startswith("  "):
            place += 1
        rows.insert(place, [_LAB, *expected])
    return rows


def _models(summary: Summary, width: int, show: Callable[[str], str]) -> list[str]:
    shown = [[show(text) for text in row] for row in model_rows(summary)]
    side_by_side = columns(shown)
    if max(map(cells, side_by_side)) <= width:
        return side_by_side
    lines: list[str] = []
    for index, model in enumerate(shown[0][1:], start=1):
        lines += ["", model, *columns([[f"  {row[0]}", row[index]] for row in shown[1:]])]
    return [cut(line, width) for line in lines[1:]]


def _cell(
    value: Callable[[RunSummary], float | None], form: Callable[[list[float]], str]
) -> Callable[[ModelSummary], str]:
    """A figure of the runs that count, as far as it is known."""

    def cell(entry: ModelSummary) -> str:
        found = [known for run in entry.counted if (known := value(run)) is not None]
        return form(found) if found else UNKNOWN

    return cell


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)


def _harmonic_mean(rates: Sequence[float]) -> float:
    """The rate of all runs together, which have equally many images."""
    return len(rates) / fsum(1 / rate for rate in rates)


def _versus(form: Callable[[Versus], str]) -> Callable[[ModelSummary], str]:
    return lambda entry: form(entry.versus_base) if entry.versus_base else UNKNOWN


def millions(value: int | None) -> str:
    """A number of operations: `2.39 M`."""
    return UNKNOWN if value is None else f"{value / 1e6:.2f} M"


def _expected(model: str, row: str, models: Sequence[str]) -> str:
    """The lab's figure of a model in the row of accuracies, or in that of differences from base.

    That of self-attention is of the lab read literally, where this is among the `models`.
    """
    meant = {_LITERAL: "self-attention", "self-attention": ""} if _LITERAL in models else {}
    known = meant.get(model, model)
    expected = MODELS[known].lab_accuracy if known in MODELS else None
    if expected is None:
        return UNKNOWN
    if row == _ACCURACY:
        return f"~{100 * expected:.0f}"
    base = MODELS[BASE].lab_accuracy or 0.0
    return UNKNOWN if model == BASE else f"~{points(expected - base, 0)}"


_ROWS: dict[str, Callable[[ModelSummary], str]] = {
    "parameters": lambda entry: UNKNOWN if entry.parameters is None else f"{entry.parameters:,}",
    "MACs per image": lambda entry: millions(entry.macs),
    _AS_RUN: lambda entry: millions(entry.macs_as_run),
    "finished runs": lambda entry: f"{len(entry.counted)} of {len(entry.runs)}",
    _ACCURACY: lambda entry: percent(entry.accuracy),
    "  95 % interval": lambda entry: interval_percent(entry.ci95),
    "test loss": _cell(lambda run: run.test_loss, lambda values: f"{_mean(values):.4f}"),
    _DIFFERENCE: _versus(lambda versus: points(versus.delta)),
    "  95 % interval**": _versus(lambda versus: interval_points(versus.ci95)),
    "  p-value**": _versus(
        lambda versus: UNKNOWN if versus.verdict == "no difference above margin" else p_value(versus.p_value)
    ),
    _BLIND: lambda entry: points(entry.versus_control.delta) if entry.versus_control else UNKNOWN,
    "  its interval": lambda entry: interval_points(entry.versus_control.ci95) if entry.versus_control else UNKNOWN,
    "training time": _cell(lambda run: run.train_seconds, lambda values: _time(_mean(values))),
    "images/s": _cell(lambda run: run.images_per_second or None, lambda rates: f"{_harmonic_mean(rates):,.0f}"),
    "peak memory": _cell(lambda run: run.peak_memory, lambda values: size(max(values))),
}

_ALWAYS = {"parameters", "MACs per image", "finished runs", _ACCURACY, "test loss", "training time", "images/s"}
"""Rows that are also there where no model has them."""


def time_cells(summary: Summary, runs: Mapping[str, RunState], accuracy: float) -> list[str]:
    """For each model the training time to `accuracy`, mean over the counted `runs` (by id) that reached it."""
    cells = []
    for entry in summary.models:
        counted = [runs[run.run] for run in entry.counted if run.run in runs]
        times = [seconds for run in counted if (seconds := time_to_accuracy(run.epochs, accuracy)) is not None]
        some = "" if len(times) == len(counted) else f" ({len(times)} of {len(counted)})"
        cells.append(_time(_mean(times)) + some if times else "not reached" if counted else UNKNOWN)
    return cells


def footnotes(summary: Summary) -> list[str]:
    """What the stars of `model_rows` say."""
    notes = []
    if any(row[0] == _LAB for row in model_rows(summary)):
        as_differences, elsewhere = ", as differences from base", ", no promise for other data"
        if summary.dataset == LAB_DATASET:
            as_differences = elsewhere = ""
        literally = "read literally, its self-attention lacks the residual"
        notes.append(f"* the lab's figures on CIFAR-10{as_differences}, after 15 epochs{elsewhere}; {literally}")
    shown = [entry.versus_base for entry in summary.models if entry.versus_base and entry.versus_base.ci95]
    if shown:
        fixed = "for a number of seeds fixed beforehand"
        text = f"** paired by seed; valid {fixed if shown[0].looks is None else 'at all looks together'}"
        if summary.comparisons > 1:
            which = "both" if summary.comparisons == 2 else "all"
            text += f"; adjusted for {summary.comparisons} comparisons: {which} intervals hold at once in 95 % of "
            text += "such experiments"
        if not summary.experiments and not all(versus.decides for versus in shown):
            text += "; the intervals of controls hold each by itself"
        notes.append(text)
    return notes


# ---- run by run


def _runs(summary: Summary, width: int, show: Callable[[str], str]) -> list[str]:
    """A line for each run while they are few, else for those that didn't finish."""
    found = summary.runs
    if len(found) > MOST_RUNS:
        found = [run for run in found if run.state != "finished"]
    if not found:
        return []
    more = len(found) - MOST_RUNS
    rows = [[show(text) for text in row] for row in run_rows(found[:MOST_RUNS], summary.epochs)]
    kept = len(rows[0])
    while kept > 3 and max(map(cells, columns([row[:kept] for row in rows]))) > width:
        kept -= 1
    lines = [cut(line, width) for line in columns([row[:kept] for row in rows])]
    return [*lines, f"and {more} more"] if more > 0 else lines


def run_rows(runs: Sequence[RunSummary], epochs: int) -> list[list[str]]:
    """A title row, then a row for each of `runs` of a comparison with so many epochs."""
    return [["run", "state", "accuracy, %", "epoch", "loss", "time", "images/s"], *(_run(run, epochs) for run in runs)]


def _run(run: RunSummary, epochs: int) -> list[str]:
    loss = UNKNOWN if run.test_loss is None else f"{run.test_loss:.4f}"
    rate = UNKNOWN if run.images_per_second is None else f"{run.images_per_second:,.0f}"
    begin = [safe_text(run.run, one_line=True), run.state, percent(run.test_accuracy), f"{run.epoch}/{epochs}"]
    return [*begin, loss, duration(run.train_seconds), rate]
