"""The lab on real Fashion-MNIST, as far as a test suite has time for it."""

from tests.program.conftest import Program


def test_an_epoch_of_real_fashion_mnist_learns(program: Program) -> None:
    """The program's own resolver finds or fetches the data; two of the models train on all 60,000 images once."""
    done = program("--no-ui", "--epochs", "1", "--models", "base,se", "--device", "cpu")
    assert done.code == 0, done.err
    for model in program("compare", "--json").json()["models"]:
        assert 0.83 < model["runs"][0]["test_accuracy"] < 0.91
