"""Train a LightningModule, an autoencoder of handwritten digits, and test it."""

import argparse

import lightning as L
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split


class LitAutoEncoder(L.LightningModule):
    def __init__(self, lr=1e-3):
        super().__init__()
        self.save_hyperparameters()
        self.encoder = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4))
        self.decoder = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 64))

    def forward(self, x):
        return self.decoder(self.encoder(x))

    def training_step(self, batch, batch_idx):
        (x,) = batch
        loss = nn.functional.mse_loss(self(x), x)
        self.log("train_loss", loss)
        return loss

    def test_step(self, batch, batch_idx):
        (x,) = batch
        self.log("test_mse", nn.functional.mse_loss(self(x), x))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--max_epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    L.seed_everything(args.seed)
    dataset = TensorDataset(torch.tensor(load_digits().data / 16, dtype=torch.float32))
    train, test = random_split(dataset, [1437, 360])
    autoencoder = LitAutoEncoder()
    trainer = L.Trainer(
        max_epochs=args.max_epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(autoencoder, DataLoader(train, batch_size=32, shuffle=True))
    (result,) = trainer.test(autoencoder, DataLoader(test, batch_size=360))
    print(f"mean squared error {result['test_mse']:.5f}")


if __name__ == "__main__":
    main()
