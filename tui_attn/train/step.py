"""One training step, as fast as the device allows: uint8 images in, updated weights out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tui_attn.train.accelerator import keep_freed_memory
from tui_attn.train.fast import fast_pass, has_fast_pass

Precision = Literal["fp32", "bf16"]

EVALUATION_BATCH = 200
"""Images evaluated at once: their widest feature map in float32 stays in a CPU's caches and below the allocator's
limit for memory that it returns to the system."""
EVALUATION_BATCH_CUDA = 2_500
"""The same on CUDA, where few large kernels are faster than many small ones."""


class PrecisionError(ValueError):
    """A precision that the device can't compute in; the message is one line for the user."""


def choose_precision(requested: str, device: torch.device) -> Precision:
    """What to compute in on `device`: bf16 for "auto" where the hardware multiplies bf16 fast, else as requested.

    Weights, optimiser and losses are float32 in either case. Raises `PrecisionError` where bf16 is impossible.
    """
    if requested == "fp32":
        return "fp32"
    if requested not in {"auto", "bf16"}:
        raise PrecisionError(f"unknown precision '{requested}': use auto, fp32 or bf16")
    if device.type == "cuda":
        fast = possible = torch.cuda.get_device_capability(device) >= (8, 0)  # emulated on older ones
    elif device.type == "mps":
        fast, possible = False, torch.backends.mps.is_macos_or_newer(14, 0)
    else:
        fast, possible = _cpu_multiplies_bf16(), True
    if requested == "bf16" and not possible:
        raise PrecisionError(f"--precision bf16 is not possible on {device}: use auto or fp32")
    return "bf16" if fast or requested == "bf16" else "fp32"


def _cpu_multiplies_bf16() -> bool:
    """Whether this CPU has instructions that multiply bf16 matrices or vectors."""
    try:
        capabilities = torch.cpu.get_capabilities()
    except (AttributeError, RuntimeError):
        return False
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def use_exact_float32() -> None:
    """Multiply float32 as float32 on GPUs, not as TF32, in convolutions and matrix products alike."""
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")


class Stepper:
    """Trains one network with Adam on one device and holds all that a checkpoint of it needs.

    `mean` and `std` are those of each image channel, pixels in [0, 1]. The weights are float32 whatever the
    precision; with bf16, convolutions and matrix products take bf16 copies of them, and loss and softmax stay
    float32. `channels_last` is for networks that compute alike wherever their channels lie in memory. Equal calls in
    equal order give equal bits on the same device with the same number of threads.
    """

    def __init__(
        self,
        model: nn.Module,
        device: torch.device,
        precision: str,
        *,
        lr: float,
        mean: Sequence[float],
        std: Sequence[float],
        channels_last: bool = True,
        kernels: str = "onednn",
    ) -> None:
        """`kernels`: as in `tui_attn.experiment.kernels`."""
        if device.type == "cpu":
            keep_freed_memory()
        elif device.type == "cuda":
            use_exact_float32()
        # Channels innermost is the order in which the convolutions compute.
        self._layout = torch.channels_last if channels_last and device.type != "mps" else torch.contiguous_format
        self.model = model.to(device).to(memory_format=self._layout)
        self._device = device
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._fast_pass = fast_pass(self.model, device, self._dtype) if kernels == "onednn" else None
        self.kernels = ("onednn" if self._fast_pass else "plain") if has_fast_pass(self.model) else None
        """Which kernels compute, for networks that have a choice on some CPU; None for others."""
        self._optimizer = torch.optim.Adam(self.model.parameters(), lr=lr, fused=True)
        scale = torch.tensor(std, dtype=torch.float64, device="cpu") * 255
        self._scale = (1 / scale).float().view(1, -1, 1, 1).to(device)
        self._shift = (-255 * torch.tensor(mean, dtype=torch.float64) / scale).float().view(1, -1, 1, 1).to(device)

    def train_step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Update the weights by one batch of images, uint8 (B, K, H, W), and labels, int64 (B,).

        Returns the mean loss, float32, and the number of images classified correctly, int64, both of shape () and
        computed before the update; nothing here waits for the device.
        """
        logits = self._forward(images)
        loss = F.cross_entropy(logits, labels)
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self._optimizer.step()
        return loss.detach(), (logits.detach().argmax(1) == labels).sum()

    @torch.inference_mode()
    def evaluate(self, images: Tensor) -> Tensor:
        """The logits, float32 (N, classes), of images uint8 (N, K, H, W)."""
        self.model.eval()
        try:
            size = EVALUATION_BATCH_CUDA if self._device.type == "cuda" else EVALUATION_BATCH
            return torch.cat([self._forward(part) for part in torch.split(images, size)])
        finally:
            self.model.train()

    def _forward(self, images: Tensor) -> Tensor:
        """The logits, float32 (B, classes), of images uint8 (B, K, H, W)."""
        x = images.to(torch.float32, memory_format=self._layout).mul_(self._scale).add_(self._shift)
        if self._fast_pass is not None:
            return self._fast_pass(x)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._dtype is torch.bfloat16):
            logits: Tensor = self.model(x)
        return logits.float()

    def state_dict(self) -> dict[str, Any]:
        """Weights and optimiser, in plain types that `torch.load(weights_only=True)` reads."""
        return {"model": self.model.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`, from any device and memory layout.

        Raises `KeyError`, `TypeError`, `ValueError` or `RuntimeError` for the state of something else.
        """
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        # The fused optimiser walks through memory: its averages must lie as the parameters do.
        for parameter, averages in self._optimizer.state.items():
            for name in ("exp_avg", "exp_avg_sq"):
                if averages[name].shape != parameter.shape:
                    raise ValueError(f"an average of shape {tuple(averages[name].shape)} fits no parameter")
                averages[name] = torch.empty_like(parameter, requires_grad=False).copy_(averages[name])
