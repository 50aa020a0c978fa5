"""Registration of names: unknown libraries, and libraries that are not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from actlab.errors import IntegrationError, UnknownNameError
from actlab.integrations import register, registration


def test_a_library_that_nobody_knows_is_refused():
    with pytest.raises(UnknownNameError, match=r"no integration 'transformer'\. Did you mean 'transformers'"):
        register("transformer")


@pytest.mark.parametrize("library", ["transformers", "timm"])
def test_a_library_that_is_not_installed_is_named_with_its_install_line(library, monkeypatch):
    monkeypatch.setattr(registration, "find_spec", lambda _: None)

    with pytest.raises(IntegrationError, match=f"^{library}: not installed. Install it: pip install .*{library}"):
        register(library)


def test_with_no_library_at_all_both_lines_are_shown(monkeypatch):
    monkeypatch.setattr(registration, "find_spec", lambda _: None)

    with pytest.raises(IntegrationError, match=r"transformers: .*'actlab\[transformers\]'\. timm: .*pip install timm"):
        register()


def test_without_names_what_is_installed_is_registered(monkeypatch):
    pytest.importorskip("transformers", reason="transformers is not installed: pip install 'actlab[transformers]'")
    monkeypatch.setattr(registration, "find_spec", lambda name: None if name == "timm" else name)

    registered = register()
    try:
        assert list(registered) == ["transformers"]
        assert registered.absent == {"timm": "not installed. Install it: pip install timm."}
        shown = repr(registered)
    finally:
        registered.undo()
    assert shown.startswith(
        f"transformers: {len(registered['transformers'].names)} names registered, with all their specs"
    )
    assert "transformers has its own; override=True replaces it" in shown
    assert shown.endswith("timm: not installed. Install it: pip install timm.")


def test_importing_actlab_imports_neither_library():
    code = "import sys, actlab; actlab.integrations.register; actlab.layer('gelu'); print({'transformers', 'timm'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
