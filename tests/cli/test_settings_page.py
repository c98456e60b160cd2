"""The page about the settings says what there is: its tables are made here, and compared.

`UPDATE_PAGES=1 pytest tests/cli/test_settings_page.py` writes them anew.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tui_attn.cli import config_file, run
from tui_attn.cli.option_types import SETTINGS
from tui_attn.ui.keys import TABLES
from tui_attn.ui.options import THEMES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


def settings_table() -> str:
    rows = ["| key | what it is | unless said | example |", "| --- | --- | --- | --- |"]
    rows += [f"| `{item.name}` | {item.help} | {item.unset} | `{item.example}` |" for item in SETTINGS]
    return "\n".join(rows)


def keys_table() -> str:
    rows = ["| id | keys | what it does |", "| --- | --- | --- |"]
    for where, table in TABLES.items():
        rows.append(f"| | | **{where}** |")
        first = {key.id: key for key in reversed(table)}
        for id_ in dict.fromkeys(key.id for key in table):
            rows.append(f"| `{id_}` | `{first[id_].keys}` | {first[id_].tooltip} |")
    return "\n".join(rows)


@pytest.mark.parametrize(("name", "make"), [("settings", settings_table), ("keys", keys_table)])
def test_the_tables_of_the_page_are_those_of_the_program(name: str, make: Callable[[], str]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    found = re.compile(rf"(<!-- {name} -->\n)(.*?)(<!-- /{name} -->)", re.DOTALL)
    wanted = f"\n{make()}\n\n"
    if os.environ.get("UPDATE_PAGES"):
        PAGE.write_text(found.sub(lambda match: match[1] + wanted + match[3], text), encoding="utf-8")
    match = found.search(PAGE.read_text(encoding="utf-8"))
    assert match is not None
    assert match[2] == wanted


def test_the_example_of_the_page_is_a_file_that_holds(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "example.toml").write_text(example)
    found = config_file.read(tmp_path / "example.toml")
    assert found.problems == []
    assert len(found.values) + 1 == len(tomllib.loads(example))
    assert found.keymap


def test_every_theme_is_described() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(THEMES) <= set(rows)


def test_looks_of_the_file_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lab.toml").write_text("looks = [5, 10]\n")
    assert run(["--config", str(tmp_path / "lab.toml"), "config"]) == 0
    assert "5, 10" in capsys.readouterr().out
