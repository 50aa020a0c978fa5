"""The training as a task file: ActLab's loop trains.

Run: actlab compare examples/doors/task_file.py relu tanh --seeds 6
"""

from net_and_data import BATCH, EPOCHS, RATE, accuracy, build, splits
from torch.nn.functional import cross_entropy

direction, metric_name = "max", "accuracy"
epochs, batch_size, learning_rate = EPOCHS, BATCH, RATE
data, loss, metric = splits, cross_entropy, accuracy


def model(seed):
    return build()
