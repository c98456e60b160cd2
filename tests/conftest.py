"""No settings but the tests' own, and how hypothesis searches.

It takes few and fixed examples in the suite, many in `pytest --hypothesis-profile=thorough`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

_SLOW_MACHINE = (HealthCheck.too_slow, HealthCheck.data_too_large)

# Fixed examples, so that the suite says the same on every machine; no deadline, because a loaded one is no fault.
settings.register_profile(
    "suite", max_examples=32, deadline=None, derandomize=True, database=None, suppress_health_check=_SLOW_MACHINE
)
settings.register_profile(
    "thorough", max_examples=1000, deadline=None, database=None, print_blob=True, suppress_health_check=_SLOW_MACHINE
)
settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the configuration file of whoever runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("no-settings")))
        yield
