"""A cache of its own for each test of the data package."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache that the data package uses in this test; it is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TUI_ATTN_DATA_MIRROR", raising=False)
    return tmp_path / "cache" / "tui-attn" / "data"
