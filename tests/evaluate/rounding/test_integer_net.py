"""Integer nets of models of a task, with ranges of training examples."""

from __future__ import annotations

import pytest
import torch
from tests.studies.tiny import data, tiny
from torch import Tensor, nn

from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.rounding.integer_net import IntegerModel, calibration_inputs, integer_net
from actlab.evaluate.undefined_axis import UndefinedAxisError
from actlab.tasks import Data, Split


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTM(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.cell(x[:, None])[0][:, 0]
        return out


def of(model: nn.Module, splits: Data | None = None) -> EvaluationData:
    return EvaluationData(tiny(), model.eval(), data(0) if splits is None else splits)


def test_ranges_are_those_of_training_examples_and_of_no_other() -> None:
    splits = data(0)
    far = Data(train=splits.train, validation=splits.validation, test=Split(x=1e6 * splits.test.x, y=splits.test.y))
    model = tiny().model(0)
    whole = integer_net(model, of(model, far))
    assert whole.codings == integer_net(model, of(model)).codings
    assert calibration_inputs(of(model)).tolist() == splits.train.x.tolist()


def test_the_module_returns_the_numbers_of_the_integer_net_in_float32() -> None:
    model = tiny().model(0)
    whole = integer_net(model, of(model))
    x = data(0).train.x
    found = IntegerModel(whole)(x)
    assert found.dtype == torch.float32
    assert found.tolist() == torch.from_numpy(whole.numbers(x.numpy())[0]).float().tolist()
    assert 0 < float((found - model(x).detach()).abs().max()) < 0.05


def test_a_model_without_an_integer_form_is_named_with_the_reason() -> None:
    with pytest.raises(
        UndefinedAxisError, match=r"^Recurrent cannot be exported to int8. There are 2 obstacles: aten.zeros in cell"
    ):
        integer_net(Recurrent(), of(Recurrent()))


def test_inputs_of_whole_numbers_are_no_inputs_of_such_a_net() -> None:
    words = Split(x=torch.randint(9, (40, 4)), y=torch.zeros(40, dtype=torch.int64))
    with pytest.raises(UndefinedAxisError, match=r"the inputs are torch.int64; a net in integers"):
        integer_net(nn.Embedding(9, 2), of(nn.Embedding(9, 2), Data(train=words, test=words)))
