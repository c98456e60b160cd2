"""What the history says in words: of one experiment, of none, before something is deleted. Knows no widget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tui_attn.compare.wording import counted, points, words
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.history.entries import Entry
from tui_attn.system.text import command_line, duration, safe_text
from tui_attn.ui import formatting
from tui_attn.ui.drawing import Piece, Pieces, Row, fit, row_width, rule
from tui_attn.ui.history_view import HistoryView

if TYPE_CHECKING:
    from tui_attn.ui.screens.confirm import Question


def title(view: HistoryView, runs_dir: Path, width: int) -> Row:
    """Where the experiments are, and how many."""
    live = sum(entry.state in {"starting", "running", "paused"} for entry in view.entries.values())
    shown, all_ = len(view.rows), len(view.entries)
    count = f"{shown:,} of {all_:,}" if view.filter else f"{all_:,}"
    right: Pieces = [(f"{view.reading}  ", "muted")] if view.reading else []
    right += [(f"● {len(view.marked)} marked  ", "key")] if view.marked else []
    right += [(f"▶ {live} running  ", "running")] if live else []
    right += [(f"{count} experiments " if all_ != 1 else "1 experiment ", "muted")]
    where = fit(f"  {safe_text(runs_dir, one_line=True)}", max(width - row_width(right) - 12, 0))
    return Row(((" experiments", "title"), (where, "muted"), *right))


def details(entry: Entry | None, width: int, height: int) -> list[Row]:
    """The selected experiment in full, as many lines as fit under its name on a rule."""
    if entry is None:
        return [rule("", width)]
    return [rule(f"{entry.name} · {entry.id}" if entry.name else entry.id, width), *about(entry)[: height - 1]]


def about(entry: Entry) -> list[Row]:
    """What an experiment is and came to, the most important line first."""
    if entry.state == "damaged":
        return [_row("", (entry.reason, "failed")), _row("", ("what is left of it is untouched", "muted"))]
    models, size = ", ".join(entry.models), f"{counted(entry.seeds, 'seed')} · {counted(entry.epochs, 'epoch')}"
    done = f"{entry.finished} of {entry.runs} runs"
    accuracy = f" · best accuracy {formatting.percent_text(entry.accuracy)}" if entry.accuracy is not None else ""
    took = f" · took {duration(entry.seconds)}" if entry.seconds is not None and entry.ended else ""
    ink = formatting.state_style(entry.state)
    return [
        _row("result", *_result(entry)),
        _row("state", (formatting.state_text(entry.state), ink), (f" · {done}{accuracy}{took}", "normal")),
        _row("what", (f"{entry.dataset} · {models} · {size}", "normal")),
        _row("how", (entry.facts, "muted")),
        _row("note", (entry.note or "N writes one", "normal" if entry.note else "faint")),
    ]


def _row(label: str, *pieces: Piece) -> Row:
    return Row(((f" {label:<8}" if label else " ", "muted"), *pieces))


def _result(entry: Entry) -> list[Piece]:
    best = entry.best
    if entry.study:
        return [(f"a {entry.study}: enter lists its experiments, c compares them", "normal")]
    if best is None:
        return [("no difference from base to show", "muted")]
    from_base = f"{best.model}: {points(best.delta)} points from base"
    if best.verdict is None:
        return [(f"{from_base} over {words(best.seeds, 'seed')}, no look yet", "normal")]
    said = {
        "undecided": "undecided against base",
        "no difference above margin": "no difference from base above the margin",
    }.get(best.verdict, f"{best.verdict} than base")
    over = f", {points(best.delta)} points over {best.seeds} seeds"
    return [(f"{best.model}: {said}", formatting.VERDICTS[best.verdict][1]), (over, "normal")]


def nothing_to_show(view: HistoryView, runs_dir: Path) -> Sequence[Row]:
    """What to show when there are no rows."""
    where = safe_text(runs_dir, one_line=True)
    if view.error:
        texts = [view.error]
    elif view.entries:
        texts = [f"nothing fits '{safe_text(view.filter, one_line=True)}'", "", "escape shows all again"]
    elif not view.complete:
        texts = [view.reading]
    else:
        texts = [
            f"no experiment in {where} yet",
            "",
            "n                       describes one in a form, and starts it",
            "tui-attn                trains the lab's three models on Fashion-MNIST",
            "tui-attn --help         says what can be chosen",
            "tui-attn history --runs-dir DIR   looks elsewhere",
        ]
    return [Row(()), *(Row(((f"   {text}", "normal" if at == 0 else "muted"),)) for at, text in enumerate(texts))]


def delete_question(entry: Entry, folder: ExperimentDir) -> Question:
    """What to ask before an experiment is moved from `folder` to the trash."""
    return f"Delete {entry.name or entry.id}?", [
        ("then", f"its folder moves to .trash/ beside it, {entry.runs} runs and all"),
        ("back", f"u here, or '{command_line('restore', folder.path)}'"),
        ("lost", "nothing, until you remove .trash/ by hand"),
    ]
