"""The table of `tui-attn ls`: what is left out or cut where the terminal is narrow."""

from dataclasses import replace

import pytest

from tui_attn.cli.results import _models, _table
from tui_attn.compare.pairs import QuickResult
from tui_attn.history.entries import Entry
from tui_attn.system.textfit import cells

LAB = ("base", "se", "self-attention")
PLAIN = Entry(
    id="20261129-101500-fashion-mnist",
    state="finished",
    created=1.0,
    name="the lab of the second week, with augmentation",
    dataset="fashion-mnist",
    models=LAB,
    seeds=5,
    epochs=15,
    finished=15,
    runs=15,
    accuracy=0.9151,
    best=QuickResult("se", 0.0041, 5, "better"),
    seconds=512.0,
)
DAMAGED = Entry(id="20261128-090000-cifar10", state="damaged", created=0.0, reason="is damaged")


def test_names_and_verdicts_fit_into_100_columns() -> None:
    first, row, damaged = _table([PLAIN, DAMAGED], 100)
    assert max(map(len, (first, row, damaged))) <= 100
    assert first.split() == ["EXPERIMENT", "NAME", "STATE", "DONE", "BEST", "TOOK", "VERDICT"]
    assert row.startswith(PLAIN.id)
    assert "the lab o..." in row
    assert "se +0.4" in row
    assert damaged.split() == [DAMAGED.id, "–", "damaged", *"–" * 4]


def test_a_wide_terminal_and_a_pipe_get_everything() -> None:
    for width in (250, None):
        first, row = _table([PLAIN], width)
        assert {"SEEDS", "EPOCHS"} <= set(first.split())
        assert PLAIN.name in row
        assert "base,se,self-attention" in row
        assert "better" in row


def test_columns_line_up_behind_names_in_wide_characters() -> None:
    for width, said in ((250, "注意力机制的比较"), (92, "注意力机制…")):
        first, row, narrow = _table([replace(PLAIN, name="注意力机制的比较"), replace(PLAIN, name="lab")], width)
        assert said in row
        ends = {cells(line[: line.index(word)]) for line, word in ((first, "STATE"), (row, "fin"), (narrow, "fin"))}
        assert len(ends) == 1
        assert max(map(cells, (first, row, narrow))) <= width


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 120])
def test_what_can_t_be_left_out_stays(width: int) -> None:
    first, row = _table([replace(PLAIN, name="")], width)
    assert PLAIN.id in row
    assert "finished" in row
    assert "NAME" not in first
    assert width < 80 or len(row) <= width


def test_a_list_of_experiments_names_as_many_models_as_fit() -> None:
    assert _models(LAB) == "base,se,self-attention"
    assert _models(("base", "se", "my_net-mynet", "second-mixer")) == "base,se,my_net-mynet,+1"
    assert _models(("x" * 40, "base")) == f"{'x' * 40},+1"
