"""A model and its inputs are loaded from a file or a task; errors name the file and what to change."""

import pytest
import torch
from torch import nn

from actlab.errors import TaskError, UnknownNameError
from actlab.tasks.model_source import load_function, load_model

HEAD = "import torch\nfrom torch import nn\n"


def written(tmp_path, text):
    file = tmp_path / "my_model.py"
    file.write_text(HEAD + text)
    return file


@pytest.mark.parametrize(
    "text",
    [
        "model = nn.Linear(4, 2)",
        "def model(): return nn.Linear(4, 2)",
        "def model(seed): return nn.Linear(4, 2)",
        "class Net(nn.Linear):\n    def __init__(self, inputs=4): super().__init__(inputs, 2)\nmodel = Net",
        "model = lambda width=4: nn.Linear(width, 2)",
    ],
    ids=["module", "function", "of a seed", "class", "defaults"],
)
def test_a_model_is_a_module_or_a_function_that_returns_one(tmp_path, text):
    loaded = load_model(written(tmp_path, text))

    assert isinstance(loaded.model, nn.Linear)
    assert loaded.model.in_features == 4
    assert (loaded.name, loaded.example_inputs) == ("my_model", None)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("example_inputs = torch.zeros(2, 4)", torch.Tensor),
        ("example_inputs = (torch.zeros(2, 4),)", tuple),
        ("example_inputs = {'input': torch.zeros(2, 4)}", dict),
        ("def example_inputs(): return torch.zeros(2, 4)", torch.Tensor),
        (
            "def data(seed): return (torch.zeros(99, 4), torch.zeros(99)), (torch.zeros(9, 4), torch.zeros(9))",
            torch.Tensor,
        ),
    ],
    ids=["tensor", "tuple", "dict", "function", "data of a task"],
)
def test_inputs_come_in_every_form_that_find_takes(tmp_path, text, kind):
    loaded = load_model(written(tmp_path, f"model = nn.Linear(4, 2)\n{text}"))

    assert isinstance(loaded.example_inputs, kind)


def test_the_seed_decides_and_the_global_generator_stays(tmp_path):
    file = written(
        tmp_path, "def model(seed): return nn.Linear(4, 2)\ndef example_inputs(seed): return torch.randn(2, 4)"
    )
    state = torch.get_rng_state()

    one, again, other = load_model(file), load_model(file), load_model(file, seed=1)

    assert torch.equal(one.model.weight, again.model.weight)
    assert torch.equal(one.example_inputs, again.example_inputs)
    assert not torch.equal(one.model.weight, other.model.weight)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modell = nn.Linear(4, 2)", r"does not define model: an nn\.Module.*Did you mean 'modell'"),
        ("model = 3", "gives a int; it must give a torch.nn.Module"),
        ("def model(): raise ValueError('no weights')", "raised ValueError: no weights"),
        ("model = nn.Linear(4, 2)\nexample_inputs = [1]", "example_inputs in .* gives a list; allowed are a tensor"),
        ("model = nn.Linear(4, 2)\nraise KeyError('x')", "raised KeyError"),
    ],
)
def test_a_mistake_in_the_file_is_reported(tmp_path, text, message):
    with pytest.raises(TaskError, match=message):
        load_model(written(tmp_path, text))


def test_a_missing_file_or_task_is_reported():
    with pytest.raises(TaskError, match=r"There is no file nowhere\.py"):
        load_model("nowhere.py")
    with pytest.raises(UnknownNameError, match="Did you mean 'digits'"):
        load_model("digit")


def test_targets_and_metric_come_from_the_file_or_with_the_inputs_from_its_data(tmp_path):
    file = written(
        tmp_path,
        "model = nn.Linear(4, 2)\nexample_inputs = torch.zeros(2, 4)\ntargets = torch.ones(2)\ndef metric(y): return 1.0",
    )
    loaded = load_model(file)
    assert loaded.targets.tolist() == [1, 1]
    assert loaded.metric(None) == 1.0
    data = "def data(seed): return (torch.zeros(99, 4), torch.arange(99)), (torch.zeros(9, 4), torch.zeros(9))"
    loaded = load_model(written(tmp_path, f"model = nn.Linear(4, 2)\n{data}"))
    assert len(loaded.targets) == len(loaded.example_inputs) == 32
    assert load_model(written(tmp_path, "model = nn.Linear(4, 2)")).targets is None


def test_a_function_beside_the_model_is_of_the_same_file_and_the_same_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = written(tmp_path, "model = nn.Linear(4, 2)\ndef engine(x): return model(x)")
    loaded = load_model(file)
    assert torch.equal(load_function(f"{file}:engine", loaded, file)(torch.ones(1, 4)), loaded.model(torch.ones(1, 4)))
    (tmp_path / "other.py").write_text("def engine(x): return x\nvalue = 3\n")
    assert load_function("other.py:engine", loaded, file)(7) == 7
    with pytest.raises(TaskError, match=r"defines no function 'engin'.*Did you mean 'engine'"):
        load_function("other.py:engin", loaded, file)
    with pytest.raises(TaskError, match="defines no function 'value'"):
        load_function("other.py:value", loaded, file)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("net.pt", "weights_only=True"),
        ("net.PTH", "weights_only=True"),
        ("net.pkl", "a pickle runs the code in it"),
        ("net.safetensors", "safetensors.torch.load_model"),
        ("net.onnx", "was exported already"),
        ("net.tflite", "actlab conform my_model.py --against net.tflite"),
    ],
)
def test_weights_pickles_and_exported_files_are_refused_and_not_opened(tmp_path, name, message):
    class Runs:
        def __reduce__(self):
            return (tmp_path.joinpath("was_run").mkdir, ())

    torch.save({"model": Runs()}, tmp_path / name)
    with pytest.raises(TaskError) as raised:
        load_model(tmp_path / name)
    assert message in str(raised.value)
    assert not (tmp_path / "was_run").exists()
