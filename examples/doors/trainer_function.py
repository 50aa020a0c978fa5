"""The training with the Trainer of Hugging Face, in a training function.

Run: actlab compare examples/doors/trainer_function.py relu tanh --seeds 6
"""

import tempfile

import torch
from net_and_data import RATE, accuracy, batches, build, optimizer_of, splits
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

learning_rate = RATE


class WithLoss(nn.Module):
    """A net that returns loss and output, as models of transformers do."""

    def __init__(self):
        super().__init__()
        self.net = build()

    def forward(self, x, labels=None):
        output = self.net(x)
        return {"loss": cross_entropy(output, labels), "logits": output}


def as_arguments(rows):
    """Return a batch by the names of the model's arguments."""
    return {"x": torch.stack([x for x, _ in rows]), "labels": torch.stack([y for _, y in rows])}


class OwnOrder(Trainer):
    """A Trainer that takes the batches in a given order."""

    def get_train_dataloader(self):
        return DataLoader(self.train_dataset, batch_sampler=self.order, collate_fn=as_arguments)


class Reports(TrainerCallback):
    def __init__(self, trial):
        self.trial = trial

    def on_log(self, arguments, state, control, logs=None, **rest):
        if "loss" in logs:
            self.trial.report(step=state.global_step, loss=logs["loss"])


def model(seed):
    return WithLoss()


def train(model, seed, trial):
    data = splits(seed)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            seed=seed,
            num_train_epochs=1,  # the order of the batches has all epochs
            max_grad_norm=0.0,
            logging_steps=1,
            logging_nan_inf_filter=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        )
        optimizer = optimizer_of(model, trial.lr)
        constant = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
        trainer = OwnOrder(
            model,
            arguments,
            train_dataset=TensorDataset(*data["train"]),
            callbacks=[Reports(trial)],
            optimizers=(optimizer, constant),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.order = [rows.tolist() for rows in batches(len(data["train"][0]), seed)]
        trainer.train()
    x, y = data["test" if trial.stage == "main" else "validation"]
    with torch.no_grad():
        return {"accuracy": accuracy(model.eval()(x, y)["logits"], y)}
