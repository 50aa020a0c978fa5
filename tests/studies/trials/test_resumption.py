"""A trial that was killed in the middle goes on from its checkpoint to the numbers of one that was not."""

import random

import numpy as np
import pytest
import torch
from tests.studies.tiny import data, tiny, untimed_series
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, Dataset

from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks.training.checkpoint import generator_states
from actlab.tasks.training.conditions import Conditions

TIMES = ("started", "finished", "seconds", "cpu_seconds", "series")


class KilledError(BaseException):
    """Stands for a kill: nothing of the trial runs on."""


def numbers(trial):
    row = trial.to_row()
    kept = {name: value for name, value in row.items() if name not in TIMES}
    kept["inputs"] = {name: value for name, value in row["inputs"].items() if name != "code"}  # the loss may be another
    return kept | {"series": untimed_series(row["series"])}


class Killer:
    """Loss that ends the trial at some of its calls, counted over all attempts."""

    def __init__(self, *at, loss=F.cross_entropy):
        self.at, self.calls, self.loss = set(at), 0, loss

    def __call__(self, output, target):
        self.calls += 1
        if self.calls in self.at:
            raise KilledError
        return self.loss(output, target)


def run(task, folder, *, arm="relu", every=0.0, seed=0, stage="main"):
    where = Conditions(checkpoints=None if folder is None else str(folder), checkpoint_every=every)
    return run_trial(task, parse_arm(arm), seed, conditions=where, stage=stage)


def resumed(folder, at, settings, **options):
    """The trial with kills at these calls of its loss, and the number of calls of all attempts."""
    killer = Killer(*at, loss=settings.get("loss", F.cross_entropy))
    task = tiny(**{**settings, "loss": killer})
    for _ in at:
        assert run(task, folder, **options).status == "failed"
    return run(task, folder, **options), killer.calls


def with_noise(_):
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.RReLU(), nn.Linear(8, 2))


class Counting(nn.Module):
    """A layer with a buffer that is not part of the state dict, put anew by every pass, and another that is."""

    def __init__(self):
        super().__init__()
        self.register_buffer("passes", torch.zeros(()), persistent=False)
        self.register_buffer("mean", torch.zeros(8))

    def forward(self, x):
        if self.training:
            self.passes = self.passes + 1
            self.mean.mul_(0.9).add_(x.detach().mean(0), alpha=0.1)
        return x * (1 + self.passes / 100) - self.mean


def drawing_loss(output, target):
    return F.cross_entropy(output, target) * (1 + random.random() * np.random.rand())  # noqa: NPY002, S311 # as user code may


def sgd(parameters, lr):
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9, weight_decay=0.01)


def groups(model, lr):
    return torch.optim.AdamW(
        [{"params": list(part.parameters()), "lr": lr} for part in model if list(part.parameters())]
    )


def one_cycle(optimizer, total):
    return lr_scheduler.OneCycleLR(optimizer, max_lr=0.05, total_steps=total)


def warm_up(optimizer, total):
    parts = [lr_scheduler.LinearLR(optimizer, 0.1, total_iters=3), lr_scheduler.CosineAnnealingLR(optimizer, total)]
    return lr_scheduler.SequentialLR(optimizer, parts, milestones=[3])


class Noisy(Dataset):
    """Examples with augmentation, from the global generators and one of the dataset's own."""

    def __init__(self, split, seed):
        self.split, self.own = split, np.random.default_rng(seed)

    def __len__(self):
        return len(self.split)

    def __getitem__(self, index):
        noise = torch.randn(4) * random.random() + self.own.normal()  # noqa: S311 # augmentation
        return self.split.x[index] + 0.1 * noise, self.split.y[index]


def loaders(seed):
    parts = data(seed)
    train = DataLoader(Noisy(parts.train, seed), batch_size=16, shuffle=True)
    held = {"validation": parts.validation, "test": parts.test}
    return {"train": train, **{name: (part.x, part.y) for name, part in held.items()}}


def datasets(seed):
    parts = data(seed)
    return {name: Noisy(part, seed) if name == "train" else (part.x, part.y) for name, part in vars(parts).items()}


TASKS = {
    "plain": {},
    "batch normalisation, dropout and randomised slopes": {"model": with_noise},
    "buffers of its own": {
        "model": lambda _: nn.Sequential(nn.Linear(4, 8), Counting(), nn.ReLU(), nn.Linear(8, 2)),
    },
    "a loss that draws": {"loss": drawing_loss},
    "momentum": {"optimizer": sgd},
    "groups of the model": {"optimizer": groups},
    "RMSprop": {"optimizer": torch.optim.RMSprop},
    "without a new order": {"shuffle": False},
    "one cycle": {"optimizer": sgd, "scheduler": one_cycle},
    "warm-up and cosine": {"scheduler": warm_up},
    "a lambda": {"scheduler": lambda optimizer, total: lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / total)},
    "a plateau": {"scheduler": lambda optimizer, _: lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", patience=0)},
    "cyclic": {
        "scheduler": lambda optimizer, _: lr_scheduler.CyclicLR(
            optimizer, 0.001, 0.1, step_size_up=3, cycle_momentum=False
        )
    },
    "accumulation": {"accumulate": 2, "epochs": 5},
    "averaged weights": {"ema": 0.8, "model": with_noise},
    "early stopping": {"patience": 5, "validate_every": 1, "epochs": 6, "model": with_noise},
    "averaged weights and early stopping": {"patience": 2, "validate_every": 2, "ema": 0.6, "epochs": 6},
    "float16": {"precision": "fp16", "clip_norm": 0.5, "model": with_noise},
    "bfloat16": {"precision": "bf16", "scheduler": one_cycle},
    "a loader with augmentation": {"data": loaders},
    "a dataset with augmentation": {"data": datasets, "model": with_noise},
    "without a validation split": {"data": lambda seed: {**vars(data(seed)), "validation": None}},
}


@pytest.mark.parametrize("settings", TASKS.values(), ids=TASKS)
def test_a_trial_goes_on_to_the_same_numbers_wherever_it_was_killed(tmp_path, settings):
    count = Killer(loss=settings.get("loss", F.cross_entropy))
    expected = run(tiny(**{**settings, "loss": count}), None)
    assert expected.status == "completed", expected.error
    kills = sorted({2, count.calls // 2, count.calls - 1})
    found, _ = resumed(tmp_path, kills, settings)
    assert numbers(found) == numbers(expected)


@pytest.mark.parametrize("arm", ["swish(beta=learned)", "prelu", "rrelu", "step/rect(-0.5,0.5)", "gelu"])
def test_learned_and_random_activations_go_on_to_the_same_numbers(tmp_path, arm):
    expected = run(tiny(), None, arm=arm)
    assert expected.status == "completed", expected.error
    assert numbers(resumed(tmp_path, [4, 7], {}, arm=arm)[0]) == numbers(expected)


def test_no_more_than_the_step_of_the_kill_is_repeated(tmp_path):
    _, calls = resumed(tmp_path, [2, 4, 6, 8], {})
    assert calls == run(tiny(), None).steps + 4


def test_a_short_trial_never_writes(tmp_path):
    run(tiny(), tmp_path / "none", every=60.0)
    assert not (tmp_path / "none").exists()


def cut_short(folder, **settings):
    """Run a trial until its sixth step, and return the file of its checkpoint."""
    assert run(tiny(loss=Killer(6), **settings), folder).status == "failed"
    (file,) = folder.iterdir()
    return file


def test_what_was_left_is_read_by_the_same_trial_only(tmp_path):
    cut_short(tmp_path)
    again = Killer()
    run(tiny(loss=again), tmp_path, every=60.0)
    assert again.calls == 4
    others = {
        "other weights": {"settings": {"model": lambda _: nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 2))}},
        "other data": {"settings": {"data": lambda seed: data(seed + 1)}},
        "another seed": {"seed": 1},
        "another arm": {"arm": "gelu"},
        "another stage": {"stage": "tune"},
    }
    for name, options in others.items():
        settings, killer = options.pop("settings", {}), Killer()
        found = run(tiny(loss=killer, **settings), tmp_path, every=60.0, **options)
        assert killer.calls == found.steps == 9, name


DAMAGES = {
    "another shape": lambda state: state["model"].update({"0.weight": torch.zeros(3, 3)}),
    "without the optimizer": lambda state: state["optimization"].pop("optimizer"),
    "without the losses": lambda state: state["recorder"].pop("losses"),
    "another optimizer": lambda state: state["optimization"]["optimizer"].update({"param_groups": []}),
    "no number of an epoch": lambda state: state.update(epoch="first"),
    "without generators": lambda state: state.update(generators={}),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_state_that_does_not_fit_is_dropped_and_the_trial_begins_anew(tmp_path, damage, caplog):
    file = cut_short(tmp_path)
    content = torch.load(file, weights_only=True)
    damage(content["state"])
    torch.save(content, file)
    killer = Killer()
    assert numbers(run(tiny(loss=killer), tmp_path)) == numbers(run(tiny(), None))
    assert killer.calls == 9
    assert "begins anew" in caplog.text


def test_a_file_that_was_cut_off_is_dropped_and_the_trial_begins_anew(tmp_path):
    file = cut_short(tmp_path)
    file.write_bytes(file.read_bytes()[:100])
    assert numbers(run(tiny(loss=Killer()), tmp_path)) == numbers(run(tiny(), None))


def test_seconds_are_those_of_all_attempts_up_to_their_checkpoints(tmp_path):
    file = cut_short(tmp_path)
    content = torch.load(file, weights_only=True)
    content["spent"] = [1000.0, 500.0]
    torch.save(content, file)
    found = run(tiny(loss=Killer()), tmp_path)
    assert found.seconds > 1000
    assert 500 < found.cpu_seconds < 600
    assert found.series["loss"]["seconds"] == sorted(found.series["loss"]["seconds"])


FAULTS = {
    "generators": lambda state: state.update(generators=generator_states()),
    "the optimizer's moments": lambda state: [
        it["exp_avg"].zero_() for it in state["optimization"]["optimizer"]["state"].values()
    ],
    "statistics of batch normalisation": lambda state: state["model"]["1.running_mean"].zero_(),
    "position": lambda state: state.update(epoch_began=state["epoch_began"] + 1),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_seen(tmp_path, fault):
    settings = {"model": with_noise}
    file = cut_short(tmp_path, **settings)
    content = torch.load(file, weights_only=True)
    fault(content["state"])
    torch.save(content, file)
    assert numbers(run(tiny(loss=Killer(), **settings), tmp_path)) != numbers(run(tiny(**settings), None))
