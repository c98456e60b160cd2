"""What is built and installed: the networks ship as tui_attn.models, and nothing is called models."""

import importlib
import importlib.util
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def packages_on_disk() -> set[str]:
    """Every folder with an __init__.py, by its name when imported."""
    found = {"tui_attn.models"}
    for init in (ROOT / "tui_attn").rglob("__init__.py"):
        parts = init.parent.relative_to(ROOT).parts
        if parts[:2] != ("tui_attn", "models"):
            found.add(".".join(parts))
    return found


def test_every_package_is_listed() -> None:
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages_on_disk()


def test_models_is_a_committed_relative_link() -> None:
    link = ROOT / "tui_attn" / "models"
    assert link.is_symlink()
    assert link.readlink() == Path("../models")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what git would ship, so that the checkout stays clean."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("models", "pyproject.toml", "README.md", "LICENSE", "tui_attn"):
        subprocess.run(["cp", "-a", str(ROOT / name), str(source)], check=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        str(out),
        str(source),
    ]
    subprocess.run(command, check=True)
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_the_networks_inside_the_package_only(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"tui_attn/models/__init__.py", "tui_attn/models/se.py", "tui_attn/py.typed"} <= set(names)
    assert not [name for name in names if name.startswith(("models/", "tests/", "benchmarks/", "runs/"))]
    sources = {
        f"tui_attn/{path.relative_to(ROOT / 'tui_attn')}"
        for path in (ROOT / "tui_attn").rglob("*")
        if path.suffix in {".py", ".tcss"} and "models" not in path.parts
    }
    assert sources <= set(names)


def test_nothing_called_models_is_installed() -> None:
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('models') is not None)"
    assert subprocess.run([sys.executable, "-P", "-c", code], cwd="/", check=False).returncode == 0


def test_every_dependency_has_an_upper_bound() -> None:
    extras = PROJECT["project"]["optional-dependencies"].values()
    listed = PROJECT["project"]["dependencies"] + [item for extra in extras for item in extra]
    listed += PROJECT["build-system"]["requires"]
    assert [item for item in listed if "<" not in item and not item.startswith("tui-attn")] == []


def test_the_entry_point_exists() -> None:
    module, _, function = PROJECT["project"]["scripts"]["tui-attn"].partition(":")
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert hasattr(importlib.import_module(module), function)
