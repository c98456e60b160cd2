"""What holds for all tests of the dashboard."""

import pytest

from tui_attn.ui.charts import palette


@pytest.fixture(autouse=True)
def _free_inks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no model of another test have an ink already."""
    monkeypatch.setattr(palette, "_given", {})
