"""The baseline arm trains the untouched model to the bit, and a swap is tried once and repeated for every seed."""

from dataclasses import replace

import pytest
import torch
from tests.studies.gated_nets import MODELS, SqueezeExcitation
from tests.studies.tiny import tiny
from torch import nn
from torch.nn import functional as F

import actlab
from actlab.errors import SiteError
from actlab.nn.sites import find
from actlab.nn.transforms import rehearsal
from actlab.studies import arm_model
from actlab.studies.arm import MAIN_FUNCTION, parse_arm
from actlab.studies.arm_model import TriedModel, build_model, try_arms
from actlab.studies.prepare import draft
from actlab.studies.trials.trial import run_trial
from actlab.tasks import resolve
from actlab.tasks.data import Data, Split
from actlab.tasks.isolation import isolated
from actlab.tasks.registry import names
from actlab.tasks.task import load_data
from actlab.tasks.training.batches import batches, first_inputs
from actlab.tasks.training.evaluation import loss_function
from actlab.tasks.training.optimization import make_optimizer


def wide(seed):
    x = torch.randn(90, 16, generator=torch.Generator().manual_seed(seed))
    y = (x[:, :2].prod(1) > 0).long()
    return Data(train=Split(x=x[:60], y=y[:60]), test=Split(x=x[60:], y=y[60:]))


def task_of(model):
    return tiny(model=lambda seed: model(), data=wide, batch_size=8, epochs=1)  # noqa: ARG005 # seeded before


def trained_by_hand(task, seed, model):
    """The weights after training, and the losses, without any of ActLab's training code but its order of batches."""
    torch.manual_seed(seed)
    optimizer, losses = make_optimizer(task, model, task.learning_rate), []
    data = load_data(task, seed)
    torch.manual_seed(seed)
    loss_of = loss_function(task, data.train)
    for step, batch in enumerate(batches(task, data.train, seed)):
        if task.steps is not None and step == task.steps:
            break
        loss = loss_of(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return [*model.parameters(), *model.buffers()], losses


def same_training(task, arm, seed=3):
    batch = first_inputs(task, load_data(task, seed).train, seed)
    with isolated(seed):
        untouched, before = trained_by_hand(task, seed, task.model(seed).train())
    with isolated(seed):
        weights, after = trained_by_hand(task, seed, build_model(task, arm, seed, init="fixed", batch=batch))
    return before == after and all(torch.equal(a, b) for a, b in zip(untouched, weights, strict=True))


@pytest.mark.parametrize("model", MODELS)
def test_the_default_baseline_is_the_users_model_to_the_bit(model):
    plan = draft(task_of(model), ["relu", "softplus"], seeds=6).plan

    assert plan.baseline == ("relu" if model is SqueezeExcitation else "unchanged")
    assert same_training(task_of(model), plan.arm(plan.baseline))
    assert not same_training(task_of(model), plan.arm("softplus"))


@pytest.mark.parametrize("name", names())
def test_the_default_baseline_of_every_task_that_ships_is_its_model_to_the_bit(name):
    try:
        task = replace(resolve(name), steps=3)
        if task.door != "loop":
            pytest.skip("it trains by itself")
        plan = draft(task, ["relu", "softplus"], seeds=6).plan
    except actlab.ActlabError as error:
        pytest.skip(f"its data are not installed: {error}")

    assert same_training(task, plan.arm(plan.baseline))


def test_a_trial_of_the_unchanged_arm_gives_the_numbers_of_the_arm_whose_functions_are_there():
    task = task_of(SqueezeExcitation)
    arms = [parse_arm("unchanged"), parse_arm("relu", MAIN_FUNCTION), parse_arm({"relu": "relu"})]

    trials = [run_trial(task, arm, 1) for arm in arms]

    assert {trial.status for trial in trials} == {"completed"}
    assert len({(trial.metric, trial.train_loss, trial.parameters) for trial in trials}) == 1


ARMS = [
    "gelu",
    "unchanged",
    "swish(beta=learned)",
    "prelu(weight=learned_per_channel)",
    {"relu": "elu", "sigmoid": "tanh"},
]


@pytest.mark.parametrize("arm", ARMS, ids=str)
def test_a_repeated_swap_trains_as_one_that_is_tried_on_the_model_itself(arm):
    task, arm = task_of(SqueezeExcitation), parse_arm(arm, MAIN_FUNCTION)
    first = run_trial(task, arm, 0)
    repeated = run_trial(task, arm, 1)

    alone = run_trial(task_of(SqueezeExcitation), arm, 1)  # another task: nothing is known of it

    assert first.status == "completed"
    assert (repeated.metric, repeated.curve, repeated.parameters) == (alone.metric, alone.curve, alone.parameters)


def test_gated_blocks_get_new_weights_for_every_seed():
    task, arm = tiny(), parse_arm("swiglu")
    weights = []
    for seed in (0, 1, 0):
        with isolated(seed):
            model = build_model(task, arm, seed, init="fixed", batch=load_data(task, seed).train.x[:16])
        weights.append(model[0].weight)

    assert weights[0].shape == (10, 4)
    assert torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[1])


def test_a_study_runs_the_model_once_for_its_sites_and_once_for_every_arm(monkeypatch):
    task, runs = task_of(SqueezeExcitation), []
    arms = [parse_arm(spec, MAIN_FUNCTION) for spec in ("gelu", "silu", "elu")]
    for module in (find, rehearsal):
        traced = module.trace
        monkeypatch.setattr(module, "trace", lambda *a, _run=traced, **b: (runs.append(1), _run(*a, **b))[1])
    batch = load_data(task, 0).train.x[:8]

    try_arms(task, arms, 0, batch=batch)
    assert len(runs) == 1 + 1 + 3  # the sites, the rehearsal, a run with every arm

    for arm in arms:
        for seed in range(5):
            run_trial(task, arm, seed)
    assert len(runs) == 5


def test_a_model_that_is_built_otherwise_for_another_seed_is_looked_at_again():
    class Chosen(nn.Module):
        def __init__(self, act):
            super().__init__()
            self.inner, self.outer, self.act = nn.Linear(4, 8), nn.Linear(8, 2), act

        def forward(self, x):
            return self.outer(self.act(self.inner(x)))

    acts = (F.relu, F.silu, nn.ELU())
    task, arm = tiny(model=lambda seed: Chosen(acts[seed])), parse_arm("gelu", MAIN_FUNCTION)

    for seed in range(3):
        with isolated(seed):
            model = build_model(task, arm, seed, init="fixed", batch=torch.randn(4, 4))
        assert model.act.spec.activation.name == "gelu"


def test_the_model_that_trains_has_never_run():
    class Counting(nn.Module):
        calls = 0

        def __init__(self):
            super().__init__()
            self.inner, self.act, self.outer = nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 2)
            self.seen = 0

        def forward(self, x):
            self.seen += 1
            return self.outer(self.act(self.inner(x)))

    with isolated(0):
        model = build_model(task_of(Counting), parse_arm("gelu"), 0, init="fixed", batch=torch.randn(4, 16))

    assert model.seen == 0


def test_no_model_is_kept_alive_by_its_swap():
    import gc
    import weakref

    task = task_of(SqueezeExcitation)
    model = weakref.ref(try_arms(task, [parse_arm("gelu", MAIN_FUNCTION)], 0, batch=torch.randn(4, 16)))
    gc.collect()

    assert model() is None
    assert arm_model._SWAPS[task]


class OnlyGates(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right, self.head = nn.Linear(16, 8), nn.Linear(16, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.head(torch.sigmoid(self.left(x)) * torch.tanh(self.right(x)))


def test_a_model_of_gates_alone_is_refused_with_the_way_to_name_sites():
    tried = TriedModel.of(task_of(OnlyGates), 0, torch.randn(4, 16))

    with pytest.raises(SiteError, match=r"no hidden function to swap.*its result multiplies another value.*--sites"):
        tried.swap(parse_arm("relu", MAIN_FUNCTION))
    assert len(tried.swap(parse_arm("relu", ("tanh",))).changes) == 1
