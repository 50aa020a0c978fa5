"""Settings records of nn: fields and keyword options agree, options take precedence, and unknown ones are refused."""

from __future__ import annotations

import dataclasses
from typing import get_type_hints

import pytest
import torch
from torch import nn

from actlab.errors import LayerError
from actlab.nn.layers.binary import (
    BinaryConv2d,
    BinaryConvOptions,
    BinaryConvSettings,
    BinaryLinear,
    BinaryOptions,
    BinarySettings,
)
from actlab.nn.recipes import BinaryRecipeOptions, BinaryRecipeSettings, binary
from actlab.nn.transforms.morph.finetune import morph_
from actlab.nn.transforms.morph.morph import Morph
from actlab.nn.transforms.morph.relufy import relufy_
from actlab.nn.transforms.morph.settings import BlendOptions, BlendSettings, MorphOptions, MorphSettings


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        (BinarySettings, BinaryOptions),
        (BinaryConvSettings, BinaryConvOptions),
        (BinaryRecipeSettings, BinaryRecipeOptions),
        (BlendSettings, BlendOptions),
        (MorphSettings, MorphOptions),
    ],
)
def test_keyword_options_are_the_fields_of_the_record(settings, options):
    hints = get_type_hints(settings)

    assert get_type_hints(options) == {field.name: hints[field.name] for field in dataclasses.fields(settings)}


def net():
    return nn.Sequential(nn.Linear(2, 4), nn.SiLU(), nn.Linear(4, 1))


X = torch.randn(16, 2, generator=torch.Generator().manual_seed(0))
BATCHES = [(X, X.prod(1, keepdim=True))]
LOSS = nn.functional.mse_loss


def error(model):
    return float(LOSS(model(X), BATCHES[0][1]))


def test_a_record_and_its_fields_as_keywords_do_the_same():
    models = [nn.Sequential(nn.Linear(2, 4), nn.SiLU(), nn.Linear(4, 1)) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())

    first = morph_(
        models[0], "relu", BATCHES, LOSS, evaluate=error, steps=6, anneal=0.5, direction="min", tolerance=None
    )
    record = MorphSettings(steps=6, anneal=0.5, direction="min", tolerance=None)
    second = morph_(models[1], "relu", BATCHES, LOSS, evaluate=error, settings=record)

    assert first == second
    assert torch.equal(models[0][2].weight, models[1][2].weight)


def test_a_keyword_takes_precedence_over_the_record():
    assert Morph(net(), "relu", total=10, settings=BlendSettings(anneal=0.5), anneal=0.2).anneal == 2
    assert Morph(net(), "relu", total=10, settings=MorphSettings(anneal=0.5)).anneal == 5
    result = relufy_(
        net(), BATCHES, LOSS, evaluate=error, settings=MorphSettings(steps=50, tolerance=None), steps=3, patience=None
    )
    assert result.recovery.steps == 3
    layer = BinaryConv2d(1, 1, 3, settings=BinaryConvSettings(bias=True, pad_value=1.0), pad_value=-1.0)
    assert (layer.bias is not None, layer.pad_value) == (True, -1.0)
    assert "scale='mean'" in repr(BinaryLinear(2, 2, settings=BinarySettings(scale="mean")))
    recipe = binary(
        [2, 4, 4, 2], total=5, settings=BinaryRecipeSettings(weights="binary", learning_rate=1.0), max_norm=None
    )
    assert (recipe.learning_rate, recipe.max_norm) == (1.0, None)


@pytest.mark.parametrize(
    "call",
    [
        lambda: morph_(net(), "relu", BATCHES, LOSS, evaluate=error, step_count=3),
        lambda: relufy_(net(), BATCHES, LOSS, evaluate=error, step_count=3),
        lambda: Morph(net(), "relu", total=3, steps=3),
        lambda: BinaryLinear(2, 2, rule="clipped"),
        lambda: BinaryConv2d(2, 2, 1, rule="clipped"),
        lambda: binary([2, 4, 2], total=3, rule="clipped"),
    ],
)
def test_an_unknown_keyword_is_refused(call):
    with pytest.raises(TypeError, match=r"unknown option '(step_count|steps|rule)'"):
        call()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BlendSettings(anneal=1.5), "from 0 to 1"),
        (lambda: MorphSettings(anneal=-0.1), "from 0 to 1"),
        (lambda: MorphSettings(steps=0), "from 1 up"),
        (lambda: MorphSettings(steps=True), "from 1 up"),
        (lambda: MorphSettings(calibration=0), "from 1 up"),
        (lambda: MorphSettings(direction="up"), "'max'"),
        (lambda: BinaryRecipeSettings(activation="relu"), "no binary activation"),
        (lambda: BinaryRecipeSettings(weights="int8"), "'float', 'binary'"),
        (lambda: BinaryRecipeSettings(float_share=0.5), r"\[0, 1\)"),
    ],
)
def test_a_value_out_of_range_is_refused_when_the_record_is_made(make, words):
    with pytest.raises(LayerError, match=words):
        make()
