"""What the peers' scripts share: their arguments, their data, and the line that the benchmark reads."""

import argparse
import json

MEAN, STD = 0.2860, 0.3530
"""Of Fashion-MNIST's training pixels, in [0, 1]."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=["base", "se", "self-attention"], default="base")
    parser.add_argument("--data", required=True, metavar="DIR", help="holds FashionMNIST/raw")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--train-limit", type=int, default=60_000)
    parser.add_argument("--test-limit", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=0, help="of the DataLoader")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    return parser.parse_args()


def report(parameters: int, test_accuracy: float) -> None:
    print(json.dumps({"parameters": parameters, "test_accuracy": test_accuracy}), flush=True)
