"""Bilinear units as the control of gated ones, which shows what the gate's function adds."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

claim = Claim(
    sentence="A bilinear unit, whose gate has no function, beats scalar units already; a function in the gate adds a smaller gain.",
    source=Source(text="Shazeer 2020, GLU variants improve Transformer, table 1", arxiv="2002.05202"),
    domain="language",
    about=("bilinear", "reglu", "geglu", "gated units"),
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
            says="loss of bilinear units below that of ReLU and GELU",
            effect=difference("bilinear", ("relu", "gelu"), larger=False),
            # Table 1 at 65,536 steps, nats per token: 1.960 for 1.997 and 1.983, a difference of 0.030.
            smallest=0.02,
            unit="nats per character",
        ),
        Part(
            says="loss of ReGLU and GEGLU below that of bilinear units",
            effect=difference(("reglu", "geglu"), "bilinear", larger=False),
            # The same table: 1.953 and 1.942 for 1.960 at 65,536 steps, 0.013, and 1.645 and 1.633 for 1.648 at the end, 0.009.
            smallest=0.009,
            unit="nats per character",
        ),
    ),
    note=(
        "A GPT of 0.1 million parameters on tiny Shakespeare in the place of T5 on C4. Widths are matched to equal parameters, "
        "learning rates tuned with an equal budget."
    ),
)
