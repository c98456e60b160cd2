"""Mutation testing: draw mutants over all packages with a fixed seed, run tests against each, list survivors.

Needs cosmic-ray (`pip install 'cosmic-ray>=8.4,<9'`), whose operators make the mutants. Each mutant is written into a
copy of the checkout; the checkout itself is not touched. Only the tests of its package and those that import its module
are run, the nearest first. A mutant is `killed` if a test fails, fails again alone, and passes without the mutant; else
it is `unsure`.

    python -m benchmarks.mutants --count 60 --seed 0
    python -m benchmarks.mutants --from 23       # go on after an interruption
    python -m benchmarks.mutants --files 8       # quicker: the nearest test files only, then
    python -m benchmarks.mutants --files 8 --rest --only 5 31  # the others for those that survived
    python -m benchmarks.mutants --list          # the mutants that would be tried, without running a test
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
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


class Outcome(NamedTuple):
    """`killed`, `survived`, `unsure`, `timeout` or `no change`; the seconds; the test that failed or still ran."""

    result: str
    seconds: float
    test: str


def rooms(root: Path) -> dict[str, list[Path]]:
    """The Python files of each room, and of the networks."""
    found: dict[str, list[Path]] = {"models": sorted((root / "models").glob("*.py"))}
    for file in sorted((root / "tui_attn").rglob("*.py")):
        parts = file.relative_to(root / "tui_attn").parts
        if parts[0] != "models":
            found.setdefault(parts[0] if len(parts) > 1 else "loose modules", []).append(file)
    return {room: files for room, files in found.items() if sum(file.stat().st_size for file in files) > 1000}


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


def mutated(root: Path, mutant: Mutant) -> str:
    """The text of the mutant's file with its change."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    source = (root / mutant.path).read_text("utf-8")
    return mutate_code(source, get_operator(mutant.operator)(), mutant.occurrence) or source


def _is_python(source: str) -> bool:
    """False where an operator took the `*` before keyword arguments for a multiplication."""
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


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
            if mutant not in drawn and _is_python(mutated(root, mutant)):
                drawn.append(mutant)
    return drawn


_WORD = re.compile(r"[A-Za-z]\w{3,}")


def tests_of(root: Path, mutant: Mutant) -> list[str]:
    """The test files run against a mutant: those of its room, and those elsewhere that import its module.

    Those that share most words with the changed function come first, a word counting less the more files have it. The
    command line is also tested by running the program; a room without a folder only so.
    """
    module = ".".join(Path(mutant.path).with_suffix("").parts)
    parent, _, name = module.rpartition(".")
    imports = re.compile(rf"\b{re.escape(module)}\b|from {re.escape(parent)} import [^\n]*\b{re.escape(name)}\b")
    folders = {mutant.room, "program"} if mutant.room in {"cli", "launch"} else {mutant.room}
    if not (root / "tests" / mutant.room).is_dir():
        folders = {"program"}
    texts = {file: file.read_text("utf-8") for file in sorted((root / "tests").rglob("test_*.py"))}
    words = {file: set(_WORD.findall(text)) for file, text in texts.items()}
    often = Counter(word for found in words.values() for word in found)
    wanted = set(_WORD.findall(_around(root, mutant)))

    def near(file: Path) -> float:
        shared = sum(1 / often[word] for word in words[file] & wanted)
        return shared + (1 if imports.search(texts[file]) else 0)

    chosen = [file for file in texts if file.parent.name in folders or imports.search(texts[file])]
    return [str(file.relative_to(root)) for file in sorted(chosen, key=near, reverse=True)]


def _around(root: Path, mutant: Mutant) -> str:
    """The function, class or statement that the mutant changes, and the name of its module."""
    source = (root / mutant.path).read_text("utf-8")
    whole = [node for node in ast.parse(source).body if node.lineno <= mutant.line <= (node.end_lineno or node.lineno)]
    return "\n".join([Path(mutant.path).stem, *(ast.get_source_segment(source, node) or "" for node in whole)])


def run_tests(copy: Path, python: str, tests: list[str], seconds: float) -> tuple[int | None, str]:
    """Run tests until one fails: pytest's exit code, None for a time-out, and the test that failed or still ran."""
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryDirectory() as folder:
        cache, log = Path(folder) / "cache", Path(folder) / "log"
        options = ["-vx", "--tb=short", f"--basetemp={folder}/tests", "-o", f"cache_dir={cache}"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [python, "-m", "pytest", *options, *tests],
                cwd=copy,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                code = None
        lines = log.read_text("utf-8", "replace").splitlines()
        if code is None:
            return None, next((line for line in reversed(lines) if line.startswith("tests/")), "").strip()
        failed = cache / "v/cache/lastfailed"
        return code, next(iter(json.loads(failed.read_text("utf-8"))), "") if failed.exists() else lines[-1]


def outcome(copy: Path, mutant: Mutant, python: str, seconds: float, files: slice) -> Outcome:
    """Try one mutant. A test that kills it must fail again alone, and pass without the mutant."""
    file = copy / mutant.path
    source, changed = file.read_text("utf-8"), mutated(copy, mutant)
    if changed == source:
        return Outcome("no change", 0.0, "")
    begin = time.monotonic()
    result, test = "survived", ""
    try:
        file.write_text(changed, "utf-8")
        tests = tests_of(copy, mutant)[files]
        code, test = run_tests(copy, python, tests[:2], seconds)
        if code == 0 and tests[2:]:
            code, test = run_tests(copy, python, tests[2:], seconds)
        if code is None:
            result = "timeout"
        elif code:
            result = "killed"
            if "::" in test:
                again, _ = run_tests(copy, python, [test], seconds)
                file.write_text(source, "utf-8")
                without, _ = run_tests(copy, python, [test], seconds)
                result = "killed" if again != 0 and without == 0 else "unsure"
    finally:
        file.write_text(source, "utf-8")
    return Outcome(result, time.monotonic() - begin, test if result != "survived" else "")


def difference(root: Path, mutant: Mutant) -> str:
    """The lines that the mutant changes, as a diff without context."""
    source = (root / mutant.path).read_text("utf-8")
    diff = difflib.unified_diff(source.splitlines(), mutated(root, mutant).splitlines(), n=0, lineterm="")
    return "\n".join(f"    {line}" for line in diff if not line.startswith(("---", "+++", "@@")))


def main() -> None:
    """Draw, try, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout, to compare suites")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that runs the tests")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds for the tests of one mutant")
    parser.add_argument("--files", type=int, metavar="N", help="run the N test files only that are nearest to a mutant")
    parser.add_argument("--rest", action="store_true", help="run all but these N files")
    parser.add_argument("--from", dest="first", type=int, default=1, metavar="K", help="go on at the K-th mutant")
    parser.add_argument("--only", type=int, nargs="+", metavar="K", help="try these mutants only")
    parser.add_argument("--list", action="store_true", help="show the mutants and run no test")
    chosen = parser.parse_args()
    root = chosen.root.resolve()
    drawn = list(enumerate(draw(root, chosen.count, chosen.seed), 1))
    if chosen.only:
        drawn = [drawn[number - 1] for number in chosen.only]
    files = slice(chosen.files, None) if chosen.rest else slice(chosen.files)
    if chosen.list:
        for number, mutant in drawn:
            print(f"{number:3} {mutant.path}:{mutant.line} {mutant.operator}\n{difference(root, mutant)}")
        return
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "checkout"
        shutil.copytree(
            root, copy, symlinks=True, ignore=shutil.ignore_patterns(".git", "*.egg-info", "build", "__pycache__")
        )
        counts: defaultdict[str, int] = defaultdict(int)
        for number, mutant in drawn:
            if number < chosen.first:
                continue
            result, seconds, test = outcome(copy, mutant, chosen.python, chosen.timeout, files)
            counts[result] += 1
            print(
                f"{number:3} {result:9} {seconds:5.0f} s  {mutant.path}:{mutant.line} {mutant.operator}  {test}",
                flush=True,
            )
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
