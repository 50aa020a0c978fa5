"""A LightningModule with its DataModule, compared as it is: copy this file, and put your own module, data and Trainer in.

Run: actlab compare examples/lightning_task.py relu gelu silu --seeds 8
"""

import lightning
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

learning_rate = 2e-3  # of trial.lr, which --tune lr varies


class Digits(lightning.LightningDataModule):
    def __init__(self, seed):
        super().__init__()
        self.seed = seed

    def setup(self, stage):
        x, y = load_digits(return_X_y=True)
        x, y = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
        rest, self.test = train_test_split(range(len(x)), test_size=0.2, random_state=self.seed)
        self.train, self.validation = train_test_split(rest, test_size=0.2, random_state=self.seed)
        self.of = lambda rows: TensorDataset(x[rows], y[rows])

    def train_dataloader(self):
        return DataLoader(self.of(self.train), batch_size=64, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.of(self.validation), batch_size=512)

    def test_dataloader(self):
        return DataLoader(self.of(self.test), batch_size=512)


class Classifier(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        self.learning_rate = learning_rate

    def training_step(self, batch, index):
        x, y = batch
        return F.cross_entropy(self.net(x), y)

    def validation_step(self, batch, index):
        x, y = batch
        self.log("accuracy", (self.net(x).argmax(1) == y).float().mean())

    test_step = validation_step

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), self.learning_rate)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


# ------------------------------------------------- what ActLab needs: a model for a seed, and a training that returns its result


def model(seed):
    """Return a new module; torch's generator is seeded with `seed` before."""
    return Classifier()


def train(model, seed, trial):
    """Fit the module with its swapped activations, and return the metric: on the test split in the main trials only."""
    model.learning_rate = trial.lr
    data = Digits(seed)
    trainer = lightning.Trainer(
        max_epochs=max(1, round(8 * trial.steps_share)),  # fewer where learning rates are tried
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Reports(trial)],
    )
    trainer.fit(model, data)
    evaluate = trainer.test if trial.stage == "main" else trainer.validate
    (results,) = evaluate(model, data, verbose=False)
    return {"accuracy": results["accuracy"]}


class Reports(lightning.Callback):
    """Report the loss of every step and the metric of every validation, for the curves."""

    def __init__(self, trial):
        self.trial = trial

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        self.trial.report(step=trainer.global_step, loss=outputs["loss"])

    def on_validation_epoch_end(self, trainer, module):
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self.trial.report(step=trainer.global_step, accuracy=trainer.callback_metrics["accuracy"])
