"""Squared ReLU against GELU in a character-level GPT, with torch's and with matched initial weights."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

_ARMS = ("gelu", "squared_relu", "leaky_relu_squared")
# "~1-2% better than GELU", comment of modded-nanogpt at its record 5; 1 % of the loss of this task, 2.1 nats.
_SMALLEST = 0.02

claim = Claim(
    sentence="Squared ReLU reaches a loss that is one to two per cent lower than that of GELU.",
    source=Source(
        text="So et al. 2021 (Primer); Jordan et al. 2024, modded-nanogpt, record 5",
        arxiv="2109.08668",
        url="https://github.com/KellerJordan/modded-nanogpt",
    ),
    domain="language",
    about=("squared_relu", "gelu"),
    studies={
        "fixed": ClaimStudy(task="shakespeare:small", arms=_ARMS, seeds=8, most=20, tune="lr"),
        "matched": ClaimStudy(task="shakespeare:small", arms=_ARMS, seeds=8, most=20, tune="lr", init="matched"),
    },
    parts=(
        Part(
            says="loss of squared ReLU below that of GELU, initial weights of torch",
            effect=difference("squared_relu", "gelu", larger=False, study="fixed"),
            smallest=_SMALLEST,
            unit="nats per character",
            condition="init=fixed",
        ),
        Part(
            says="loss of squared ReLU below that of GELU, initial weights matched to each function",
            effect=difference("squared_relu", "gelu", larger=False, study="matched"),
            smallest=_SMALLEST,
            unit="nats per character",
            condition="init=matched",
        ),
    ),
    note=(
        "A GPT of 0.1 million parameters on tiny Shakespeare. Torch's initial weights give inputs of the function a standard "
        "deviation of 0.58 behind a norm at any width, as 0.02 does at GPT-2's width of 768 (0.55). Learning rates are tuned "
        "with an equal budget. Matched weights are those of actlab.init_, whose gain is that of the function that ran last, so "
        "that it also reaches the layers behind the next norm (attention of the second block, output)."
    ),
)
