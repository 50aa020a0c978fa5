"""Errors in a task file are reported before any training, with the name or the source line at fault."""

import pytest

from actlab.errors import TaskError
from actlab.tasks import resolve
from actlab.tasks.checks.check import check

GOOD = """
import torch
from torch import nn
from torch.nn import functional as F

def model(seed):
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

def data(seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(60, 4, generator=generator)
    y = (x.sum(1) > 0).long()
    return {"train": (x[:40], y[:40]), "test": (x[40:], y[40:])}

loss = F.cross_entropy

def metric(output, target):
    return (output.argmax(1) == target).float().mean()

direction = "max"
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="my_task.py"):
        file = tmp_path / name
        file.write_text(text)
        return file

    return write


def refused(file):
    with pytest.raises(TaskError) as caught:
        check(resolve(file))
    return str(caught.value)


def test_a_good_file_is_a_task(write):
    task = resolve(str(write(GOOD + "epochs = 3\nrope = 0.01\n")))

    data = check(task)

    assert (task.name, task.metric_name, task.epochs, task.rope) == ("my_task", "metric", 3, 0.01)
    assert len(data.test) == 20


def test_the_source_of_a_task_is_the_text_of_its_file(write):
    assert resolve(write(GOOD)).source == GOOD
    assert resolve(write(GOOD + "rope = 0.1\n")).rope == 0.1


def test_a_file_may_import_its_neighbours(write):
    write("WIDTH = 8\n", "my_neighbour_module.py")
    file = write(
        GOOD.replace("def model", "from my_neighbour_module import WIDTH\n\ndef model").replace("8)", "WIDTH)")
    )

    assert len(check(resolve(file)).train) == 40


REPLACED = [
    ("no test split", '"test": (x[40:], y[40:])', '"validation": (x[40:], y[40:])', "has no test split"),
    ("NaN inputs", "y = (x", "x[7, 2] = float('nan'); y = (x", "x of the train split.*NaN in 1 places.*example 7"),
    ("infinite inputs", "y = (x", "x[41, 2] = float('inf'); y = (x", "x of the test split.*infinite values"),
    ("lengths", "y[:40])", "y[:39])", r"differ in length: x has shape \(40, 4\), y has \(39,\)"),
    ("empty test", "x[40:], y[40:]", "x[60:], y[60:]", "test split of my_task is empty"),
    ("model's width", "nn.Linear(4, 8)", "nn.Linear(5, 8)", "given a batch of shape.*shapes cannot be multiplied"),
    (
        "label too large",
        "y = (x.sum(1) > 0).long()",
        "y = torch.arange(60) % 3; y[:38] = 0",
        "loss of my_task.*out of bounds",
    ),
    (
        "labels as floats",
        ".long()",
        ".float()",
        r"loss of my_task, given output \(40, 2\).*target \(40,\) \(torch.float32\)",
    ),
    (
        "metric is text",
        "return (output.argmax(1) == target).float().mean()",
        "return '93 %'",
        "metric of my_task must return a number, got str",
    ),
    ("metric is NaN", ".float().mean()", ".float().mean() * float('nan')", "returned nan for the untrained model"),
    ("metric is a vector", ".float().mean()", ".float()", "metric of my_task must return a number, got Tensor"),
    ("metric raises", "output.argmax(1)", "output.argmx(1)", "metric of my_task.*AttributeError.*my_task.py, line 18"),
    (
        "loss is a vector",
        "loss = F.cross_entropy",
        "loss = lambda o, t: F.cross_entropy(o, t, reduction='none')",
        r"shape \(40,\)",
    ),
    ("loss is a number", "loss = F.cross_entropy", "loss = lambda o, t: 0.5", "returned a float.*scalar tensor"),
    (
        "loss is detached",
        "loss = F.cross_entropy",
        "loss = lambda o, t: F.cross_entropy(o.detach(), t)",
        "does not depend",
    ),
    (
        "loss is NaN",
        "loss = F.cross_entropy",
        "loss = lambda o, t: F.cross_entropy(o, t) * float('nan')",
        "is nan on the first",
    ),
    (
        "loss is text",
        "loss = F.cross_entropy",
        "loss = 'cross_entropy'",
        "loss of the task my_task must be a function, got str",
    ),
    ("direction typo", '"max"', '"maximise"', "direction.*'maximise'; allowed are 'max'.*Did you mean 'max'"),
    ("direction up", '"max"', '"lower"', "Did you mean 'min'"),
    ("model is an instance", "def model(seed):\n    return", "model =", r"is a Module.*def model\(seed\)"),
    ("model takes nothing", "def model(seed)", "def model()", "does not take exactly one argument, the seed"),
    (
        "model returns text",
        "return nn.Sequential",
        "return str(seed) or nn.Sequential",
        "returned a str; a torch.nn.Module",
    ),
    (
        "model raises",
        "return nn.Sequential",
        "return nn.Sequentil",
        "(?s)AttributeError.*my_task.py, line 7, in model.*nn.Sequentil",
    ),
    ("model returns a tuple", "nn.Linear(8, 2))", "nn.LSTM(8, 2))", "returned a tuple; it must return one tensor"),
    ("output without batch", "nn.Linear(8, 2))", "nn.Linear(8, 2), nn.Flatten(0))", r"output of shape \(80,\)"),
    ("data raises", "x = torch.randn(60", "x = torch.rndn(60", "(?s)AttributeError.*line 11, in data"),
    ("data returns x", 'return {"train"', 'return x  # {"train"', "data.seed. of my_task returned a Tensor"),
    ("epochs", 'direction = "max"', 'direction = "max"; epochs = 0', "epochs of the task my_task is 0"),
    ("batch", 'direction = "max"', 'direction = "max"; batch_size = 2.5', "batch_size of the task my_task is 2.5"),
    (
        "learning rate",
        'direction = "max"',
        'direction = "max"; learning_rate = -1',
        "learning_rate of the task my_task is -1",
    ),
    ("rope", 'direction = "max"', 'direction = "max"; rope = float("nan")', "rope of the task my_task is nan"),
    (
        "optimizer",
        'direction = "max"',
        'direction = "max"; optimizer = lambda p, lr: None',
        "optimizer of my_task returned a NoneType",
    ),
    ("shapes", "x[40:], y[40:]", "x[40:, :3], y[40:]", r"\(4,\) in train and \(3,\) in test"),
]


@pytest.mark.parametrize(
    ("before", "after", "said"), [case[1:] for case in REPLACED], ids=[case[0] for case in REPLACED]
)
def test_a_mistake_is_reported_before_any_training(write, before, after, said):
    assert before in GOOD

    with pytest.raises(TaskError, match=f"(?s){said}") as caught:
        check(resolve(write(GOOD.replace(before, after))))

    assert "Traceback" not in str(caught.value)


def test_a_regression_target_of_another_shape_is_an_error_although_torch_only_warns(write):
    text = GOOD.replace("nn.Linear(8, 2)", "nn.Linear(8, 1)").replace(".long()", ".float()")
    file = write(
        text.replace("F.cross_entropy", "F.mse_loss").replace("output.argmax(1) == target", "output - target[:, None]")
    )

    assert "Using a target size" in refused(file)


def test_missing_names_are_listed_with_their_meaning_and_the_nearest_name(write):
    said = refused(write(GOOD.replace("def metric", "def score").replace("loss = ", "the_loss = ")))

    assert "does not define loss and metric" in said
    assert "metric(output, target) -> number" in said
    assert "Did you mean 'score'" in said


def test_a_file_that_raises_shows_the_users_line(write):
    said = refused(write("import torch\n\nx = torch.zeros(2)[5]\n"))

    assert "IndexError" in said
    assert "my_task.py, line 3" in said
    assert "x = torch.zeros(2)[5]" in said


def test_a_file_that_is_no_python_shows_the_users_line(write):
    said = refused(write("def model(seed)\n    return 1\n"))

    assert "SyntaxError" in said
    assert "line 1" in said


def test_a_file_that_exits_is_an_error_and_does_not_end_the_process(write):
    assert "SystemExit" in refused(write("import sys\nsys.exit(3)\n"))


def test_a_training_script_is_refused_before_it_is_run(write):
    file = write("raise SystemExit\nmodel = actlab.apply_(Net())\nactlab.report(step=1, accuracy=0.5)")
    with pytest.raises(
        TaskError, match=r"is a training script.* actlab compare --script 'python .*my_task\.py --seed \{seed\}'"
    ):
        resolve(file)
    main = "if __name__ == '__main__':\n    model = actlab.apply_(model(0))\n    actlab.report(accuracy=0.5)"
    assert resolve(write(f"{GOOD}\n{main}", "both.py")).direction == "max"


def test_a_missing_file_is_an_error_that_names_the_nearest_one(write):
    write(GOOD)

    with pytest.raises(TaskError, match=r"no file .*my_tsk.py. Did you mean 'my_task.py'"):
        resolve(str(write("", "other.py").parent / "my_tsk.py"))


def test_a_folder_is_an_error_that_lists_the_files_in_it(write):
    with pytest.raises(TaskError, match=r"is a folder.*my_task.py"):
        resolve(str(write(GOOD).parent))
