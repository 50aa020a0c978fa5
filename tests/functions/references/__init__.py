"""Independent definitions of the catalogue, written from the papers in mpmath; a file per family, no code shared with ActLab."""

from tests.functions.references import basics, gated, quantised

REFERENCES = {
    **basics.REFERENCES,
    **gated.REFERENCES,
    **quantised.REFERENCES,
}
