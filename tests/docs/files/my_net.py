"""A trained net of a user's own with its data, which pages of the documentation name in commands."""

import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 4)
y = (x[:, 0] * x[:, 1] > 0).long()
model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for _ in range(60):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x[:300]), y[:300]).backward()
    optimizer.step()
data = {"train": (x[:300], y[:300]), "test": (x[300:], y[300:])}
