import pytest

from tui_attn.train import session


@pytest.fixture(autouse=True)
def no_checkpoints_within_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine the second between two would pass within an epoch, and on a fast one it would not."""
    monkeypatch.setattr(session, "CHECKPOINT_EVERY", 3600.0)
