"""Loss of plasticity that dormant units show and counts of dead units miss, with GELU."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, value

_ARMS = ("relu", "gelu")
# A unit in a hundred, below which no unit counts as dead in practice.
_NONE = 0.01
# A unit in ten becomes dormant: the score's own threshold is a tenth of the mean size.
_DORMANT = 0.1
# Five points of the accuracy of a task that is learnt anew.
_LOST = 0.05

claim = Claim(
    sentence="Dormant units by the score of ReDo show a loss of plasticity that the count of dead units misses with GELU.",
    source=Source(
        text="Sokar et al. 2023, definition of dormant units in place of dead ones (after arXiv:2302.12902)",
        arxiv="2302.12902",
    ),
    domain="vision",
    about=("gelu", "dead units", "dormant units", "plasticity"),
    studies={"main": ClaimStudy(task="fashion-mnist:random-labels", arms=_ARMS, seeds=12, most=40)},
    parts=(
        Part(
            says="GELU nets lose plasticity: the accuracy is lower in the last tasks than in the first ones",
            effect=value("gelu", column="metrics.change", larger=False),
            smallest=_LOST,
            unit="accuracy",
        ),
        Part(
            says="no unit of GELU is dead at the end",
            kind="tie",
            effect=value("gelu", column="metrics.dead"),
            smallest=_NONE,
            unit="share of the hidden units",
        ),
        Part(
            says="units of GELU are dormant at the end",
            effect=value("gelu", column="metrics.dormant"),
            smallest=_DORMANT,
            unit="share of the hidden units",
        ),
        Part(
            says="units of ReLU are dead at the end",
            effect=value("relu", column="metrics.dead"),
            smallest=_NONE,
            unit="share of the hidden units",
            judged=False,
        ),
        Part(
            says="units of GELU are dead or stuck on its flat end",
            effect=value("gelu", column="metrics.stuck"),
            smallest=_DORMANT,
            unit="share of the hidden units",
            judged=False,
        ),
    ),
    note=(
        "Fashion-MNIST with labels drawn anew for each of 20 tasks (400 images, 30 passes), MLP 784-100-100-10, Adam at 0.001. A unit is "
        "dead if output and slope are exactly zero on the 400 images, and dormant if its mean size is at most 0.1 of that of its layer. "
        "The paper is about reinforcement learning with ReLU, and has both 0.025 and 0.1 as its threshold."
    ),
)
