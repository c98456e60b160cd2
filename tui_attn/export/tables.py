"""The tables of an experiment as CSV files, for export and for the report, and the comparison as a LaTeX table.

A heading ends in its unit where it has one: losses are in nats, accuracies and gates fractions of 1, training times in
seconds, points in time in unix seconds. The headings without a unit are fractions or counts. A cell is empty where its
value isn't known. The files are UTF-8 by RFC 4180, and no cell is a formula for a spreadsheet.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar

from tui_attn.compare.archives import ArchiveError, read_archive
from tui_attn.compare.effects import ENOUGH, Effect
from tui_attn.compare.heatmaps import HeatmapFacts
from tui_attn.compare.interventions import Intervention
from tui_attn.compare.predictions import class_names
from tui_attn.compare.results import Results, read_results
from tui_attn.compare.summary import ModelSummary, RunSummary, Versus, summarise, time_to_accuracy
from tui_attn.compare.wording import p_value, points
from tui_attn.experiment.events import STEP_METRICS
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.reducer import EpochResult, RunState
from tui_attn.export.outfolder import OutFolder
from tui_attn.system.text import safe_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""Characters that begin a formula, full-width forms included."""
_BLOCK = 1 << 16


def csv_blocks(head: Sequence[str], rows: Iterable[Iterable[object]]) -> Iterator[bytes]:
    """The table in blocks of bytes, beginning with `head`. None is an empty cell."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([_cell(cell) for cell in head])
    for row in rows:
        writer.writerow([_cell(cell) for cell in row])
        if buffer.tell() > _BLOCK:
            yield buffer.getvalue().encode("utf-8")
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode("utf-8")


def _cell(value: object) -> object:
    """`value`; a text is made safe, and gets an apostrophe where it would be a formula."""
    if not isinstance(value, str):
        return value
    text = safe_text(value, one_line=True)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


T = TypeVar("T")
Row = Iterable[object]
Table = tuple[Sequence[str], Iterable[Row]]
"""The headings, and the rows, which can be iterated over once."""
_RUN = ("run", "model", "seed")


def _run_row(results: Results, entry: ModelSummary, shown: RunSummary, run: RunState | None) -> dict[str, object]:
    """A row of runs.csv by its headings; `run` is None before it begins."""
    config, threshold = results.manifest.config, results.summary.common_accuracy
    about: Mapping[str, object] = {} if run is None else run.about
    reached = None if run is None or threshold is None else time_to_accuracy(run.epochs, threshold)
    return {
        "experiment": results.summary.experiment,
        "experiment_name": config.name,
        "dataset": config.dataset,
        "run": shown.run,
        "model": entry.model,
        "seed": shown.seed,
        "state": shown.state,
        "counts": int(shown.counts),
        "epochs_done": shown.epoch,
        "epochs_planned": config.epochs,
        "batch_size": config.batch_size,
        "learning_rate": config.lr,
        "augment": ",".join(config.augment),
        "train_images": about.get("train_size"),
        "test_images": about.get("test_size"),
        "parameters": entry.parameters,
        "macs": entry.macs,
        "macs_as_run": entry.macs_as_run,
        "device": about.get("device"),
        "precision": about.get("precision"),
        "test_accuracy_fraction": shown.test_accuracy,
        "test_loss_nats": shown.test_loss,
        "train_time_s": shown.train_seconds,
        "images_per_s": shown.images_per_second,
        "peak_memory_bytes": shown.peak_memory,
        "began_unix_s": None if run is None else run.started_at,
        "weights_sha256": shown.weights_sha256,
        "time_to_threshold_s": reached,
        "threshold_accuracy_fraction": threshold,
    }


_EPOCHS: Mapping[str, Callable[[EpochResult], object]] = {
    "epoch": lambda result: result.epoch,
    "step": lambda result: result.step,
    "ended_unix_s": lambda result: result.t,
    "train_loss_nats": lambda result: result.train_loss,
    "train_accuracy_fraction": lambda result: result.train_accuracy,
    "test_loss_nats": lambda result: result.test_loss,
    "test_accuracy_fraction": lambda result: result.test_accuracy,
    "images": lambda result: result.images,
    "train_time_s": lambda result: result.train_seconds,
    "peak_memory_bytes": lambda result: result.peak_memory,
}
_MODELS: Mapping[str, Callable[[ModelSummary], object]] = {
    "model": lambda entry: entry.model,
    "class": lambda entry: entry.class_name,
    "parameters": lambda entry: entry.parameters,
    "macs": lambda entry: entry.macs,
    "macs_as_run": lambda entry: entry.macs_as_run,
    "runs_counted": lambda entry: len(entry.counted),
    "test_accuracy": lambda entry: entry.accuracy,
    "test_accuracy_low": lambda entry: entry.ci95 and entry.ci95[0],
    "test_accuracy_high": lambda entry: entry.ci95 and entry.ci95[1],
}
_VERSUS: Mapping[str, Callable[[Versus], object]] = {
    "delta_from_base": lambda versus: versus.delta,
    "delta_low": lambda versus: versus.ci95 and versus.ci95[0],
    "delta_high": lambda versus: versus.ci95 and versus.ci95[1],
    "delta_level": lambda versus: versus.level,
    "p_value": lambda versus: versus.p_value,
    "verdict": lambda versus: versus.verdict,
    "margin": lambda versus: versus.margin,
    "look": lambda versus: versus.look and versus.look.number,
    "looks_planned": lambda versus: versus.look and versus.look.of,
    "pairs_missing": lambda versus: len(versus.missing),
    "seeds_paired": lambda versus: len(versus.seeds),
}
_CONTROL: Mapping[str, Callable[[Versus], object]] = {
    "blind_control": lambda versus: versus.against,
    "delta_from_control": _VERSUS["delta_from_base"],
} | {f"control_{name}": _VERSUS[name] for name in ("delta_low", "delta_high", "p_value", "verdict")}
_HEATMAPS: Mapping[str, Callable[[HeatmapFacts], object]] = {
    "learned": lambda facts: None if facts.learned is None else int(facts.learned),
    "levels": lambda facts: facts.levels.strength,
    "levels_untrained": lambda facts: facts.levels.untrained,
    "levels_twin": lambda facts: facts.levels.twin,
    "classes": lambda facts: facts.classes.strength,
    "classes_untrained": lambda facts: facts.classes.untrained,
    "classes_twin": lambda facts: facts.classes.twin,
    "between_classes_median": lambda facts: _median(facts.between),
    "between_classes_median_untrained": lambda facts: _median(facts.between_untrained),
    "between_classes_chance": lambda facts: facts.chance,
    "effective_rank": lambda facts: facts.effective_rank,
    "effective_rank_untrained": lambda facts: facts.effective_rank_untrained,
    "saturated_low": lambda facts: facts.saturated and facts.saturated[0],
    "saturated_high": lambda facts: facts.saturated and facts.saturated[1],
    "follows_start": lambda facts: facts.follows_start,
}
_CLASSES = ("model", "run", "class", "accuracy")
_CALIBRATION = ("model", "run", "nll_nats", "ece_fraction")
_INTERVAL = ("accuracy", "delta", "delta_low", "delta_high", "interval_over", "predictions_changed", "loss_nats")
_POINTS = (*_RUN, "step", "train_time_s", *(f"train_{metric.name}_{metric.unit}" for metric in STEP_METRICS))
_GATES = (*_RUN, "epoch", "layer", "class", "channel", "gate_mean_fraction", "gate_sd_fraction")


def write_tables(follower: Follower, out: OutFolder, only: str | None = None) -> list[str]:
    """Write the tables of all runs, or of the run called `only`, into `out`; return what could not be read."""
    results = read_results(follower)
    problems: list[str] = []
    for name, (head, rows) in csv_tables(follower, results, problems, only).items():
        with out.file(name) as file:
            for block in csv_blocks(head, rows):
                file.write(block)
    return [*problems, *results.class_problems]


def csv_tables(
    follower: Follower, results: Results, problems: list[str], only: str | None = None, *, curves: bool = True
) -> dict[str, Table]:
    """The tables by file name, of all runs or of the run called `only`; what can't be read is added to `problems`.

    Without `curves` there are no points of the training curves, and gates of the first and the newest probe only.
    """
    summary, models = results.summary, follower.manifest.config.models
    places = {model: place for place, model in enumerate(models)}
    runs = sorted(follower.state.runs.values(), key=lambda run: (places.get(run.model, len(models)), run.seed))
    begun = [run for run in runs if only in {None, run.id} and (run.steps or run.epochs or run.probes)]
    rows = {
        shown.run: _run_row(results, entry, shown, follower.state.runs.get(shown.run))
        for entry in (*summary.models, *summary.twins)
        for shown in entry.runs
    }
    epochs = ((run, result) for run in begun for result in run.epochs)
    tables: dict[str, Table] = {
        "runs.csv": ([*next(iter(rows.values()))], (row.values() for run, row in rows.items() if only in {None, run})),
        "epochs.csv": ((*_RUN, *_EPOCHS), ([*_named(run), *_values(_EPOCHS, result)] for run, result in epochs)),
        "gates.csv": (_GATES, _gates(follower, begun, problems, every=curves)),
    }
    if curves:
        tables["points.csv"] = (_POINTS, _points(begun))
    if results.classes:
        tables["classes.csv"] = (_CLASSES, _classes(results, only))
        tables["calibration.csv"] = (_CALIBRATION, _calibration(results, only))
    if results.heatmaps:
        found = (pair for heatmaps in results.heatmaps for pair in heatmaps.runs if only in {None, pair[0].id})
        facts = ((run, probes.epoch, each) for run, probes in found for each in probes.facts)
        heatmaps = ([run.id, each.layer, epoch, *_values(_HEATMAPS, each)] for run, epoch, each in facts)
        tables["heatmaps.csv"] = (("run", "layer", "epoch", *_HEATMAPS), heatmaps)
    if results.effects:
        tables["interventions.csv"] = (("model", "run", "kind", "layer", *_INTERVAL), _effects(results, only))
    if only is None:
        entries = (
            [*_values(_MODELS, each), *_values(_VERSUS, each.versus_base), *_values(_CONTROL, each.versus_control)]
            for each in summary.models
        )
        tables["models.csv"] = ((*_MODELS, *_VERSUS, *_CONTROL), entries)
        for result in results.classes:
            matrix = zip(result.names, result.confusion.tolist(), strict=True)
            head = ("class", *result.names)
            tables[f"confusion-{result.model}.csv"] = (head, ([name, *row] for name, row in matrix))
    return tables


def _named(run: RunState) -> Row:
    return run.id, run.model, run.seed


def _values(columns: Mapping[str, Callable[[T], object]], of: T | None) -> list[object]:
    """The cells of `columns`; all empty where there is nothing they are of."""
    return [None if of is None else value(of) for value in columns.values()]


def _points(begun: Iterable[RunState]) -> Iterator[Row]:
    for run in begun:
        for step, *values in zip(run.steps, run.times, *run.metrics.values(), strict=True):
            yield [*_named(run), int(step), *values]


def _gates(follower: Follower, begun: Iterable[RunState], problems: list[str], *, every: bool) -> Iterator[Row]:
    """The gates at each probe, or only at the first and the newest; epoch 0 is before training."""
    for run in begun:
        probes = run.probes if every else [*run.probes[:1], *run.probes[1:][-1:]]
        for epoch, file in probes if run.gates else ():
            names = [f"{layer}/{what}" for layer in run.gates for what in ("by_class", "within")]
            try:
                arrays = read_archive(follower.folder.run(run.id).probes / file, names, folders=2)
            except ArchiveError as error:
                problems.append(f"{run.id}: {file} {error}: its gates are left out")
                continue
            for layer in run.gates:
                for row in _gates_of(run, arrays[f"{layer}/by_class"], arrays[f"{layer}/within"]):
                    yield [*_named(run), epoch, layer, *row]


def _gates_of(run: RunState, mean: NDArray[Any], sd: NDArray[Any]) -> Iterator[Row]:
    """Class, channel, mean, and standard deviation between images; nothing for arrays of unexpected shape."""
    if mean.ndim != 2 or mean.shape != sd.shape or mean.dtype.kind != "f" or sd.dtype.kind != "f":
        return
    names = class_names(run, len(mean))
    for name, means, sds in zip(names, mean.tolist(), sd.tolist(), strict=True):
        for channel, (value, spread) in enumerate(zip(means, sds, strict=True)):
            yield name, channel, round(value, 6), round(spread, 6)


def _classes(results: Results, only: str | None) -> Iterator[Row]:
    for found in results.classes:
        for run, accuracies in zip(found.runs, found.accuracy.tolist(), strict=True):
            for name, accuracy in zip(found.names, accuracies, strict=True) if only in {None, run} else ():
                yield [found.model, run, name, None if accuracy != accuracy else accuracy]  # noqa: PLR0124  NaN


def _calibration(results: Results, only: str | None) -> Iterator[Row]:
    for found in results.classes:
        for run, calibration in zip(found.runs, found.calibration.runs, strict=True):
            if only in {None, run}:
                yield [found.model, run, calibration.nll, calibration.ece]


def _median(values: NDArray[Any] | None) -> float | None:
    return None if values is None or not len(values) else median(values.tolist())


def _effects(results: Results, only: str | None) -> Iterator[Row]:
    for found in results.effects:
        for effect in found.effects if only is None else ():
            yield [found.model, "mean", *_effect(effect, "seeds" if len(found.runs) >= ENOUGH else "images")]
        for run in (run for run in found.runs if only in {None, run.run}):
            for item in run.interventions:
                yield [found.model, run.run, *_effect(item, "images")]


def _effect(found: Effect | Intervention, over: str) -> Row:
    where = (found.kind, found.layer, found.accuracy, found.delta)
    return (*where, *found.ci95, over, found.changed, found.loss)


# ---- the comparison for LaTeX

LATEX = "comparison.tex"
_SPECIAL = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


def write_latex(follower: Follower, out: OutFolder, only: str | None = None) -> list[str]:
    r"""Write the table of all models into `out`, to be included with \input; it needs the package booktabs.

    Of one run alone (`only`) there is nothing to compare.
    """
    if only is not None:
        return [f"{LATEX} compares models: it is left out of an export of one run"]
    with out.file(LATEX) as file:
        file.write(latex_table(follower).encode())
    return []


def latex_table(follower: Follower) -> str:
    """Test accuracy in percent and the difference from base in points, each the mean and its interval."""
    summary = summarise(follower)
    rows = [" & ".join(_latex_row(entry)) + r" \\" for entry in summary.models]
    title = f"{summary.experiment}: {summary.dataset}, epochs: {summary.epochs}, seeds: {len(summary.seeds)}"
    lines = [
        f"% {safe_text(title, one_line=True)}",
        r"\begin{tabular}{lrcrcr}",
        r"\toprule",
        r"model & accuracy (\%) & 95\,\% interval & difference & interval & $p$ \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join([*lines, ""])


def _latex_row(entry: ModelSummary) -> list[str]:
    versus = entry.versus_base
    row = [safe_text(entry.model, one_line=True).translate(_SPECIAL)]
    row.append("--" if entry.accuracy is None else f"{100 * entry.accuracy:.2f}")
    row.append("--" if entry.ci95 is None else f"[{100 * entry.ci95[0]:.2f}, {100 * entry.ci95[1]:.2f}]")
    if versus is None:
        return [*row, "--", "--", "--"]
    row.append(f"${points(versus.delta)}$")
    row.append("--" if versus.ci95 is None else f"[${100 * versus.ci95[0]:+.2f}$, ${100 * versus.ci95[1]:+.2f}$]")
    return [*row, "--" if versus.p_value is None else p_value(versus.p_value).replace("<", "$<$")]
