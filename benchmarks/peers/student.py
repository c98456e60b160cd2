# mypy: ignore-errors
# ruff: noqa: PLW2901
"""The plain PyTorch script: torchvision, a DataLoader, Adam, a look at the loss in every step."""

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

from benchmarks.peers.common import MEAN, STD, arguments, report
from benchmarks.peers.networks import NETWORKS


def main() -> None:
    args = arguments()
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))])
    train_set = Subset(datasets.FashionMNIST(args.data, train=True, transform=transform), range(args.train_limit))
    test_set = Subset(datasets.FashionMNIST(args.data, train=False, transform=transform), range(args.test_limit))
    train_loader = DataLoader(train_set, batch_size=128, shuffle=True, num_workers=args.workers)
    test_loader = DataLoader(test_set, batch_size=128, num_workers=args.workers)
    model = NETWORKS[args.model]().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)

    for epoch in range(args.epochs):
        model.train()
        total = 0.0
        for images, labels in train_loader:
            images, labels = images.to(device), labels.to(device)
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
        model.eval()
        correct = 0
        with torch.no_grad():
            for images, labels in test_loader:
                images, labels = images.to(device), labels.to(device)
                correct += (model(images).argmax(1) == labels).sum().item()
        accuracy = correct / len(test_set)
        print(f"epoch {epoch + 1}: loss {total / len(train_loader):.4f}, test accuracy {accuracy:.4f}", flush=True)
    report(sum(p.numel() for p in model.parameters()), accuracy)


if __name__ == "__main__":
    main()
