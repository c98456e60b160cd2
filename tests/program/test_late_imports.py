"""Imports of this program inside functions: only where they save start-up time or keep a library out of a process."""

import ast
from pathlib import Path

import tui_attn

ROOT = Path(tui_attn.__file__).parent
COMMANDS = "--help and every other command load this module"
SCREEN = "the first frame does without it"
LIBRARY = "it loads a library that this process may not need"
WHY = {
    "cli/completion.py": COMMANDS,
    "cli/config_command.py": COMMANDS,
    "cli/config_file.py": COMMANDS,
    "cli/context.py": COMMANDS,
    "cli/machine.py": COMMANDS,
    "cli/organize.py": COMMANDS,
    "cli/results.py": COMMANDS,
    "cli/start.py": COMMANDS,
    "cli/steering.py": COMMANDS,
    "cli/studying.py": COMMANDS,
    "cli/watching.py": COMMANDS,
    "data/__init__.py": LIBRARY,
    "data/resolve.py": LIBRARY,
    "export/__init__.py": LIBRARY,
    "report/__init__.py": LIBRARY,
    "supervision/notify_process.py": LIBRARY,
    "train/custom_model_check.py": LIBRARY,
    "train/fused_pooling.py": LIBRARY,
    "train/interventions.py": LIBRARY,
    "train/worker.py": LIBRARY,
    "cli/explaining.py": COMMANDS,
    "launch/starting.py": SCREEN,
    "ui/": SCREEN,
}
"""Files (of `ui/` all together) whose functions import -> why."""


def late_imports(path: Path) -> set[str]:
    """The modules of this program that functions of the file at `path` import."""
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    found = [node for function in functions for node in ast.walk(function)]
    names = {alias.name for node in found if isinstance(node, ast.Import) for alias in node.names}
    names |= {"." * node.level + (node.module or "") for node in found if isinstance(node, ast.ImportFrom)}
    return {name for name in names if name.startswith(("tui_attn", "."))}


def test_each_file_with_late_imports_has_a_reason_and_each_reason_a_file() -> None:
    files = (path for path in sorted(ROOT.rglob("*.py")) if path.relative_to(ROOT).parts[0] != "models")
    names = (path.relative_to(ROOT) for path in files if late_imports(path))
    late = {"ui/" if name.parts[0] == "ui" else str(name) for name in names}
    assert late == set(WHY), "import at the top of the file, or say in this table why not"
