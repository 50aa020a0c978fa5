"""Rewritten methods: only the named call changes, for one object; class, closures and source text stay as if hand-written."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import sys
import warnings

import pytest
import torch
import torch.nn.functional as F  # the usual name, which the paths must show
from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.nn.layers.layer import layer
from actlab.nn.sites.find import find
from actlab.nn.sites.slot import edits_of, original_class
from actlab.nn.source.method_source import read
from actlab.nn.transforms.swap import swap_

X = torch.linspace(-2, 2, 12).reshape(3, 4)


class Line(nn.Module):
    """Calls side by side on one line, nested, over several lines, in a comprehension and in a nested function."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.linear(x)) + 2 * F.relu(-x) + torch.tanh(F.relu(x))
        # fmt: off
        parts = [F.elu(
            (t + 1),
            alpha=0.5,  # half
        ) for t in (x, -x)]
        # fmt: on

        def inner(y):
            return (y + 1).sigmoid()

        return inner(parts[0] + parts[1]) + super().get_extra_state_or(0)

    def get_extra_state_or(self, value: int) -> int:
        return value


class Base(nn.Module):
    def get_extra_state_or(self, value: int) -> int:
        return value + 1


def written(x: Tensor, linear: nn.Linear, f: dict) -> Tensor:
    """The forward of ``Line`` with a function for each call, written out."""
    x = f["F.relu@1"](linear(x)) + 2 * f["F.relu@2"](-x) + f["torch.tanh@1"](f["F.relu@3"](x))
    parts = [f["F.elu@1"](t + 1) for t in (x, -x)]
    return f[".sigmoid@1"](parts[0] + parts[1] + 1) + 1


class Many(Line, Base):
    """``super()`` in ``Line.forward`` goes to ``Base`` here."""


OLD = {
    "F.relu@1": F.relu,
    "F.relu@2": F.relu,
    "F.relu@3": F.relu,
    "torch.tanh@1": torch.tanh,
    "F.elu@1": lambda x: F.elu(x, 0.5),
    ".sigmoid@1": torch.sigmoid,
}


@pytest.mark.parametrize("call", OLD)
@pytest.mark.parametrize("example_inputs", [None, X], ids=["as written", "as run"])
def test_exactly_the_call_that_was_named_is_replaced(call, example_inputs):
    model = Many()
    assert torch.equal(model(X), written(X, model.linear, OLD))

    swap_(model, {f"forward:{call}": "sine"}, example_inputs)

    assert torch.equal(model(X), written(X, model.linear, OLD | {call: torch.sin}))


def test_the_check_above_fails_where_the_neighbour_on_the_same_line_is_hit():
    model = Many()

    swap_(model, {"forward:F.relu@1": "sine"})

    assert not torch.equal(model(X), written(X, model.linear, OLD | {"F.relu@2": torch.sin}))


def test_all_calls_together():
    model = Many()

    swap_(model, {"forward:.sigmoid@1": "sine", "*": "sine"}, X)  # the sigmoid is an output, with a shift behind it

    assert torch.equal(model(X), written(X, model.linear, dict.fromkeys(OLD, torch.sin)))


def test_calls_replaced_one_after_the_other_keep_their_names():
    model = Many()

    for call in ("F.relu@1", "F.relu@3", "F.relu@2"):
        swap_(model, {f"forward:{call}": "sine"})

    new = OLD | dict.fromkeys(("F.relu@1", "F.relu@2", "F.relu@3"), torch.sin)
    assert torch.equal(model(X), written(X, model.linear, new))


def test_other_objects_of_the_class_stay_as_they_are():
    one, two = Many(), Many()

    swap_(one, "sine")

    assert torch.equal(two(X), written(X, two.linear, OLD))
    assert type(two) is Many


def test_the_object_stays_an_instance_of_its_class_with_its_name_and_signature():
    model = Many()

    swap_(model, "sine")

    assert isinstance(model, Many)
    assert original_class(type(model)) is Many
    assert type(model).__name__ == "Many"
    assert inspect.signature(model.forward) == inspect.signature(Many().forward)
    assert repr(model).startswith("Many(")


def test_the_source_shows_what_runs_line_by_line():
    model = Many()

    swap_(model, {"forward:F.relu@2": "sine", "forward:F.elu@1": "sine"})

    lines, start = inspect.getsourcelines(type(model).forward)
    old_lines, old_start = inspect.getsourcelines(Line.forward)
    assert (start, len(lines)) == (old_start, len(old_lines))
    assert lines[1].strip() == "x = F.relu(self.linear(x)) + 2 * self.forward_F_relu_2(-x) + torch.tanh(F.relu(x))"
    assert lines[3].strip() == "parts = [self.forward_F_elu_1("


def test_closures_defaults_and_private_names_mean_what_they_meant():
    factor = 3.0

    class Inner(nn.Module):
        def forward(self, x, *, scale=2.0):
            return self.__private(F.relu(x)) * scale

        def __private(self, x):
            return torch.tanh(x) * factor

    model = Inner()
    swap_(model, {"relu": "sine", "tanh": "squared_relu"})
    factor = 5.0

    assert torch.equal(model(X), F.relu(torch.sin(X)) ** 2 * 5.0 * 2.0)
    assert torch.equal(model(X, scale=1.0), F.relu(torch.sin(X)) ** 2 * 5.0)


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],
    ids=["copy", "deepcopy", "pickle"],
)  # our own bytes
def test_copies_stay_swapped(copied):
    model = Many()
    swap_(model, {"relu": "swish(beta=learned(1.5))"})

    new = copied(model)

    assert torch.equal(new(X), model(X))
    assert type(new) is type(model)
    assert list(new.state_dict()) == list(model.state_dict())


def test_a_saved_model_loads_swapped(tmp_path):
    model = nn.Sequential(Many(), nn.ReLU(), nn.Linear(4, 1))
    swap_(model, "sine", X)

    torch.save(model, tmp_path / "model.pt")
    loaded = torch.load(tmp_path / "model.pt", weights_only=False)

    assert torch.equal(loaded(X), model(X))


def test_a_model_saved_with_another_source_does_not_load(tmp_path, monkeypatch):
    text = (
        "import torch.nn.functional as F\nfrom torch import nn\n\n\n"
        "class Net(nn.Module):\n    def forward(self, x):\n        return F.relu(x) + 1\n"
    )
    (tmp_path / "saved_net.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    model = importlib.import_module("saved_net").Net()
    swap_(model, "sine")
    saved = pickle.dumps(model)

    (tmp_path / "saved_net.py").write_text(text.replace("+ 1", "+ 2  # edited"))
    monkeypatch.delitem(sys.modules, "saved_net")
    importlib.invalidate_caches()

    with pytest.raises(SiteError, match="swapped when its source was another"):
        pickle.loads(saved)  # our own bytes


def test_a_class_with_its_own_pickling_fails_loudly_and_is_never_unswapped():
    class Own(Many):
        def __reduce__(self):
            return Own, ()

    model = Own()
    swap_(model, "sine")

    with pytest.raises(pickle.PicklingError, match="defines its own pickling"):
        copy.deepcopy(model)


def test_torchscript_never_gets_the_old_function():
    class Plain(nn.Module):
        def forward(self, x):
            return F.relu(x) + 1

    model = Plain()
    swap_(model, "sine")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit is deprecated, and still in use
        with pytest.raises(
            (RuntimeError, torch.jit.frontend.NotSupportedError)
        ):  # our layer is not written for TorchScript; it must not read the old source instead
            torch.jit.script(model)


def test_compiling_a_swapped_model_breaks_no_graph():
    model = nn.Sequential(Many(), nn.ReLU(), nn.Linear(4, 1))
    swap_(model, "swish(beta=learned)", X)

    compiled = torch.compile(model, fullgraph=True, backend="eager")

    assert torch.equal(compiled(X), model(X))


def test_a_container_with_its_own_forward_is_refused():
    class Odd(nn.Sequential):
        def forward(self, x):
            return F.relu(super().forward(x)) + 1

    (site,) = find(Odd(nn.Linear(4, 4)))

    assert "container" in site.reason


def test_a_method_replaced_on_the_object_is_refused():
    model = Many()
    model.forward = model.forward

    assert {site.reason for site in find(model)} == {
        "its method forward is replaced on this object, so a method of the class would not run"
    }


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("self, y = self, F.relu(x)\n        return y + 1", "does not always stand for the module"),
        ("return F.relu(*[x]) + 1", "not written as a plain argument"),
        ("F.relu(x, **{'inplace': True})\n        return x + 1", "with out= or with"),
        ("d = {'x': x}\n        d['x'].relu_()\n        return x + 1", "not a plain local name"),
    ],
)
def test_calls_that_cannot_be_rewritten_say_why(body, reason, tmp_path, monkeypatch):
    name = f"refused_{abs(hash(body))}"
    (tmp_path / f"{name}.py").write_text(
        f"import torch.nn.functional as F\nfrom torch import nn\n\n\nclass Net(nn.Module):\n    def forward(self, x):\n        {body}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    (site,) = find(importlib.import_module(name).Net(), X)

    assert reason in site.reason


def test_a_bare_call_in_place_becomes_an_assignment():
    class Bare(nn.Module):
        def forward(self, x):
            x = x + 0
            x.relu_()
            F.silu(x, inplace=True)
            return x * 2

    model = Bare()
    swap_(model, {"relu": "sine", "silu": "tanh"}, X)

    assert torch.equal(model(X), torch.tanh(torch.sin(X)) * 2)


def test_a_layer_that_is_already_named_so_is_not_overwritten():
    class Taken(nn.Module):
        def __init__(self):
            super().__init__()
            self.forward_F_relu_1 = nn.Linear(4, 4)

        def forward(self, x):
            return F.relu(self.forward_F_relu_1(x)) + 1

    model = Taken()
    linear = model.forward_F_relu_1
    swap_(model, "sine", X)

    assert model.forward_F_relu_1 is linear
    assert torch.equal(model(X), torch.sin(linear(X)) + 1)


def test_tracebacks_point_to_the_line_of_the_file():
    model = Many()
    swap_(model, {"forward:F.relu@2": "sine"})

    with pytest.raises(TypeError) as caught:
        model("no tensor")

    (entry,) = [
        entry for entry in caught.traceback if entry.name == "forward" and "test_rewrite_methods.py" in str(entry.path)
    ]
    assert entry.lineno == Line.forward.__code__.co_firstlineno  # pytest counts from 0: the line after "def"


def test_names_of_calls_are_read_as_a_person_would():
    method = read(Line.forward)

    assert [method.label(call) for call in method.calls][:4] == ["self.linear@1", "F.relu@1", "F.relu@2", "F.relu@3"]


def test_a_class_as_its_author_wrote_it_has_no_edits():
    assert (edits_of(Many), original_class(Many)) == ((), Many)


def test_layers_of_a_rewritten_class_are_found_as_modules():
    model = Many()
    swap_(model, {"tanh": "gelu"})

    found = {site.path: (site.kind, site.spec) for site in find(model, X)}

    assert found["forward_torch_tanh_1"] == ("module", "gelu")
    assert "forward:torch.tanh@1" not in found
    assert found["forward:F.relu@3"] == ("function", "relu")
    assert isinstance(model.forward_torch_tanh_1, type(layer("gelu")))
