"""The training as a LightningModule, trained in a training function.

Run: actlab compare examples/doors/lightning_function.py relu tanh --seeds 6
"""

import lightning
from net_and_data import RATE, accuracy, batches, build, optimizer_of, splits
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

learning_rate = RATE


class Classifier(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net, self.rate = build(), RATE

    def training_step(self, batch, index):
        x, y = batch
        return cross_entropy(self.net(x), y)

    def test_step(self, batch, index):
        x, y = batch
        self.log("accuracy", accuracy(self.net(x), y))

    def configure_optimizers(self):
        return optimizer_of(self, self.rate)


class Reports(lightning.Callback):
    def __init__(self, trial):
        self.trial = trial

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        self.trial.report(step=trainer.global_step, loss=outputs["loss"])


def model(seed):
    return Classifier()


def train(model, seed, trial):
    data = splits(seed)
    model.rate = trial.lr
    order = [rows.tolist() for rows in batches(len(data["train"][0]), seed)]
    trainer = lightning.Trainer(
        max_epochs=1,  # the order of the batches has all epochs
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Reports(trial)],
    )
    trainer.fit(model, DataLoader(TensorDataset(*data["train"]), batch_sampler=order))
    held_out = data["test" if trial.stage == "main" else "validation"]
    (result,) = trainer.test(model, DataLoader(TensorDataset(*held_out), batch_size=len(held_out[0])), verbose=False)
    return {"accuracy": result["accuracy"]}
