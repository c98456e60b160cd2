"""The LaTeX table: the numbers of `compare`, and no text that TeX would obey."""

from pathlib import Path

from tests import recorded
from tui_attn.compare.summary import summarise
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.follower import read_state
from tui_attn.export import export
from tui_attn.export.tables import latex_table


def test_it_holds_each_models_mean_and_interval(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path / "runs", "finished", config=ExperimentConfig(epochs=2, seeds=5))
    where, problems = export(read_state(folder), "latex", tmp_path / "out")
    text = (where / "comparison.tex").read_text()
    assert problems == []
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1
    rows = [line for line in text.splitlines() if line.endswith(r"\\")][1:]
    for entry, row in zip(summarise(read_state(folder)).models, rows, strict=True):
        cells = [cell.strip() for cell in row.removesuffix(r"\\").split("&")]
        assert entry.accuracy is not None and entry.ci95 is not None
        assert cells[:2] == [entry.model, f"{100 * entry.accuracy:.2f}"]
        assert cells[2] == f"[{100 * entry.ci95[0]:.2f}, {100 * entry.ci95[1]:.2f}]"
        assert len(cells) == 6


def test_a_dataset_of_an_odd_name_stays_in_its_comment(tmp_path: Path) -> None:
    config = ExperimentConfig(epochs=1, dataset="folder:/a%b_c&d")
    table = latex_table(read_state(recorded.scene(tmp_path, "finished", config=config)))
    assert [line[0] for line in table.splitlines() if "a%b" in line] == ["%"]


def test_of_one_run_there_is_none(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path / "runs", "finished", config=ExperimentConfig(epochs=1))
    where, problems = export(read_state(folder), "latex", tmp_path / "out", "base-s0")
    assert not (where / "comparison.tex").exists()
    assert len(problems) == 1
