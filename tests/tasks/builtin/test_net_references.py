"""Tasks on signals, units and plasticity reach with ReLU what they are held against."""

import pytest

from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks import resolve

REFERENCES = {  # of one training with ReLU, seed 0: lowest and highest result
    "deep-digits:sgd-0.3": (0.94, 1),  # logistic regression 0.967 on this seed
    "deep-digits:adam-0.003": (0.94, 1),
    "deep-digits:elu-paper": (0.94, 1),
    "gradient:depth-20": (-7.8, -7.1),  # closed form -7.39
    "slow-regression": (0.75, 1.2),  # published 0.62 in the beginning, 1.2 to 1.35 after a million examples
    "fashion-mnist:permuted": (0.729, 1),  # a linear net on the same batches
    "fashion-mnist:random-labels": (0.1, 0.285),  # chance, and a linear net on the same batches
    "modular-sum:decay-1": (100, 5999),  # generalises, and later than it memorises
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFERENCES)
def test_a_training_with_relu_reaches_the_reference_of_its_task(name):
    trial = run_trial(resolve(name), parse_arm("relu"), seed=0)

    lowest, highest = REFERENCES[name]
    assert lowest < trial.metric < highest, trial.metric
