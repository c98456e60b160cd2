"""The lab on real Fashion-MNIST, as far as a test suite has time for it."""

import pytest

from tests.program.conftest import Program


@pytest.mark.real_data
def test_an_epoch_of_real_fashion_mnist_learns(program: Program, user_cache: str) -> None:
    """The program's own resolver finds or fetches the data; two of the models train on a third of the images once."""
    program.environment["XDG_CACHE_HOME"] = user_cache
    done = program("--no-ui", "--epochs", "1", "--train-limit", "20000", "--models", "base,se", "--device", "cpu")
    assert done.code == 0, done.err
    for model in program("compare", "--json").json()["models"]:
        assert 0.75 < model["runs"][0]["test_accuracy"] < 0.90
