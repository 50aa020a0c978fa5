"""The user's modules that a task imports are found, in whatever way they are imported, and no others."""

import pytest
from tests.studies.tiny import FILE, tiny

from actlab.studies.source_files import source_digests, source_files
from actlab.tasks.registry import resolve

IMPORTS = {
    "import E_helper": ["E_helper.py"],
    "import E_helper as h": ["E_helper.py"],
    "from E_helper import VALUE": ["E_helper.py"],
    "from E_helper import *": ["E_helper.py"],
    "import E_pack.inner": ["E_pack/__init__.py", "E_pack/inner.py", "E_pack/settings.py"],
    "from E_pack import inner": ["E_pack/__init__.py", "E_pack/inner.py", "E_pack/settings.py"],
    "from E_pack.inner import VALUE": ["E_pack/__init__.py", "E_pack/inner.py", "E_pack/settings.py"],
    "def later():\n    import E_helper": ["E_helper.py"],
    "import importlib\nh = importlib.import_module('E_helper')": ["E_helper.py"],
    "import E_first": ["E_first.py", "E_helper.py"],
    "import E_space.part": ["E_space/part.py"],
    "import E_space.relative": ["E_space/part.py", "E_space/relative.py"],
    "import torch, json, numpy, actlab": [],
    "try:\n    import E_not_there\nexcept ImportError:\n    pass": [],
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "E_pack").mkdir()
    (tmp_path / "E_space").mkdir()
    files = {
        "E_helper.py": "VALUE = 1",
        "E_unused.py": "VALUE = 1",
        "E_first.py": "from E_helper import VALUE",
        "E_pack/__init__.py": "",
        "E_pack/inner.py": "from .settings import VALUE",
        "E_pack/settings.py": "VALUE = 1",
        "E_pack/unused.py": "VALUE = 1",
        "E_space/part.py": "VALUE = 1",
        "E_space/relative.py": "from . import part",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("text", IMPORTS)
def test_imported_modules_of_the_user_are_found(folder, text):
    (folder / "task.py").write_text(f"{text}\n{FILE}")

    assert list(source_digests(resolve(str(folder / "task.py")))) == IMPORTS[text]


def test_an_edit_changes_the_digest_of_its_file_alone(folder):
    (folder / "task.py").write_text(f"import E_first\n{FILE}")
    before = source_digests(resolve(str(folder / "task.py")))

    (folder / "E_helper.py").write_text("VALUE = 2")
    after = source_digests(resolve(str(folder / "task.py")))

    assert [file for file in after if after[file] != before[file]] == ["E_helper.py"]


def test_the_digests_are_those_of_the_code_that_was_loaded(folder):
    (folder / "task.py").write_text(f"import E_helper\n{FILE}")
    task = resolve(str(folder / "task.py"))
    before = source_digests(task)

    (folder / "E_helper.py").write_text("VALUE = 2")

    assert source_digests(task) == before


def test_a_task_in_code_has_the_modules_of_its_functions():
    files = [file.name for file in source_files(tiny())]

    assert "tiny.py" in files
    assert not [file for file in files if file in {"store.py", "functional.py"}]


def test_the_tasks_that_ship_have_no_files_of_the_user():
    assert source_files(resolve("digits")) == []
