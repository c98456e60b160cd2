from torch import nn


class Net(nn.Module):
    def __init__(self, c, s, n):
        super().__init__()
        self.fc = nn.Linear(c * s * s, n)
        self.calls = 0

    def forward(self, x):
        self.calls += self.training
        if self.calls > 7:
            raise RuntimeError("seven is enough")
        return self.fc(x.flatten(1))
