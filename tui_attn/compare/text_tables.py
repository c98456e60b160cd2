"""The comparison as plain text, for `tui-attn compare` and the end of `--no-ui`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import fsum
from pathlib import Path
from typing import Any

from tui_attn.compare.summary import BASE
from tui_attn.compare.textfit import cells, columns, cut, plain, wrap
from tui_attn.compare.wording import (
    LAB_ACCURACY,
    LAB_REMARK,
    UNKNOWN,
    interval_percent,
    interval_points,
    p_value,
    percent,
    points,
    sentences,
)
from tui_attn.system.text import duration, safe_text, size

MOST_RUNS = 12
"""Runs that get a line each; of more only those that didn't finish do."""
LEAST_WIDTH = 20

Entry = Mapping[str, Any]


def table(
    summary: Mapping[str, Any],
    remarks: Sequence[str],
    width: int,
    ascii: bool = False,
    *,
    folder: Path | None = None,
) -> list[str]:
    """The comparison `summary` and the `remarks` on it, in lines of at most `width` cells (20 at least).

    Models stand side by side where there is room, else below one another. `ascii`: nothing but ASCII. `folder`: that
    of the experiment, where it is one, which more seeds can be trained in.
    """
    width = max(width, LEAST_WIDTH)
    show: Callable[[str], str] = plain if ascii else str
    lines = wrap(show(title(summary)), width)
    lines += ["", *_models(summary, width, show)]
    lines += ["", *_runs(summary, width, show)] if _runs(summary, width, show) else []
    verdicts = [sentences(summary, entry["model"], folder=folder) for entry in summary["models"]]
    for verdict, *further in filter(None, verdicts):
        lines += ["", *wrap(show(verdict), width)]
        for sentence in further:
            lines += wrap(show(sentence), width, first="  ", rest="  ")
    lines += [""] if remarks else []
    for remark in remarks:
        lines += wrap(show(safe_text(remark, one_line=True)), width, first="- ", rest="  ")
    lines.append("")
    for note in footnotes(summary):
        lines += wrap(show(note), width, rest="  ")
    return [line.rstrip() for line in lines]


def title(summary: Mapping[str, Any]) -> str:
    """What is compared: name, data set, epochs, seeds and state; made safe."""
    seeds, epochs = len(summary["seeds"]), summary["epochs"]
    dataset = safe_text(summary["dataset"], one_line=True)
    if dataset.startswith("folder:"):  # where it lies is in the settings
        dataset = f"folder {dataset.rstrip('/').rpartition('/')[2]}"
    name = safe_text(summary["name"] or summary["experiment"], one_line=True)
    named = name if dataset in name else f"{name}: {dataset}"
    return f"{named}, {_count(epochs, 'epoch')}, {_count(seeds, 'seed')}, {summary['state']}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


# ---- models side by side


def model_rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """The models side by side: a title row of their names, then a row for each figure that any of them has.

    Stars in the labels stand for the `footnotes`; two blanks lead a label that belongs to the one before.
    """
    entries = summary["models"]
    rows = [["", *(entry["model"] for entry in entries)]]
    rows += [[label, *map(value, entries)] for label, value in _ROWS.items()]
    return [row for row in rows if row[0] not in _ONLY_IF_KNOWN or any(text != UNKNOWN for text in row[1:])]


def _models(summary: Mapping[str, Any], width: int, show: Callable[[str], str]) -> list[str]:
    shown = [[show(text) for text in row] for row in model_rows(summary)]
    side_by_side = columns(shown)
    if max(map(cells, side_by_side)) <= width:
        return side_by_side
    lines: list[str] = []
    for index, model in enumerate(shown[0][1:], start=1):
        lines += [""] if lines else []
        lines.append(cut(model, width))
        block = columns([[f"  {row[0]}", row[index]] for row in shown[1:]])
        lines += [cut(line, width) for line in block]
    return lines


def _counted(entry: Entry, key: str) -> list[float]:
    """What is known of `key` over the runs that count."""
    return [run[key] for run in entry["runs"] if run["counts"] and run[key] is not None]


def _mean(key: str, form: Callable[[float], str]) -> Callable[[Entry], str]:
    def value(entry: Entry) -> str:
        found = _counted(entry, key)
        return form(fsum(found) / len(found)) if found else UNKNOWN

    return value


def _versus(key: str, form: Callable[[Any], str]) -> Callable[[Entry], str]:
    def value(entry: Entry) -> str:
        return form(entry["versus_base"][key]) if entry["versus_base"] else UNKNOWN

    return value


def _millions(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value / 1e6:.2f} M"


def _expected(model: str) -> str:
    return f"~{100 * LAB_ACCURACY[model]:.0f}" if model in LAB_ACCURACY else UNKNOWN


_ROWS: dict[str, Callable[[Entry], str]] = {
    "parameters": lambda entry: UNKNOWN if entry["parameters"] is None else f"{entry['parameters']:,}",
    "MACs per image": lambda entry: _millions(entry["macs"]),
    "finished runs": lambda entry: f"{sum(run['counts'] for run in entry['runs'])} of {len(entry['runs'])}",
    "test accuracy, %": lambda entry: percent(entry["test_accuracy"]["mean"]),
    "  95 % interval": lambda entry: interval_percent(entry["test_accuracy"]["ci95"]),
    "  the lab expects*": lambda entry: _expected(entry["model"]),
    "test loss": _mean("test_loss", lambda value: f"{value:.4f}"),
    "against base, points": _versus("delta", points),
    "  95 % interval**": _versus("ci95", interval_points),
    "  p-value**": _versus("p_value", p_value),
    "training time": _mean("train_seconds", duration),
    "images/s": _mean("images_per_second", lambda value: f"{value:,.0f}"),
    "peak memory": lambda entry: size(max(found)) if (found := _counted(entry, "peak_memory")) else UNKNOWN,
}

_ONLY_IF_KNOWN = {"  95 % interval", "against base, points", "  95 % interval**", "  p-value**", "peak memory"}
"""Rows that are left out where no model has them."""


def footnotes(summary: Mapping[str, Any]) -> list[str]:
    """What the stars of `model_rows` say."""
    notes = [f"* {LAB_REMARK}"]
    versus = [entry["versus_base"] for entry in summary["models"] if entry["versus_base"]]
    if any(found["ci95"] for found in versus):
        others = sum(entry["model"] != BASE for entry in summary["models"])
        text = "** paired by seed, t distribution"
        if others > 1:
            text += (
                f"; adjusted for {others} comparisons: both intervals hold at once in 95 % of experiments"
                if others == 2
                else f"; adjusted for {others} comparisons: all intervals hold at once in 95 % of experiments"
            )
        notes.append(text)
    return notes


# ---- run by run


def _runs(summary: Mapping[str, Any], width: int, show: Callable[[str], str]) -> list[str]:
    """A line for each run while they are few, else for those that didn't finish."""
    found = [run for entry in summary["models"] for run in entry["runs"]]
    if len(found) > MOST_RUNS:
        found = [run for run in found if run["state"] != "finished"]
    if not found:
        return []
    more = len(found) - MOST_RUNS
    rows = [[show(text) for text in row] for row in run_rows(found[:MOST_RUNS], summary["epochs"])]
    kept = len(rows[0])
    while kept > 3 and max(map(cells, columns([row[:kept] for row in rows]))) > width:
        kept -= 1
    lines = [cut(line, width) for line in columns([row[:kept] for row in rows])]
    return [*lines, f"and {more} more"] if more > 0 else lines


def run_rows(runs: Sequence[Mapping[str, Any]], epochs: int) -> list[list[str]]:
    """A title row, then a row for each of `runs` of a comparison with so many epochs."""
    return [["run", "state", "accuracy, %", "epoch", "loss", "time", "images/s"], *(_run(run, epochs) for run in runs)]


def _run(run: Mapping[str, Any], epochs: int) -> list[str]:
    loss, rate = run["test_loss"], run["images_per_second"]
    return [
        safe_text(run["run"], one_line=True),
        run["state"],
        percent(run["test_accuracy"]),
        f"{run['epoch']}/{epochs}",
        UNKNOWN if loss is None else f"{loss:.4f}",
        duration(run["train_seconds"]),
        UNKNOWN if rate is None else f"{rate:,.0f}",
    ]
