"""Words of a command, what stands in braces in it, and which files it runs."""

import sys

import pytest

from actlab.errors import TaskError
from actlab.tasks.scripts.command import check_command, fill, named_files, places, script_file, split


def test_a_word_in_quotes_stays_one_word_also_when_a_value_is_put_into_it():
    words = split("python train.py --name 'run {seed} of many'")
    assert fill(words, {"seed": 3})[1:] == ["train.py", "--name", "run 3 of many"]


def test_a_folder_with_spaces_is_one_argument():
    assert fill(split("python train.py --out {out}"), {"out": "a b/c"})[-1] == "a b/c"


@pytest.mark.parametrize(
    "command",
    [
        "python train.py > log.txt",
        "python train.py 2>&1",
        "cd src && python train.py",
        "python train.py | tee log",
        "python train.py &",
        "python train.py --data $DATA",
        "python a.py; python b.py",
        "CUDA_VISIBLE_DEVICES=0 python train.py",
    ],
)
def test_what_only_a_shell_understands_is_refused_with_what_to_write(command):
    with pytest.raises(TaskError, match="without a shell"):
        split(command)


def test_a_sequence_of_words_is_taken_as_it_is():
    assert split(["python", "train.py", ">"]) == ("python", "train.py", ">")


@pytest.mark.parametrize("command", ["", "   ", "python 'train.py", [], 3, ["python", 3]])
def test_what_is_no_command_is_refused(command):
    with pytest.raises(TaskError):
        split(command)


def test_an_unknown_place_is_refused_with_the_nearest():
    with pytest.raises(TaskError, match=r"\{sed\}.*Did you mean 'seed'"):
        places(["train.py", "{sed}"])


@pytest.mark.parametrize("word", ["{}", "{seed.real}", "{0}", "{", '{"a": 1}'])
def test_other_braces_are_refused_with_how_to_write_them(word):
    with pytest.raises(TaskError, match=r"\{\{"):
        places([word])


def test_doubled_braces_are_braces():
    assert fill(["python", '{{"a": {seed}}}'], {"seed": 1})[1] == '{"a": 1}'


def test_python_is_the_interpreter_that_runs_actlab():
    assert fill(["python", "a"], {})[0] == fill(["python3", "a"], {})[0] == sys.executable


def test_torchrun_is_that_of_the_same_environment(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    program = fill(["torchrun", "train.py"], {})[0]
    assert program.startswith(sys.prefix)


def test_a_program_that_does_not_exist_is_refused_with_the_nearest():
    with pytest.raises(TaskError, match="Did you mean 'python'"):
        fill(["pyton", "train.py"], {})


def test_a_script_as_the_program_is_refused_with_how_to_run_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text("")
    with pytest.raises(TaskError, match=r"python train\.py"):
        check_command(["train.py"])


def test_a_script_that_does_not_exist_is_refused_with_the_nearest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text("")
    with pytest.raises(TaskError, match=r"trian\.py.*Did you mean 'train\.py'"):
        check_command(["python", "trian.py"])


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["python", "train.py", "other.py"], "train.py"),
        (["torchrun", "--nproc-per-node", "2", "train.py"], "train.py"),
        (["python", "-m", "package.train"], "train.py"),
        (["python", "-m", "package"], "__main__.py"),
        (["python", "-m", "torch.distributed.run", "train.py"], "train.py"),
        (["bash", "run.sh"], "run.sh"),
    ],
)
def test_the_script_is_found_in_the_command(words, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "package").mkdir()
    for file in ("train.py", "other.py", "run.sh", "package/train.py", "package/__main__.py"):
        (tmp_path / file).write_text("")
    assert script_file(words).name == name


def test_configuration_is_among_the_files_of_a_command_and_its_results_are_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in ("train.py", "small.yaml", "results.json"):
        (tmp_path / file).write_text("")
    found = named_files(["python", "train.py", "--config=small.yaml", "--save", "results.json"])
    assert [file.name for file in found] == ["train.py", "small.yaml"]
