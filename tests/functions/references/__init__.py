"""Independent definitions of the catalogue in mpmath, written from the papers, one file per family; no code of ActLab is used."""

from importlib import import_module
from pkgutil import iter_modules

REFERENCES = {}
for _module in iter_modules(__path__):
    # Vector functions have no references here but separate tests.
    REFERENCES |= getattr(import_module(f"{__name__}.{_module.name}"), "REFERENCES", {})
