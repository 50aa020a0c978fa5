"""A Hugging Face Trainer compared as it is: copy this file, and put your own model, data sets and TrainingArguments in.

Run: actlab compare examples/trainer_task.py gelu relu silu --seeds 8
"""

import tempfile

import torch
from torch.utils.data import Dataset
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

learning_rate = 1e-3  # of trial.lr, which --tune lr varies


class Tokens(Dataset):
    """Sequences of 12 tokens from 0 to 7; the label says whether their first half has the larger sum."""

    def __init__(self, size, seed):
        self.tokens = torch.randint(8, (size, 12), generator=torch.Generator().manual_seed(seed))
        self.labels = (self.tokens[:, :6].sum(1) > self.tokens[:, 6:].sum(1)).long()

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return {"input_ids": self.tokens[index], "labels": self.labels[index]}


def accuracy(prediction):
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


# ------------------------------------------------- what ActLab needs: a model for a seed, and a training that returns its result


def model(seed):
    """Return a new model; torch's generator is seeded with `seed` before."""
    config = BertConfig(
        vocab_size=8,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=12,
    )
    return BertForSequenceClassification(config)


def example_inputs(seed):
    """Return a batch as the model takes it, on which ActLab finds the activations that run."""
    return {"input_ids": Tokens(4, seed).tokens}


def train(model, seed, trial):
    """Train the model with its swapped activations, and return the metric: on the test split in the main trials only."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            seed=seed,
            learning_rate=trial.lr,
            num_train_epochs=8 * trial.steps_share,  # fewer where learning rates are tried
            per_device_train_batch_size=32,
            weight_decay=0.01,
            warmup_steps=10,
            lr_scheduler_type="cosine",
            logging_steps=10,
            logging_nan_inf_filter=False,  # so that a loss of NaN is reported, and not the mean of those before
            eval_strategy="steps",
            eval_steps=20,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        )
        trainer = Trainer(
            model_init=lambda: model,  # the model of the trial, with its weights and activations
            args=arguments,
            train_dataset=Tokens(640, seed),
            eval_dataset=Tokens(200, seed + 1_000),
            compute_metrics=accuracy,
            callbacks=[Reports(trial)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        test = Tokens(400, seed + 2_000) if trial.stage == "main" else None
        return {"accuracy": trainer.evaluate(test)["eval_accuracy"]}


class Reports(TrainerCallback):
    """Report what the Trainer logs while it trains: the loss, and the metric of every evaluation."""

    def __init__(self, trial):
        self.trial, self.is_training = trial, True

    def on_log(self, arguments, state, control, logs=None, **rest):
        names = {"loss": "loss", "eval_accuracy": "accuracy"}
        values = {names[name]: value for name, value in (logs or {}).items() if name in names}
        if values and self.is_training:
            self.trial.report(step=state.global_step, **values)

    def on_train_end(self, arguments, state, control, **rest):
        self.is_training = False  # the evaluation that follows is the result
