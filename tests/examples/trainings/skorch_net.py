"""Classify two interleaved moons with skorch: a net as an estimator, early stopping on a held-out split, a score."""

import sys

import torch
from sklearn.datasets import make_moons
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from torch import nn


class Net(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2)
        )

    def forward(self, x):
        return self.layers(x)


seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
epochs = int(sys.argv[2]) if len(sys.argv) > 2 else 20
torch.manual_seed(seed)
x, y = make_moons(600, noise=0.2, random_state=seed)
x_train, x_test, y_train, y_test = train_test_split(x.astype("float32"), y, random_state=seed)
net = NeuralNetClassifier(
    Net(),
    criterion=nn.CrossEntropyLoss,
    optimizer=torch.optim.Adam,
    lr=0.01,
    max_epochs=epochs,
    batch_size=64,
    callbacks=[EarlyStopping(patience=5)],
    verbose=0,
)
net.fit(x_train, y_train)
score = net.score(x_test, y_test)
print(f"accuracy {score:.4f} after {len(net.history)} epochs")
