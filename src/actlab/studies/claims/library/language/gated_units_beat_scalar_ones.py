"""Gated against scalar units at equal parameters in a character-level GPT."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

# Table 1 of the source at 65,536 steps, nats per token: ReLU 1.997, GELU 1.983, ReGLU 1.953, GEGLU 1.942. The differences are 0.041 and
# 0.044 at losses near 2, as here; half of that is the smallest effect that matters.
_SMALLEST = 0.02

claim = Claim(
    sentence="Gated units reach a lower loss than the scalar units that gate them, at equal parameters.",
    source=Source(text="Shazeer 2020, GLU variants improve Transformer, table 1", arxiv="2002.05202"),
    domain="language",
    about=("reglu", "geglu", "relu", "gelu", "gated units"),
    studies={
        "main": ClaimStudy(
            task="shakespeare:small",
            arms=("relu", "gelu", "reglu", "geglu", "bilinear"),
            seeds=8,
            most=20,
            tune="lr",
        )
    },
    parts=(
        Part(
            says="loss of ReGLU below that of ReLU",
            effect=difference("reglu", "relu", larger=False),
            smallest=_SMALLEST,
            unit="nats per character",
        ),
        Part(
            says="loss of GEGLU below that of GELU",
            effect=difference("geglu", "gelu", larger=False),
            smallest=_SMALLEST,
            unit="nats per character",
        ),
    ),
    note=(
        "A GPT of 0.1 million parameters on tiny Shakespeare in the place of T5 on C4. Widths of gated units are matched to "
        "equal parameters, learning rates tuned with an equal budget, and the initial weights of gated and scalar units drawn "
        "by one rule."
    ),
)
