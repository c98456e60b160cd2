"""Analyses a study: accuracies by cell, differences from base paired by seed, slopes over the size of the data.

All comparisons of a study share the error rate of 5 %: the number of seeds was fixed before training, and each interval
and p-value is adjusted for the number of cells compared (`tui_attn.compare.verdicts`).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tui_attn.compare.pairs import BASE, blind_control, comparisons, final_accuracy, same_data
from tui_attn.compare.remarks import neighbours
from tui_attn.compare.t_test import Interval, mean_interval
from tui_attn.compare.verdicts import judge
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.manifest import Manifest, RunsError
from tui_attn.experiment.model_info import is_control
from tui_attn.experiment.reducer import EXPERIMENT_ENDED
from tui_attn.experiment.study import CURVE, Cell, StudyDir, StudyPlan, is_study
from tui_attn.launch.estimate import sizes_of

OVER = frozenset({"finished", "skipped", "failed"})
"""States of a run that is not trained further by itself."""


@dataclass(frozen=True, slots=True)
class Versus:
    """The comparison of two models in one cell, or of their slopes, paired by seed."""

    against: str
    delta: float | None
    """Mean difference of accuracies, a fraction; None without pairs."""
    ci95: Interval | None
    """Adjusted for the comparisons of the study; of controls, which have no verdict, for itself alone."""
    p_value: float | None
    verdict: str | None
    """None for controls, and with fewer than two pairs."""
    pairs: int
    missing: int
    """Seeds that ended without a pair."""


@dataclass(frozen=True, slots=True)
class CellResult:
    """One model in one cell."""

    cell: str
    label: str
    model: str
    accuracies: tuple[float, ...]
    """Of the seeds that have one, in their order."""
    seeds: int
    """As many as there shall be."""
    mean: float | None
    ci95: Interval | None
    """Of the mean, for this cell alone."""
    versus: Versus | None
    """Against base in the same cell; None for base."""
    size: int | None = None
    """Training images, of a curve."""


@dataclass(frozen=True, slots=True)
class Slope:
    """How a model's difference changes with each doubling of the training data."""

    model: str
    versus: Versus
    """`delta` and `ci95` are slopes: fractions per doubling."""


@dataclass(frozen=True, slots=True)
class StudyResults:
    """The results of a study so far."""

    study: str
    name: str | None
    kind: str
    state: str
    """running, finished, failed (all ended, some runs without a result) or stopped."""
    dataset: str
    length: str
    seeds: tuple[int, ...]
    models: tuple[str, ...]
    cells: tuple[CellResult, ...]
    comparisons: int
    """Comparisons of `cells` that share the error rate."""
    slopes: tuple[Slope, ...]
    winners: Mapping[str, str]
    """Model -> label of the cell that the validation split chose for it."""
    at_edge: tuple[str, ...]
    """Winners whose value of a setting is the smallest or the largest that was tried, in words."""
    finals: tuple[CellResult, ...]
    """Winners with new seeds on the test set."""
    selects: bool
    validation: int | None
    test_openings: int
    """How often the test set decided something: once for all winners together, else once for each cell."""
    earlier_openings: int
    """The same of all earlier studies of the same data in this folder of experiments, trash included."""
    test_runs: int
    """Runs that were evaluated on it."""
    ended: int
    total: int
    """Runs that ended, and all that are planned so far."""


Column = Mapping[int, float | None]
"""Seed -> final accuracy; None for a seed that ended without one."""
Accuracies = Mapping[str, Column]
"""By model."""


def read_results(study: StudyDir, plan: StudyPlan | None = None) -> StudyResults:
    """The results of `study` so far. Raises `RunsError`."""
    plan = plan or study.plan()
    config = plan.config
    found = {cell.id: cell_accuracies(study, plan, cell) for cell in (*plan.cells, *plan.finals)}
    cells = [(cell, plan.cell_config(cell)) for cell in plan.cells]
    number = comparisons(config.models) * len(cells) if BASE in config.models else 0
    judged = not plan.selects
    rows = [
        _row(cell, model, cell_config, found[cell.id], found[cell.id], number if judged else 0)
        for cell, cell_config in cells
        for model in config.models
    ]
    together = {model: values for cell in plan.finals for model, values in found[cell.id].items()}
    finals = [
        _row(cell, model, plan.cell_config(cell), found[cell.id], together, comparisons(config.models))
        for cell in plan.finals
        for model in plan.final_models(cell)
    ]
    ended = sum(len(values) for its in found.values() for values in its.values())
    total = len(config.models) * config.seeds * (len(cells) + bool(plan.selects))
    known = sum(value is not None for its in found.values() for values in its.values() for value in values.values())
    opened = [cell for cell in _tested(plan) if any(found[cell.id].values())]
    state = "running" if study.running else "stopped"
    if not study.running and ended == total:
        state = "finished" if known == total else "failed"
    return StudyResults(
        study=study.id,
        name=config.name,
        kind=plan.kind,
        state=state,
        dataset=config.dataset,
        length=config.length,
        seeds=config.seed_list,
        models=config.models,
        cells=tuple(rows),
        comparisons=number,
        slopes=tuple(_slopes(plan, found)) if plan.kind == CURVE else (),
        winners={model: _label(plan, cell) for model, cell in plan.winners.items()},
        at_edge=tuple(_at_edge(plan)),
        finals=tuple(sorted(finals, key=lambda row: config.models.index(row.model))),
        selects=plan.selects,
        validation=config.validation,
        test_openings=min(len(opened), 1) if plan.selects else len(opened),
        earlier_openings=_earlier_openings(study, plan),
        test_runs=sum(len(values) for cell in opened for values in found[cell.id].values()),
        ended=ended,
        total=total,
    )


def _tested(plan: StudyPlan) -> tuple[Cell, ...]:
    """The cells that are evaluated on the test set."""
    return plan.finals if plan.selects else () if plan.config.validation else plan.cells


def _earlier_openings(study: StudyDir, plan: StudyPlan) -> int:
    this = _manifest(study)
    found = 0
    for folder in neighbours(study.path) if this else ():
        other = StudyDir(folder)
        try:
            its = other.plan() if is_study(folder) and folder.name != study.id else None
        except RunsError:
            continue
        manifest = _manifest(other) if its and its.created < plan.created else None
        if its and this and manifest and same_data(manifest, this):
            opened = [cell for cell in _tested(its) if any(other.member(cell).path.glob("*/predictions.npz"))]
            found += min(len(opened), 1) if its.selects else len(opened)
    return found


def _manifest(study: StudyDir) -> Manifest | None:
    """The manifest of one of its experiments."""
    for member in study.members():
        with contextlib.suppress(RunsError):
            return member.manifest_data()
    return None


def cell_accuracies(study: StudyDir, plan: StudyPlan, cell: Cell) -> dict[str, dict[int, float | None]]:
    """The final accuracies of one cell: those of its ended runs that have the plan's seeds. Raises `RunsError`."""
    config = plan.cell_config(cell)
    found: dict[str, dict[int, float | None]] = {model: {} for model in config.models}
    if not study.begun(cell):
        return found
    follower = read_state(study.member(cell))
    epochs, over = follower.manifest.config.epochs, follower.state.state in EXPERIMENT_ENDED
    for run in sorted(follower.state.runs.values(), key=lambda run: run.seed):
        if run.model not in found or run.seed not in config.seed_list:
            continue
        accuracy = final_accuracy(run, epochs)
        if accuracy is not None or (over and run.state in OVER):
            found[run.model][run.seed] = accuracy
    return found


def choose_winners(study: StudyDir, plan: StudyPlan) -> dict[str, str]:
    """For each model the cell with the highest mean validation accuracy, the first of them on a tie.

    Cells in which a seed lacks an accuracy are excluded. Raises `RunsError` where a model has no cell left.
    """
    best: dict[str, tuple[float, str]] = {}
    for cell in plan.cells:
        for model, values in cell_accuracies(study, plan, cell).items():
            known = [value for value in values.values() if value is not None]
            mean = math.fsum(known) / max(1, len(known))
            if len(known) == plan.config.seeds and (model not in best or mean > best[model][0]):
                best[model] = mean, cell.id
    lacking = [model for model in plan.config.models if model not in best]
    if lacking:
        raise RunsError(f"no cell of {study.id} has all seeds of {', '.join(lacking)}: nothing can be chosen for it")
    return {model: best[model][1] for model in plan.config.models}


def _row(
    cell: Cell, model: str, config: ExperimentConfig, own: Accuracies, pairs: Accuracies, number: int
) -> CellResult:
    known = [value for value in own[model].values() if value is not None]
    mean, interval = mean_interval(known) if known else (None, None)
    versus = None
    if model != BASE and number and BASE in pairs:
        sizes = sizes_of(config)
        rule = {"margin": config.plan.margin, "resolution": 1 / sizes[1] if sizes else None}
        versus = _versus(pairs[BASE], own[model], BASE, config.seeds, number, decides=not is_control(model), **rule)
    return CellResult(
        cell.id, cell.label, model, tuple(known), config.seeds, mean, interval, versus, size=config.train_limit
    )


def _versus(
    base: Column, other: Column, against: str, planned: int, number: int, *, decides: bool, **rule: Any
) -> Versus:
    """The difference other - base; no interval before all `planned` seeds ended, whose number was fixed.

    `number`: of the comparisons that share the error rate. `rule`: margin and resolution, as for `judge`.
    """
    seeds = sorted(base.keys() & other.keys())
    pairs = [(base[seed], other[seed]) for seed in seeds]
    found = [None if one is None or two is None else round(two - one, 12) for one, two in pairs]
    complete = [value for value in found if value is not None]
    missing = len(found) - len(complete)
    if not complete or len(found) < planned:
        mean = math.fsum(complete) / len(complete) if complete else None
        return Versus(against, mean, None, None, None, len(complete), missing)
    said = judge(found, number if decides else 1, **rule)
    decided = (said.p_value, said.verdict) if decides else (None, None)
    return Versus(against, said.delta, said.ci95, *decided, len(complete), missing)


def _slopes(plan: StudyPlan, found: Mapping[str, Accuracies]) -> list[Slope]:
    """The slopes of each model against base, and of each attention against its blind control."""
    sizes = [cell.settings["train_limit"] for cell in plan.cells]
    if len(sizes) < 2:
        return []
    models = plan.config.models
    contrasts = [(model, BASE) for model in models if model != BASE and BASE in models]
    controlled = [(model, control) for model in models if (control := blind_control(model, models))]
    slopes = []
    for pairs, number in ((contrasts, comparisons(models)), (controlled, len(controlled))):
        for model, against in pairs:
            one, other = (
                {seed: slope(sizes, by_seed) for seed, by_seed in _by_seed(plan, found, name).items()}
                for name in (against, model)
            )
            decides = not is_control(model)
            versus = _versus(one, other, against, plan.config.seeds, number, decides=decides, margin=0.0)
            slopes.append(Slope(model, versus))
    return slopes


def _by_seed(plan: StudyPlan, found: Mapping[str, Accuracies], model: str) -> dict[int, list[float | None]]:
    """Seed -> its accuracies in the order of the sizes, for the seeds that ended in all of them."""
    columns = [found[cell.id].get(model, {}) for cell in plan.cells]
    ended = [seed for seed in plan.config.seed_list if all(seed in column for column in columns)]
    return {seed: [column[seed] for column in columns] for seed in ended}


def slope(sizes: Sequence[int], values: Sequence[float | None]) -> float | None:
    """The least-squares slope of `values` on log2(`sizes`); None where a value is missing."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    xs = [math.log2(size) for size in sizes]
    middle = math.fsum(xs) / len(xs)
    off = [x - middle for x in xs]
    return math.fsum(x * value for x, value in zip(off, known, strict=True)) / math.fsum(x**2 for x in off)


def _at_edge(plan: StudyPlan) -> Iterator[str]:
    settings = {cell.id: cell.settings for cell in plan.cells}
    for model, cell in plan.winners.items():
        for name, value in settings.get(cell, {}).items():
            tried = {its[name] for its in settings.values()}
            if isinstance(value, int | float) and len(tried) > 1 and value in (min(tried), max(tried)):
                yield f"{name.replace('_', '-')} of {model}"


def _label(plan: StudyPlan, cell_id: str) -> str:
    return next((cell.label for cell in plan.cells if cell.id == cell_id), cell_id)


def results_json(found: StudyResults) -> dict[str, Any]:
    """The results as plain JSON types; accuracies are fractions."""
    data = asdict(found)
    for row in (*data["cells"], *data["finals"]):
        if row["size"] is None:
            del row["size"]
    return data
