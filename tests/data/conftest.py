"""A cache of its own for each test of the data package, and a server that has the made data sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data.small_sets import Made, Server, make_cifar_set, make_idx_set, serving, with_urls
from tui_attn.data.base import DatasetInfo


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache that the data package uses in this test; it is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TUI_ATTN_DATA_MIRROR", raising=False)
    return tmp_path / "cache" / "tui-attn" / "data"


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on this machine that has the made sets."""
    idx, cifar = make_idx_set(), make_cifar_set()
    files = {f"idx/{name}.gz": content for name, content in idx.packed.items()}
    with serving(files | {"made-python.tar.gz": cifar.archive}) as running:
        yield running


@pytest.fixture(params=["idx", "cifar"])
def online(request: pytest.FixtureRequest, server: Server) -> tuple[Made, DatasetInfo]:
    """A made set, and its info with the addresses of the server."""
    if request.param == "idx":
        return make_idx_set(), with_urls(make_idx_set(), f"{server.url}idx/")
    return make_cifar_set(), with_urls(make_cifar_set(), f"{server.url}made-python.tar.gz")
