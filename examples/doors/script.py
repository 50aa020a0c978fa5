"""The training as a script: two lines of it are for ActLab, and do nothing when it is run without.

Run: actlab compare --script "python examples/doors/script.py {seed}" relu tanh --seeds 6
"""

import sys

import torch
from net_and_data import accuracy, batches, build, optimizer_of, splits
from torch.nn.functional import cross_entropy

import actlab

seed = int(sys.argv[1])
torch.manual_seed(seed)
model = actlab.apply_(build())
data = splits(seed)
x, y = data["train"]
optimizer = optimizer_of(model)
for step, rows in enumerate(batches(len(x), seed), 1):
    loss = cross_entropy(model(x[rows]), y[rows])
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    actlab.report(step=step, loss=loss)
x, y = data["test"]
with torch.no_grad():
    result = accuracy(model.eval()(x), y)
actlab.report(step=step, accuracy=result)
print(f"accuracy {result:.4f}")
