"""Every setting there is: what the command line and a configuration file may say, and how a value is checked.

The command line needs the table for --help: what checking needs is imported there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Group = Literal["experiment", "start", "screen"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, by the name of its option without the dashes."""

    name: str
    group: Group
    """`experiment`: what is trained, a field of `ExperimentConfig`; `start`: how it is begun; `screen`: a field of
    `UiOptions`."""
    metavar: str
    """What stands for its value in --help; empty for one that is on or off."""
    help: str
    default: str
    """What holds when nobody says anything, in words or as a value."""
    example: str
    """A value as TOML has it."""

    @property
    def field(self) -> str:
        """Its name in Python."""
        return self.name.replace("-", "_")


SETTINGS = (
    Setting(
        "models",
        "experiment",
        "LIST",
        "base, se, self-attention, or your own as in ./my_net.py:MyNet.",
        "the three",
        '["base", "se", "self-attention"]',
    ),
    Setting(
        "dataset",
        "experiment",
        "NAME",
        "fashion-mnist, cifar10, synthetic, mnist, kmnist, cifar100 or folder:PATH.",
        "fashion-mnist",
        '"fashion-mnist"',
    ),
    Setting("epochs", "experiment", "N", "Epochs of each run.", "15", "15"),
    Setting("seeds", "experiment", "N", "How many seeds of each model.", "1", "5"),
    Setting("seed", "experiment", "FIRST", "The first seed.", "0", "0"),
    Setting("batch-size", "experiment", "N", "Images in a training step.", "128", "128"),
    Setting("lr", "experiment", "X", "Adam's learning rate.", "0.001", "0.001"),
    Setting("augment", "experiment", "LIST", "crop, flip, or crop,flip.", "none", '["crop", "flip"]'),
    Setting("train-limit", "experiment", "N", "Train on the first N images only.", "all", "1000"),
    Setting("test-limit", "experiment", "N", "Test on the first N images only.", "all", "1000"),
    Setting("device", "experiment", "LIST", "auto, cpu, mps, cuda, or cuda:0,cuda:1.", "auto", '"auto"'),
    Setting("precision", "experiment", "P", "auto, fp32 or bf16 (auto: bf16 where fast).", "auto", '"auto"'),
    Setting("jobs", "experiment", "N", "Workers.", "one a device", "1"),
    Setting(
        "data-dir",
        "experiment",
        "DIR",
        "Where the data set is, in torchvision's layout.",
        "the places it is usually in",
        '"~/data"',
    ),
    Setting("name", "experiment", "TEXT", "A name to show.", "none", '"my lab"'),
    Setting("tensorboard", "experiment", "", "Keep event files for TensorBoard up to date.", "off", "true"),
    Setting("runs-dir", "start", "DIR", "Where experiments are kept.", "runs", '"~/runs"'),
    Setting("no-ui", "start", "", "Lines instead of the dashboard.", "off", "true"),
    Setting("detach", "start", "", "Start, print the experiment's id, and return.", "off", "true"),
    Setting(
        "theme",
        "screen",
        "NAME",
        "dark, light, colour-blind, terminal, ascii.",
        "what was chosen last, or dark",
        '"dark"',
    ),
    Setting("ascii", "screen", "", "Draw with ASCII characters only.", "as the locale says", "true"),
    Setting("mouse", "screen", "", "Listen to the mouse.", "on", "false"),
    Setting("animations", "screen", "", "Let panels glide.", "not over SSH", "false"),
)

BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}

_LISTS = frozenset({"models", "augment"})


def checked(setting: Setting, value: Any) -> Any:
    """`value` of a TOML file as the program uses it. Raises `ConfigError` as for the same on the command line."""
    from tui_attn.experiment.config import ConfigError, check_option, check_path, shown
    from tui_attn.ui.options import check_theme

    if not setting.metavar:
        if not isinstance(value, bool):
            raise ConfigError(f"must be true or false, not {shown(value)}")
        return value
    if setting.name == "runs-dir":
        check_path("--runs-dir", value)
        return value
    if setting.group == "screen":
        if not isinstance(value, str):
            raise ConfigError(f"must be a name, not {shown(value)}")
        check_theme(value)
        return value
    if setting.name in _LISTS:
        value = _as_list(value)
    check_option(setting.field, value)
    return value


def _as_list(value: Any) -> tuple[str, ...]:
    from tui_attn.experiment.config import ConfigError, split_list

    if isinstance(value, str):
        return split_list(value)
    if isinstance(value, list):
        return tuple(value)
    raise ConfigError('must be a list, such as ["base", "se"]')


def template() -> str:
    """A configuration file with every setting in it, each with what it means, and none of them in force."""
    from tui_attn.ui.keys import ALL_KEYS

    lines = ["# Settings of tui-attn. The command line wins over this file; 'tui-attn config' shows what holds.", ""]
    for setting in SETTINGS:
        default = "" if setting.default.casefold() in setting.help.casefold() else f" [{setting.default}]"
        lines += [f"# {setting.help}{default}", f"# {setting.name} = {setting.example}", ""]
    lines += [
        "# Keys of the dashboard: id = keys, separated by commas. 'tui-attn config --keys' lists them.",
        "# [keys]",
    ]
    lines += [f'# {id_} = "{keys}"' for id_, keys in {key.id: key.keys for key in ALL_KEYS}.items()]
    return "\n".join([*lines, ""])
