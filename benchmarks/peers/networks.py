# mypy: ignore-errors
"""The lab's three networks as one writes them in an afternoon: `nn` modules, called one after another."""

from torch import Tensor, nn
from torch.nn import functional as F


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, padding=1)
        self.fc = nn.Linear(64 * 7 * 7, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        return self.fc(x.view(x.size(0), -1))


class SEBlock(nn.Module):
    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channels, reduction, bias=False),
            nn.ReLU(),
            nn.Linear(reduction, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        b, c, _, _ = x.size()
        y = self.fc(self.avg_pool(x).view(b, c)).view(b, c, 1, 1)
        return x * y


class SE(Base):
    def __init__(self) -> None:
        super().__init__()
        self.se1 = SEBlock(32)
        self.se2 = SEBlock(64)

    def forward(self, x: Tensor) -> Tensor:
        x = self.se1(F.relu(F.max_pool2d(self.conv1(x), 2)))
        x = self.se2(F.relu(F.max_pool2d(self.conv2(x), 2)))
        return self.fc(x.view(x.size(0), -1))


class SelfAttention(Base):
    def __init__(self) -> None:
        super().__init__()
        self.to_token = nn.Linear(49, 128)
        self.attn = nn.MultiheadAttention(embed_dim=128, num_heads=8, batch_first=True)
        self.to_map = nn.Linear(128, 49)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2)).flatten(2)
        tokens = self.to_token(x)
        out, _ = self.attn(tokens, tokens, tokens)
        return self.fc((x + self.to_map(out)).flatten(1))


NETWORKS = {"base": Base, "se": SE, "self-attention": SelfAttention}
