"""Net, data and order of the batches of one small training, which the files beside this one bring to ActLab in five ways."""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

EPOCHS, BATCH, RATE = 3, 64, 2e-3


def build():
    """Return a new net."""
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))


def splits(seed):
    """Return training, validation and test split of scikit-learn's digits for a seed, as pairs of tensors."""
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
    rest, test = train_test_split(range(len(x)), test_size=0.2, random_state=seed)
    train, validation = train_test_split(rest, test_size=0.2, random_state=seed)
    return {"train": (x[train], y[train]), "validation": (x[validation], y[validation]), "test": (x[test], y[test])}


def batches(count, seed):
    """Yield the rows of every batch, epoch by epoch, in the order in which the loop of ActLab takes them."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(EPOCHS):
        yield from torch.randperm(count, generator=generator).split(BATCH)


def optimizer_of(model, lr=RATE):
    """Return the optimizer."""
    return torch.optim.Adam(model.parameters(), lr=lr, fused=True)


def accuracy(output, target):
    """Return the share of rows whose largest output is the target."""
    return int((output.argmax(1) == target).sum()) / len(target)
