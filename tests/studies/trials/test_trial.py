"""A trial is a pure function of the plan, and errors in it are its result."""

import json
import math
import sys

import pytest
import torch
from tests.studies.tiny import data, model, numbers, tiny
from torch import nn
from torch.nn import functional as F

from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks.data import Data
from actlab.tasks.task import adam, load_data

RELU, GELU = parse_arm("relu"), parse_arm("gelu")


def bare_loop(task, seed):
    """The same training, written by hand."""
    parts = load_data(task, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = model(seed)
        optimizer = adam(net.parameters(), task.learning_rate)
        generator, losses = torch.Generator().manual_seed(seed), []
        for _ in range(task.epochs):
            order = torch.randperm(len(parts.train), generator=generator)
            for start in range(0, len(order), task.batch_size):
                index = order[start : start + task.batch_size]
                loss = F.cross_entropy(net(parts.train.x[index]), parts.train.y[index])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
        return losses, task.metric(net(parts.test.x), parts.test.y)


def test_a_trial_is_the_bare_loop():
    losses, metric = bare_loop(tiny(), 5)

    trial = run_trial(tiny(), RELU, 5)

    assert (trial.status, trial.steps, trial.parameters) == ("completed", 9, 58)
    assert trial.metric == pytest.approx(metric, rel=1e-5)
    assert [point["loss"] for point in trial.curve] == pytest.approx(losses, rel=1e-5)
    assert trial.train_loss == pytest.approx(sum(losses) / 9)


def test_the_same_trial_gives_the_same_bits_whatever_the_threads_and_generators_before():
    rows = []
    threads = torch.get_num_threads()
    for n in (1, 2):
        torch.set_num_threads(n)
        torch.rand(n)
        rows.append(run_trial(tiny(), GELU, 1).to_row())
    torch.set_num_threads(threads)

    assert numbers(rows[:1]) == numbers(rows[1:])


def test_no_global_state_moves():
    before, threads = torch.get_rng_state(), torch.get_num_threads()

    run_trial(tiny(), GELU, 1)

    assert torch.equal(before, torch.get_rng_state())
    assert threads == torch.get_num_threads()


def test_arms_are_paired_they_start_from_the_same_weights_and_drop_the_same_units():
    seen, outputs = {}, []

    def watched(output, target):
        seen.setdefault(len(seen), output.detach().clone())
        return F.cross_entropy(output, target)

    def dropping(seed):
        return nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 2))

    for arm in (
        "relu",
        "leaky_relu(0.000001)",
        "swish(beta=learned(1000000))",
    ):  # three ways to write nearly the same function
        seen.clear()
        run_trial(tiny(model=dropping, loss=watched, steps=1), parse_arm(arm), 3)
        outputs.append(seen[0])

    assert all(torch.allclose(outputs[0], output, atol=1e-5) for output in outputs)


def test_rows_can_be_written_as_json():
    assert json.loads(json.dumps(run_trial(tiny(), RELU, 0).to_row()))["arm"] == "relu"


def test_the_test_split_is_read_once_at_the_end_and_not_at_all_in_tuning():
    calls = []

    def counted(output, target):
        calls.append(len(target))
        return 0.5

    run_trial(tiny(metric=counted), RELU, 0)
    run_trial(tiny(metric=counted), RELU, 0, stage="tune")

    # validation after each of nine steps, test, and a constant prediction on test; then validation alone
    assert calls == [20] * 9 + [30, 30] + [20] * 9


def test_a_tuning_trial_has_a_validation_and_no_metric():
    trial = run_trial(tiny(), RELU, 0, stage="tune", lr=0.5)

    assert (trial.stage, trial.lr, trial.metric) == ("tune", 0.5, None)
    assert math.isfinite(trial.validation)


def test_a_curve_metric_is_the_result():
    trial = run_trial(tiny(curve_metric=lambda losses: losses[-1] + 100), RELU, 0)

    assert trial.metric == pytest.approx(trial.curve[-1]["loss"] + 100)


def test_the_curve_has_at_most_100_points_and_keeps_the_mean():
    trial = run_trial(tiny(epochs=50), RELU, 0)

    assert len(trial.curve) == 100
    assert trial.curve[-1]["step"] == trial.steps == 150
    weights = [b["step"] - a["step"] for a, b in zip([{"step": 0}, *trial.curve], trial.curve, strict=False)]
    mean = sum(w * point["loss"] for w, point in zip(weights, trial.curve, strict=True)) / 150
    assert mean == pytest.approx(trial.train_loss)


def test_matched_init_gives_arms_weights_that_differ_by_a_factor_only():
    layers = {}

    def kept(parameters, lr):
        layers[len(layers)] = [weight.detach().clone() for weight in parameters]
        return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr)

    for arm in (RELU, parse_arm("tanh")):
        run_trial(tiny(optimizer=kept, steps=1), arm, 0, init="matched")

    assert torch.equal(layers[0][0], layers[1][0])
    ratio = layers[0][2] / layers[1][2]
    assert torch.allclose(ratio, torch.full_like(ratio, math.sqrt(2) / 1.5925), rtol=1e-3)


def explode(output, target):
    return F.cross_entropy(output, target) * float("inf")


def late_nan(output, target):
    return float("nan")


def no_memory(seed):
    return torch.empty(2**60)


def python_memory(seed):
    raise MemoryError


def leave(seed):
    sys.exit(1)


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"loss": explode}, "diverged", "the loss is inf at step 1"),
        ({"metric": late_nan}, "diverged", "the metric on the validation split is nan"),
        ({"model": no_memory}, "out_of_memory", "RuntimeError: "),
        ({"data": python_memory}, "out_of_memory", "MemoryError"),
        ({"model": leave}, "failed", "SystemExit: 1"),
        (
            {"metric": lambda *_: "good"},
            "failed",
            "TaskError: metric of tiny must return a number, got str",
        ),
        ({"loss": lambda *_: 1 / 0}, "failed", "ZeroDivisionError: division by zero"),
    ],
)
def test_an_error_is_the_result(changes, status, said):
    trial = run_trial(tiny(**changes), RELU, 0)

    assert (trial.status, trial.metric) == (status, None)
    assert trial.error.splitlines()[0].startswith(said)


def test_a_failed_trial_keeps_the_line_that_raised():
    trial = run_trial(tiny(loss=lambda *_: 1 / 0), RELU, 0)

    assert "test_trial.py" in trial.error
    assert "1 / 0" in trial.error


def test_a_loss_that_leaves_the_numbers_ends_the_trial_early_and_keeps_the_curve():
    def growing(output, target):
        return F.cross_entropy(output * 1e30, target) ** 9

    trial = run_trial(tiny(loss=growing), RELU, 0)

    assert (trial.status, trial.steps) == ("diverged", 0)


def test_ctrl_c_is_no_result():
    def interrupt(output, target):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_trial(tiny(loss=interrupt), RELU, 0)


def test_a_last_batch_of_one_example_is_left_out():
    def one_more(seed):
        whole = data(seed)
        part = type(whole.train)(x=whole.test.x[:17], y=whole.test.y[:17])
        return Data(train=part, test=whole.test)

    def normalising(seed):
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))

    trial = run_trial(tiny(data=one_more, model=normalising), RELU, 0)

    assert (trial.status, trial.steps) == ("completed", 3)


def test_batches_in_order_are_slices_of_the_data():
    seen = []

    def watched(output, target):
        seen.append(target.tolist())
        return F.cross_entropy(output, target)

    run_trial(tiny(loss=watched, shuffle=False, epochs=1), RELU, 2)

    assert [label for batch in seen for label in batch] == data(2).train.y.tolist()


def test_learned_numbers_can_be_left_out_of_the_tasks_weight_decay():
    def decaying(parameters, lr):
        return torch.optim.SGD(parameters, lr=lr, weight_decay=0.5)

    task, arm = tiny(optimizer=decaying, learning_rate=0.1), parse_arm("swish(beta=learned(2))")
    default, decayed, free = (
        run_trial(task, arm, 0, **o) for o in ({}, {"decay_learned": True}, {"decay_learned": False})
    )

    assert default.metric == decayed.metric
    assert decayed.metric != free.metric
    for other in (RELU, GELU):  # arms without learned numbers are the same to the bit
        assert run_trial(task, other, 0).metric == run_trial(task, other, 0, decay_learned=False).metric
    assert run_trial(tiny(), arm, 0).metric == run_trial(tiny(), arm, 0, decay_learned=False).metric  # no decay
