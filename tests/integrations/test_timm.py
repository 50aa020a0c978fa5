"""Activations in timm: layers and models built by name compared with ones whose activation is replaced by hand.

timm imports torchvision, which comes with CUDA. It wants one class and a few names of it where no image is read. So where torchvision is
missing, these tests are run by the last one in a process of their own, in which a stand-in for it is on the path; here they are skipped.
"""

from __future__ import annotations

import copy
import os
import pickle
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from actlab.errors import IntegrationError
from actlab.integrations import register
from actlab.nn.layers.activation_layer import ActivationLayer

INSTALLED = find_spec("timm") is not None
HAS_TORCHVISION = find_spec("torchvision") is not None
WHY = (
    "timm is not installed"
    if not INSTALLED
    else "torchvision is not installed; the last test runs this with a stand-in"
)
needs_timm = pytest.mark.skipif(not (INSTALLED and HAS_TORCHVISION), reason=WHY)

ROOT = Path(__file__).resolve().parents[2]
X = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class Telu(nn.Module):
    def __init__(self, **_):
        super().__init__()

    def forward(self, x):
        return x * torch.tanh(torch.exp(x))


BY_HAND = {
    "telu": Telu,
    "prelu(weight=learned(0.5))": lambda **_: nn.PReLU(init=0.5),
    "leaky_relu(0.3)": lambda **_: nn.LeakyReLU(0.3),
    "softmin": lambda **_: nn.Softmin(dim=-1),
}


@pytest.fixture
def registered():
    registered = register("timm")
    yield registered
    registered.undo()


@pytest.fixture
def home(registered):
    from timm.layers import create_act

    return create_act


def seeded(make):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().eval()


def activations(model):
    return [module for module in model.modules() if isinstance(module, ActivationLayer)]


@needs_timm
@pytest.mark.parametrize("name", BY_HAND)
def test_an_mlp_built_by_name_computes_what_one_built_by_hand_does(name, registered):
    from timm.layers import Mlp, get_act_layer

    mlp = seeded(lambda: Mlp(8, 16, act_layer=get_act_layer(name)))
    other = seeded(lambda: Mlp(8, 16, act_layer=BY_HAND[name]))

    assert len(activations(mlp)) == 1
    assert mlp.state_dict().keys() == other.state_dict().keys()
    torch.testing.assert_close(mlp(X), other(X))


@needs_timm
@pytest.mark.parametrize("name", ["telu", "prelu(weight=learned(0.5))", "leaky_relu(0.3)"])
def test_a_conv_layer_built_by_name_computes_what_one_built_by_hand_does(name, registered):
    from timm.layers import ConvNormAct

    block = seeded(lambda: ConvNormAct(3, 8, 3, act_layer=name))
    other = seeded(lambda: ConvNormAct(3, 8, 3, act_layer=BY_HAND[name]))

    assert len(activations(block)) == 1
    torch.testing.assert_close(block(IMAGES), other(IMAGES))


@needs_timm
def test_a_gate_of_squeeze_and_excitation_can_be_ours(registered):
    from timm.layers import SqueezeExcite

    block = seeded(lambda: SqueezeExcite(16, act_layer="telu", gate_layer="hard_sigmoid_02"))
    x = torch.randn(1, 16, 4, 4, generator=torch.Generator().manual_seed(0))
    hidden = block.fc1(x.mean((2, 3), keepdim=True))
    expected = x * (0.2 * block.fc2(Telu()(hidden)) + 0.5).clamp(0, 1)

    assert len(activations(block)) == 2
    torch.testing.assert_close(block(x), expected)


@needs_timm
@pytest.mark.parametrize("name", ["telu", "pelu", "leaky_relu(0.3)"])
@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("vit_tiny_patch16_224", {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}),
        ("resnet10t", {}),
    ],
)
def test_a_model_built_by_name_runs_trains_and_loads(model, options, name, registered):
    import timm

    net = seeded(lambda: timm.create_model(model, num_classes=4, act_layer=name, **options))
    net(IMAGES).square().sum().backward()

    assert len(activations(net)) >= 2
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    again = timm.create_model(model, num_classes=4, act_layer=name, **options).eval()
    again.load_state_dict(net.state_dict())
    assert torch.equal(again(IMAGES), net(IMAGES))
    assert torch.equal(pickle.loads(pickle.dumps(net))(IMAGES), net(IMAGES))


@needs_timm
def test_inplace_is_taken_and_the_input_stays(registered):
    from timm.layers import create_act_layer

    x = X.clone()
    layer = create_act_layer("telu", inplace=True)
    layer(x)

    assert torch.equal(x, X)
    assert repr(layer) == "ActivationLayer(telu)"


@needs_timm
def test_a_parameter_beside_the_name_is_refused_with_the_way_to_write_it(registered):
    from timm.layers import create_act_layer

    with pytest.raises(TypeError, match=r"telu takes no negative_slope here; write parameters into the name"):
        create_act_layer("telu", inplace=True, negative_slope=0.2)


@needs_timm
def test_functions_are_had_by_name_where_they_hold_no_parameters(registered):
    from timm.layers import get_act_fn

    torch.testing.assert_close(get_act_fn("telu")(X, inplace=True), Telu()(X))
    torch.testing.assert_close(get_act_fn("leaky_relu(0.3)")(X), F.leaky_relu(X, 0.3))
    with pytest.raises(KeyError, match="cannot have learned parameters"):
        get_act_fn("pelu")
    with pytest.raises(KeyError, match="has no training mode"):
        get_act_fn("rrelu")


@needs_timm
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tellu", "Did you mean 'telu'"),
        ("swiglu", "'silu' for swiglu"),
        ("elu(alpha=learned_per_channel)", "write learned"),
    ],
)
def test_a_name_that_cannot_be_answered_says_why(name, words, registered):
    from timm.layers import get_act_layer

    with pytest.raises(KeyError) as error:
        get_act_layer(name)
    assert words in str(error.value)


@needs_timm
def test_scripting_is_refused_and_timms_own_stay(home):
    home.get_act_layer("telu")
    from timm.layers import set_scriptable

    with set_scriptable(True):
        assert home.get_act_layer("gelu") is not None
        with pytest.raises(IntegrationError, match="'telu' is an ActLab layer, which cannot be scripted"):
            home.get_act_layer("telu")


@needs_timm
def test_an_exported_layer_computes_the_same(registered):
    from timm.layers import Mlp, get_act_layer

    mlp = seeded(lambda: Mlp(8, 16, act_layer=get_act_layer("swish(beta=learned)")))

    torch.testing.assert_close(torch.export.export(mlp, (X,)).module()(X), mlp(X))


def tables(home):
    return {
        name: dict(vars(home)[name])
        for name in ("_ACT_LAYER_DEFAULT", "_ACT_LAYER_ME", "_ACT_FN_DEFAULT", "_ACT_FN_ME")
    }


@needs_timm
def test_undo_leaves_timm_as_it_was(home, registered):
    registered.undo()
    before, identities = tables(home), [id(vars(home)[name]) for name in tables(home)]
    assert all(type(vars(home)[name]) is dict for name in before)

    done = register("timm", override=True)
    assert repr(home.create_act_layer("mish")) == "ActivationLayer(mish)"  # the memory-efficient table comes first
    torch.testing.assert_close(home.get_act_fn("mish")(X), F.mish(X))
    done.undo()

    assert tables(home) == before
    assert [id(vars(home)[name]) for name in before] == identities
    with pytest.raises(KeyError, match=r"^'telu'$"):
        home.get_act_layer("telu")


@needs_timm
def test_registering_again_changes_nothing(home, registered):
    before = tables(home)
    again = register("timm")

    assert tables(home) == before
    assert again["timm"] == registered["timm"]
    again.undo()
    assert repr(home.create_act_layer("telu")) == "ActivationLayer(telu)"


@needs_timm
def test_what_others_have_put_in_meanwhile_stays_after_undo(home, registered):
    home._ACT_LAYER_DEFAULT["mine"] = nn.Identity
    try:
        registered.undo()
        assert home.get_act_layer("mine") is nn.Identity
    finally:
        del home._ACT_LAYER_DEFAULT["mine"]


@needs_timm
def test_the_page_is_true(registered):
    text = (ROOT / "docs" / "how_to" / "drop_in.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "timm" in block]

    assert len(blocks) == 1
    exec(blocks[0], {})  # noqa: S102 our own page


@needs_timm
def test_the_table_can_be_copied(home):
    assert repr(copy.copy(home._ACT_LAYER_DEFAULT)["elu(0.5)"]()) == "ActivationLayer(elu(alpha=0.5))"


@needs_timm
def test_every_name_makes_a_layer_that_keeps_the_shape(home, registered):
    assert len(registered["timm"].names) > 400
    for name in registered["timm"].names[::7]:
        assert home.create_act_layer(name, inplace=True).eval()(X).shape == X.shape, name


# ------------------------------------------------------------------------------------ without torchvision

# What timm imports of torchvision. Nothing of it is used by the tests: they read no images.
STAND_IN = {
    "torchvision/__init__.py": "",
    "torchvision/ops/__init__.py": "",
    "torchvision/ops/misc.py": "import torch\nclass FrozenBatchNorm2d(torch.nn.Module): ...\n",
    "torchvision/datasets/__init__.py": "def __getattr__(name): return type(name, (), {})\n",
    "torchvision/transforms/__init__.py": "def __getattr__(name): return type(name, (), {})\n",
    "torchvision/transforms/functional.py": (
        "import enum\n"
        "InterpolationMode = enum.Enum('InterpolationMode', 'NEAREST BILINEAR BICUBIC BOX HAMMING LANCZOS')\n"
    ),
}


@pytest.mark.skipif(not INSTALLED, reason="timm is not installed: pip install --no-deps timm")
@pytest.mark.skipif(HAS_TORCHVISION, reason="torchvision is there, the tests above have run")
def test_timm_without_torchvision_is_named_and_all_of_the_above_holds_with_a_stand_in(tmp_path):
    with pytest.raises(
        IntegrationError, match="timm: installed, but cannot be imported: No module named 'torchvision'"
    ):
        register("timm")
    for name, text in STAND_IN.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])

    done = subprocess.run(
        [sys.executable, "-m", "pytest", __file__, "-p", "no:cacheprovider", "-p", "no:xdist", "-rs"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    ran = re.search(r"^SKIPPED \[1\].*the tests above have run", done.stdout, re.MULTILINE)
    assert ran is not None, done.stdout  # they, and nothing but they, were not skipped
    assert done.stdout.count("SKIPPED") == 1, done.stdout
