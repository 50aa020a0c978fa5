"""Penalized tanh against the mean of other functions on two tasks of text."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

claim = Claim(
    sentence="Penalized tanh is the most stable function over tasks of text: on each it is above the mean of the others.",
    source=Source(text="Eger, Youssef & Gurevych 2018, Is it time to swish?", arxiv="1901.02671"),
    domain="language",
    about=("penalized_tanh", "tanh", "relu", "silu"),
    studies={
        "plays": ClaimStudy(
            task="shakespeare:plays", arms=("relu", "silu", "tanh", "penalized_tanh"), seeds=10, most=30, tune="lr"
        ),
        "gpt": ClaimStudy(
            task="shakespeare:small", arms=("relu", "tanh", "penalized_tanh"), seeds=8, most=20, tune="lr"
        ),
    },
    parts=(
        Part(
            says="macro F1 of penalized tanh above the mean of ReLU, Swish and tanh, plays of 64 words",
            effect=difference("penalized_tanh", ("relu", "silu", "tanh"), study="plays"),
            smallest=0.01,  # the task's region of equivalence; the source's differences are of one to two points
            unit="macro F1",
        ),
        Part(
            says="loss of penalized tanh below the mean of ReLU and tanh, language model",
            effect=difference("penalized_tanh", ("relu", "tanh"), study="gpt", larger=False),
            smallest=0.02,  # 1 % of the loss, as in the other claims on this task
            unit="nats per character",
        ),
    ),
    note=(
        "Two tasks in the place of eight, and three functions in the place of twenty. Learning rates are tuned with an equal "
        "budget."
    ),
)
