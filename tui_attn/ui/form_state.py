"""An experiment that is being described: what was entered for each option, and what is wrong with it. Stdlib only."""

from __future__ import annotations

from dataclasses import dataclass, field

from tui_attn.experiment.config import (
    MODEL_CLASSES,
    OPTIONS,
    ConfigError,
    ExperimentConfig,
    absolute,
    join_list,
    shown,
    split_list,
)
from tui_attn.experiment.custom_model import EXAMPLE, is_spec
from tui_attn.experiment.option_text import flag, parse, show

FOLDER = "folder"
"""What is entered for the data set when it is a folder of images; where that is, is an entry of its own."""
OWN = "custom_models"
"""The models of one's own are an entry beside that of the lab's models: `PATH.py:CLASS`, with commas between."""
_PREFIX = "folder:"
ENTRIES = (*OPTIONS, OWN, FOLDER)


@dataclass(slots=True)
class Draft:
    """Entries by the names of `ExperimentConfig`, and `custom_models` and `folder`, as text: they may be wrong."""

    texts: dict[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    """Models in the order that they keep among themselves, those of one's own too; others follow."""

    @classmethod
    def of(cls, config: ExperimentConfig) -> Draft:
        """The entries that make `config`."""
        texts = {option: show(option, config) for option in OPTIONS}
        is_folder = config.dataset.startswith(_PREFIX)
        texts[FOLDER] = config.dataset.removeprefix(_PREFIX) if is_folder else ""
        texts["models"] = ",".join(model for model in config.models if model in MODEL_CLASSES)
        texts[OWN] = join_list(model.spec for model in config.custom_models)
        return cls(texts | {"dataset": FOLDER} if is_folder else texts, config.model_specs)

    def text(self, option: str) -> str:
        """What the command line would be given for `option`."""
        if option == "dataset" and self.texts["dataset"] == FOLDER:
            return _PREFIX + self.texts[FOLDER]
        if option == "models":
            named = [*split_list(self.texts["models"]), *split_list(self.texts[OWN])]
            places = {model: place for place, model in enumerate(self.order)}
            return join_list(sorted(named, key=lambda model: places.get(model, len(places))))
        return self.texts[option]

    def reason(self, entry: str) -> str | None:
        """What is wrong with one entry, and what to do; None when it is right, or not asked for."""
        if entry == OWN:
            return self._reason_of_own()
        if entry == "models" and split_list(self.texts[OWN]) and not split_list(self.texts["models"]):
            return None
        if entry == FOLDER and self.texts["dataset"] != FOLDER:
            return None
        if entry == FOLDER:
            entry = "dataset"
        elif entry == "dataset" and self.texts["dataset"] == FOLDER:
            return None  # what may be wrong is where the folder is
        try:
            value = parse(entry, self.texts["models"] if entry == "models" else self.text(entry))
            if entry == "data_dir":
                absolute(value)
        except ConfigError as error:
            return _without_flag(str(error), entry)
        return None

    def _reason_of_own(self) -> str | None:
        specs = split_list(self.texts[OWN])
        for spec in specs:
            if not is_spec(spec):
                return f"'{shown(spec)}' is no file: name file and class, as in {EXAMPLE}"
        try:
            parse("models", join_list(specs or MODEL_CLASSES))
        except ConfigError as error:
            return _without_flag(str(error), "models")
        return None

    def reasons(self) -> dict[str, str]:
        """Everything that is wrong, by entry."""
        found = {entry: self.reason(entry) for entry in ENTRIES}
        return {entry: reason for entry, reason in found.items() if reason is not None}

    def config(self) -> ExperimentConfig:
        """The configuration that is described. Raises `ConfigError`."""
        values = {option: parse(option, self.text(option)) for option in OPTIONS}
        values["data_dir"] = absolute(values["data_dir"])
        return ExperimentConfig(**values)


def _without_flag(reason: str, option: str) -> str:
    """The reason beside its field, which needn't be named again."""
    name = flag(option)
    for start in (f"{name}: ", f"{name} folder: ", f"{name} "):
        if reason.startswith(start):
            return reason.removeprefix(start)
    return reason
