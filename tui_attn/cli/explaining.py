"""`tui-attn explain`: trains missing controls, and reports where the differences between models come from."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui_attn.cli.app import RESULTS, command
from tui_attn.cli.option_types import BY_NAME, RUNS, DryRun, Experiment, NoUi, RunsDir
from tui_attn.cli.output import print_line
from tui_attn.cli.start import launch
from tui_attn.cli.watching import interruptible, show
from tui_attn.experiment.options import ConfigError
from tui_attn.system import console
from tui_attn.system.text import command_line

if TYPE_CHECKING:
    from tui_attn.experiment.config import ExperimentConfig
    from tui_attn.experiment.folders import ExperimentDir


@command(
    RESULTS,
    "explain --dry-run         what would be trained, and for how long",
    "explain my-lab --seeds 10",
)
def explain(
    context: typer.Context,
    experiment: Experiment = None,
    seeds: Annotated[
        str | None, typer.Option("--seeds", metavar="N", help="Seeds of each model [as many as EXPERIMENT has].")
    ] = None,
    dry_run: DryRun = False,
    runs_dir: RunsDir = RUNS,
    no_ui: NoUi = False,
) -> int:
    """Train missing controls, and write where differences come from."""
    from tui_attn.compare import explanation
    from tui_attn.experiment.finding import find_experiment
    from tui_attn.report.explanation import contrast_rows, write_explanation

    folder = find_experiment(runs_dir, experiment)
    config = folder.manifest_data().config
    number: int = config.seeds if seeds is None else BY_NAME["seeds"].parse(seeds)
    sources = _sources(folder, runs_dir)
    lacking = _lacking(sources, config, number)
    if lacking:
        plan = replace(
            config,
            models=lacking,
            custom_models=(),
            seeds=number,
            controls=False,
            twin=None,
            looks=(),
            name=_name(folder),
        )
        console.say(f"to train: {', '.join(lacking)}, {number} seeds each; {_time(plan, folder, runs_dir)}")
        if dry_run:
            return 0
        for source in sources[1:]:
            theirs = source.manifest_data().config
            if set(lacking) <= set(theirs.models) and theirs.seeds >= number:
                raise ConfigError(f"{source.id} trains them: '{command_line('resume', source.path)}' finishes it first")
        with interruptible(context) as signals:
            started = launch(context, plan, runs_dir, signals)
            greeting = f"training {started.folder.id}"
            code = show(context, started.folder, supervisor=started.supervisor, signals=signals, greeting=greeting)
        sources = _sources(folder, runs_dir)
        if lacking := _lacking(sources, config, number):
            console.say(
                f"{', '.join(lacking)} didn't finish: '{command_line('resume', started.folder.path)}', then "
                f"'{command_line('explain', folder.path)}' again"
            )
            if code:
                return code
    elif dry_run:
        console.say("nothing to train")
        return 0
    found = explanation.explain(sources, config, number)
    for row in contrast_rows(found.contrasts):
        print_line("  ".join(f"{cell:<{width}}" for cell, width in zip(row, (40, 64, 8, 20, 5), strict=True)).rstrip())
    console.say(f"the page is {write_explanation(found, Path('reports') / f'explain-{folder.id}')}")
    return 0


def _name(folder: ExperimentDir) -> str:
    return f"explain {folder.id}"


def _sources(folder: ExperimentDir, runs_dir: Path) -> list[ExperimentDir]:
    """`folder`, and the experiments that an earlier call trained for it."""
    from tui_attn.compare.explanation import same_settings
    from tui_attn.experiment.finding import experiments
    from tui_attn.experiment.manifest import RunsError

    found = [folder]
    manifest = folder.manifest_data()
    for other in experiments(runs_dir):
        try:
            theirs = other.manifest_data()
        except RunsError:
            continue
        same_data = theirs.data.get("version") == manifest.data.get("version")
        if theirs.config.name == _name(folder) and same_data and same_settings(theirs.config, manifest.config):
            found.append(other)
    return found


def _lacking(sources: list[ExperimentDir], config: ExperimentConfig, seeds: int) -> tuple[str, ...]:
    """The models of the contrasts that lack a result for some seed."""
    from tui_attn.compare.explanation import MODELS, finished_runs

    runs = finished_runs(sources, config)
    wanted = range(config.seed, config.seed + seeds)
    return tuple(model for model in MODELS if any((model, seed) not in runs for seed in wanted))


def _time(plan: ExperimentConfig, folder: ExperimentDir, runs_dir: Path) -> str:
    """The estimated time on the devices of `folder`; a similar model stands in for one without past runs."""
    from tui_attn.launch import estimate

    past = estimate.paces(runs_dir, platform.node())
    devices = folder.manifest_data().devices
    similar = {"half": "base", "static": "base", "se2x": "se"}
    known = {pace.model for pace in past}
    stand_ins = tuple(
        model if model in known else similar.get(model, "self-attention" if "self" in model else model)
        for model in plan.models
    )
    counts = {model: stand_ins.count(model) for model in stand_ins}
    most = max(counts.values())
    one_each = estimate.guess(replace(plan, models=tuple(counts), seeds=plan.seeds * most), devices, past)
    if one_each is None:
        return "no estimate yet: the size of the data set isn't known"
    return one_each.words() if most == 1 else f"at most {one_each.words()}"
