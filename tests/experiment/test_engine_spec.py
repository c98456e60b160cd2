"""`--on`: what it takes, and what it refuses before anything is started with it."""

import pytest

from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.engine_spec import EngineSpec
from tui_attn.experiment.options import ConfigError


@pytest.mark.parametrize(
    "text",
    [
        "local",
        "slurm",
        "slurm:partition=gpu,time=4:00:00,gres=gpu:1,cpus=4,mem=8G,constraint=a100|h100,account=lab",
        "slurm:time=1-12:00:00",
        "slurm-alloc",
        "ray",
        "ray:head.example:6379",
        "ray:ray://10.0.0.1:10001",
        "ssh:gpu1",
        "ssh:me@gpu1.lab,gpu2",
    ],
)
def test_a_right_value_is_shown_as_it_was_written(text: str) -> None:
    assert str(EngineSpec.parse(text)) == text
    assert ExperimentConfig.from_json(ExperimentConfig(on=text).to_json()).on == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slrum", "did you mean 'slurm'?"),
        ("local:2", "local takes nothing after a colon"),
        ("ssh", "needs a host"),
        ("ssh:-oProxyCommand=reboot", "can't be a host"),
        ("ssh:gpu1;reboot", "can't be a host"),
        ("ssh:gpu1 reboot", "can't be a host"),
        ("ray:$(reboot)", "no address of a Ray cluster"),
        ("slurm:", "unknown SLURM option ''"),
        ("slurm:partion=gpu", "did you mean 'partition'?"),
        ("slurm:wrap=reboot", "unknown SLURM option 'wrap'"),
        ("slurm:partition=-W", "partition can't be '-W'"),
        ("slurm:partition=gpu\n#SBATCH --wrap=reboot", "partition can't be"),
        ("slurm:time=$(reboot)", "time can't be"),
        ("slurm:cpus=0", "cpus can't be '0'"),
        ("slurm:mem=8G,mem=9G", "names mem twice"),
        ("slurm:account=lab lab", "account can't be"),
    ],
)
def test_anything_else_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        ExperimentConfig(on=text)
    assert said in str(error.value)
    assert str(error.value).startswith("--on: ")
    assert "\n" not in str(error.value)


def test_what_the_command_line_says_wins_over_the_file() -> None:
    spec = EngineSpec.parse("slurm:cpus=4").with_defaults({"slurm": {"partition": "gpu", "cpus": "2"}})
    assert dict(spec.slurm) == {"partition": "gpu", "cpus": "4"}
    assert EngineSpec.parse("local").with_defaults({"slurm": {"partition": "gpu"}}) == EngineSpec("local")
