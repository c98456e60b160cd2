"""The state of the form for a new experiment, without widgets: entries, their errors, and defaults."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tui_attn.experiment import trust
from tui_attn.experiment.config import BY_FIELD, FOLDER, OPTIONS, ExperimentConfig, absolute, arguments, show
from tui_attn.experiment.custom_model import EXAMPLE, is_spec
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.model_info import DEFAULT_MODELS, MODELS, info_of
from tui_attn.experiment.options import ConfigError, join_list, shown, split_list
from tui_attn.experiment.study import StudyPlan
from tui_attn.launch import placement
from tui_attn.study.cells import command_words, plan_of

IMAGES = "folder"
"""The entry with the folder's path, beside the data set's; also what the data set's entry is then."""
CUSTOM = "custom_models"
"""The entry with custom models, `PATH.py:CLASS` with commas between, beside that of the lab's models."""
VARIED = "varied"
"""The entry with what a study varies; empty for a single experiment."""
ENTRIES = (*BY_FIELD, CUSTOM, IMAGES, VARIED)


@dataclass(slots=True)
class FormState:
    """Entries by the names of `ExperimentConfig`, and `CUSTOM` and `IMAGES`, as text: they may be wrong."""

    texts: dict[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    """Models in the order that they keep among themselves, custom ones included; others follow."""

    @classmethod
    def of(cls, config: ExperimentConfig) -> FormState:
        """The entries that make `config`."""
        texts = {option.field: show(option, config) for option in OPTIONS}
        is_folder = config.dataset.startswith(FOLDER)
        texts[VARIED] = ""
        texts[IMAGES] = config.dataset.removeprefix(FOLDER) if is_folder else ""
        texts["models"] = ",".join(model for model in config.models if model in MODELS)
        texts[CUSTOM] = join_list(model.spec for model in config.custom_models)
        return cls(texts | {"dataset": IMAGES} if is_folder else texts, config.model_specs)

    def text(self, entry: str) -> str:
        """What the command line would be given for the option `entry`."""
        if entry == "dataset" and self.texts["dataset"] == IMAGES:
            return FOLDER + self.texts[IMAGES]
        if entry == "models":
            named = [*split_list(self.texts["models"]), *split_list(self.texts[CUSTOM])]
            places = {model: place for place, model in enumerate(self.order)}
            return join_list(sorted(named, key=lambda model: places.get(model, len(places))))
        return self.texts[entry]

    def reason(self, entry: str) -> str | None:
        """What is wrong with one entry, and what to do; None when it is valid or not used."""
        if entry == ("dataset" if self.texts["dataset"] == IMAGES else IMAGES):
            return None
        try:
            self._check(entry)
        except ConfigError as error:
            return error.reason
        return None

    def _check(self, entry: str) -> None:
        """Raise `ConfigError` where this entry is wrong."""
        specs, text = split_list(self.texts[CUSTOM]), self.texts[entry]
        if entry == VARIED:
            if text.strip() and all(self.reason(other) is None for other in ENTRIES if other != VARIED):
                self.plan()
        elif entry == CUSTOM:
            for spec in specs:
                if not is_spec(spec):
                    raise ConfigError(f"'{shown(spec)}' is no file: name file and class, as in {EXAMPLE}")
            if specs:
                BY_FIELD["models"].parse(join_list(specs))
        elif entry == "models":
            if split_list(text) or not specs:
                BY_FIELD["models"].parse(text)
        elif entry == "data_dir":
            absolute(BY_FIELD["data_dir"].parse(text))
        else:
            option = "dataset" if entry == IMAGES else entry
            BY_FIELD[option].parse(self.text(option))

    def plan(self) -> StudyPlan | None:
        """The study that is described; None for a single experiment. Raises `ConfigError`."""
        text = self.texts[VARIED]
        return plan_of(self.config(), text, now=time.time()) if text.strip() else None

    def reasons(self) -> dict[str, str]:
        """Everything that is wrong, by entry."""
        found = {entry: self.reason(entry) for entry in ENTRIES}
        return {entry: reason for entry, reason in found.items() if reason is not None}

    def config(self) -> ExperimentConfig:
        """The configuration that is described. Raises `ConfigError`."""
        values = {option.field: option.parse(self.text(option.field)) for option in OPTIONS}
        return ExperimentConfig(**values | {"data_dir": absolute(values["data_dir"])})

    def hint(self, entry: str) -> str:
        """The text beside a valid entry."""
        if entry == CUSTOM:
            return f"as in {EXAMPLE}"
        if entry == VARIED:
            return "a sweep: lr=0.0003,0.001; a curve: sizes=3000,12000"
        if entry == "seeds":
            config = None if self.reasons() else self.config()
            if config is None or config.seeds == 1:
                return "of each model; with one there is no verdict" if config else "of each model"
            return f"of each model: {config.seed} to {config.seed + config.seeds - 1}"
        listed = entry in {"models", "dataset", "augment", "device", IMAGES}
        return "" if listed else BY_FIELD[entry].help.rstrip(".")

    def command(self, config: ExperimentConfig, origin: FormDefaults, runs_dir: Path) -> list[str]:
        """The command line that starts what is described, without the program's name."""
        found = arguments(config, usual=origin.usual, runs_dir=runs_dir, usual_runs_dir=origin.usual_runs_dir)
        words = command_words(self.texts[VARIED])
        if words and "--seeds" not in found:
            words += ["--seeds", str(config.seeds)]  # a study has others unless said
        return words + found

    def jobs(self, config: ExperimentConfig | None, engines: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str]]:
        """A row on what would be submitted, with what the configuration file asks of `engines`; none for here."""
        if config is None:
            return []
        config = replace(config, on=str(config.engine.with_defaults(engines)))
        words = placement.submission(config, len(config.models) * config.seeds, short=True)
        return [("jobs", words)] if words else []

    def amount(self) -> str:
        """How many runs the experiment has. Raises `ConfigError`."""
        config = self.config()
        models, seeds = len(config.models), config.seeds
        if plan := self.plan():
            what = (
                f"{plan.kind} of {_many(len(plan.cells), 'cell')} x {_many(models, 'model')} x {_many(seeds, 'seed')}"
            )
            return f"{models * seeds * (len(plan.cells) + plan.selects):,} runs: {what}"
        if models * seeds == 1:
            return "1 run"
        return f"{models * seeds:,} runs: {_many(models, 'model')} x {_many(seeds, 'seed')}"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


@dataclass(frozen=True, slots=True)
class FormDefaults:
    """What a new experiment starts from."""

    id: str
    """The id of the experiment that the entries come from, or empty."""
    config: ExperimentConfig
    usual: ExperimentConfig
    """What the configuration file makes of an empty command line."""
    usual_runs_dir: Path


def find_defaults(runs_dir: Path, folder: ExperimentDir | None, file: Mapping[str, Any]) -> FormDefaults:
    """Start from the experiment in `folder`, else from the newest one, else from the configuration file.

    `file` is what that says: fields of `ExperimentConfig`, and `runs_dir`. What can't be read is ignored.
    """
    try:
        usual = ExperimentConfig(**{key: value for key, value in file.items() if key != "runs_dir"})
    except ConfigError:
        usual = ExperimentConfig()
    id_, config = "", usual
    try:
        folder = folder or next(experiments(runs_dir), None)
        if folder is not None:
            id_, config = folder.id, _to_start_from(folder.manifest_data().config)
    except RunsError:
        pass
    return FormDefaults(id_, config, usual, Path(file.get("runs_dir", "runs")))


def _to_start_from(config: ExperimentConfig) -> ExperimentConfig:
    """`config` without its name, and without code that this user never named."""
    specs = dict(zip(config.models, config.model_specs, strict=True))
    kept = [
        model for model in config.models if info_of(model) or trust.is_trusted(str(config.custom_model(model).sha256))
    ]
    models = tuple(specs[model] for model in kept) or DEFAULT_MODELS
    return replace(config, models=models, custom_models=(), name=None)
