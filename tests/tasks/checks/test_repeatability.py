"""A task whose functions give other values for the same seed is refused, as its arms could not be paired."""

import pytest
import torch
from tests.tasks.test_task_file import GOOD

from actlab.errors import TaskError
from actlab.tasks import Split, resolve
from actlab.tasks.checks.check import check
from actlab.tasks.data import as_data
from actlab.tasks.data_digest import bits, data_digest

X = "x = torch.randn(60, 4, generator=generator)"
NET = "return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))"
HEAD = "import itertools, os, random, time, uuid\nimport numpy as np\nrng = {}\n"


@pytest.fixture
def refused(tmp_path):
    def refused(text):
        file = tmp_path / "my_task.py"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(TaskError) as caught:
            check(resolve(file))
        return str(caught.value)

    return refused


BROKEN_DATA = {
    "a NumPy generator made at import": ("np.random.default_rng(0)", "x = torch.tensor(rng.normal(size=(60, 4))).float()"),
    "a legacy NumPy generator made at import": ("np.random.RandomState(0)", "x = torch.tensor(rng.randn(60, 4)).float()"),
    "a torch generator made at import": ("torch.Generator().manual_seed(0)", "x = torch.randn(60, 4, generator=rng)"),
    "Python's generator made at import": ("random.Random(0)", "x = torch.tensor([[rng.random() for _ in range(4)] for _ in range(60)])"),
    "a counter": ("itertools.count()", "x = torch.ones(60, 4) * next(rng) + torch.arange(60)[:, None]"),
    "an array changed in place": ("torch.rand(60, 4)", "x = rng.sub_(0.1)"),
    "uuid": ("object()", "x = torch.full((60, 4), float(uuid.uuid4().int % 1000003))"),
    "os.urandom": ("object()", "x = torch.tensor(list(os.urandom(240))).float().reshape(60, 4)"),
    "the time in seconds": ("object()", "x = torch.full((60, 4), float(int(time.time()) % 100003))"),
    "another number of examples": ("itertools.count(60)", "x = torch.ones(next(rng), 4)"),
}  # fmt: skip


@pytest.mark.parametrize(("made", "line"), BROKEN_DATA.values(), ids=BROKEN_DATA)
def test_data_that_depend_on_more_than_the_seed_are_refused(refused, made, line):
    text = HEAD.format(made) + GOOD.replace(X, line)

    said = refused(f"import torch\n{text}")

    assert "data(0) of the task my_task gives other data" in said
    assert "numpy.random.default_rng(seed)" in said


@pytest.mark.parametrize(
    "made", ["int(np.random.default_rng().integers(2**31))", "int(time.time())", "uuid.uuid4().int % 2**31"]
)
def test_a_seed_drawn_at_import_is_refused_as_every_worker_would_draw_another(refused, made):
    text = GOOD.replace("manual_seed(seed)", "manual_seed(rng)")

    assert "when the file is run again, as every worker does" in refused(HEAD.format(made) + text)


BROKEN_MODELS = {
    "weights from an own generator": (
        "torch.Generator().manual_seed(0)",
        "net = nn.Sequential(nn.Linear(4, 2), nn.ReLU())\n    nn.init.normal_(net[0].weight, generator=rng)\n    return net",
        "gives other weights when it is called again: 0.weight differs",
    ),
    "a width from a counter": (
        "itertools.count(8)",
        "width = next(rng)\n    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))",
        "gives other weights",
    ),
    "one module for all": (
        "nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))", "return rng", "returns the same module at every call",
    ),
    "a shared trainable trunk": (
        "nn.Linear(4, 8)", "return nn.Sequential(rng, nn.ReLU(), nn.Linear(8, 2))", "a model with the same 0.weight",
    ),
    "a shared batch normalisation": (
        "nn.BatchNorm1d(4, affine=False)", "return nn.Sequential(rng, nn.Linear(4, 2))", "a model with the same 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("made", "lines", "said"), BROKEN_MODELS.values(), ids=BROKEN_MODELS)
def test_a_model_that_is_not_new_and_the_same_for_every_call_is_refused(refused, made, lines, said):
    assert NET in GOOD

    assert said in refused("from torch import nn\nimport torch\n" + HEAD.format(made) + GOOD.replace(NET, lines))


def test_noise_in_training_from_an_own_generator_is_refused(refused):
    noisy = (
        "class Noise(nn.Module):\n    def forward(self, x):\n        return x + torch.randn(x.shape, generator=rng)\n"
    )
    text = GOOD.replace("nn.ReLU()", "Noise(), nn.ReLU()").replace("def model", f"{noisy}\ndef model")

    assert "gives other outputs in training" in refused("import torch\n" + HEAD.format("torch.Generator()") + text)


def test_a_loss_with_its_own_generator_is_refused(refused):
    text = GOOD.replace("loss = F.cross_entropy", "loss = lambda o, t: F.cross_entropy(o, t) * (1 + rng.random())")

    assert "gives another number for the same output" in refused(HEAD.format("np.random.default_rng(1)") + text)


ALLOWED = {
    "the global generators": "x = torch.randn(60, 4) + random.random() + torch.tensor(np.random.rand(60, 4)).float()",
    "a generator made from the seed": "x = torch.tensor(np.random.default_rng(seed).normal(size=(60, 4))).float()",
    "the same tensors at every call": "x = rng",
    "times that data do not depend on": "time.perf_counter(); x = torch.randn(60, 4)",
}


@pytest.mark.parametrize("line", ALLOWED.values(), ids=ALLOWED)
def test_data_that_the_seed_fixes_are_taken(tmp_path, line):
    (tmp_path / "my_task.py").write_text("import torch\n" + HEAD.format("torch.ones(60, 4)") + GOOD.replace(X, line))

    assert len(check(resolve(tmp_path / "my_task.py")).train) == 40


@pytest.mark.parametrize(
    "body",
    [
        "nn.Sequential(nn.Dropout(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))",
        "nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, 2))",
        "nn.Sequential(trunk, nn.ReLU(), nn.Linear(8, 2))",
        "copy.deepcopy(whole)",
    ],
    ids=["dropout", "lazy weights", "a shared frozen trunk", "a copy of a module made at import"],
)
def test_models_that_are_the_same_for_every_call_are_taken(tmp_path, body):
    made = "trunk = nn.Linear(4, 8).requires_grad_(False)\nwhole = nn.Sequential(nn.Linear(4, 2))\n"
    text = GOOD.replace(NET, f"return {body}").replace("def model", f"{made}\ndef model", 1)
    (tmp_path / "my_task.py").write_text(f"import copy\n{text}")

    check(resolve(tmp_path / "my_task.py"))


def test_one_result_of_data_is_in_memory_at_a_time(tmp_path):
    (tmp_path / "my_task.py").write_text(GOOD)
    task, alive = resolve(tmp_path / "my_task.py"), []
    import dataclasses
    import weakref

    def data(seed):
        assert not any(one() is not None for one in alive)
        made = as_data(task.data(seed))
        alive.append(weakref.ref(made))
        return made

    assert check(dataclasses.replace(task, data=data)) is alive[-1]()
    assert len(alive) == 2


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.bool, torch.int8, torch.complex64, torch.float8_e4m3fn]
)
def test_every_dtype_has_a_digest_that_tells_shape_and_values(dtype):
    ones = torch.ones(4, 2).to(dtype)
    variants = [ones, ones.reshape(2, 4), ones.clone().fill_(0), ones[:2]]

    digests = {data_digest(as_data(((x, x), (x, x)))) for x in variants}

    assert len(digests) == 4
    assert data_digest(as_data(((ones, ones), (ones.T.contiguous().T, ones)))) in digests


def test_equal_bits_are_equal_nan_too():
    nan = torch.tensor([float("nan"), 0.0])

    assert torch.equal(bits(nan), bits(nan.clone()))
    assert not torch.equal(bits(torch.tensor(0.0)), bits(torch.tensor(-0.0)))
    assert isinstance(Split(x=nan, y=nan), Split)
