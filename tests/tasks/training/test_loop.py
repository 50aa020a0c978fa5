"""The training loop gives the numbers of a plain PyTorch loop, to the bit, whatever a task asks of it."""

import copy
import math
import warnings
from functools import partial

import pytest
import torch
from tests.studies.tiny import data, tiny
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from actlab.errors import TaskError
from actlab.nn.transforms.swap import swap_
from actlab.tasks.training.batches import batches, step_count
from actlab.tasks.training.held_out import HeldOut
from actlab.tasks.training.loop import DivergedError, TrainingSettings, train
from actlab.tasks.training.recorder import Recorder

LR = 0.01


def net(_=0):
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))


def with_learned_swish():
    model = net()
    swap_(model, "swish(beta=learned)")
    return model


def trained(task, model=None, *, seed=0, **settings):
    """Model and losses of the loop of ActLab."""
    parts, recorder = data(seed), Recorder()
    model = net() if model is None else model
    total = step_count(task, parts.train)
    held_out = HeldOut(task, parts.validation, total=total, recorder=recorder)
    torch.manual_seed(seed)
    chosen = TrainingSettings(lr=LR, **settings)
    train(task, model.train(), parts.train, seed, settings=chosen, recorder=recorder, held_out=held_out)
    return model, recorder.losses


def by_hand(task, step, *, seed=0):
    """Model and losses of a loop over batches: ``step(model, optimizer, group, epoch_end)`` returns a loss or None."""
    model = net()
    torch.manual_seed(seed)
    losses = step(model.train(), list(batches(task, data(seed).train, seed)))
    return model, losses


def plain_loop(model, stream, *, optimizer, scheduler=None, clip=None, after=None):
    losses = []
    for x, y in stream:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        if after is not None:
            after()
        losses.append(loss.item())
    return losses


def assert_same(ours, theirs):
    (model, losses), (expected, expected_losses) = ours, theirs
    assert losses == expected_losses
    assert len(losses) > 1
    for name, value in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def adamw(parameters, lr):
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=0.1)


def warm_up_and_cosine(optimizer, total):
    warm_up = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=3)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=total - 3)
    return lr_scheduler.SequentialLR(optimizer, [warm_up, cosine], milestones=[3])


SCHEDULERS = {
    "one cycle": lambda optimizer, total: lr_scheduler.OneCycleLR(optimizer, max_lr=0.05, total_steps=total),
    "warm-up and cosine": warm_up_and_cosine,
    "a lambda": lambda optimizer, total: lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / total),
    "steps": lambda optimizer, _: lr_scheduler.StepLR(optimizer, step_size=4, gamma=0.3),
    "cyclic": lambda optimizer, total: lr_scheduler.CyclicLR(
        optimizer, 0.001, 0.1, step_size_up=total // 4, cycle_momentum=False
    ),
    "warm restarts": lambda optimizer, total: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=total // 3),
    "polynomial": lambda optimizer, total: lr_scheduler.PolynomialLR(optimizer, total_iters=total, power=2.0),
}


@pytest.mark.parametrize("scheduler", SCHEDULERS.values(), ids=SCHEDULERS)
def test_a_scheduler_is_stepped_after_every_step_of_the_optimizer(scheduler):
    task = tiny(optimizer=adamw, scheduler=scheduler)
    total = step_count(task, data(0).train)

    def loop(model, stream):
        assert len(stream) == total
        optimizer = adamw(model.parameters(), LR)
        return plain_loop(model, stream, optimizer=optimizer, scheduler=scheduler(optimizer, total))

    assert_same(trained(task), by_hand(task, loop))


def groups(model, lr):
    weights = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    return torch.optim.SGD(
        [{"params": weights, "weight_decay": 0.1}, {"params": rest, "lr": lr / 2}], lr=lr, momentum=0.9
    )


def test_an_optimizer_of_the_model_has_its_own_groups():
    def loop(model, stream):
        return plain_loop(model, stream, optimizer=groups(model, LR))

    task = tiny(optimizer=groups)
    assert_same(trained(task), by_hand(task, loop))


def test_a_class_of_optimizers_and_a_partial_one_are_given_parameters():
    for optimizer in (torch.optim.RMSprop, partial(torch.optim.NAdam, betas=(0.8, 0.9))):

        def loop(model, stream, optimizer=optimizer):
            return plain_loop(model, stream, optimizer=optimizer(model.parameters(), lr=LR))

        assert_same(trained(tiny(optimizer=optimizer)), by_hand(tiny(), loop))


def test_learned_numbers_leave_the_weight_decay_of_groups_that_the_model_decides():
    seen = []

    def watched(model, lr):
        seen.append(groups(model, lr))
        return seen[-1]

    model = with_learned_swish()
    beta = model[2].beta
    start = beta.detach().clone()
    trained(
        tiny(optimizer=watched, loss=lambda output, target: 0 * F.cross_entropy(output, target)),
        model,
        decay_learned=False,
    )
    assert torch.equal(beta.detach(), start)


def test_gradients_are_clipped_to_the_norm():
    def loop(model, stream):
        return plain_loop(model, stream, optimizer=adamw(model.parameters(), LR), clip=0.05)

    task = tiny(optimizer=adamw, clip_norm=0.05)
    assert_same(trained(task), by_hand(task, loop))


def test_gradients_of_several_batches_are_averaged_and_the_last_step_of_an_epoch_has_what_is_left():
    task = tiny(optimizer=adamw, accumulate=2, epochs=4)  # three batches an epoch: steps of two batches and of one
    sizes = [2, 1] * 4

    def loop(model, stream):
        optimizer, losses = adamw(model.parameters(), LR), []
        batch = iter(stream)
        for size in sizes:
            values = []
            for _ in range(size):
                x, y = next(batch)
                loss = F.cross_entropy(model(x), y)
                (loss / size if size > 1 else loss).backward()
                values.append(loss.item())
            optimizer.step()
            optimizer.zero_grad()
            losses.append(math.fsum(values) / size if size > 1 else values[0])
        return losses

    assert step_count(task, data(0).train) == 8
    assert_same(trained(task), by_hand(task, loop))


def test_a_scheduler_is_given_the_steps_of_the_optimizer_and_steps_limits_these():
    totals = []

    def scheduler(optimizer, total):
        totals.append(total)
        return lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=total)

    _, losses = trained(tiny(accumulate=2, epochs=4, steps=5, scheduler=scheduler))
    assert totals == [5]
    assert len(losses) == 5


def test_averaged_weights_and_statistics_are_those_of_torch():
    task = tiny(optimizer=adamw, ema=0.9, epochs=5)

    def loop(model, stream):
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
        optimizer = adamw(model.parameters(), LR)
        losses = plain_loop(model, stream, optimizer=optimizer, after=lambda: average.update_parameters(model))
        counts = {name: value.clone() for name, value in model.named_buffers() if not value.is_floating_point()}
        model.load_state_dict(average.module.state_dict())
        model.load_state_dict(counts, strict=False)  # ours is the model's own count, not a truncated mean
        return losses

    assert_same(trained(task), by_hand(task, loop))


def test_averages_change_no_loss_of_the_training_but_are_what_is_evaluated():
    task, recorders = tiny(epochs=6, validate_every=5), []
    for decay in (None, 0.9):
        recorder, parts = Recorder(), data(0)
        averaged = tiny(epochs=6, validate_every=5, ema=decay)
        held_out = HeldOut(task, parts.validation, total=18, recorder=recorder)
        torch.manual_seed(0)
        train(averaged, net(), parts.train, 0, settings=TrainingSettings(lr=LR), recorder=recorder, held_out=held_out)
        recorders.append(recorder)
    raw, average = (recorder.to_series()["negative loss"] for recorder in recorders)
    assert recorders[0].losses == recorders[1].losses
    assert raw["step"] == average["step"] == [5, 9, 10, 15]
    assert raw["value"] != average["value"]


def test_learned_numbers_of_activations_are_averaged():
    values = [state["2.beta"] for state in kept_states(tiny(), with_learned_swish())[1:]]
    expected = values[0].clone()
    for value in values[1:]:
        expected += (1 - 0.8) * (value - expected)
    model, _ = trained(tiny(ema=0.8), with_learned_swish())
    torch.testing.assert_close(model[2].beta.detach(), expected)
    assert not torch.equal(values[-1], model[2].beta)


def quality(values):
    """A metric that has these values at successive evaluations."""
    remaining = iter(values)
    return lambda _output, _target: next(remaining)


def kept_states(task, model):
    """States of a model after each step of a training without early stopping."""
    states = []
    parts = data(0)
    torch.manual_seed(0)

    def look(_):
        states.append(copy.deepcopy(model.state_dict()))

    train(task, model, parts.train, 0, settings=TrainingSettings(lr=LR), recorder=Recorder(), look=look)
    return [*states, copy.deepcopy(model.state_dict())]


ENDS = {
    "stops after two without a better one": (
        [0.1, 0.5, 0.4, 0.5, 0.9],
        4,
        2,
    ),  # the equal one is no better: first of ties
    "a later rise counts": ([0.1, 0.5, 0.4, 0.6, 0.2, 0.1, 0.9], 6, 4),
    "NaN is no improvement": ([0.1, math.nan, math.inf, 0.9], 3, 1),
    "the best is the last": ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], 9, 9),
    "the best is the first": ([0.9, 0.8, 0.7, 0.6], 3, 1),
}


@pytest.mark.parametrize(("values", "ended", "best"), ENDS.values(), ids=ENDS)
def test_a_training_ends_early_with_its_best_weights(values, ended, best):
    settings = {"validate_every": 1, "metric": quality(values), "metric_name": "quality"}
    model, losses = trained(tiny(patience=2, **settings))
    assert len(losses) == ended
    expected = kept_states(tiny(), net())[best]
    for name, value in model.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_smaller_is_better_where_the_task_says_so():
    values = [0.9, 0.2, 0.3, 0.25, 0.1]
    settings = {"validate_every": 1, "metric": quality(values), "direction": "min"}
    model, losses = trained(tiny(patience=2, **settings))
    assert len(losses) == 4
    assert torch.equal(model[0].weight, kept_states(tiny(), net())[2]["0.weight"])


def test_the_best_weights_are_averaged_ones_where_the_task_averages():
    values = [0.1, 0.9, 0.2, 0.3, 0.4]
    ends = tiny(patience=3, ema=0.5, validate_every=1, metric=quality(values))
    model, _ = trained(ends)
    other, _ = trained(tiny(ema=0.5, steps=2))
    assert torch.equal(model[0].weight, other[0].weight)


def test_a_plateau_is_seen_on_the_validation_split():
    values = [0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.01, 0.0]
    rates = []

    def scheduler(optimizer, _):
        rates.append(optimizer)
        return lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", factor=0.1, patience=1)

    trained(tiny(scheduler=scheduler, validate_every=1, metric=quality(values), steps=8))
    assert rates[0].param_groups[0]["lr"] == pytest.approx(LR * 0.1**3)


def test_a_plateau_of_the_other_direction_is_refused():
    task = tiny(scheduler=lambda optimizer, _: lr_scheduler.ReduceLROnPlateau(optimizer))
    with pytest.raises(TaskError, match=r"mode='min'.*direction is 'max'"):
        trained(task)


@pytest.mark.parametrize("returned", [None, [], {"scheduler": 1}, 0.1], ids=["None", "list", "dict", "number"])
def test_what_is_no_scheduler_is_refused(returned):
    with pytest.raises(TaskError, match=f"scheduler of the task tiny returned a {type(returned).__name__}"):
        trained(tiny(scheduler=lambda *_: returned))


def test_bfloat16_is_autocast_around_the_forward_pass_and_the_loss():
    task = tiny(optimizer=adamw, precision="bf16")

    def loop(model, stream):
        optimizer, losses = adamw(model.parameters(), LR), []
        for x, y in stream:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                output = model(x)
                loss = F.cross_entropy(output, y)
            assert output.dtype == torch.bfloat16
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        return losses

    assert_same(trained(task), by_hand(task, loop))


def large(output, target):
    return 1000 * F.cross_entropy(output, target)  # at the first scales, its gradients are too large for float16


def test_float16_has_a_gradient_scaler_whose_left_out_steps_are_no_divergence():
    task = tiny(
        optimizer=adamw, precision="fp16", clip_norm=0.5, epochs=8, scheduler=SCHEDULERS["one cycle"], loss=large
    )
    total, skipped = 24, []

    def loop(model, stream):
        optimizer, losses, scaler = adamw(model.parameters(), LR), [], torch.amp.GradScaler("cpu")
        scheduler = SCHEDULERS["one cycle"](optimizer, total)
        for x, y in stream:
            with torch.autocast("cpu", dtype=torch.float16):
                loss = large(model(x), y)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            before = scaler.get_scale()
            scaler.step(optimizer)
            scaler.update()
            skipped.append(scaler.get_scale() < before)
            optimizer.zero_grad()
            with warnings.catch_warnings(action="ignore"):  # of torch, where the first step was left out
                scheduler.step()
            losses.append(loss.item())
        return losses

    assert_same(trained(task), by_hand(task, loop))
    assert any(skipped)
    assert not all(skipped)


class InfiniteGradient(torch.autograd.Function):
    @staticmethod
    def forward(_, x):
        return x.clone()

    @staticmethod
    def backward(_, gradient):
        return gradient * math.inf


def test_gradients_that_no_scale_makes_finite_are_a_divergence():
    task = tiny(
        precision="fp16", epochs=40, loss=lambda output, target: F.cross_entropy(InfiniteGradient.apply(output), target)
    )
    with pytest.raises(DivergedError, match="gradients are not finite at any scale"):
        trained(task)


def test_a_loss_that_is_not_finite_ends_the_training_whatever_the_precision():
    for precision in (None, "bf16", "fp16"):
        with pytest.raises(DivergedError, match="loss is nan at step 1"):
            trained(tiny(precision=precision, loss=lambda output, _: output.sum() * math.nan))


def test_all_together_give_the_numbers_of_a_plain_loop():
    task = tiny(
        optimizer=groups, scheduler=warm_up_and_cosine, clip_norm=0.3, accumulate=3, ema=0.7, precision="bf16", epochs=7
    )

    def loop(model, stream):
        optimizer, losses = groups(model, LR), []
        scheduler = warm_up_and_cosine(optimizer, 7)
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.7), use_buffers=True)
        for step in range(7):
            values = []
            for x, y in stream[3 * step : 3 * step + 3]:
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    loss = F.cross_entropy(model(x), y)
                (loss / 3).backward()
                values.append(loss.item())
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.3)
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step()
            average.update_parameters(model)
            losses.append(math.fsum(values) / 3)
        counts = {name: value.clone() for name, value in model.named_buffers() if not value.is_floating_point()}
        model.load_state_dict(average.module.state_dict())
        model.load_state_dict(counts, strict=False)
        return losses

    assert_same(trained(task), by_hand(task, loop))


@pytest.mark.slow  # 20 s of the C++ compiler
@pytest.mark.parametrize("spec", ["gelu", "swish(beta=learned)", "mish", "step/rect(-0.5,0.5)"])
def test_a_compiled_model_trains_as_the_model_itself(spec):
    results = []
    for is_compiled in (False, True):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
        swap_(model, spec)
        results.append(trained(tiny(compile=is_compiled), model)[1])
    assert results[0] == pytest.approx(results[1], rel=1e-4)
