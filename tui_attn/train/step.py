"""One training step, as fast as the device allows: uint8 images in, updated weights out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from tui_attn.train.accelerator import keep_freed_memory
from tui_attn.train.fast import fast_pass, has_fast_pass
from tui_attn.train.optimiser import adam
from tui_attn.train.tensors import scale_and_shift

Precision = Literal["fp32", "bf16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
"""What convolutions and matrix products compute in."""

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
        self.device = device
        self.dtype = DTYPES[precision]
        self._fast_pass = fast_pass(self.model, device, self.dtype) if kernels == "onednn" else None
        self.kernels = ("onednn" if self._fast_pass else "plain") if has_fast_pass(self.model) else None
        """Which kernels compute, for networks that have a choice on some CPU; None for others."""
        self._optimizer = adam(self.model.parameters(), lr=lr, fused=True, capturable=device.type == "cuda")
        self._copies = Copies(self.model)
        self._scale, self._shift = scale_and_shift(mean, std, device)
        # Saves a kernel a step. Not on a CPU: torch would import its symbolic shapes, which delays the first step.
        self._one = torch.ones((), device=device) if device.type == "cuda" else None

    def train_step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Update the weights by one batch of images, uint8 (B, K, H, W), and labels, int64 (B,).

        Returns the mean loss, float32, and the number of images classified correctly, int64, both of shape () and
        computed before the update; nothing here waits for the device.
        """
        loss, logits = self.update(self.normalize(images), labels)
        return loss, (logits.argmax(1) == labels).sum()

    def normalize(self, images: Tensor) -> Tensor:
        """The network's input, float32 (B, K, H, W), for images uint8 (B, K, H, W)."""
        return images.to(torch.float32, memory_format=self._layout).mul_(self._scale).add_(self._shift)

    def update(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Update the weights by one batch of normalised images: its loss (), and logits (B, classes), before that."""
        logits = self._forward(x)
        loss = F.cross_entropy(logits, labels)
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss, self._one)
        self._copies.give_gradients()
        self._optimizer.step()
        self._copies.renew()
        return loss.detach(), logits.detach()

    @torch.inference_mode()
    def evaluate(self, images: Tensor) -> Tensor:
        """The logits, float32 (N, classes), of images uint8 (N, K, H, W)."""
        self.model.eval()
        try:
            size = EVALUATION_BATCH_CUDA if self.device.type == "cuda" else EVALUATION_BATCH
            return torch.cat([self._forward(self.normalize(part)) for part in torch.split(images, size)])
        finally:
            self.model.train()

    def _forward(self, x: Tensor) -> Tensor:
        """The logits, float32 (B, classes), of normalised images (B, K, H, W)."""
        if self._fast_pass is not None:
            return self._fast_pass(x)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype is torch.bfloat16):
            logits: Tensor = self._copies.call(x)
        return logits.float()

    # ---- for graphs

    def keep_copies(self, x: Tensor) -> None:
        """With bf16, keep the bf16 copies of weights that autocast would make in every step; results stay the same.

        `x`: normalised images for a forward pass, which shows what weights autocast casts.
        """
        if self.dtype is torch.bfloat16 and self._fast_pass is None and not self._copies.kept:
            with torch.autocast(self.device.type, torch.bfloat16):
                self._copies.make(x)

    def drop_copies(self) -> None:
        """Let autocast make the copies again."""
        self._copies.drop()

    def renew_copies(self) -> None:
        """Update the copies after something other than a step has changed the weights."""
        self._copies.renew()

    @property
    def has_stepped(self) -> bool:
        """Whether Adam has averages of gradients."""
        return bool(self._optimizer.state)

    def tensors(self) -> list[Tensor]:
        """All tensors that a step changes, apart from copies and gradients: the network's, then Adam's."""
        averages = [average for state in self._optimizer.state.values() for average in state.values()]
        return [*self.model.parameters(), *self.model.buffers(), *averages]

    def forget_steps(self) -> None:
        """Reset Adam's averages to those before the first step."""
        for state in self._optimizer.state.values():
            for average in state.values():
                average.zero_()

    # ---- checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Weights and optimiser, in plain types that `torch.load(weights_only=True)` reads."""
        optimizer = self._optimizer.state_dict()
        for group in optimizer["param_groups"]:
            group["capturable"] = False  # as on every other device
        return {"model": self.model.state_dict(), "optimizer": optimizer}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`, from any device and memory layout.

        Raises `KeyError`, `TypeError`, `ValueError` or `RuntimeError` for the state of something else.
        """
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        for group in self._optimizer.param_groups:
            group["capturable"] = self.device.type == "cuda"
        # The fused optimiser walks through memory: its averages must lie as the parameters do.
        for parameter, averages in self._optimizer.state.items():
            for name in ("exp_avg", "exp_avg_sq"):
                if averages[name].shape != parameter.shape:
                    raise ValueError(f"an average of shape {tuple(averages[name].shape)} fits no parameter")
                averages[name] = torch.empty_like(parameter, requires_grad=False).copy_(averages[name])


class Copies:
    """bf16 copies of a network's weights, which one kernel renews after each update.

    autocast casts each weight in every step, and its gradient back. A weight that is only ever cast may have
    a persistent bf16 copy instead: the same values, with two kernels a step for all of them.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._weights: list[Tensor] = []
        self._leaves: dict[str, Tensor] = {}
        self._gradients: list[Tensor] = []

    def make(self, x: Tensor) -> None:
        """Make copies of the weights that the network's forward pass under autocast only casts."""
        named = dict(self._model.named_parameters())
        uses = _Uses({id(weight): name for name, weight in named.items()})
        buffers = {name: buffer.clone() for name, buffer in self._model.named_buffers()}
        with torch.no_grad(), uses:
            torch.func.functional_call(self._model, buffers, x)
        self._weights = [weight for name, weight in named.items() if name in uses.cast - uses.other]
        names = [name for name in named if name in uses.cast - uses.other]
        self._leaves = {name: named[name].detach().to(torch.bfloat16).requires_grad_() for name in names}
        self._gradients = [torch.zeros_like(weight) for weight in self._weights]

    @property
    def kept(self) -> bool:
        """Whether there are any."""
        return bool(self._leaves)

    def drop(self) -> None:
        """Remove the copies."""
        self._weights, self._leaves, self._gradients = [], {}, []

    def call(self, x: Tensor) -> Any:
        """The network's output for `x`, with the copies in place of the weights."""
        return torch.func.functional_call(self._model, self._leaves, x) if self._leaves else self._model(x)

    def give_gradients(self) -> None:
        """Set the weights' gradients to those of their copies."""
        if self._leaves:
            found = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in self._leaves.values()]
            torch._foreach_copy_(self._gradients, found)
            for weight, gradient, leaf in zip(self._weights, self._gradients, self._leaves.values(), strict=True):
                weight.grad, leaf.grad = gradient, None

    def renew(self) -> None:
        """Make the copies equal to the weights."""
        if self._leaves:
            with torch.no_grad():
                torch._foreach_copy_(list(self._leaves.values()), self._weights)


class _Uses(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records which weights are cast to bf16 and which are used otherwise."""

    def __init__(self, names: dict[int, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._names = names
        self.cast: set[str] = set()
        self.other: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        to = (kwargs or {}).get("dtype")
        for item in tree_iter((args, kwargs)):
            name = self._names.get(id(item))
            if name is not None:
                (self.cast if func is torch.ops.aten._to_copy.default and to is torch.bfloat16 else self.other).add(
                    name
                )
        return func(*args, **(kwargs or {}))
