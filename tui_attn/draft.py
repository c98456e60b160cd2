"""An experiment that is being described: what was entered for each option, and what is wrong with it. Stdlib only."""

from __future__ import annotations

from dataclasses import dataclass, field

from tui_attn.config import OPTIONS, ConfigError, ExperimentConfig, absolute
from tui_attn.optiontext import flag, parse, show

FOLDER = "folder"
"""What is entered for the data set when it is a folder of images; where that is, is an entry of its own."""
_PREFIX = "folder:"
ENTRIES = (*OPTIONS, FOLDER)


@dataclass(slots=True)
class Draft:
    """Entries by the names of `ExperimentConfig`, and `folder`, as text: they may be wrong."""

    texts: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, config: ExperimentConfig) -> Draft:
        """The entries that make `config`."""
        texts = {option: show(option, config) for option in OPTIONS}
        is_folder = config.dataset.startswith(_PREFIX)
        texts[FOLDER] = config.dataset.removeprefix(_PREFIX) if is_folder else ""
        return cls(texts | {"dataset": FOLDER} if is_folder else texts)

    def text(self, option: str) -> str:
        """What the command line would be given for `option`."""
        if option == "dataset" and self.texts["dataset"] == FOLDER:
            return _PREFIX + self.texts[FOLDER]
        return self.texts[option]

    def reason(self, entry: str) -> str | None:
        """What is wrong with one entry, and what to do; None when it is right, or not asked for."""
        if entry == FOLDER and self.texts["dataset"] != FOLDER:
            return None
        if entry == FOLDER:
            entry = "dataset"
        elif entry == "dataset" and self.texts["dataset"] == FOLDER:
            return None  # what may be wrong is where the folder is
        try:
            value = parse(entry, self.text(entry))
            if entry == "data_dir":
                absolute(value)
        except ConfigError as error:
            return _without_flag(str(error), entry)
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
