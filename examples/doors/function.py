"""The training as a function: its own loop trains.

Run: actlab compare examples/doors/function.py relu tanh --seeds 6
"""

import torch
from net_and_data import RATE, accuracy, batches, build, optimizer_of, splits
from torch.nn.functional import cross_entropy

learning_rate = RATE


def model(seed):
    return build()


def train(model, seed, trial):
    data = splits(seed)
    x, y = data["train"]
    optimizer = optimizer_of(model, trial.lr)
    for step, rows in enumerate(batches(len(x), seed), 1):
        loss = cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        trial.report(step=step, loss=loss)
    x, y = data["test" if trial.stage == "main" else "validation"]
    with torch.no_grad():
        return {"accuracy": accuracy(model.eval()(x), y)}
