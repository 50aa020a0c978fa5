"""A task of your own: predict the progression of diabetes (scikit-learn's 442 patients) with a residual MLP.

Run: actlab compare examples/my_task.py relu gelu silu --seeds 8
"""

from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F

direction = "min"  # a smaller metric is better
metric_name = "test RMSE"
rope = 0.01  # differences below 0.01 standard deviations do not matter to us
epochs, batch_size, learning_rate = 30, 32, 1e-3


class Net(nn.Module):
    """A residual MLP that calls its activation as a function, which ActLab finds and replaces all the same."""

    def __init__(self):
        super().__init__()
        self.enter, self.inner, self.leave = nn.Linear(10, 32), nn.Linear(32, 32), nn.Linear(32, 1)

    def forward(self, x):
        h = F.relu(self.enter(x))
        return self.leave(h + F.relu(self.inner(h))).squeeze(1)


def model(seed):
    """Return a new model; torch's generator is seeded with `seed` before."""
    return Net()


def data(seed):
    """Return the splits for a seed: every seed draws another one, the same for all activations."""
    x, y = load_diabetes(return_X_y=True)
    x, y = x / x.std(axis=0), (y - y.mean()) / y.std()
    rest, test, y_rest, y_test = train_test_split(x, y, test_size=0.2, random_state=seed)
    train, validation, y_train, y_validation = train_test_split(rest, y_rest, test_size=0.2, random_state=seed)
    return {
        "train": (train, y_train.astype("float32")),
        "validation": (validation, y_validation.astype("float32")),
        "test": (test, y_test.astype("float32")),
    }


loss = F.mse_loss


def metric(output, target):
    """Root mean squared error over the whole test split."""
    return F.mse_loss(output, target).sqrt().item()
