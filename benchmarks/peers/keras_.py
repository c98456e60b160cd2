# mypy: ignore-errors
"""The same training by Keras 3, on the backend that KERAS_BACKEND names; the data as arrays in memory."""

from pathlib import Path

import keras
import numpy as np
from keras import layers

from benchmarks.peers.common import MEAN, STD, arguments, report

FIRST = keras.backend.backend() == "torch"  # PyTorch computes channels first, JAX channels last
keras.config.set_image_data_format("channels_first" if FIRST else "channels_last")


def read(root: str, part: str, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Images float32, normalised, and labels."""
    raw = Path(root) / "FashionMNIST" / "raw"
    images = np.frombuffer((raw / f"{part}-images-idx3-ubyte").read_bytes(), np.uint8, offset=16)
    labels = np.frombuffer((raw / f"{part}-labels-idx1-ubyte").read_bytes(), np.uint8, offset=8)
    images = (images.reshape(-1, 28, 28)[:limit].astype(np.float32) / 255 - MEAN) / STD
    return (images[:, None] if FIRST else images[..., None]), labels[:limit].astype(np.int64)


def block(x, channels: int, squeeze: bool):
    x = layers.ReLU()(layers.MaxPooling2D(2)(layers.Conv2D(channels, 3, padding="same")(x)))
    if squeeze:
        gate = layers.GlobalAveragePooling2D()(x)
        gate = layers.Dense(16, activation="relu", use_bias=False)(gate)
        gate = layers.Dense(channels, activation="sigmoid", use_bias=False)(gate)
        x = layers.Multiply()([x, layers.Reshape((channels, 1, 1) if FIRST else (1, 1, channels))(gate)])
    return x


def build(name: str) -> keras.Model:
    inputs = layers.Input((1, 28, 28) if FIRST else (28, 28, 1))
    x = block(inputs, 32, name == "se")
    x = block(x, 64, name == "se")
    if name == "self-attention":
        maps = layers.Reshape((64, 49))(x) if FIRST else layers.Permute((2, 1))(layers.Reshape((49, 64))(x))
        tokens = layers.Dense(128)(maps)
        mixed = layers.MultiHeadAttention(num_heads=8, key_dim=16)(tokens, tokens)
        x = layers.Add()([maps, layers.Dense(49)(mixed)])
    return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))


def main() -> None:
    args = arguments()
    keras.utils.set_random_seed(0)
    if args.precision == "bf16":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    x, y = read(args.data, "train", args.train_limit)
    test = read(args.data, "t10k", args.test_limit)
    model = build(args.model)
    model.compile(
        optimizer=keras.optimizers.Adam(0.001),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(
        x, y, batch_size=128, epochs=args.epochs, validation_data=test, validation_batch_size=128, verbose=2
    )
    report(model.count_params(), history.history["val_accuracy"][-1])


if __name__ == "__main__":
    main()
