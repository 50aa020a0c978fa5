"""Trials that are trained as a stack have the rows of single trials."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from actlab.studies.plan import make_plan
from actlab.studies.stacked.stack_trials import run_stack
from actlab.studies.stacked.trainer_choice import choose_trainer
from actlab.studies.trials.trial import run_trial
from actlab.studies.trials.trial_key import TrialKey
from actlab.tasks import Data, Split, Task
from actlab.tasks.training.conditions import Conditions

TOLERANCE = 1e-10  # of curves in float64, over some dozen steps that amplify rounding


def images(seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(74, 1, 6, 6, generator=generator, dtype=torch.float64)
    y = (x.flatten(1)[:, ::2].sum(1) > 0).long()
    parts = {"train": slice(42), "validation": slice(42, 57), "test": slice(57, None)}
    return Data(**{name: Split(x=x[part], y=y[part]) for name, part in parts.items()})


def mlp(seed):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(36, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 2)
    ).double()


# Without a bias before batch normalisation: its gradient is only rounding, which Adam divides by its own size.


def noisy(seed):
    middle = [
        nn.BatchNorm1d(9),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(9, 6),
        nn.LayerNorm(6),
        nn.ReLU(),
        nn.Dropout(0.1),
    ]
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 9, bias=False), *middle, nn.Linear(6, 2)).double()


def cnn(seed):
    first = [nn.Conv2d(1, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, nn.Conv2d(3, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)).double()


class Residual(nn.Module):
    """Calls functions, has a parameter of its own, shares a layer and adds noise from the global generator."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(36, 36), nn.Linear(36, 2)
        self.scale = nn.Parameter(torch.ones(36))

    def forward(self, x):
        x = x.flatten(1)
        hidden = F.relu(self.inner(x)) * self.scale + x
        hidden = F.relu(self.inner(hidden)) + 0.1 * torch.rand(1, 36, dtype=x.dtype)
        return self.outer(hidden - hidden.mean(1, keepdim=True)) / math.sqrt(2)


class Attending(nn.Module):
    """Attends within the rows of an image, by hand and by a module."""

    def __init__(self):
        super().__init__()
        self.parts, self.own = nn.Linear(6, 18), nn.MultiheadAttention(6, 2, batch_first=True)
        self.mlp, self.head = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 6)), nn.Linear(6, 2)

    def forward(self, x):
        tokens = x.flatten(1, 2)
        query, key, value = self.parts(tokens).unflatten(2, (3, 2, 3)).permute(2, 0, 3, 1, 4).unbind(0)
        tokens = tokens + F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        tokens = tokens + self.own(tokens, tokens, tokens, need_weights=False)[0]
        return self.head((tokens + self.mlp(tokens)).mean(1))


class NormalizedSteps(torch.optim.Optimizer):
    """An optimizer of a user's own that acts on each number."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):  # noqa: ARG002 # torch passes one
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    seen = self.state[weight].setdefault("seen", torch.zeros_like(weight))
                    seen.add_(weight.grad.square())
                    weight.sub_(group["lr"] * weight.grad / (seen.sqrt() + 1e-8))


OPTIMIZERS = {
    "adam": lambda parameters, lr: torch.optim.Adam(list(parameters), lr=lr, fused=True),
    "adamw": lambda parameters, lr: torch.optim.AdamW(parameters, lr=lr, weight_decay=0.1),
    "sgd": lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, momentum=0.9, nesterov=True, weight_decay=0.01),
    "rmsprop": lambda parameters, lr: torch.optim.RMSprop(parameters, lr=lr, centered=True),
    "own": NormalizedSteps,
}


def a_task(model=mlp, optimizer="adam", **settings):
    values = {
        "data": images,
        "loss": F.cross_entropy,
        "metric": lambda o, y: -F.cross_entropy(o, y).item(),
        "epochs": 4,
    }
    values |= {"batch_size": 8, "learning_rate": 0.01, "metric_name": "negative loss", "name": "stacked"}
    return Task(model=model, optimizer=OPTIMIZERS[optimizer], **(values | settings))


def both(task, arms, *, rates=None, seeds=2, **settings):
    """Return the rows of a stack and those of single trials."""
    plan = make_plan(task, arms, baseline=arms[0], seeds=seeds, **settings)
    keys = [
        TrialKey("main", arm, seed, rate)
        for seed in plan.seeds
        for rate in rates or [task.learning_rate]
        for arm in plan.labels
    ]
    stacked = {key_of(trial): trial for trial in run_stack(task, plan, keys, Conditions())}
    fixed = {"init": plan.init, "decay_learned": plan.decay_learned}
    single = [run_trial(task, plan.arm(key.arm), key.seed, lr=key.lr, **fixed) for key in keys]
    return [(stacked[key], trial) for key, trial in zip(keys, single, strict=True)]


def key_of(trial):
    return TrialKey(trial.stage, trial.arm, trial.seed, trial.lr)


def numbers(trial):
    """Return all numbers of a trial but its times."""
    series = {(name, kind): values[kind] for name, values in trial.series.items() for kind in ("step", "value")}
    flat = [number for kind in sorted(series) for number in series[kind]]
    controls = [value for _, value in sorted((trial.controls or {}).items())]
    found = [point["loss"] for point in trial.curve] + [
        trial.metric,
        trial.validation,
        trial.train_loss,
        *flat,
        *controls,
    ]
    return np.array([math.nan if value is None else value for value in found])


def assert_equal(pairs, tolerance=TOLERANCE):
    for stacked, single in pairs:
        same = ("stage", "arm", "seed", "lr", "status", "steps", "error", "parameters", "inputs")
        assert {name: getattr(stacked, name) for name in same} == {name: getattr(single, name) for name in same}
        assert list(stacked.series) == list(single.series)
        assert stacked.controls.keys() == single.controls.keys() if single.controls else not stacked.controls
        np.testing.assert_allclose(numbers(stacked), numbers(single), rtol=tolerance, atol=tolerance)
        assert (stacked.versions["trainer"], single.versions["trainer"]) == ("stacked", "single")


ARMS = ["relu", "gelu", "tanh", "swish(beta=learned)", "prelu(weight=learned)", "step/rect(-0.5,0.5)"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_rows_of_an_mlp_are_those_of_single_trials_with_every_optimizer(optimizer):
    assert_equal(
        both(
            a_task(optimizer=optimizer),
            ARMS if optimizer == "adam" else ARMS[2:5],
            rates=[0.01, 0.03] if optimizer == "sgd" else None,
        )
    )


@pytest.mark.parametrize("model", [noisy, cnn, lambda _: Residual().double()], ids=["dropout", "cnn", "functions"])
def test_rows_of_other_nets_are_those_of_single_trials(model):
    # the net of functions keeps its own call of relu, so that its class differs from that with a layer
    arms = ARMS[1:4] if model not in {noisy, cnn} else ["relu", "gelu", ARMS[3], ARMS[5]]

    assert_equal(both(a_task(model), [*arms, "prelu(weight=learned_per_channel)"] if model is cnn else arms))


def test_rows_of_a_net_with_attention_are_those_of_single_trials_and_nothing_warns():
    task = a_task(lambda _: Attending().double(), epochs=1)

    assert_equal(both(task, ["relu", "gelu"]))
    assert choose_trainer(task, make_plan(task, ["relu", "gelu"], seeds=4), Conditions(), jobs=1, forced=True).stacked


def test_rows_are_equal_with_matched_initialisation_and_no_decay_of_learned_numbers():
    assert_equal(both(a_task(optimizer="adamw"), ARMS[:5], init="matched", decay_learned=False))


def test_rows_are_equal_with_a_scheduler_and_a_limit_of_steps():
    def scheduler(optimizer, total):
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=total)

    assert_equal(both(a_task(optimizer="sgd", scheduler=scheduler, steps=13), ARMS[:3]))


def test_a_trial_that_diverges_is_recorded_as_alone_and_the_others_are_not_touched():
    pairs = both(a_task(optimizer="sgd"), ["relu", "tanh", "gelu"], rates=[0.01, 1e200])

    assert {single.status for _, single in pairs} == {"completed", "diverged"}
    assert_equal(pairs)


def test_a_metric_that_raises_fails_its_own_trial():
    def metric(output, target):
        if output.abs().max() > 1e3:
            raise ValueError("too large")
        return output.mean().item()

    pairs = both(a_task(optimizer="sgd", metric=metric), ["relu", "tanh"], rates=[0.01, 1e4])

    assert {(a.status, (a.error or "").split("\n")[0]) for a, _ in pairs} == {
        (b.status, (b.error or "").split("\n")[0]) for _, b in pairs
    }


def wide(seed):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(36, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 2)
    )


@pytest.mark.parametrize(("model", "tolerance"), [(wide, 0), (mlp, 1e-4), (noisy, 1e-3), (cnn, 1e-3)])
def test_a_row_does_not_depend_on_what_else_is_in_the_stack(model, tolerance):
    """To the bit where the widths are multiples of 16; elsewhere the library of matrix products rounds by the position in memory."""
    task = a_task(lambda seed: model(seed).float(), data=lambda seed: single_precision(images(seed)), optimizer="adam")
    plan = make_plan(task, ["relu", "mish", "swish(beta=learned)"], seeds=3)
    keys = [TrialKey("main", arm, seed, 0.01) for seed in plan.seeds for arm in plan.labels]
    together = {key_of(trial): numbers(trial) for trial in run_stack(task, plan, keys, Conditions())}

    for chosen in (keys[:1], keys[1:3], keys[2:9:3]):
        for trial in run_stack(task, plan, chosen, Conditions()):
            np.testing.assert_allclose(numbers(trial), together[key_of(trial)], rtol=tolerance, atol=tolerance)


def single_precision(data):
    return Data(**{name: Split(x=split.x.float(), y=split.y) for name, split in data.splits.items()})


# What cannot be stacked is found out before the study


def refusal(task, arms=("relu", "tanh")):
    choice = choose_trainer(task, make_plan(task, list(arms), seeds=4), Conditions(), jobs=1, forced=True)
    assert not choice.stacked
    return choice.reason


class WholeTensor(torch.optim.Optimizer):
    """Divides each gradient by its norm, as LARS does."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):  # noqa: ARG002 # torch passes one
        for group in self.param_groups:
            for weight in group["params"]:
                weight.sub_(group["lr"] * weight.grad / (weight.grad.norm() + 1e-12))


class OfSeed(nn.Sequential):
    def __init__(self, seed):
        super().__init__(*mlp(seed))
        self.factor = torch.tensor(1.0 + seed)

    def forward(self, x):
        return super().forward(x) * self.factor


class ByValue(nn.Sequential):
    def forward(self, x):
        return super().forward(x if x.mean() > 0 else -x)


class OtherNoise(nn.Sequential):
    def forward(self, x):
        return super().forward(x) * float(np.random.rand())  # noqa: NPY002 # what users do


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (a_task(), None),
        (a_task(optimizer="adam", model=OfSeed), "differ by"),
        (a_task(model=lambda seed: ByValue(*mlp(seed))), "control flow"),
        (a_task(model=lambda seed: OtherNoise(*mlp(seed))), "differ by"),
        (a_task(clip_norm=1.0), "it clips gradients"),
        (a_task(accumulate=2), "it accumulates gradients"),
        (a_task(ema=0.9), "it averages its weights"),
        (a_task(precision="bf16"), "mixed precision"),
        (a_task(loss=lambda output, target: F.cross_entropy(output, target, reduction="none")), ""),
        (a_task(data=lambda seed: images(seed) if seed else other_size()), "other numbers of examples"),
    ],
)
def test_what_cannot_be_stacked_is_found_out_with_its_reason(task, words):
    if words is None:
        task = Task(**{**vars(task), "optimizer": WholeTensor})
        words = "differ by"
    assert words in refusal(task)


def other_size():
    data = images(0)
    return Data(train=Split(x=data.train.x[:35], y=data.train.y[:35]), test=data.test, validation=data.validation)


def test_arms_with_random_activations_run_singly_beside_stacks():
    plan = make_plan(a_task(), ["relu", "rrelu", "gelu"], seeds=4)

    choice = choose_trainer(a_task(), plan, Conditions(), jobs=1, forced=True)

    assert choice.stacked
    assert (choice.arms, set(choice.groups)) == ({"rrelu": "draws random numbers"}, {"relu", "gelu"})


def test_a_gated_arm_with_other_widths_has_stacks_of_its_own():
    task = a_task()
    choice = choose_trainer(
        task, make_plan(task, ["relu", "gelu", "swiglu"], seeds=4), Conditions(), jobs=1, forced=True
    )

    assert choice.groups["relu"] == choice.groups["gelu"] != choice.groups["swiglu"]


def test_a_study_of_a_few_seconds_has_no_stacks_unless_asked_for():
    task = a_task()
    plan = make_plan(task, ["relu", "gelu"], seeds=4)

    assert "less than" in choose_trainer(task, plan, Conditions(), jobs=1).reason
    assert choose_trainer(task, plan, Conditions(), jobs=1, forced=True).stacked
