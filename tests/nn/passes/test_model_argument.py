"""Public functions told something that is no model."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch
from torch import nn

import actlab
from actlab.errors import SiteError
from actlab.tasks import resolve
from actlab.tasks.training_function.function_task import function_task


def build(seed):
    return nn.Linear(2, 2)


def train(model):
    return {"accuracy": 0.5}


CALLS = {
    "find": actlab.find,
    "swap_": lambda model: actlab.swap_(model, "gelu"),
    "fast": actlab.fast,
    "slim_": actlab.slim_,
    "probe": lambda model: actlab.probe(model, [torch.ones(1)]),
    "init_": lambda model: actlab.init_(model, torch.ones(1)),
    "shapes": actlab.shapes,
    "propagation": lambda model: actlab.propagation(model, torch.ones(1)),
    "importance": lambda model: actlab.importance(model, []),
    "morph_": lambda model: actlab.morph_(model, "gelu", []),
    "linearise_": lambda model: actlab.linearise_(model, [], []),
    "recalibrate_": lambda model: actlab.recalibrate_(model, []),
    "export": lambda model: actlab.export(model, torch.ones(1), "net.onnx"),
    "parameter_groups": lambda model: actlab.parameter_groups(model, 0.1),
}
WRONG = {
    "class": (nn.ReLU, "ReLU is a class. Build one: ReLU(...)"),
    "list": ([nn.ReLU()], "torch.nn.Sequential(*modules)"),
    "weights": ({}, "model.load_state_dict(weights)"),
    "text": ("resnet18", "'resnet18' is a text"),
    "None": (None, "got NoneType"),
    "path": (Path("train.py"), "'train.py' is a path"),
    "task": (resolve("digits"), "this is a Task, 'digits'"),
    "task of a training function": (function_task(train, model=build), "this is a Task, 'train'"),
    "script": (actlab.Script("python train.py", metric="f1"), "whose model exists in its own process only"),
    "function": (build, "build is a function. Give the torch.nn.Module that it returns"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", CALLS)
def test_what_is_no_model_is_told_with_a_hint(name, wrong):
    value, hint = WRONG[wrong]
    with pytest.raises(SiteError) as caught:
        CALLS[name](value)

    assert str(caught.value).startswith(f"{name} takes a model")
    assert hint in str(caught.value)


@pytest.mark.parametrize("value", [nn.Sequential, 3, None, [nn.ReLU()]])
def test_the_doctor_tells_it_too(value):
    with pytest.raises(SiteError, match="doctor takes a model"):
        actlab.doctor(value)


def test_the_signature_is_that_of_the_function():
    assert list(inspect.signature(actlab.find).parameters) == ["model", "example_inputs", "rounds"]
    assert actlab.find.__doc__.startswith("List every activation")


def test_a_task_is_told_which_call_trains_and_measures_and_which_builds_its_model():
    with pytest.raises(SiteError, match=r"appraise\(task\), from actlab.diagnostics.appraise, trains the model"):
        actlab.importance(resolve("digits"))
    with pytest.raises(SiteError, match=r"Give one: find\(task.model\(0\), ...\)"):
        actlab.find(resolve("digits"))
