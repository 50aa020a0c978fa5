"""What a task asks of the training loop is checked before any trial; wrong values as users type them are in tests/test_bad_input.py."""

import pytest
import torch
from tests.studies.tiny import tiny
from torch import nn
from torch.optim import lr_scheduler

from actlab.errors import PlanError, TaskError
from actlab.study import draft
from actlab.tasks.checks.check import check
from actlab.tasks.checks.loop_settings import check_loop_settings
from actlab.tasks.task import Task


def one_cycle(optimizer, total):
    return lr_scheduler.OneCycleLR(optimizer, max_lr=0.05, total_steps=total)


GOOD = {
    "scheduler": one_cycle,
    "clip_norm": 1,
    "accumulate": 2,
    "ema": 0.999,
    "validate_every": 10**6,
    "patience": 1,
    "precision": "fp16",
    "steps": 4,
}


@pytest.mark.parametrize("name", GOOD)
def test_what_the_loop_takes_passes(name):
    check(tiny(**{name: GOOD[name]}))


def test_all_together_pass():
    check(tiny(**GOOD))


WRONG = {
    "clip_norm": [0, -1, float("nan"), float("inf"), "1", True],
    "ema": [0, 1, 1.5, -0.1, float("nan"), "0.9", True],
    "accumulate": [0, -1, 1.5, None, True, "2"],
    "validate_every": [0, -5, 0.5, True, "10"],
    "patience": [0, -1, 2.5, False, "3"],
    "precision": ["fp8", "fp32", "bfloat16", torch.bfloat16, 16, True, [], "BF16"],
    "compile": [None, 1, "inductor"],
    "scheduler": ["cosine", 3, {}],
}


@pytest.mark.parametrize("name", WRONG)
def test_values_that_mean_nothing_are_refused_by_the_name_of_the_setting(name):
    for value in WRONG[name]:
        with pytest.raises(TaskError, match=f"^{name} of the task tiny is"):
            check_loop_settings(tiny(**{name: value}))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("bfloat16", "'bf16'"), ("16-mixed", "'fp16'"), ("half", "'fp16'"), ("BF16", "'bf16'"), (torch.float16, "'fp16'")],
)
def test_the_words_of_other_frameworks_are_understood(typed, meant):
    with pytest.raises(TaskError, match=f"Did you mean {meant}"):
        check_loop_settings(tiny(precision=typed))


@pytest.mark.parametrize("name", ["scheduler", "clip_norm", "ema", "patience", "precision"])
def test_a_task_that_trains_by_itself_is_told_to_do_it_there(name):
    function = {"name": "own", "model": lambda _: nn.Linear(1, 1), "train": lambda *_: {"accuracy": 1.0}}
    function |= {"metric_name": "accuracy", "direction": "max"}
    check_loop_settings(Task(**function))
    with pytest.raises(TaskError, match=rf"{name} of the task own is set.*training function trains by itself"):
        check_loop_settings(Task(**function, **{name: GOOD[name]}))


def test_to_compile_there_must_be_a_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    with pytest.raises(TaskError, match=r"needs a C\+\+ compiler, which was not found: no-such-compiler"):
        check_loop_settings(tiny(compile=True))


def test_a_scheduler_that_gives_no_rate_is_refused():
    def falling(optimizer, _):
        return lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 3)

    with pytest.raises(TaskError, match=r"sets the learning rate to -0.02 after 9 of 9 steps"):
        check(tiny(scheduler=falling))


def test_a_scheduler_that_needs_more_than_a_step_is_told_with_its_error():
    class OfEpochs:
        def __init__(self, optimizer):
            self.optimizer = optimizer

        def step(self, epoch):
            del epoch

    with pytest.raises(TaskError, match="missing 1 required positional argument: 'epoch'"):
        check(tiny(scheduler=lambda optimizer, _: OfEpochs(optimizer)))


def test_a_task_is_as_before_it_was_checked():
    before = torch.get_rng_state()
    check(tiny(**GOOD))
    assert torch.equal(torch.get_rng_state(), before)


def rates_of(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


IDLE = {
    "a rate of the scheduler": {"scheduler": one_cycle},
    "a rate of the optimizer": {"optimizer": lambda parameters, lr: torch.optim.SGD(parameters, 0.1)},  # noqa: ARG005
}
USED = {
    "none": {},
    "one cycle": {"scheduler": lambda it, total: lr_scheduler.OneCycleLR(it, max_lr=rates_of(it), total_steps=total)},
    "warm-up from 0": {"scheduler": lambda it, total: lr_scheduler.LambdaLR(it, lambda step: step / total)},
    "plateau": {"scheduler": lambda it, total: lr_scheduler.ReduceLROnPlateau(it, mode="max")},  # noqa: ARG005
}


@pytest.mark.parametrize("settings", IDLE.values(), ids=IDLE)
def test_a_learning_rate_without_effect_is_not_tuned(settings):
    draft(tiny(**settings), ["relu", "gelu"])
    with pytest.raises(PlanError, match=r"tune='lr' has nothing to choose: the learning rates of tiny are the same"):
        draft(tiny(**settings), ["relu", "gelu"], tune="lr")


@pytest.mark.parametrize("settings", USED.values(), ids=USED)
def test_a_learning_rate_that_reaches_the_optimizer_is_tuned(settings):
    assert draft(tiny(**settings), ["relu", "gelu"], tune="lr").plan.tune == "lr"
