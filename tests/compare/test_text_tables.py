"""The table in plain text: it fits, it reads, and it says the same as the object."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recorded import SCENES, record, scene, supervised
from tui_attn.compare import text_tables
from tui_attn.compare.remarks import find_remarks
from tui_attn.compare.summary import summarise
from tui_attn.compare.text_tables import comparison_table
from tui_attn.compare.wording import interval_points, points, seeds_range, seeds_sentence
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.system.text import plain
from tui_attn.system.textfit import cells, cut, left, right, wrap

GIVEN = {
    "base": [0.9100, 0.9120, 0.9090, 0.9110, 0.9105],
    "se": [0.9150, 0.9160, 0.9140, 0.9165, 0.9145],
    "self-attention": [0.9010, 0.9050, 0.8995, 0.9020, 0.8985],
}


def lines_of(folder: ExperimentDir, width: int = 80, *, ascii: bool = False) -> list[str]:
    follower = read_state(folder)
    summary = summarise(follower)
    return comparison_table(summary, find_remarks(follower, summary), width, ascii, folder=folder.path)


def text_of(folder: ExperimentDir, width: int = 80, *, ascii: bool = False) -> str:
    """The table with its line breaks undone."""
    return " ".join(" ".join(lines_of(folder, width, ascii=ascii)).split())


@pytest.fixture(scope="module")
def five_seeds(tmp_path_factory: pytest.TempPathFactory) -> ExperimentDir:
    folder = tmp_path_factory.mktemp("runs")
    return record(folder, config=ExperimentConfig(epochs=3, seeds=5, name="five"), accuracies=GIVEN)


def test_models_stand_side_by_side(five_seeds: ExperimentDir) -> None:
    lines = lines_of(five_seeds)
    assert lines[0].startswith("se is better than base by 0.47 points; self-attention is worse")
    assert lines[3] == "five: fashion-mnist, 3 epochs, 5 seeds, finished"
    rows = {line[:22].strip(): line[22:].split() for line in lines[5:18]}
    assert rows[""] == ["base", "se", "self-attention"]
    assert rows["parameters"] == ["50,186", "53,258", "128,955"]
    assert rows["MACs per image"] == ["3.87", "M", "3.87", "M", "9.92", "M"]
    assert rows["test accuracy, %"] == ["91.05", "91.52", "90.12"]
    assert rows["against base, points"] == ["–", "+0.47", "-0.93"]
    assert rows["the lab expects*"] == ["–", "~+1", "~-3"]


def test_the_labs_accuracies_stand_where_they_apply(tmp_path: Path) -> None:
    folder = record(tmp_path, config=ExperimentConfig(dataset="cifar10", epochs=3, seeds=5), accuracies=GIVEN)
    lines = lines_of(folder)
    at = next(number for number, line in enumerate(lines) if "the lab expects*" in line)
    assert lines[at].split()[3:] == ["~70", "~71", "~67"]
    assert lines[at - 2].startswith("test accuracy, %")
    assert "on CIFAR-10, after 15 epochs" in text_of(folder)


def test_the_labs_figure_of_self_attention_is_of_the_lab_read_literally(tmp_path: Path) -> None:
    models = ("base", "self-attention", "self-attention-lab")
    rows = text_tables.model_rows(
        summarise(read_state(record(tmp_path, config=ExperimentConfig(epochs=3, models=models))))
    )
    assert next(row[1:] for row in rows if "lab expects" in row[0]) == ["–", "–", "~-3"]


def test_the_verdicts_are_sentences(five_seeds: ExperimentDir) -> None:
    text = text_of(five_seeds)
    assert "se is better than base by 0.47 points (95 % interval +0.37 to +0.57, p<0.001, five seeds)" in text
    assert "self-attention is worse than base by 0.93 points" in text
    assert "se was ahead in 5 of 5 seeds" in text
    assert "the two networks of seed 0 alone" in text
    assert "to detect" not in text, "both verdicts are reached"
    assert "adjusted for 2 comparisons" in text
    assert "the lab's figures on CIFAR-10, as differences from base" in text


def test_no_difference_and_more_seeds(tmp_path: Path) -> None:
    given = {"base": [0.90, 0.92, 0.91], "se": [0.93, 0.90, 0.92]}
    config = ExperimentConfig(epochs=3, seeds=3, models=("base", "se"))
    folder = record(tmp_path, config=config, accuracies=given)
    text = text_of(folder)
    assert "se: undecided, +0.67 points from base" in text
    assert "to detect 1 point takes" in text
    assert "(80 % power, spread 2.52 to 5.33 points)" in text
    versus = summarise(read_state(folder)).get("se").versus_base
    assert versus is not None
    assert seeds_range(versus, 0.01, fixed=True) != seeds_range(versus, 0.01), "interim looks cost seeds"
    assert f"'tui-attn extend {folder.id} --runs-dir {folder.path.parent} --seeds 543' trains them" in text
    assert "adjusted" not in text


def test_seeds_are_counted_only_for_a_difference_that_is_still_possible(tmp_path: Path) -> None:
    """Undecided, and the interval excludes a difference of one point."""
    given = {"base": [0.90, 0.90, 0.90, 0.90, 0.90], "se": [0.902, 0.9, 0.901, 0.896, 0.907]}
    config = ExperimentConfig(epochs=3, seeds=5, models=("base", "se"))
    summary = summarise(read_state(record(tmp_path, config=config, accuracies=given)))
    versus = summary.get("se").versus_base
    assert versus is not None and versus.ci95 is not None
    assert versus.verdict == "undecided"
    assert versus.ci95[1] < 0.01
    assert seeds_sentence(summary, "se") is None
    assert seeds_sentence(summary, "se", 0.005) is not None


def test_one_seed_speaks_of_its_two_networks_only(tmp_path: Path) -> None:
    text = text_of(record(tmp_path, config=ExperimentConfig(epochs=3)))
    assert "with one seed, too few for a verdict" in text
    assert "exact McNemar test, p=" in text
    assert "95 % interval" not in text
    assert "p-value" not in text


@pytest.mark.parametrize("ascii", [False, True])
@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
@pytest.mark.parametrize("name", SCENES)
def test_every_state_fits(tmp_path: Path, name: str, width: int, ascii: bool) -> None:
    folder = scene(tmp_path, name, config=ExperimentConfig(epochs=3, seeds=2, name="研究 №1 — été"))
    for alive in (False, True):
        if alive:
            with supervised(folder):
                lines = lines_of(folder, width, ascii=ascii)
        else:
            lines = lines_of(folder, width, ascii=ascii)
        assert max(map(cells, lines)) <= width
        assert not ascii or "\n".join(lines).isascii()
        assert all(line == line.rstrip() for line in lines)


def test_at_eighty_columns_nothing_is_cut(five_seeds: ExperimentDir, tmp_path: Path) -> None:
    spread = {model: [value - 0.05 * (seed % 2) for seed, value in enumerate(GIVEN[model])] for model in GIVEN}
    wide = record(tmp_path, config=ExperimentConfig(epochs=3, seeds=5), accuracies=spread)
    for folder in (five_seeds, wide):
        assert "…" not in "\n".join(lines_of(folder, 80))
        assert ["base", "se", "self-attention"] in [line.split() for line in lines_of(folder, 80)]


def test_states_of_unfinished_runs_are_shown_even_among_many(tmp_path: Path) -> None:
    folder = record(
        tmp_path, config=ExperimentConfig(epochs=3, seeds=10), states={"se-s4": "failed", "base-s9": "stopped"}
    )
    rows = [line.split() for line in lines_of(folder)]
    assert ["se-s4", "failed"] in [row[:2] for row in rows]
    assert ["base-s9", "stopped"] in [row[:2] for row in rows]
    assert ["se-s5", "finished"] not in [row[:2] for row in rows]


def test_hostile_text_does_no_harm(tmp_path: Path) -> None:
    folder = record(
        tmp_path,
        config=ExperimentConfig(epochs=3, seeds=2, dataset="folder:[/]x"),
        states={"se-s0": "failed"},
        reason="\x1b]52;c;eA==\x07\u202e[@click=app.quit]x[/] " + "w" * 300,
    )
    text = "\n".join(lines_of(folder))
    assert not set(text) & {"\x1b", "\x07", "\u202e"}
    assert "[@click=app.quit]x[/]" in text
    assert "w" * 300 in text.replace("\n  ", "")


def test_many_runs_are_quickly_told(tmp_path: Path) -> None:
    """Thirty seeds make a table as short as five do, plus nothing."""
    config = ExperimentConfig(epochs=3, seeds=30)
    lines = lines_of(record(tmp_path, config=config, probes=False, test_size=1_000))
    assert len(lines) < 45
    text = " ".join(" ".join(lines).split())
    assert "bootstrap interval" in text
    assert "sign-flip test" in text


def test_an_interval_that_excludes_0_never_looks_as_if_it_held_it() -> None:
    assert interval_points((0.00004, 0.002)) == "+0.004 to +0.200"
    assert interval_points((-0.003, -0.0000004)) == "-0.30000 to -0.00004"
    assert interval_points((0.0, 0.002)) == "+0.00 to +0.20"
    assert interval_points(None) == "–"
    assert points(-0.00000001) == "+0.00"


@given(st.text(max_size=40), st.integers(1, 30))
def test_text_is_fitted_to_cells(text: str, width: int) -> None:
    text = compare_safe(text)
    assert cells(cut(text, width)) <= width
    assert cells(left(text, width)) == cells(right(text, width)) == width
    assert plain(text).isascii()
    wrapped = wrap(text, width + 4, first="- ", rest="  ")
    assert max(map(cells, wrapped)) <= width + 4
    joined = "".join(line[2:] for line in wrapped)
    assert "".join(joined.split()) == "".join(text.split())


def compare_safe(text: str) -> str:
    from tui_attn.system.text import safe_text

    return safe_text(text, one_line=True)


def run_python(code: str) -> str:
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def test_importing_the_comparison_imports_next_to_nothing() -> None:
    heavy = "{'numpy', 'scipy', 'torch', 'textual', 'plotext'} & set(sys.modules)"
    assert run_python(f"import sys, tui_attn.compare; print({heavy})") == "set()"
    modules = ", ".join(f"tui_attn.compare.{path.stem}" for path in Path(text_tables.__file__).parent.glob("*.py"))
    assert run_python(f"import sys, {modules}; print({heavy})") == "set()"
    assert run_python("import sys, tui_attn.compare; print('tui_attn.experiment.reducer' in sys.modules)") == "False"


def test_a_folder_of_images_is_named_without_its_place(tmp_path: Path) -> None:
    config = ExperimentConfig(epochs=2, dataset=f"folder:{tmp_path / 'pets'}", name="mine")
    folder = record(tmp_path / "runs", config=config, test_size=100)
    assert lines_of(folder)[2] == "mine: folder pets, 2 epochs, 1 seed, finished"
