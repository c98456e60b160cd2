"""`[slurm]`, `[ray]`, `--dry-run`, and what a scheduler has wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_attn.cli import config_file
from tui_attn.experiment.durations import waiting_words
from tui_attn.experiment.engine_spec import EngineSpec
from tui_attn.experiment.run_state import RunState


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "c.toml"
    path.write_text(text)
    return path


def test_the_file_says_what_is_asked_of_slurm(tmp_path: Path) -> None:
    found = config_file.read(file(tmp_path, '[slurm]\npartition = "gpu"\ncpus = 4\ntime = "2:00:00"\n'))
    assert found.problems == []
    assert found.engines == {"slurm": {"partition": "gpu", "cpus": "4", "time": "2:00:00"}}


@pytest.mark.parametrize(
    ("on", "variable", "address"),
    [
        ("ray", None, "head:6379"),
        ("ray:other:6379", None, "other:6379"),
        ("ray", "from-environment:6379", None),
    ],
)
def test_the_file_says_which_ray_where_neither_option_nor_environment_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: str, variable: str | None, address: str | None
) -> None:
    found = config_file.read(file(tmp_path, '[ray]\naddress = "head:6379"\n'))
    assert found.problems == []
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if variable is not None:
        monkeypatch.setenv("RAY_ADDRESS", variable)
    assert EngineSpec.parse(on).with_defaults(found.engines).address == address


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('slurm = "gpu"\n', "[slurm] must be a table"),
        ('[slurm]\npartion = "gpu"\n', "line 2, slurm.partion: unknown SLURM option 'partion': did you mean"),
        ("[slurm]\ncpus = true\n", "line 2, slurm.cpus: cpus can't be 'True'"),
        ('[slurm]\naccount = "--wrap=x"\n', "line 2, slurm.account: account can't be '--wrap=x'"),
        ("ray = 6379\n", "[ray] must be a table"),
        ('[ray]\nadress = "head:6379"\n', "line 2, ray.adress: unknown option of Ray 'adress': did you mean 'address'"),
        ('[ray]\naddress = "$(x)"\n', "line 2, ray.address: '$(x)' is no address of a Ray cluster"),
    ],
)
def test_mistakes_name_the_line(tmp_path: Path, text: str, said: str) -> None:
    (problem,) = config_file.read(file(tmp_path, text)).problems
    assert said in problem


def test_how_many_wait_and_why_most_of_them_do() -> None:
    def run(number: int, job: str | None, waits: str | None, state: str = "queued") -> RunState:
        return RunState(f"se-s{number}", "se", number, state=state, job=job, waits=waits)

    runs = [run(0, "slurm 7", "Priority"), run(1, "slurm 8", "Resources"), run(2, "slurm 9", "Priority")]
    assert waiting_words(runs) == "3 wait for SLURM: Priority"
    assert waiting_words([run(0, None, "not submitted yet")]) == "1 waits for a scheduler: not submitted yet"
    assert waiting_words([run(0, "slurm 7", None), run(1, "slurm 7", "x", "running")]) == ""
