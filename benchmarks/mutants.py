"""Mutation testing: draw mutants over all rooms with a fixed seed, run each room's tests against them, list survivors.

Needs cosmic-ray (`pip install 'cosmic-ray>=8.4,<9'`), whose operators make the mutants. Each mutant is written into a
copy of the checkout; the checkout itself is not touched.

    python -m benchmarks.mutants --count 60 --seed 0
    python -m benchmarks.mutants --list          # the mutants that would be tried, without running a test
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TOO_MANY = {"core/NumberReplacer", "core/AddNot"}
"""Operators that apply almost everywhere: drawn as one group, or they would crowd out all others."""


class Mutant(NamedTuple):
    """One change to one file: the `occurrence`-th place where `operator` applies."""

    room: str
    path: str
    operator: str
    occurrence: int
    line: int


def rooms(root: Path) -> dict[str, list[Path]]:
    """The Python files of each room, and of the networks."""
    found: dict[str, list[Path]] = {"models": sorted((root / "models").glob("*.py"))}
    for file in sorted((root / "tui_attn").rglob("*.py")):
        parts = file.relative_to(root / "tui_attn").parts
        if parts[0] != "models":
            found.setdefault(parts[0] if len(parts) > 1 else "loose modules", []).append(file)
    return {room: files for room, files in found.items() if sum(file.stat().st_size for file in files) > 1000}


def tests_of(root: Path, room: str) -> list[str]:
    """The tests that are run against a mutant of `room`: the folder of its name, else all quick ones."""
    folder = root / "tests" / room
    if folder.is_dir():
        return [f"tests/{room}", *(["tests/program"] if room in {"cli", "launch"} else [])]
    return ["tests/core", "tests/program"] if (root / "tests/core").is_dir() else ["tests/program"]


def _without_effect(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where a change has no effect when the program runs: docstrings and annotations, as (line, column) ranges."""
    found: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found.append(node.value)
        elif isinstance(node, ast.AnnAssign | ast.arg):
            found.append(node.annotation)
        elif isinstance(node, ast.FunctionDef):
            found.append(node.returns)
    return [((e.lineno, e.col_offset), (e.end_lineno or e.lineno, e.end_col_offset or 0)) for e in found if e]


def mutants_of(root: Path, room: str, file: Path) -> list[Mutant]:
    """Every mutant of one file, those in docstrings and annotations left out."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    source = file.read_text("utf-8")
    skip, nodes, found = _without_effect(source), list(ast_nodes(get_ast(source))), []
    for name in operator_names():
        kind = get_operator(name)
        if kind.arguments():  # it wants to be told which names to replace
            continue
        operator, occurrence = kind(), 0
        for node in nodes:
            for start, _ in operator.mutation_positions(node):
                if not any(begin <= start < end for begin, end in skip):
                    found.append(Mutant(room, str(file.relative_to(root)), name, occurrence, start[0]))
                occurrence += 1
    return found


def draw(root: Path, count: int, seed: int) -> list[Mutant]:
    """`count` mutants, rooms in turn, in each room the file, then the kind of operator, then the place by lot."""
    choose = random.Random(seed)
    by_room = rooms(root)
    drawn: list[Mutant] = []
    names = sorted(by_room)
    while len(drawn) < count:
        room = names[len(drawn) % len(names)]
        files = by_room[room]
        sizes = [file.stat().st_size for file in files]
        file = choose.choices(files, sizes)[0]
        groups: defaultdict[str, list[Mutant]] = defaultdict(list)
        for mutant in mutants_of(root, room, file):
            group = "numbers" if mutant.operator in TOO_MANY else mutant.operator.split("_")[0]
            groups[group].append(mutant)
        if groups:
            mutant = choose.choice(groups[choose.choice(sorted(groups))])
            if mutant not in drawn:
                drawn.append(mutant)
    return drawn


def outcome(copy: Path, mutant: Mutant, python: str, seconds: float) -> tuple[str, float]:
    """`killed`, `survived`, `timeout` or `no change`, and the seconds that the tests took."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    file = copy / mutant.path
    source = file.read_text("utf-8")
    changed = mutate_code(source, get_operator(mutant.operator)(), mutant.occurrence)
    if changed is None or changed == source:
        return "no change", 0.0
    file.write_text(changed, "utf-8")
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [python, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests_of(copy, mutant.room)]
    begin = time.monotonic()
    try:
        done = subprocess.run(
            command,
            cwd=copy,
            env=environment,
            capture_output=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        result = "survived" if done.returncode == 0 else "killed"
    except subprocess.TimeoutExpired:
        result = "timeout"
    finally:
        file.write_text(source, "utf-8")
    return result, time.monotonic() - begin


def main() -> None:
    """Draw, try, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout, to compare suites")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that runs the tests")
    parser.add_argument(
        "--timeout", type=float, default=300.0, help="seconds for one mutant; a time-out counts as killed"
    )
    parser.add_argument("--list", action="store_true")
    chosen = parser.parse_args()
    root = chosen.root.resolve()
    mutants = draw(root, chosen.count, chosen.seed)
    if chosen.list:
        for mutant in mutants:
            print(f"{mutant.path}:{mutant.line} {mutant.operator}")
        return
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "checkout"
        shutil.copytree(
            root, copy, symlinks=True, ignore=shutil.ignore_patterns(".git", "*.egg-info", "build", "__pycache__")
        )
        counts: defaultdict[str, int] = defaultdict(int)
        for mutant in mutants:
            result, seconds = outcome(copy, mutant, chosen.python, chosen.timeout)
            counts[result] += 1
            print(f"{result:9} {seconds:5.0f} s  {mutant.path}:{mutant.line} {mutant.operator}", flush=True)
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
