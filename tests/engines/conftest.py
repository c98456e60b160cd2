"""A SLURM that says what the test wants."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tui_attn.system.files import write_atomically

FAKE = """#!/bin/bash
exec 9>> {folder}/calls
flock 9  # calls at the same time are not to be written into one another
printf '%s\\0' "$0" "$@" >&9
echo >&9
exec 9>&-
[ -e {folder}/{name}.frozen ] && exec sleep 600
[ -e {folder}/{name}.says ] || exit 0
{{ read -r code; cat; }} < {folder}/{name}.says  # code and text from one opening, as they were written
exit $code
"""


class Slurm:
    """What sbatch, squeue and scancel answer, and what they were asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("sbatch", "squeue", "scancel"):
            (folder / name).write_text(FAKE.format(folder=folder, name=name))
            (folder / name).chmod(0o755)
        self.says("sbatch", "4711\n")

    def says(self, name: str, text: str, code: int = 0) -> None:
        write_atomically(self.folder / f"{name}.says", f"{code}\n{text}".encode(), sync=False)

    def freeze(self, name: str) -> None:
        (self.folder / f"{name}.frozen").touch()

    def asked(self, name: str) -> list[list[str]]:
        try:
            lines = (self.folder / "calls").read_text().split("\0\n")[:-1]
        except FileNotFoundError:
            return []
        calls = [line.split("\0") for line in lines]
        return [words[1:] for words in calls if words[0].endswith(f"/{name}")]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("TUI_ATTN_SQUEUE_EVERY", "0.01")
    return Slurm(tmp_path / "bin")
