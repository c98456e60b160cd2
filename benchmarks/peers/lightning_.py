# mypy: ignore-errors
"""The same training by PyTorch Lightning's Trainer."""

import tempfile

import pytorch_lightning as pl
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

from benchmarks.peers.common import MEAN, STD, arguments, report
from benchmarks.peers.networks import NETWORKS


class Lit(pl.LightningModule):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.net = NETWORKS[name]()

    def training_step(self, batch, _index):
        images, labels = batch
        loss = F.cross_entropy(self.net(images), labels)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, _index):
        images, labels = batch
        accuracy = (self.net(images).argmax(1) == labels).float().mean()
        self.log("test_accuracy", accuracy)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.001)


def main() -> None:
    args = arguments()
    pl.seed_everything(0)
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))])
    train_set = Subset(datasets.FashionMNIST(args.data, train=True, transform=transform), range(args.train_limit))
    test_set = Subset(datasets.FashionMNIST(args.data, train=False, transform=transform), range(args.test_limit))
    workers = {"num_workers": args.workers, "persistent_workers": args.workers > 0}
    model = Lit(args.model)
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            max_epochs=args.epochs,
            precision="bf16-mixed" if args.precision == "bf16" else "32-true",
            default_root_dir=folder,
            enable_progress_bar=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(
            model,
            DataLoader(train_set, batch_size=128, shuffle=True, **workers),
            DataLoader(test_set, batch_size=128, **workers),
        )
        accuracy = float(trainer.callback_metrics["test_accuracy"])
    report(sum(p.numel() for p in model.parameters()), accuracy)


if __name__ == "__main__":
    main()
