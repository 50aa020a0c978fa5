"""Second form of dense layers and convolutions in C, as calls of CMSIS-NN behind a switch."""

from __future__ import annotations

import re
from pathlib import Path

from actlab.errors import ExportError

__all__ = ["by_switch", "check_ending", "include", "with_cmsis_nn"]

FILE = Path(__file__).with_name("cmsis_nn.c")
OWN = ("dot_4", "dot_1", "dense_row")
ENDINGS = frozenset({"to_codes", "to_table"})


def include(name: str) -> str:
    """Return the lines that include CMSIS-NN where its switch is on.

    Args:
        name: prefix of the public names.
    """
    return f"""/* -D{name.upper()}_CMSIS_NN: dense layers and convolutions by CMSIS-NN. */
#ifdef {name.upper()}_CMSIS_NN
#ifndef CMSIS_NN_USE_SINGLE_ROUNDING
#error "Define CMSIS_NN_USE_SINGLE_ROUNDING, here and for CMSIS-NN: rounding twice gives other bits."
#endif
#include "arm_nnfunctions.h"
#endif"""


def by_switch(name: str, other: str, own: str) -> str:
    """Return two texts, of which the switch takes one."""
    return f"#ifdef {name.upper()}_CMSIS_NN\n{other}\n#else\n{own}\n#endif"


def with_cmsis_nn(kernels: str, name: str) -> str:
    """Return the text of kernels, in which a row of a dense layer has a second form.

    Args:
        kernels: of a net.
        name: prefix of the public names.
    """
    paragraphs = kernels.split("\n\n")
    own = [part for part in paragraphs if any(re.search(rf"^static \w+ {each}\(", part, re.MULTILINE) for each in OWN)]
    if not own:
        return kernels
    text = "\n\n".join(own)
    assert text in kernels  # noqa: S101 # they stand together in products.c
    return kernels.replace(text, by_switch(name, FILE.read_text(encoding="utf-8").strip(), text))


def check_ending(finish: str) -> None:
    """Refuse an ending of a dense layer or convolution that CMSIS-NN does not have.

    Args:
        finish: name of its kernel.

    Raises:
        ExportError: it makes other codes than of 8 bits, has a table for each channel, or a factor from a quarter on.
    """
    if finish not in ENDINGS:
        raise ExportError(
            "CMSIS-NN has no dense layer with 32-bit outputs or bits, an activation table for each channel or a factor of 0.25 or more; "
            "export without cmsis_nn."
        )
