"""Modules beside a task are imported by the task, and by no library in their own's place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.tasks.test_task_file import GOOD

from actlab.errors import TaskError
from actlab.tasks import resolve
from actlab.tasks.checks.check import check

# Names that libraries import, or look for, when a study runs; each file ends the process that runs it.
SHADOWS = (
    "copy",
    "cuda",
    "random",
    "types",
    "queue",
    "triton",
    "statistics",
    "typing",
    "signal",
    "pickle",
    "torchvision",
    "pynvml",
)
HELPER = "import my_beside_width\nfrom my_beside_package.sizes import OUT\n"


@pytest.fixture
def folder(tmp_path):
    for name in SHADOWS:
        (tmp_path / f"{name}.py").write_text(f"import os\nos.write(2, b'SHADOWED {name}\\n')\nos._exit(33)\n")
    (tmp_path / "my_beside_width.py").write_text("import random\nWIDTH = 8\n")
    (tmp_path / "my_beside_package").mkdir()
    (tmp_path / "my_beside_package" / "__init__.py").write_text("from .sizes import OUT\n")
    (tmp_path / "my_beside_package" / "sizes.py").write_text("OUT = 2\n")
    text = GOOD.replace("nn.Linear(4, 8)", "nn.Linear(4, my_beside_width.WIDTH)").replace(
        "nn.Linear(8, 2)", "nn.Linear(8, OUT)"
    )
    late = "    import my_late_module\n    generator"
    (tmp_path / "my_late_module.py").write_text("")
    (tmp_path / "my_task.py").write_text(f"{HELPER}{text.replace('    generator', late, 1)}epochs = 1\n")
    return tmp_path


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_study_runs_with_files_of_libraries_names_beside_its_task(folder, jobs):
    options = ["--seeds", "2", "--jobs", jobs, "--store", "study.db"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACTLAB_CACHE": str(folder / "cache")}

    done = subprocess.run(
        [Path(sys.executable).with_name("actlab"), "compare", "my_task.py", "relu", "gelu", *options],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, "SHADOWED" in done.stderr) == (0, False), done.stderr
    assert "Report:" in done.stdout


def test_a_library_does_not_find_the_files_beside_a_task(folder):
    library = "import importlib.util\ndef looks_for(name):\n    return importlib.util.find_spec(name) is not None\n"
    code = (
        "import sys, sysconfig\nfrom actlab.tasks import resolve\nresolve('my_task.py')\nnamespace = {}\n"
        f"exec(compile({library!r}, sysconfig.get_path('purelib') + '/some_library.py', 'exec'), namespace)\n"
        "import importlib.util\n"
        "print(namespace['looks_for']('pynvml_beside'), importlib.util.find_spec('pynvml_beside') is not None)"
    )
    (folder / "pynvml_beside.py").write_text("")

    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=folder, capture_output=True, text=True, check=True)

    assert done.stdout == "False True\n"


def test_two_tasks_with_a_module_of_the_same_name_each_get_their_own(tmp_path):
    widths = {}
    for width in (8, 16, 8):
        folder = tmp_path / str(width)
        folder.mkdir(exist_ok=True)
        (folder / "my_same_name.py").write_text(f"WIDTH = {width}\n")
        text = GOOD.replace("Linear(4, 8)", "Linear(4, WIDTH)").replace("Linear(8, 2)", "Linear(WIDTH, 2)")
        (folder / "my_task.py").write_text(f"from my_same_name import WIDTH\n{text}")
        widths[width] = resolve(folder / "my_task.py").model(0)[0].out_features

    assert widths == {8: 8, 16: 16}


def test_an_edited_module_is_imported_anew(tmp_path):
    (tmp_path / "my_task.py").write_text(f"from my_edited_module import EPOCHS\nepochs = EPOCHS\n{GOOD}")
    read = []
    for epochs in (
        "3",
        "14",
    ):  # of another length: Python compares the size and the whole second of a file with its byte code
        (tmp_path / "my_edited_module.py").write_text(f"EPOCHS = {epochs}\n")
        read.append(resolve(tmp_path / "my_task.py").epochs)

    assert read == [3, 14]


def test_a_file_with_the_name_of_an_installed_module_is_told_when_its_import_fails(tmp_path):
    (tmp_path / "statistics.py").write_text("def my_statistic(): ...\n")
    import statistics  # noqa: F401 # so that it is loaded

    (tmp_path / "my_task.py").write_text(f"from statistics import my_statistic\n{GOOD}")

    with pytest.raises(
        TaskError, match=r"(?s)cannot import name 'my_statistic'.*Beside it is statistics.py.*rename the file"
    ):
        resolve(tmp_path / "my_task.py")


def test_the_path_of_imports_stays_as_it_is(folder):
    before = list(sys.path)

    check(resolve(folder / "my_task.py"))

    assert sys.path == before
