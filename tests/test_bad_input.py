"""Messages for wrong input: one message without a traceback, before any training.

Each case of the table below is run by the real command line (or, where it starts with ``actlab.``, in Python). Run this file as a
script to print the table with the full messages: ``python tests/test_bad_input.py > docs/reference/error_messages.md``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import runpy
import shlex
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

import actlab
from actlab import cli
from actlab.cli.json_output import only_results_on_stdout
from actlab.errors import ActlabError
from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial

GOOD = """
import torch
from torch import nn

def model(seed):
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

def data(seed):
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(seed))
    y = (x[:, 0] > 0).long()
    return {"train": (x[:40], y[:40]), "test": (x[40:], y[40:])}

loss = nn.functional.cross_entropy

def metric(output, target):
    return (output.argmax(1) == target).float().mean().item()

direction = "max"
epochs = 1
"""
CONVOLUTION = GOOD.replace(
    "nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)",
    "nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 8, 1), nn.ReLU(), nn.BatchNorm1d(8), nn.Flatten(), nn.Linear(32, 2)",
)
LARGER_LABEL = GOOD.replace("y = (x[:, 0] > 0).long()", "y = (x[:, 0] > 0).long() + 5")
NO_TEST = GOOD.replace(', "test": (x[40:], y[40:])', "")
NAN_INPUT = GOOD.replace("y = (x", "x[3, 1] = float('nan')\n    y = (x")
UNEQUAL = GOOD.replace("y[:40])", "y[:30])")
WRONG_SHAPE = GOOD.replace("nn.Linear(4, 8)", "nn.Linear(5, 8)")
TEXT_METRIC = GOOD.replace("return (output", "return 'good' or (output")
TENSOR_LOSS = GOOD.replace("nn.functional.cross_entropy", "lambda output, target: output")
LOADER = GOOD.replace("import torch\n", "import torch\nfrom torch.utils import data as torch_data\n", 1).replace(
    """    return {"train": (x[:40], y[:40]), "test": (x[40:], y[40:])}
""",
    """    return {"train": loader(x[:40], y[:40]), "test": loader(x[40:], y[40:])}

def loader(x, y):
    return torch_data.DataLoader(Rows(x, y), batch_size=8)

class Rows(torch_data.Dataset):
    def __init__(self, x, y):
        self.x, self.y = x, y
    def __len__(self):
        return len(self.x)
    def __getitem__(self, row):
        return self.x[row], self.y[row]
""",
)
SEVERAL_METRICS = GOOD.replace("def metric(", "def accuracy(")

CLAIM = """
from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

claim = Claim(
    sentence="GELU is better.",
    source=Source(text="folklore"),
    domain="vision",
    studies={"main": ClaimStudy(task="digits", arms=("relu", "gelu"))},
    parts=(Part(says="GELU is better", effect=difference("gelu", "relu"), smallest=0.01, unit="accuracy"),),
)
"""


def _rows(returned: str) -> str:
    return LOADER.replace("return self.x[row], self.y[row]", returned)


def _with_step(step: str) -> str:
    return f"{LOADER}\ndef step(model, batch):\n    {step}\n"


def _loader(returned: str) -> str:
    return LOADER.replace("return torch_data.DataLoader(Rows(x, y), batch_size=8)", returned)


NO_MODULE = GOOD.replace("return nn.Sequential(", "return (")
NO_SITE = GOOD.replace("nn.ReLU(), ", "")
VALIDATED = GOOD.replace('"test": (x[40:], y[40:])', '"validation": (x[40:50], y[40:50]), "test": (x[50:], y[50:])')
OWN_RATE = GOOD[: GOOD.index("def data")] + "def train(model, seed):\n    return {'accuracy': 0.5}\n"


def _train(ending: str) -> str:
    return f"""
import torch
from torch import nn

x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))

def model(seed):
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

def train(model):
    {ending}

"""


def _file(text: str) -> Callable[[], None]:
    return lambda: Path("my_task.py").write_text(text, encoding="utf-8") and None


def _loop(setting: str) -> Callable[[], None]:
    """A task with a validation split and something that its training loop is asked for."""
    return _file(f"{VALIDATED}\n{setting}\n")


def _axes(line: str) -> Callable[[], None]:
    """A good task, and a file with an axis of robustness of one's own."""

    def write() -> None:
        _good_task()
        Path("my_axes.py").write_text(
            "from actlab.evaluate.axes.adversarial import AttackSettings, adversarial_axis\n"
            f"from actlab.evaluate.axes.robustness import RobustnessSettings, robustness_axis\n{line}\n",
            encoding="utf-8",
        )

    return write


OWN_AXIS = "import actlab\n@actlab.axis('max')\ndef width(model, data):\n    return 1.0\n"


OBSTACLES = """
import torch
from torch import nn

class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x):
        self.mean.mul_(0.9).add_(0.1 * x.mean())
        return x - self.mean

class Branch(nn.Module):
    def forward(self, x):
        return x.relu() if x.sum() > 0 else x.tanh()

model = nn.Sequential(nn.Linear(4, 8), Counter(), Branch())
example_inputs = torch.zeros(3, 4)
"""


def _published(text: str) -> Callable[[], None]:
    return lambda: Path("table.csv").write_text(text, encoding="utf-8") and None


def _good_task() -> None:
    _file(GOOD)()


def _task_beside_a_folder() -> None:
    _good_task()
    Path("folder").mkdir()


def _newer_store() -> None:
    _quietly("actlab studies --store sqlite:///none.db")
    _study("new.db")
    with contextlib.closing(sqlite3.connect("new.db")) as connection, connection:
        connection.execute("UPDATE actlab_schema SET version = 99")


def _no_database() -> None:
    Path("notes.db").write_text("These are my notes, and no database.\n" * 40, encoding="utf-8")


def _study(store: str = "mine.db") -> None:
    _file(GOOD)()
    _quietly(f"actlab compare my_task.py relu gelu --seeds 1 --jobs 1 --name mine --store sqlite:///{store}")


def _tuned_study() -> None:
    _file(VALIDATED)()
    _quietly("actlab compare my_task.py relu gelu --tune lr --seeds 1 --jobs 1 --name mine --store sqlite:///mine.db")


def _earlier_study() -> None:
    _quietly("actlab compare digits:protocol-1 relu gelu --seeds 1 --jobs 1 --name mine --store sqlite:///mine.db")


# by its path, as this file is run as a script too
_write_script = runpy.run_path(str(Path(__file__).parent / "tasks" / "scripts" / "stub.py"))["write_script"]


def _script(body: str) -> Callable[[], None]:
    return lambda: _write_script(Path(), body) and None


def _folder(name: str) -> Callable[[], None]:
    return lambda: Path(name).mkdir()


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """What is wrong, what is typed, what the message has to say, and what lies in the folder."""

    wrong: str
    typed: str
    says: tuple[str, ...]
    first: Callable[[], None] = _good_task


GOOD_SCRIPT = _script("apply_()\nactlab.report(step=1, accuracy=0.5)")
ON_DISK = "--jobs 1 --store sqlite:///mine.db"
TABLE = [
    # names and specs
    Wrong(
        wrong="an activation that does not exist",
        typed="actlab show gelo",
        says=("There is no activation 'gelo'", "Did you mean 'gelu'", "actlab list"),
    ),
    Wrong(
        wrong="the same, in a comparison",
        typed="actlab compare my_task.py relu gelo",
        says=("There is no activation 'gelo'", "Did you mean 'gelu'"),
    ),
    Wrong(
        wrong="a spec that cannot be read",
        typed="actlab compare my_task.py relu 'gelu('",
        says=("'gelu(' cannot be read", "A parenthesis is not closed."),
    ),
    Wrong(
        wrong="a parameter of another name",
        typed="actlab compare my_task.py relu 'leaky_relu(slope=0.1)'",
        says=("sets 'slope'", "negative_slope=0.01"),
    ),
    Wrong(
        wrong="more values than parameters",
        typed="actlab compare my_task.py relu 'elu(1, 2)'",
        says=("too many values", "elu(alpha=1)"),
    ),
    Wrong(wrong="a value that is no number", typed="actlab compare my_task.py relu 'elu(alpha=much)'", says=("much",)),
    Wrong(
        wrong="a value out of range",
        typed="actlab compare my_task.py relu 'hardshrink(-1)'",
        says=("lambd=-1 is out of range", "from 0 up"),
    ),
    Wrong(
        wrong="a kind that does not exist",
        typed="actlab list --kind gate",
        says=("--kind is 'gate'", "Did you mean 'gated'"),
    ),
    Wrong(
        wrong="a baseline that does not exist",
        typed="actlab compare my_task.py relu gelu --baseline gelo",
        says=("There is no activation 'gelo'",),
    ),
    Wrong(wrong="a single arm", typed="actlab compare my_task.py relu", says=("Only one arm, relu", "needs two")),
    Wrong(wrong="an arm named twice", typed="actlab compare my_task.py relu gelu relu", says=("named twice: relu",)),
    # the catalogue
    Wrong(
        wrong="a parameter of another name, shown",
        typed="actlab show 'leaky_relu(slope=0.1)'",
        says=("sets 'slope'", "negative_slope=0.01"),
    ),
    Wrong(
        wrong="a parameter for a function that has none",
        typed="actlab show 'relu(3)'",
        says=("too many values", "relu takes no parameters"),
    ),
    Wrong(
        wrong="a value out of range, shown",
        typed="actlab show 'elu(alpha=-1)'",
        says=("alpha=-1 is out of range", "a number above 0"),
    ),
    Wrong(
        wrong="a value that is not finite",
        typed="actlab show 'swish(beta=inf)'",
        says=("beta=inf is out of range", "any number"),
    ),
    Wrong(
        wrong="a whole number that is to be learned",
        typed="""actlab.layer("maxout(k=learned)")""",
        says=("learns k", "no gradient", "a whole number from 1 to 65536"),
    ),
    Wrong(
        wrong="a fraction of a whole number",
        typed="""actlab.layer("maxout(k=2.5)")""",
        says=("k=2.5 is out of range", "a whole number from 1 to 65536"),
    ),
    Wrong(
        wrong="a layer of a name that does not exist",
        typed="""actlab.layer("swigul")""",
        says=("There is no activation 'swigul'", "Did you mean 'swiglu'"),
    ),
    Wrong(
        wrong="a kind to find that does not exist",
        typed="actlab find --kind scalar",
        says=("--kind is 'scalar'", "elementwise"),
    ),
    Wrong(
        wrong="a family that does not exist",
        typed="actlab find --family shrinkige",
        says=("There is no family of activations 'shrinkige'", "Did you mean 'shrinkage'"),
    ),
    Wrong(
        wrong="a bound that is no number",
        typed="actlab find --lower zero",
        says=("--lower",),
    ),
    Wrong(
        wrong="bounds that cross",
        typed="actlab find --lower 2 --upper 1",
        says=("lower is 2 and upper is 1",),
    ),
    Wrong(
        wrong="a negative bound of the slope",
        typed="actlab find --slope -1",
        says=("slope is -1", "from 0 up"),
    ),
    Wrong(
        wrong="a property that cannot be asked for",
        typed="actlab find --monoton",
        says=("No such option", "--monotone"),
    ),
    Wrong(
        wrong="something to be like that has no curve",
        typed="actlab find --like swiglu",
        says=("swiglu is a gated function",),
    ),
    Wrong(
        wrong="a page for a name that does not exist",
        typed="actlab reference gelo --out pages",
        says=("There is no activation 'gelo'", "Did you mean 'gelu'"),
    ),
    Wrong(
        wrong="a file in the place of a folder",
        typed="actlab reference relu --out my_task.py",
        says=("'my_task.py' cannot be created", "File exists"),
    ),
    # the training loop
    Wrong(
        wrong="a precision that does not exist",
        typed="actlab compare my_task.py relu gelu",
        says=("precision of the task my_task is 'fp8'", "'bf16', 'fp16'"),
        first=_loop('precision = "fp8"'),
    ),
    Wrong(
        wrong="the precision of the model, as others write it",
        typed="actlab compare my_task.py relu gelu",
        says=("precision of the task my_task is '32-true'", "Remove it for the dtype of the model"),
        first=_loop('precision = "32-true"'),
    ),
    Wrong(
        wrong="early stopping without a validation split",
        typed="actlab compare my_task.py relu gelu",
        says=("patience of the task my_task is 5", "no validation split", "the test split is read once"),
        first=_file(f"{GOOD}patience = 5\n"),
    ),
    Wrong(
        wrong="early stopping that never waits",
        typed="actlab compare my_task.py relu gelu",
        says=("patience of the task my_task is 0", "a whole number from 1 up", "or None"),
        first=_loop("patience = 0"),
    ),
    Wrong(
        wrong="evaluations more than once a step",
        typed="actlab compare my_task.py relu gelu",
        says=("validate_every of the task my_task is 0.5", "steps between two evaluations"),
        first=_loop("validate_every = 0.5"),
    ),
    Wrong(
        wrong="an average that never changes",
        typed="actlab compare my_task.py relu gelu",
        says=("ema of the task my_task is 1.5", "between 0 and 1", "such as 0.999"),
        first=_loop("ema = 1.5"),
    ),
    Wrong(
        wrong="gradients of no batch",
        typed="actlab compare my_task.py relu gelu",
        says=("accumulate of the task my_task is 0", "batches for a step of the optimizer"),
        first=_loop("accumulate = 0"),
    ),
    Wrong(
        wrong="a norm below zero",
        typed="actlab compare my_task.py relu gelu",
        says=("clip_norm of the task my_task is -1", "a number above 0"),
        first=_loop("clip_norm = -1"),
    ),
    Wrong(
        wrong="a scheduler that is not returned",
        typed="actlab compare my_task.py relu gelu",
        says=("scheduler of the task my_task returned a NoneType", "Is a `return` missing?"),
        first=_loop("def scheduler(optimizer, total_steps):\n    torch.optim.lr_scheduler.StepLR(optimizer, 10)"),
    ),
    Wrong(
        wrong="a scheduler, not a function that makes one",
        typed="actlab compare my_task.py relu gelu",
        says=("scheduler of the task my_task is a str", "scheduler(optimizer, total_steps)"),
        first=_loop('scheduler = "cosine"'),
    ),
    Wrong(
        wrong="a scheduler for fewer steps",
        typed="actlab compare my_task.py relu gelu",
        says=("scheduler of my_task", "stepped after every step of the optimizer", "Tried to step"),
        first=_loop(
            "batch_size = 4\ndef scheduler(optimizer, total_steps):\n"
            "    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=5)"
        ),
    ),
    Wrong(
        wrong="a plateau of a loss, for a metric of which more is better",
        typed="actlab compare my_task.py relu gelu",
        says=("ReduceLROnPlateau(mode='min')", "whose direction is 'max'"),
        first=_loop(
            "def scheduler(optimizer, total_steps):\n    return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)"
        ),
    ),
    Wrong(
        wrong="an optimizer that computes the loss again",
        typed="actlab compare my_task.py relu gelu",
        says=("optimizer of the task my_task is a LBFGS", "a closure", "use a training function"),
        first=_loop("def optimizer(parameters, lr):\n    return torch.optim.LBFGS(parameters, lr=lr)"),
    ),
    Wrong(
        wrong="a backend in the place of whether to compile",
        typed="actlab compare my_task.py relu gelu",
        says=("compile of the task my_task is 'inductor'", "True and False"),
        first=_loop('compile = "inductor"'),
    ),
    Wrong(
        wrong="checkpoints at no time",
        typed="actlab compare my_task.py relu gelu --checkpoint-every often",
        says=("checkpoint_every is 'often'", "0 or 'none' turns it off"),
    ),
    # settings
    Wrong(
        wrong="a measure that does not exist",
        typed="actlab importance my_task.py --measure acuracy",
        says=("--measure is 'acuracy'", "cross_entropy"),
    ),
    Wrong(
        wrong="a tolerance below zero",
        typed="actlab importance my_task.py --tolerance -0.1",
        says=("tolerance is the allowed loss", "-0.1"),
    ),
    Wrong(
        wrong="a task that cannot be looked into",
        typed="actlab importance digit",
        says=("no task 'digit'", "Did you mean 'digits'"),
    ),
    Wrong(
        wrong="a negative number of seeds",
        typed="actlab compare my_task.py relu gelu --seeds -3",
        says=("seeds is -3", "from 1 up"),
    ),
    Wrong(wrong="no seeds", typed="actlab compare my_task.py relu gelu --seeds 0", says=("seeds is 0", "from 1 up")),
    Wrong(
        wrong="seeds that are no number",
        typed="actlab compare my_task.py relu gelu --seeds many",
        says=("--seeds", "integer"),
    ),
    Wrong(
        wrong="a budget that is no time",
        typed="actlab compare my_task.py relu gelu --budget soon",
        says=("budget is 'soon'", "10m"),
    ),
    Wrong(
        wrong="an error rate above one",
        typed="actlab compare my_task.py relu gelu --alpha 1.5",
        says=("alpha is 1.5", "between 0 and 1"),
    ),
    Wrong(
        wrong="a negative region of equivalence",
        typed="actlab compare my_task.py relu gelu --rope -0.1",
        says=("rope is -0.1", "from 0 up"),
    ),
    Wrong(
        wrong="a target of another metric",
        typed="actlab compare my_task.py relu gelu --target f1=0.9",
        says=("The target names 'f1'", "allowed are 'metric'", "'loss'"),
    ),
    Wrong(
        wrong="a target without a value",
        typed="actlab compare my_task.py relu gelu --target 0.95",
        says=("The target is '0.95'", "one name with one value", "--target metric=0.95"),
    ),
    Wrong(
        wrong="a target that is no number",
        typed="actlab compare my_task.py relu gelu --target metric=95%",
        says=("The target of metric is '95%'", "a finite number is needed"),
    ),
    Wrong(
        wrong="two targets at once",
        typed="actlab compare my_task.py relu gelu --target metric=0.9,loss=0.1",
        says=("needed is one name with one value",),
    ),
    Wrong(
        wrong="an unknown init policy",
        typed="actlab compare my_task.py relu gelu --init he",
        says=("--init is 'he'", "fixed, matched"),
    ),
    Wrong(
        wrong="something that cannot be tuned",
        typed="actlab compare my_task.py relu gelu --tune momentum",
        says=("--tune is 'momentum'", "allowed are lr, lr-grid"),
    ),
    Wrong(
        wrong="learning rates to tune, and no validation split",
        typed="actlab compare my_task.py relu gelu --tune lr",
        says=("needs a validation split, and my_task has none", "omit tune"),
    ),
    Wrong(
        wrong="learning rates to tune of a training function that has its own",
        typed="actlab compare my_task.py relu gelu --tune lr",
        says=("train of my_task does not read trial.lr", "give trial.lr to the optimizer"),
        first=_file(OWN_RATE),
    ),
    Wrong(
        wrong="another way to tune than the study began with",
        typed=f"actlab compare my_task.py relu gelu --tune lr-grid --seeds 1 --name mine {ON_DISK}",
        says=("tuning of the learning rate: successive halving in the store, all rates to the end now",),
        first=_tuned_study,
    ),
    Wrong(
        wrong="more seeds for a study of the digits that an earlier version began",
        typed=f"actlab compare digits relu gelu --seeds 2 --name mine {ON_DISK}",
        says=("the store has an earlier protocol of digits; the task 'digits:protocol-1' is that one",),
        first=_earlier_study,
    ),
    Wrong(wrong="no workers", typed="actlab compare my_task.py relu gelu --jobs 0", says=("jobs is 0", "from 1 up")),
    Wrong(
        wrong="device that does not exist",
        typed="actlab compare my_task.py relu gelu --device gpu",
        says=("device is 'gpu'", "'cuda'?"),
    ),
    Wrong(
        wrong="device that is not there",
        typed="actlab compare my_task.py relu gelu --device mps",
        says=("there is no mps here", "Devices of this machine: cpu"),
    ),
    Wrong(
        wrong="card that is not there",
        typed="actlab compare my_task.py relu gelu --device cuda:77",
        says=("there is no cuda:77 here", "Devices of this machine: cpu"),
    ),
    Wrong(
        wrong="devices of two kinds",
        typed="actlab compare my_task.py relu gelu --device cpu,cuda:0",
        says=("cards of one kind", "times cannot be compared"),
    ),
    Wrong(
        wrong="no trial on a device",
        typed="actlab compare my_task.py relu gelu --jobs-per-device 0",
        says=("jobs_per_device is 0", "from 1 up"),
    ),
    Wrong(
        wrong="two numbers of jobs",
        typed="actlab compare my_task.py relu gelu --jobs 3 --jobs-per-device 2",
        says=("jobs is 3 and jobs_per_device is 2", "Give one of the two"),
    ),
    Wrong(
        wrong="stacks of trials that cannot be stacked",
        typed="actlab compare my_task.py relu gelu --stack",
        first=_file(f"{GOOD}clip_norm = 1.0\n"),
        says=("cannot be trained as a stack: it clips gradients", "Omit --stack"),
    ),
    Wrong(
        wrong="no threads", typed="actlab compare my_task.py relu gelu --threads 0", says=("threads is 0", "from 1 up")
    ),
    Wrong(
        wrong="more threads than cores",
        typed="actlab compare my_task.py relu gelu --threads 10000",
        says=("threads is 10000", "cores"),
    ),
    Wrong(
        wrong="time limit that is no time",
        typed="actlab compare my_task.py relu gelu --trial-timeout soon",
        says=("'soon'", "10m"),
    ),
    Wrong(
        wrong="list with something else than devices",
        typed="actlab.compare('my_task.py', ['relu', 'gelu'], device=[0, 1])",
        says=("device is [0, 1]", "allowed are"),
    ),
    Wrong(
        wrong="a command that does not exist",
        typed="actlab compar my_task.py relu gelu",
        says=("No such command 'compar'",),
    ),
    Wrong(
        wrong="an option that does not exist",
        typed="actlab compare my_task.py relu gelu --seed 3",
        says=("No such option", "--seeds"),
    ),
    Wrong(wrong="an option left out", typed="actlab reference gelu", says=("Missing option '--out'",)),
    # tasks
    Wrong(
        wrong="a task that does not exist",
        typed="actlab compare digit relu gelu",
        says=("There is no task 'digit'", "Did you mean 'digits'"),
    ),
    Wrong(
        wrong="a depth that a task does not have",
        typed="actlab compare fashion-mnist:depth-400 relu gelu",
        says=("fashion-mnist:depth-400", "hidden layers, from 1 to 100", "try fashion-mnist:depth-16"),
    ),
    Wrong(
        wrong="a width that a task does not have",
        typed="actlab compare digits:width-2000 relu gelu",
        says=("digits:width-2000", "units in each of four hidden layers, from 1 to 1024", "try digits:width-8"),
    ),
    Wrong(
        wrong="a share of dropout that a task does not have",
        typed="actlab compare digits:dropout-1.5 relu gelu",
        says=("digits:dropout-1.5", "from 0 to less than 1", "try digits:dropout-0.2"),
    ),
    Wrong(
        wrong="a learning rate that a task does not have",
        typed="actlab compare deep-digits:sgd-1000 relu gelu",
        says=("deep-digits:sgd-1000", "learning rate, above 0 and up to 100", "try deep-digits:sgd-0.1"),
    ),
    Wrong(
        wrong="a net without a second layer for the gradient to reach",
        typed="actlab compare gradient:depth-1 relu gelu",
        says=("gradient:depth-1", "hidden layers, from 2 to 100", "try gradient:depth-20"),
    ),
    Wrong(
        wrong="a weight decay that a task does not have",
        typed="actlab compare modular-sum:decay-40 relu gelu",
        says=("modular-sum:decay-40", "weight decay, from 0 to 10", "try modular-sum:decay-1"),
    ),
    Wrong(
        wrong="a depth in another spelling",
        typed="actlab compare fashion-mnist:depth=8 relu gelu",
        says=("There is no task 'fashion-mnist:depth=8'", "Did you mean 'fashion-mnist:depth-16'"),
    ),
    Wrong(
        wrong="a task whose data are not there",
        typed="actlab compare movielens relu gelu",
        says=("MovieLens 100K was not found", "ACTLAB_MOVIELENS", "u.data", "'dependencies' needs no download"),
    ),
    Wrong(
        wrong="a file that does not exist",
        typed="actlab compare my_tsk.py relu gelu",
        says=("There is no file my_tsk.py", "Did you mean 'my_task.py'"),
    ),
    Wrong(
        wrong="a folder for a task",
        typed="actlab compare ./tasks relu gelu",
        says=("tasks is a folder", "one Python file"),
        first=_folder("tasks"),
    ),
    Wrong(
        wrong="a task file that raises",
        typed="actlab compare my_task.py relu gelu",
        says=("ZeroDivisionError", "my_task.py"),
        first=_file(GOOD + "1 / 0\n"),
    ),
    Wrong(
        wrong="a task file that is no Python",
        typed="actlab compare my_task.py relu gelu",
        says=("SyntaxError", "my_task.py"),
        first=_file("def model(seed\n"),
    ),
    Wrong(
        wrong="a task file without a metric",
        typed="actlab compare my_task.py relu gelu",
        says=("my_task.py", "metric"),
        first=_file(GOOD.replace("def metric", "def metrik")),
    ),
    Wrong(
        wrong="settings under other names",
        typed="actlab compare my_task.py relu gelu",
        says=("): did you mean 'learning_rate'?", "momentum (line ", "belongs in optimizer"),
        first=_file(f"{GOOD}lr = 0.1\nmomentum = 0.9\n"),
    ),
    Wrong(
        wrong="data from a generator of the file's own",
        typed="actlab compare my_task.py relu gelu",
        says=("data(0)", "other data when it is called again", "torch.Generator().manual_seed(seed)"),
        first=_file(
            GOOD.replace("generator=torch.Generator().manual_seed(seed)", "generator=own") + "own = torch.Generator()\n"
        ),
    ),
    Wrong(
        wrong="one module for all calls of model",
        typed="actlab compare my_task.py relu gelu",
        says=("model(0)", "the same module at every call", "copy.deepcopy"),
        first=_file(GOOD.replace("    return nn.Sequential", "    return net\n\nnet = nn.Sequential")),
    ),
    Wrong(
        wrong="a task without a test split",
        typed="actlab compare my_task.py relu gelu",
        says=("no test split",),
        first=_file(NO_TEST),
    ),
    Wrong(
        wrong="NaN among the inputs",
        typed="actlab compare my_task.py relu gelu",
        says=("NaN in 1 places", "example 3"),
        first=_file(NAN_INPUT),
    ),
    Wrong(
        wrong="inputs and targets of different number",
        typed="actlab compare my_task.py relu gelu",
        says=("differ in length", "(40, 4)", "(30,)"),
        first=_file(UNEQUAL),
    ),
    Wrong(
        wrong="a model for another shape",
        typed="actlab compare my_task.py relu gelu",
        says=("shape (40, 4)", "40x4 and 5x8"),
        first=_file(WRONG_SHAPE),
    ),
    Wrong(
        wrong="a metric that returns a string",
        typed="actlab compare my_task.py relu gelu",
        says=("metric", "'good'", "number"),
        first=_file(TEXT_METRIC),
    ),
    Wrong(
        wrong="a loss that is no scalar",
        typed="actlab compare my_task.py relu gelu",
        says=("loss", "scalar"),
        first=_file(TENSOR_LOSS),
    ),
    Wrong(
        wrong="a model that is no module",
        typed="actlab compare my_task.py relu gelu",
        says=("model(seed)", "tuple", "torch.nn.Module"),
        first=_file(NO_MODULE),
    ),
    Wrong(
        wrong="a direction with a typing error",
        typed="actlab compare my_task.py relu gelu",
        says=("direction", "'maximum'", "Did you mean 'max'"),
        first=_file(GOOD.replace('"max"', '"maximum"')),
    ),
    Wrong(
        wrong="a label the model has no output for",
        typed="actlab compare my_task.py relu gelu",
        says=("loss", "my_task"),
        first=_file(LARGER_LABEL),
    ),
    Wrong(
        wrong="data that cannot be read",
        typed="actlab compare my_task.py relu gelu",
        says=("data(0)", "my_task", "no such disk"),
        first=_file(GOOD.replace("    x = torch", "    raise OSError('no such disk')\n    x = torch")),
    ),
    # datasets, loaders, steps and several metrics
    Wrong(
        wrong="a loader without a batch",
        typed="actlab compare my_task.py relu gelu",
        says=("The train split of my_task gave no batch", "for batch in loader"),
        first=_file(_loader("return torch_data.DataLoader(Rows(x, y), batch_size=64, drop_last=True)")),
    ),
    Wrong(
        wrong="a loader that can be read once",
        typed="actlab compare my_task.py relu gelu",
        says=("The train split of my_task is a generator", "read once", "a DataLoader"),
        first=_file(_loader("yield x, y")),
    ),
    Wrong(
        wrong="a list of batches for a split",
        typed="actlab compare my_task.py relu gelu",
        says=("The train split of my_task is a list of length 3", "A DataLoader"),
        first=_file(_loader("return [(x, y)] * 3")),
    ),
    Wrong(
        wrong="another number of batches in every epoch",
        typed="actlab compare my_task.py relu gelu",
        says=("gave 4 batches in epoch 2", "its len() is 5", "leave out __len__ and set `steps`"),
        first=_file(
            _loader("return Shrinking(x, y)")
            + """
class Shrinking:
    def __init__(self, x, y):
        self.rows, self.given = (x, y), 6
    def __len__(self):
        return 5
    def __iter__(self):
        self.given -= 1
        return iter([self.rows] * self.given)
"""
        ),
    ),
    Wrong(
        wrong="a loader without an end, and no number of steps",
        typed="actlab compare my_task.py relu gelu",
        says=("The number of batches of the train split of my_task is not known", "Set steps"),
        first=_file(
            _loader("return Endless()")
            + """
class Endless(torch_data.IterableDataset):
    def __iter__(self):
        while True:
            yield torch.randn(4), 0
"""
        ),
    ),
    Wrong(
        wrong="batches in the order in which workers finish",
        typed="actlab compare my_task.py relu gelu",
        says=("in_order=False and 2 workers", "not on the seed"),
        first=_file(_loader("return torch_data.DataLoader(Rows(x, y), num_workers=2, in_order=False)")),
    ),
    Wrong(
        wrong="a batch without a target",
        typed="actlab compare my_task.py relu gelu",
        says=(
            "A batch of the train split of my_task is (8, 4) float32, which has no target",
            "step(model, batch) -> loss",
        ),
        first=_file(_rows("return self.x[row]")),
    ),
    Wrong(
        wrong="a dict for a batch whose target has a name of its own",
        typed="actlab compare my_task.py relu gelu",
        says=("has pixels and digit, which is no target", "labels, label, targets, target, y"),
        first=_file(_rows('return {"pixels": self.x[row], "digit": self.y[row]}')),
    ),
    Wrong(
        wrong="a dict for a batch with parts that the model does not take",
        typed="actlab compare my_task.py relu gelu",
        says=(
            "pixels=(8, 4) float32, row=(8,) int64, raised TypeError",
            "are the arguments of the model",
            "predict(model, batch)",
        ),
        first=_file(_rows('return {"pixels": self.x[row], "row": row, "label": self.y[row]}')),
    ),
    Wrong(
        wrong="examples of several shapes in a batch",
        typed="actlab compare my_task.py relu gelu",
        says=("Reading the train split of my_task raised RuntimeError", "a collate_fn that pads them"),
        first=_file(_rows("return self.x[row][: 3 + row % 2], self.y[row]")),
    ),
    Wrong(
        wrong="NaN in a batch of a loader",
        typed="actlab compare my_task.py relu gelu",
        says=("Batch 1 of the train split of my_task, [(8, 4) float32, (8,) int64], holds NaN in 4 places",),
        first=_file(_rows("return self.x[row] / (row != 3) * (row != 3), self.y[row]")),
    ),
    Wrong(
        wrong="an exception in a worker process of a loader",
        typed="actlab compare my_task.py relu gelu",
        says=(
            "raised KeyError: 'label' (in a worker process of a DataLoader)",
            "my_task.py, line",
            'return {}["label"]',
        ),
        first=_file(
            _rows('return {}["label"]').replace("batch_size=8)", "batch_size=8, num_workers=1)"),
        ),
    ),
    Wrong(
        wrong="outputs of several lengths for one metric",
        typed="actlab compare my_task.py relu gelu",
        says=(
            "The outputs for the test split of my_task have shapes",
            "Define predict",
            "flatten(0, 1)",
        ),
        first=_file(
            _loader("return Lengths(x, y)").replace("nn.Linear(4, 8)", "nn.Unflatten(1, (-1, 1)), nn.Linear(1, 8)")
            + """
loss = lambda output, target: output.mean()

class Lengths:
    def __init__(self, x, y):
        self.x, self.y = x, y
    def __len__(self):
        return 3
    def __iter__(self):
        return iter([(self.x[:8, : 2 + batch], self.y[:8]) for batch in range(3)])
"""
        ),
    ),
    Wrong(
        wrong="a step that returns no scalar",
        typed="actlab compare my_task.py relu gelu",
        says=(
            "step of my_task, given a batch [(8, 4) float32, (8,) int64], returned a tensor of shape (8, 2)",
            "a scalar tensor",
        ),
        first=_file(_with_step("return model(batch[0])")),
    ),
    Wrong(
        wrong="a step that returns a number",
        typed="actlab compare my_task.py relu gelu",
        says=("step of my_task", "returned a float", "a scalar tensor"),
        first=_file(_with_step("return loss(model(batch[0]), batch[1]).item()")),
    ),
    Wrong(
        wrong="a step that is no function",
        typed="actlab compare my_task.py relu gelu",
        says=("step of the task my_task is 3", "step(model, batch) -> loss", "underscore"),
        first=_file(f"{LOADER}\nstep = 3\n"),
    ),
    Wrong(
        wrong="predict and neither a step nor a loss",
        typed="actlab compare my_task.py relu gelu",
        says=("does not define loss", "or step(model, batch) -> loss"),
        first=_file(GOOD.replace("loss = nn.functional.cross_entropy", "def predict(model, batch): ...")),
    ),
    Wrong(
        wrong="a predict that returns no pair",
        typed="actlab compare my_task.py relu gelu",
        says=("predict of my_task returned a Tensor", "a pair, (output, target)"),
        first=_file(f"{LOADER}\ndef predict(model, batch):\n    return model(batch[0])\n"),
    ),
    Wrong(
        wrong="several metrics without the one of the result",
        typed="actlab compare my_task.py relu gelu",
        says=("metric_name of the task my_task is 'acuracy'", "metrics has only accuracy", "Did you mean 'accuracy'"),
        first=_file(f"{SEVERAL_METRICS}\nmetrics = {{'accuracy': accuracy}}\nmetric_name = 'acuracy'\n"),
    ),
    Wrong(
        wrong="several metrics without names",
        typed="actlab compare my_task.py relu gelu",
        says=("metrics of the task my_task is a list", "a dict of functions"),
        first=_file(f"{SEVERAL_METRICS}\nmetrics = [accuracy]\n"),
    ),
    # training functions
    Wrong(
        wrong="a training function without a model",
        typed="actlab.compare(lambda model: {'accuracy': 1.0}, ['relu', 'gelu'])",
        says=("is a training function, and there is no model for it", "model=build"),
    ),
    Wrong(
        wrong="a model in the place of a function that builds one",
        typed="actlab.compare(lambda model: 1.0, ['relu', 'gelu'], model=torch.nn.Linear(2, 2))",
        says=("model is a Linear", "every trial needs a new one", "model=lambda seed: Net(...)"),
    ),
    Wrong(
        wrong="a setting of ActLab's loop beside a training function",
        typed="actlab.compare(lambda model: 1.0, ['relu', 'gelu'], model=torch.nn.Linear, epochs=3)",
        says=("epochs cannot be given beside a training function", "functools.partial"),
    ),
    Wrong(
        wrong="a model beside a task",
        typed="actlab.compare('digits', ['relu', 'gelu'], model=torch.nn.Linear)",
        says=("model can be given beside a training function only", "'digits' brings its own"),
    ),
    Wrong(
        wrong="a training function that returns no name",
        typed="actlab compare my_task.py relu gelu",
        says=("Which result of train is compared is not known", "Add metric_name"),
        first=_file(_train("return model(x).mean()")),
    ),
    Wrong(
        wrong="a result whose direction its name does not tell",
        typed="actlab compare my_task.py relu gelu",
        says=("returns or reports gap", "'max' where a larger one is better"),
        first=_file(_train("return {'gap': 1.0}")),
    ),
    Wrong(
        wrong="a metric_name that the training function does not return",
        typed="actlab compare my_task.py relu gelu",
        says=("metric_name is 'acuracy', and train returns accuracy.", "Did you mean 'accuracy'"),
        first=_file(_train("return {'accuracy': 1.0}") + "metric_name = 'acuracy'\n"),
    ),
    Wrong(
        wrong="a training function with a parameter of its own",
        typed="actlab compare my_task.py relu gelu",
        says=("train takes config, which ActLab does not have", "model, seed and trial", "functools.partial"),
        first=_file(_train("return {'accuracy': 1.0}").replace("train(model)", "train(model, config)")),
    ),
    Wrong(
        wrong="a setting that the training function of the file does not read",
        typed="actlab compare my_task.py relu gelu",
        says=("epochs (line", "trains by its own function `train`, which does not read it"),
        first=_file(_train("return {'accuracy': 1.0}") + "epochs = 3\n"),
    ),
    Wrong(
        wrong="a learning rate to tune that the training function does not take",
        typed="actlab compare my_task.py relu gelu --tune lr",
        says=("does not read trial.lr", "train(model, seed, trial)", "or omit tune"),
        first=_file(_train("return {'accuracy': 1.0}")),
    ),
    Wrong(
        wrong="a tuned training function that cannot do without the test split",
        typed="actlab compare my_task.py relu gelu --tune lr",
        says=("reads neither trial.stage nor trial.report", "on a validation split"),
        first=_file(_train("return {'accuracy': trial.lr}").replace("train(model)", "train(model, trial)")),
    ),
    Wrong(
        wrong="matched weights of a model without inputs",
        typed="actlab compare my_task.py relu gelu --init matched",
        says=("init='matched'", "Add example_inputs(seed)"),
        first=_file(_train("return {'accuracy': 1.0}")),
    ),
    Wrong(
        wrong="inputs that are no inputs",
        typed="actlab compare my_task.py relu gelu",
        says=("example_inputs of the task my_task returned a list", "a tensor, a tuple of positional arguments"),
        first=_file(_train("return {'accuracy': 1.0}") + "def example_inputs(seed): return [x]\n"),
    ),
    Wrong(
        wrong="importance of a training function without data",
        typed="actlab importance my_task.py",
        says=("trains by its own function, and there are no data", "Add data(seed)"),
        first=_file(_train("return {'accuracy': 1.0}")),
    ),
    # models
    Wrong(
        wrong="a model without any activation",
        typed="actlab compare my_task.py relu gelu",
        says=("no activation",),
        first=_file(NO_SITE),
    ),
    Wrong(
        wrong="a gated arm between convolutions",
        typed="actlab compare my_task.py relu swiglu",
        says=("swiglu",),
        first=_file(CONVOLUTION),
    ),
    Wrong(
        wrong="an arm that needs a number of channels",
        typed="""actlab.layer("elu(alpha=learned_per_channel)")""",
        says=("learned_per_channel", "channels="),
    ),
    Wrong(wrong="nothing to replace", typed="""actlab.swap_(torch.nn.Linear(2, 2), "gelu")""", says=("no activation",)),
    Wrong(
        wrong="one text instead of a list of arms",
        typed="""actlab.compare("digits", "relu")""",
        says=("The arms are a list", "['relu', 'gelu']"),
    ),
    # stores, studies, pages
    Wrong(wrong="a store that does not exist", typed="actlab studies --store sqlite:///none.db", says=("none.db",)),
    Wrong(
        wrong="a store that cannot be written",
        typed="actlab compare my_task.py relu gelu --store sqlite:///my_task.py/x.db",
        says=("my_task.py/x.db",),
    ),
    Wrong(
        wrong="a store of an unknown kind",
        typed="actlab compare my_task.py relu gelu --store mongodb://here",
        says=("mongodb",),
    ),
    Wrong(
        wrong="a file that is no database",
        typed="actlab studies --store sqlite:///notes.db",
        says=("notes.db", "database"),
        first=_no_database,
    ),
    Wrong(
        wrong="a store of a newer schema",
        typed="actlab studies --store sqlite:///new.db",
        says=("new.db", "99"),
        first=_newer_store,
    ),
    Wrong(
        wrong="a name that belongs to another plan",
        typed=f"actlab compare my_task.py relu silu --name mine {ON_DISK}",
        says=("'mine'", "another plan", "gelu", "--name"),
        first=_study,
    ),
    Wrong(
        wrong="a study that does not exist",
        typed="actlab report mien --store sqlite:///mine.db --out page.html",
        says=("There is no study 'mien'", "Did you mean 'mine'"),
        first=_study,
    ),
    Wrong(
        wrong="a page in a folder that does not exist",
        typed="actlab report mine --store sqlite:///mine.db --out nowhere/page.html",
        says=("cannot be written to 'nowhere/page.html'", "No such file or directory"),
        first=_study,
    ),
    Wrong(
        wrong="a folder for a page",
        typed="actlab report mine --store sqlite:///mine.db --out .",
        says=("'.' says no format", ".html, .csv"),
        first=_study,
    ),
    # axes of robustness
    Wrong(
        wrong="an attack of no size",
        typed="actlab compare my_task.py relu gelu --evaluate my_axes.py",
        says=("eps of the attacks is 0", "a positive number is needed", "eps=8/255"),
        first=_axes("strong = adversarial_axis(AttackSettings(eps=0), name='strong')"),
    ),
    Wrong(
        wrong="a severity above the strongest",
        typed="actlab compare my_task.py relu gelu --evaluate my_axes.py",
        says=("severities are (1, 2, 3)", "above 0 and up to 1"),
        first=_axes("noise = robustness_axis(RobustnessSettings(severities=(1, 2, 3)), name='noise')"),
    ),
    Wrong(
        wrong="a level that an axis of one's own cannot have",
        typed="actlab compare my_task.py relu gelu --evaluate my_axes.py",
        says=("The level of an axis is 'study'", "'arm' (once for each arm, untrained)"),
        first=_axes("import actlab\nown = actlab.axis('min', level='study')(lambda model, data: 1.0)"),
    ),
    Wrong(
        wrong="functions and all functions",
        typed="actlab hardware gelu --all",
        says=("--all times every function of the catalogue", "leave out gelu"),
    ),
    Wrong(
        wrong="a dtype that is not timed",
        typed="actlab hardware gelu --dtype bfloat61",
        says=("Did you mean 'bfloat16'",),
    ),
    Wrong(
        wrong="a size of a benchmark that is none",
        typed="actlab hardware gelu --size 1G",
        says=("A size is a number of elements such as 1000, 64k or 16M",),
    ),
    Wrong(
        wrong="an axis that does not exist",
        typed="actlab compare my_task.py relu gelu --evaluate adversial",
        says=("There is no axis 'adversial'", "Did you mean 'adversarial'"),
        first=_good_task,
    ),
    Wrong(
        wrong="an axis of a core that does not exist",
        typed="actlab compare my_task.py relu gelu --evaluate device:m44f",
        says=("There is no core 'm44f'", "Did you mean 'm4f'", "m0, m3, m4f, m7, m33"),
        first=_good_task,
    ),
    # axes beyond the metric
    Wrong(
        wrong="other axes than those of the study of that name",
        typed="actlab compare my_task.py relu gelu --seeds 2 --store mine.db --name mine --evaluate calibration",
        says=("evaluate", "another --name"),
        first=_study,
    ),
    Wrong(
        wrong="axes of a training function that brings no data",
        typed="actlab compare my_task.py relu gelu --evaluate calibration",
        says=("calibration need data", "define data(seed) beside the training function"),
        first=_file(_train("return {'accuracy': 0.5}")),
    ),
    Wrong(
        wrong="axes of the models of a script",
        typed="actlab compare --script 'python train.py {seed}' relu gelu --evaluate calibration",
        says=("calibration need data", "actlab evaluate"),
        first=GOOD_SCRIPT,
    ),
    Wrong(
        wrong="an axis with a direction that does not exist",
        typed="actlab compare my_task.py relu gelu --evaluate my_axes.py",
        says=("'maximum'", "'max', 'min'"),
        first=_axes("import actlab\n@actlab.axis('maximum')\ndef width(model, data):\n    return 1.0\n"),
    ),
    Wrong(
        wrong="a file without an axis",
        typed="actlab compare my_task.py relu gelu --evaluate my_axes.py",
        says=("defines no axis", "@actlab.axis('max')"),
        first=_axes(""),
    ),
    Wrong(
        wrong="two axes of one name",
        typed="actlab compare my_task.py relu gelu --evaluate my_axes.py",
        says=("defines two axes with the name 'width'", "axis(..., name=...)"),
        first=_axes(OWN_AXIS + OWN_AXIS.replace("'max'", "'min', name='width'").replace("def width", "def size")),
    ),
    # exports
    Wrong(
        wrong="a format that does not exist",
        typed="actlab export my_task.py --to onx",
        says=("no format 'onx'", "Did you mean 'onnx'"),
    ),
    Wrong(
        wrong="a core that does not exist",
        typed="actlab export my_task.py --to c99 --device cortex-m4",
        says=("no core 'cortex-m4'", "Cores: m0, m3, m4f, m7, m33"),
    ),
    Wrong(
        wrong="a core for a format that runs on none",
        typed="actlab export my_task.py --device m3",
        says=("--device is an option of the formats c99 and int8", "the format is onnx"),
    ),
    Wrong(
        wrong="a calibration that does not exist",
        typed="actlab export my_task.py --to int8 --calibration entropy",
        says=("--calibration is 'entropy'", "minmax, percentile, mse"),
    ),
    Wrong(
        wrong="a net without an integer form",
        typed="actlab export my_task.py --to int8",
        says=("1 obstacle", "softmax in 3", "a logarithm of probabilities has no 8-bit codes", "what goes into it"),
        first=_file(GOOD.replace("nn.Linear(8, 2))", "nn.Linear(8, 2), nn.LogSoftmax(1))")),
    ),
    Wrong(
        wrong="inputs for the ranges that hold NaN",
        typed="actlab export my_task.py --to int8",
        says=("The calibration data holds NaN or infinities: 1 of", "Leave out"),
        first=_file(NAN_INPUT),
    ),
    Wrong(
        wrong="a file whose ending says no format",
        typed="actlab export my_task.py --out net.pt",
        says=("'net.pt' belongs to no format", "net.onnx"),
    ),
    Wrong(
        wrong="a setting of another format",
        typed="actlab export my_task.py --to c99 --opset 20",
        says=("--opset is an option of the format onnx", "the format is c99"),
    ),
    Wrong(
        wrong="an operator set that is too old",
        typed="actlab export my_task.py --opset 13",
        says=("from 18 to", "got 13"),
    ),
    Wrong(
        wrong="a model that cannot be exported",
        typed="actlab export my_task.py",
        says=(
            "nothing was written",
            "There are 2 obstacles",
            "Counter in 1",
            "updates the buffer 'mean'",
            "x.sum() > 0",
        ),
        first=_file(OBSTACLES),
    ),
    Wrong(
        wrong="weights in the place of a model",
        typed="actlab export weights.pt",
        says=("does not open", "weights_only=True", "example_inputs"),
    ),
    Wrong(
        wrong="an exported file in the place of a model",
        typed="actlab export net.onnx",
        says=("was exported already", "actlab conform my_model.py --against net.onnx"),
    ),
    Wrong(
        wrong="a folder in the place of the exported file",
        typed="actlab export my_task.py --to onnx --out folder",
        says=("folder exists and is no file",),
        first=_task_beside_a_folder,
    ),
    # engines
    Wrong(
        wrong="an engine that does not exist",
        typed="actlab conform my_task.py --against net.onx",
        says=("no engine net.onx", "an ONNX file", "saved outputs"),
    ),
    Wrong(
        wrong="a function that the file of an engine does not define",
        typed="actlab conform my_task.py --against my_task.py:metrik",
        says=("defines no function 'metrik'", "Did you mean 'metric'"),
    ),
    Wrong(
        wrong="an engine with other outputs",
        typed="actlab conform my_task.py --against my_task.py:sums",
        says=("Output 0 of sums has the shape (32,)", "the model's (32, 2)"),
        first=_file(GOOD + "\ndef sums(x):\n    return x.sum(1)\n"),
    ),
    Wrong(
        wrong="a file that is no engine",
        typed="actlab conform my_task.py --against my_task.py",
        says=("belongs to no engine", "an ONNX file"),
    ),
    Wrong(
        wrong="a step of codes that is none",
        typed="actlab conform my_task.py --against my_task.py:loss --step 0",
        says=("step is a finite number above 0", "got 0.0"),
    ),
    Wrong(
        wrong="an axis called like a built-in one",
        typed="actlab evaluate my_task.py --axes my_axes.py",
        says=("an axis 'calibration', which is the name of a built-in one", "name='my_calibration'"),
        first=_axes(OWN_AXIS.replace("width", "calibration")),
    ),
    Wrong(
        wrong="an axis that a file of axes does not define",
        typed="actlab compare my_task.py relu gelu --evaluate my_axes.py:widht",
        says=("There is no axis 'widht'", "Did you mean 'width'", "defines width"),
        first=_axes(OWN_AXIS),
    ),
    Wrong(
        wrong="an axis of the model alone",
        typed="actlab evaluate my_task.py --axes my_axes.py",
        says=("The function of the axis width takes (model)", "two arguments, (model, data)"),
        first=_axes(OWN_AXIS.replace("(model, data)", "(model)")),
    ),
    Wrong(
        wrong="an axis that raises",
        typed="actlab compare my_task.py relu gelu --evaluate my_axes.py",
        says=("tried on an untrained model of my_task", "has no attribute 'width'", "in width:", "UndefinedAxisError"),
        first=_axes(OWN_AXIS.replace("1.0", "model.width")),
    ),
    Wrong(
        wrong="an axis that returns no number",
        typed="actlab compare my_task.py relu gelu --evaluate my_axes.py",
        says=("width of the axis width is a str", "a number, or one for each example"),
        first=_axes(OWN_AXIS.replace("1.0", "'wide'")),
    ),
    Wrong(
        wrong="an axis that returns a number it has not named",
        typed="actlab compare my_task.py relu gelu --evaluate my_axes.py",
        says=("returned 'hight', which is none of its columns", "Did you mean 'height'"),
        first=_axes(OWN_AXIS.replace("'max'", "columns={'height': 'max'}").replace("1.0", "{'hight': 1.0}")),
    ),
    Wrong(
        wrong="a misspelt kind of outputs",
        typed="actlab compare my_task.py relu gelu --evaluate calibration",
        says=("output_kind of the task my_task is 'logit'", "Did you mean 'logits'"),
        first=_file(f"{GOOD}\noutput_kind = 'logit'\n"),
    ),
    Wrong(
        wrong="a misspelt kind of inputs, in an evaluation",
        typed="actlab evaluate my_task.py --axes robustness",
        says=("input_kind of the task my_task is 'images'", "Did you mean 'image'"),
        first=_file(f"{GOOD}\ninput_kind = 'images'\n"),
    ),
    Wrong(
        wrong="a misspelt kind of inputs, in an audit",
        typed="actlab audit my_task.py",
        says=("input_kind of the task my_task is 'tabular'", "'image', 'table', 'series', 'text'"),
        first=_file(f"{GOOD}\ninput_kind = 'tabular'\n"),
    ),
    Wrong(
        wrong="a curve that no axis has",
        typed="actlab report mine --store sqlite:///mine.db --out page.svg --figure robustness:noise",
        says=("no figure 'robustness:noise'", "reliability, severity"),
        first=_study,
    ),
    Wrong(
        wrong="a figure of axes that were not measured",
        typed="actlab report mine --store sqlite:///mine.db --out page.svg --figure reliability",
        says=("no data for the figure 'reliability'",),
        first=_study,
    ),
    # audits
    Wrong(
        wrong="groups of an audit in a column that does not exist",
        typed="actlab audit my_task.py",
        says=("groups of my_task is column 4", "columns 0 to 3"),
        first=_file(f"{GOOD}\ngroups = 4\n"),
    ),
    Wrong(
        wrong="times of an audit that are no times",
        typed="actlab audit my_task.py",
        says=("times of my_task gave 'soon'", "2024-05-01"),
        first=_file(f"{GOOD}\ndef times(inputs, target):\n    return ['soon'] * len(inputs)\n"),
    ),
    Wrong(
        wrong="groups of an audit by a function that raises",
        typed="actlab audit my_task.py",
        says=("groups of my_task", "no attribute 'patient'"),
        first=_file(f"{GOOD}\ndef groups(inputs, target):\n    return inputs.patient\n"),
    ),
    Wrong(
        wrong="an audit of a training function that brings no data",
        typed="actlab audit my_task.py",
        says=("keeps its data to itself", "Define data(seed) beside it"),
        first=_file(_train("return {'accuracy': 0.5}")),
    ),
    Wrong(
        wrong="a reference text that does not exist",
        typed="actlab audit my_task.py --against corpus.txt",
        says=("The reference corpus.txt does not exist", "a file of text is needed"),
        first=_good_task,
    ),
    Wrong(
        wrong="a reference text for numbers",
        typed="actlab audit my_task.py --against my_task.py",
        says=("the inputs are of the kind table", "Leave out against"),
        first=_good_task,
    ),
    Wrong(
        wrong="an error rate of one",
        typed="actlab audit my_task.py --error-rate 1",
        says=("error_rate is 1.0", "below 0.5"),
        first=_good_task,
    ),
    # claims
    Wrong(
        wrong="a claim that does not exist",
        typed="actlab claims show rani-fixed-pont",
        says=("There is no claim 'rani-fixed-pont'", "Did you mean 'rani-fixed-point'", "ends in .py"),
    ),
    Wrong(
        wrong="a file without a claim",
        typed="actlab claims show my_task.py",
        says=("my_task.py defines no claim", "claim = Claim(...)"),
        first=_file(GOOD),
    ),
    Wrong(
        wrong="a claim about an arm that its study does not have",
        typed="actlab claims run my_task.py --dry-run",
        says=("reads 'gelu', which is no arm of the study 'main': relu, elu",),
        first=_file(CLAIM.replace('("relu", "gelu")', '("relu", "elu")')),
    ),
    Wrong(
        wrong="a claim without the smallest effect that matters",
        typed="actlab claims run my_task.py --dry-run",
        says=("needs smallest > 0, the smallest effect that matters",),
        first=_file(CLAIM.replace("smallest=0.01", "smallest=0")),
    ),
    Wrong(
        wrong="no claim to run", typed="actlab claims run", says=("Name the claims to run, or all of them with --all",)
    ),
    Wrong(
        wrong="an outcome that does not exist",
        typed="actlab claims list --outcome hold",
        says=("--outcome is 'hold'", "Did you mean 'holds'"),
    ),
    Wrong(
        wrong="a report of claims without a format",
        typed="actlab claims report rani-fixed-point --out claims",
        says=("The ending of 'claims' says no format", ".html for the page and .md for a table"),
    ),
    # published tables
    Wrong(wrong="a table that does not exist", typed="actlab lint table.csv", says=("There is no file table.csv",)),
    Wrong(
        wrong="a folder in the place of a table",
        typed="actlab lint tables",
        says=("tables is a folder", "tables/table.csv"),
        first=_folder("tables"),
    ),
    Wrong(
        wrong="a table without rows",
        typed="actlab lint table.csv",
        says=("table.csv has no table", "names of the columns"),
        first=_published("activation,accuracy\n"),
    ),
    Wrong(
        wrong="a spreadsheet in the place of a text file",
        typed="actlab lint table.csv",
        says=("no text in UTF-8", "save the table as CSV"),
        first=lambda: Path("table.csv").write_bytes(b"PK\x03\x04\xff\xfe\x00") and None,
    ),
    Wrong(
        wrong="a table without means",
        typed="actlab lint table.csv",
        says=("No column with means", "'activation', 'sd'", "--mean COLUMN"),
        first=_published("activation,sd\nrelu,0.4\ngelu,0.5\n"),
    ),
    Wrong(
        wrong="a table with two columns of means",
        typed="actlab lint table.csv",
        says=("'mean accuracy', 'mean loss' may all be the means", "--mean 'mean accuracy'"),
        first=_published("activation,mean accuracy,mean loss\nrelu,86,0.4\ngelu,87,0.5\n"),
    ),
    Wrong(
        wrong="a column of means that does not exist",
        typed="actlab lint table.csv --mean acuracy",
        says=("no column 'acuracy'", "Did you mean 'accuracy'"),
        first=_published("activation,accuracy,sd\nrelu,86,0.4\ngelu,87,0.5\n"),
    ),
    Wrong(
        wrong="a metric of unknown direction",
        typed="actlab lint table.csv",
        says=("'result' does not say whether larger or smaller is better", "--direction max"),
        first=_published("activation,result\nrelu,86\ngelu,87\n"),
    ),
    Wrong(
        wrong="a mean that is no number",
        typed="actlab lint table.csv",
        says=("Line 3: 'high' in the column 'accuracy' is no number", "87.48 ± 0.39"),
        first=_published("activation,accuracy\nrelu,86\ngelu,high\nelu,85\n"),
    ),
    Wrong(
        wrong="a mean with a decimal comma",
        typed="actlab lint table.csv",
        says=("Line 2: '86,5'", "Write decimals with a point"),
        first=_published("activation;accuracy\nrelu;86,5\ngelu;87,2\n"),
    ),
    Wrong(
        wrong="a number in brackets that may mean three things",
        typed="actlab lint table.csv",
        says=("Line 2: '86.51(39)'", "units of the last digit", "86.51 ± 0.39"),
        first=_published("activation,accuracy\nrelu,86.51(39)\ngelu,87.48(40)\n"),
    ),
    Wrong(
        wrong="zero runs",
        typed="actlab lint table.csv",
        says=("Line 3: '0' in the column 'runs'", "from 1 to"),
        first=_published("activation,accuracy,sd,runs\nrelu,86,0.4,5\ngelu,87,0.5,0\n"),
    ),
    Wrong(
        wrong="a negative standard deviation",
        typed="actlab lint table.csv",
        says=("Line 2: the spread -0.4 is negative",),
        first=_published("activation,accuracy,sd\nrelu,86,-0.4\ngelu,87,0.5\n"),
    ),
    Wrong(
        wrong="a spread in per cent beside a mean in shares",
        typed="actlab lint table.csv",
        says=("Line 2: the spread is in per cent and the mean", "one unit"),
        first=_published("activation,accuracy,sd\nrelu,0.86,0.4%\ngelu,0.87,0.5%\n"),
    ),
    Wrong(
        wrong="a p-value above 1",
        typed="actlab lint table.csv",
        says=("Line 3: the p-value in the column 'p' is '1.3'",),
        first=_published("activation,accuracy,sd,runs,p\nrelu,86,0.4,5,-\ngelu,87,0.5,5,1.3\n"),
    ),
    Wrong(
        wrong="an interval that ends before it begins",
        typed="actlab lint table.csv",
        says=("Line 2: the interval 88 to 85", "the smaller end comes first"),
        first=_published("activation,accuracy,ci low,ci high\nrelu,86,88,85\ngelu,87,86,88\n"),
    ),
    Wrong(
        wrong="a line with another number of cells",
        typed="actlab lint table.csv",
        says=("Line 3 of table.csv has 3 cells, the header has 2", "quotes"),
        first=_published("activation,accuracy\nrelu,86\ngelu,87,0.5\n"),
    ),
    Wrong(
        wrong="two rows of one name",
        typed="actlab lint table.csv",
        says=("Lines 2 and 4 are both named 'relu'", "one data set"),
        first=_published("activation,accuracy\nrelu,86\ngelu,87\nReLU,85\n"),
    ),
    Wrong(
        wrong="a baseline that is no row",
        typed="actlab lint table.csv --baseline gelo",
        says=("The baseline is 'gelo'; there is no such row", "Did you mean 'gelu'"),
        first=_published("activation,accuracy\nrelu,86\ngelu,87\n"),
    ),
    Wrong(
        wrong="a kind of spread that does not exist",
        typed="actlab lint table.csv --spread variance",
        says=("--spread is 'variance'", "sd, se, ci"),
        first=_published("activation,accuracy\nrelu,86\ngelu,87\n"),
    ),
    Wrong(
        wrong="limits of a metric that are no two numbers",
        typed="actlab lint table.csv --limits 100",
        says=("--limits is '100'", "such as 0,100"),
        first=_published("activation,accuracy\nrelu,86\ngelu,87\n"),
    ),
    Wrong(
        wrong="limits of a metric in the wrong order",
        typed="actlab lint table.csv --limits 100,0",
        says=("limits are (100.0, 0.0)", "the smaller one first"),
        first=_published("activation,accuracy\nrelu,86\ngelu,87\n"),
    ),
    Wrong(
        wrong="zero runs of every row",
        typed="actlab lint table.csv --runs 0",
        says=("runs is 0", "from 1 up"),
        first=_published("activation,accuracy\nrelu,86\ngelu,87\n"),
    ),
    Wrong(
        wrong="a table of wins without cases",
        typed="actlab lint table.csv",
        says=("Line 2: no cases are counted",),
        first=_published("against,wins,losses\nrelu,0,0\n"),
    ),
    # scripts
    Wrong(
        wrong="a place in a command that stands for nothing",
        typed="actlab compare --script 'python train.py {sead}' relu gelu",
        says=("{sead}", "Did you mean 'seed'", "{seed}, {lr}, {out}"),
        first=GOOD_SCRIPT,
    ),
    Wrong(
        wrong="a script that does not exist",
        typed="actlab compare --script 'python trian.py' relu gelu",
        says=("There is no file trian.py", "Did you mean 'train.py'"),
        first=GOOD_SCRIPT,
    ),
    Wrong(
        wrong="a program that does not exist",
        typed="actlab compare --script 'pyhton train.py' relu gelu",
        says=("There is no program 'pyhton'", "Did you mean 'python'"),
        first=GOOD_SCRIPT,
    ),
    Wrong(
        wrong="a script in the place of a program",
        typed="actlab compare --script './train.py --epochs 3' relu gelu",
        says=("./train.py is no program that can be run", "python ./train.py"),
        first=GOOD_SCRIPT,
    ),
    Wrong(
        wrong="a redirection in a command that no shell reads",
        typed="actlab compare --script 'python train.py > log.txt' relu gelu",
        says=("'>'", "without a shell", "bash -c"),
        first=GOOD_SCRIPT,
    ),
    Wrong(
        wrong="a variable before a command that no shell reads",
        typed="actlab compare --script 'DEBUG=1 python train.py' relu gelu",
        says=("begins with 'DEBUG=1'", "env DEBUG=1"),
        first=GOOD_SCRIPT,
    ),
    Wrong(
        wrong="a quote in a command that is not closed",
        typed='actlab compare --script "python train.py \'a" relu gelu',
        says=("cannot be split into words", "No closing quotation"),
        first=GOOD_SCRIPT,
    ),
    Wrong(
        wrong="a place for a learning rate that is not given",
        typed="actlab compare --script 'python train.py {lr}' relu gelu",
        says=("no learning rate is given", "--lr 0.001"),
        first=GOOD_SCRIPT,
    ),
    Wrong(
        wrong="learning rates to tune of a script that has its own",
        typed="actlab compare --script 'python train.py {seed}' relu gelu --tune lr",
        says=("needs the learning rate to reach the script", "write {lr} into the command"),
        first=GOOD_SCRIPT,
    ),
    Wrong(
        wrong="learning rates to tune, where the scheduler sets them",
        typed="actlab compare my_task.py relu gelu --tune lr",
        says=("has nothing to choose", "max_lr=[group['lr'] for group in optimizer.param_groups]"),
        first=_loop(
            "def scheduler(optimizer, total_steps):\n"
            "    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=total_steps)"
        ),
    ),
    Wrong(
        wrong="an option of a script for a task",
        typed="actlab compare my_task.py relu gelu --metric f1",
        says=("--metric goes with --script", "Did you mean"),
    ),
    Wrong(
        wrong="a metric whose direction its name does not tell",
        typed="actlab compare --script 'python train.py {seed}' relu gelu --metric gap",
        says=("Whether a larger gap is better is not known", "--direction max"),
        first=GOOD_SCRIPT,
    ),
    Wrong(
        wrong="a script that reports no known metric",
        typed="actlab compare --script 'python train.py {seed}' relu gelu",
        says=("it reports gap", "--metric NAME --direction max"),
        first=_script("apply_()\nactlab.report(gap=1)"),
    ),
    Wrong(
        wrong="a script that reports the training loss, and other names that cannot be read",
        typed="actlab compare --script 'python train.py {seed}' relu gelu",
        says=("it reports loss, and names that cannot be read (**)", "--metric NAME --direction max"),
        first=_script("apply_()\nactlab.report(loss=1, **{'gap': 2})"),
    ),
    Wrong(
        wrong="a training script in the place of a task file",
        typed="actlab compare train.py relu gelu",
        says=("is a training script", "actlab compare --script 'python train.py --seed {seed}'"),
        first=_script("actlab.apply_(None)\nactlab.report(step=1, accuracy=0.5)"),
    ),
    Wrong(
        wrong="a script that never takes an activation",
        typed="actlab compare --script 'python train.py {seed}' relu gelu",
        says=("ended without a call of actlab.apply_", "two lines"),
        first=_script("actlab.report(accuracy=1)"),
    ),
    Wrong(
        wrong="a script that fails before it takes an activation",
        typed="actlab compare --script 'python train.py {seed}' relu gelu",
        says=("does not get to actlab.apply_", "exit code 1: ValueError: no such column"),
        first=_script("raise ValueError('no such column')\napply_()\nactlab.report(accuracy=1)"),
    ),
    Wrong(
        wrong="a script that waits for input",
        typed="actlab compare --script 'python train.py {seed}' relu gelu",
        says=("does not get to actlab.apply_", "EOFError"),
        first=_script("input('which data? ')\napply_()\nactlab.report(accuracy=1)"),
    ),
]


@dataclass(frozen=True, kw_only=True)
class Spoilt:
    """A trial of a script that gives no result: what is wrong, the script, and what the row of the trial has to say."""

    wrong: str
    body: str
    says: tuple[str, ...]
    status: str = "failed"


TRIALS = [
    Spoilt(
        wrong="never reports",
        body="apply_()",
        says=("without a report of accuracy", "it reported nothing", "actlab.report(accuracy=...)"),
    ),
    Spoilt(
        wrong="reports under another name",
        body="apply_()\nactlab.report(acuracy=1)",
        says=("it reported acuracy", "Did you mean 'acuracy'"),
    ),
    Spoilt(
        wrong="reports and takes no activation",
        body="actlab.report(accuracy=1)",
        says=("did not call actlab.apply_", "two lines"),
    ),
    Spoilt(
        wrong="reports NaN as its metric",
        body="apply_()\nactlab.report(step=4, accuracy=float('nan'))",
        says=("the accuracy is nan at step 4",),
        status="diverged",
    ),
    Spoilt(
        wrong="reports an infinite loss, and would go on for a minute",
        body="apply_()\nactlab.report(step=9, loss=float('inf'))\ntime.sleep(60)",
        says=("the loss is inf at step 9",),
        status="diverged",
    ),
    Spoilt(
        wrong="reports a text",
        body="apply_()\nactlab.report(accuracy='high')",
        says=("accuracy=str: 'high'", "a number is needed"),
    ),
    Spoilt(
        wrong="reports half a step",
        body="apply_()\nactlab.report(step=1.5, accuracy=1)",
        says=("step=1.5", "a whole number"),
    ),
    Spoilt(
        wrong="reports an epoch and no step",
        body="apply_()\nactlab.report(epoch=1)",
        says=("Did you mean step=epoch",),
    ),
    Spoilt(
        wrong="reports a smaller step than before",
        body="apply_()\nfor step in (2, 1): actlab.report(step=step, accuracy=1)",
        says=("step=1 after step=2", "over all epochs"),
    ),
    Spoilt(
        wrong="has no value in its reports",
        body="apply_()\nfor step in (1, 2): actlab.report(step=step)",
        says=("without a report of accuracy", "it reported nothing", "actlab.report(accuracy=...)"),
    ),
    Spoilt(
        wrong="reports a hundred and one names",
        body="apply_()\nactlab.report(**{f'value {i}': i for i in range(101)})",
        says=("more than 100 names",),
    ),
    Spoilt(
        wrong="hides the error of a report",
        body="apply_()\ntry: actlab.report(accuracy='high')\nexcept Exception: pass\nactlab.report(accuracy=1)",
        says=("a number is needed",),
    ),
    Spoilt(
        wrong="ends with exit code 3 after its report",
        body="apply_()\nactlab.report(accuracy=1)\nprint('disk is full', file=sys.stderr)\nsys.exit(3)",
        says=("exit code 3: disk is full", "Last lines of its standard error stream"),
    ),
    Spoilt(
        wrong="prints its reason, and 20 MB before",
        body="apply_()\nfor _ in range(20): print('x' * 1_000_000)\nprint('wrong data')\nsys.exit(4)",
        says=("exit code 4: wrong data", "Last lines of its output"),
    ),
    Spoilt(
        wrong="forks a child that lives on, and raises",
        body="apply_()\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(60)\nraise RuntimeError('wrong shape')",
        says=("exit code 1: RuntimeError: wrong shape",),
    ),
    Spoilt(
        wrong="runs out of memory",
        body="apply_()\nraise MemoryError('a batch of 4096')",
        says=("exit code 1: MemoryError: a batch of 4096",),
        status="out_of_memory",
    ),
    Spoilt(
        wrong="crashes",
        body="apply_()\nos.abort()",
        says=("it was ended by SIGABRT",),
    ),
]


def _quietly(typed: str) -> tuple[int, str, str]:
    """Run a command line in this process; return its exit code and what it wrote to stdout and stderr."""
    out, err, words = io.StringIO(), io.StringIO(), shlex.split(typed)
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", words),
        mock.patch(
            "actlab.cli.app.answer_signals"
        ),  # this process stays as it was: its signals, and below its standard output
        only_results_on_stdout() if "--json" in words else contextlib.nullcontext(),
    ):
        try:
            cli.main()
        except SystemExit as ended:
            return int(ended.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def _said(case: Wrong) -> tuple[int, str]:
    """Do what the case says in the current folder; return the exit code (2 for an error in Python) and the message."""
    if case.typed.startswith("actlab."):
        try:
            eval(case.typed, {"actlab": actlab, "torch": __import__("torch")})  # noqa: S307 the table above
        except ActlabError as error:
            return 2, str(error)
        return 0, ""
    code, out, err = _quietly(case.typed)
    return code, err if not out else f"{err}(and on stdout: {out})"


def _spoilt(case: Spoilt) -> tuple[str, str]:
    """Run the script of a case once; return status and error of the trial."""
    _script(case.body)()
    script = actlab.Script("python train.py {seed}", metric="accuracy", direction="max")
    trial = run_trial(script.to_task(), parse_arm("gelu"), seed=0)
    return trial.status, trial.error or ""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACTLAB_DEBUG", "1")  # a mistake of ActLab shows as the error it is
    return tmp_path


def _never(*_: object, **__: object) -> None:
    raise AssertionError("training began before the check")


@pytest.mark.parametrize("case", TABLE, ids=[case.wrong for case in TABLE])
def test_the_mistake_gets_a_message_that_says_what_to_do(case, folder, monkeypatch):
    case.first()
    monkeypatch.setattr("actlab.study.run", _never)

    code, message = _said(case)

    assert code == 2, message
    assert [words for words in case.says if words not in message] == []
    assert "Traceback" not in message


@pytest.mark.parametrize("case", TRIALS, ids=[case.wrong for case in TRIALS])
def test_a_script_without_a_result_says_why(case, folder):
    status, error = _spoilt(case)

    assert status == case.status
    assert [words for words in case.says if words not in error] == []


def test_with_json_the_same_message_is_an_object_on_stdout(folder):
    code, out, err = _quietly("actlab show gelo --json")

    assert (code, err) == (2, "")
    assert json.loads(out)["error"]["type"] == "UnknownNameError"
    assert json.loads(out)["error"]["near"][0] == "gelu"


def test_a_line_without_mistakes_passes(folder):
    assert _quietly("actlab show gelu")[0] == 0


def test_the_table_is_as_long_as_promised():
    assert len({case.wrong for case in TABLE}) == len(TABLE) >= 25


def test_the_page_in_the_documentation_has_every_case():
    text = (Path(__file__).parents[1] / "docs" / "reference" / "error_messages.md").read_text(encoding="utf-8")

    assert [case.wrong for case in TABLE if f"| {case.wrong} | `{case.typed}` |" not in text] == []
    assert [case.wrong for case in TRIALS if f"| {case.wrong} | {case.status} |" not in text] == []


def test_a_mistake_of_actlab_itself_is_one_line_with_a_way_to_report_it(folder, monkeypatch):
    monkeypatch.delenv("ACTLAB_DEBUG")
    monkeypatch.setattr("actlab.report.content.activation.entries", _never)

    code, out, err = _quietly("actlab list")

    assert (code, out) == (2, "")
    assert "internal error, please report" in err
    assert "AssertionError: training began" in err
    assert "Traceback" not in err


def test_the_traceback_of_a_mistake_of_actlab_is_there_for_who_asks(folder, monkeypatch):
    monkeypatch.setattr("actlab.report.content.activation.entries", _never)

    with pytest.raises(AssertionError, match="training began"):
        _quietly("actlab list")


HEAD = """# Error messages

Messages for wrong input. Every command was run in a folder with a small task file `my_task.py` that has the fault named in the first
column. Each ends with exit code 2 and one message on stderr (with `--json`, an object `{"error": {"type", "message"}}` on stdout),
before any training and without a traceback. `tests/test_bad_input.py` has the table and tests it; it also writes this page:
`python tests/test_bad_input.py > docs/reference/error_messages.md`.
"""


TRIALS_HEAD = """
## Trials of a script that give no result

A script that takes part in a study (`--script`) may fail in a trial. That is a result of the trial: its row has a status and an error (of
which the first line is shown), and the study goes on.

| the script | status | error |
|---|---|---|
"""


def markdown() -> str:
    """Return the page of the tables: what is wrong, what is typed, and the whole message."""
    lines = [HEAD, "| fault | command | message |", "|---|---|---|"]
    for case in TABLE:
        with tempfile.TemporaryDirectory() as here, contextlib.chdir(here):
            case.first()
            _, message = _said(case)
        lines.append(f"| {case.wrong} | `{case.typed}` | {_cell(message.removeprefix('actlab: '), here)} |")
    lines.append(TRIALS_HEAD.rstrip())
    for trial in TRIALS:
        with tempfile.TemporaryDirectory() as here, contextlib.chdir(here):
            status, error = _spoilt(trial)
        lines.append(f"| {trial.wrong} | {status} | {_cell(error.splitlines()[0], here)} |")
    return "\n".join(lines)


def _cell(message: str, here: str) -> str:
    return " ".join(message.split()).replace("|", "\\|").replace(here, "…")


if __name__ == "__main__":
    os.environ["ACTLAB_DEBUG"] = "1"
    sys.stdout.write(markdown() + "\n")
