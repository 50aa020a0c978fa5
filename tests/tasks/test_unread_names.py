"""A name in a task file that looks like a setting and that nothing reads is told, with the setting that is meant."""

import warnings

import pytest
from tests.tasks.test_task_file import GOOD

from actlab.errors import TaskError
from actlab.tasks import Task, resolve
from actlab.tasks.checks.check import check
from actlab.tasks.setting_names import SETTINGS, nearest_setting
from actlab.tasks.unread_names import unread_constants


@pytest.fixture
def load(tmp_path):
    def load(text, name="my_task.py"):
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return resolve(file)

    return load


MISSPELT = {
    "epoch = 3": "epochs",
    "EPOCHS = 3": "epochs",
    "num_epochs: int = 3": "epochs",
    "batchsize = 8": "batch_size",
    "lr = 0.1": "learning_rate",
    "learningrate = 0.1": "learning_rate",
    "max_steps = 100": "steps",
    "metricname = 'share'": "metric_name",
    "shufle = False": "shuffle",
    "def optim(parameters, lr): ...": "optimizer",
    "if True:\n    epoch = 3": "epochs",
    "other, lr = 1, 0.1\nmodel.width = other": "learning_rate",
}


@pytest.mark.parametrize(("line", "meant"), MISSPELT.items())
def test_a_misspelt_setting_is_refused_with_the_setting_that_is_meant(load, line, meant):
    with pytest.raises(TaskError, match=f"line 2[0-9].: did you mean '{meant}'") as caught:
        load(f"{GOOD}\n{line}\n")

    assert all(setting in str(caught.value) for setting in SETTINGS)


@pytest.mark.parametrize(
    ("line", "said"),
    {
        "use_cuda = True": "did you mean 'device'",
        "lr_scheduler = 'cosine'": "did you mean 'scheduler'",
        "warmup_steps = 10": "belongs in scheduler",
        "weight_decay = 0.01": "belongs in optimizer",
        "num_workers = 4": "DataLoaders, to which it may belong",
        "seed = 3": "given to `actlab compare`",
        "early_stopping = 3": "did you mean 'patience'",
        "grad_clip = 1.0": "did you mean 'clip_norm'",
        "training_step = None": "did you mean 'step'",
        "fp16 = True": "did you mean 'precision'",
    }.items(),
)
def test_a_well_known_name_that_is_no_setting_is_refused_with_what_to_do(load, line, said):
    with pytest.raises(TaskError, match=said):
        load(f"{GOOD}\n{line}\n")


def test_all_such_names_are_told_at_once(load):
    with pytest.raises(TaskError) as caught:
        load(f"{GOOD}\nepoch = 3\nbatchsize = 8\nuse_gpu = True\n")

    assert [line.split()[0] for line in str(caught.value).splitlines()[1:4]] == ["epoch", "batchsize", "use_gpu"]


READ = {
    "by the optimizer": "lr = 0.1\ndef optimizer(parameters, _):\n    return torch.optim.SGD(parameters, lr=lr)",
    "by a lambda": "lr = 0.1\noptimizer = lambda parameters, _: torch.optim.SGD(parameters, lr=lr)",
    "by a setting": "lr = 0.1\nlearning_rate = lr",
    "by a class that the model uses": (
        "device = 'cpu'\nclass Net(nn.Module):\n    place = device\ndef model(seed):\n    Net()\n    return nn.Linear(4, 2)"
    ),
    "by a function that a function uses": (
        "bs = 3\ndef inner():\n    return [bs for _ in range(2)]\ndef curve_metric(losses):\n    return inner()[0]"
    ),
    "under an underscore": "_lr = 0.1\n_device = 'cpu'",
    "as the variable of a loop": "for step in range(2):\n    print()\nwith open(__file__) as batch:\n    pass",
    "with the setting beside it": "lr = 0.1\nlearning_rate = 0.1\ndef main():\n    print(lr)\nif __name__ == '__main__':\n    main()",
}


@pytest.mark.parametrize("lines", READ.values(), ids=READ)
def test_a_helper_of_the_file_itself_is_no_mistake(load, lines):
    load(f"{GOOD}\n{lines}\n")


def test_what_only_the_files_own_training_reads_has_no_effect_on_trials(load):
    own = "lr = 0.1\ndef main():\n    print(lr)\nif __name__ == '__main__':\n    main()\n"

    with pytest.raises(TaskError, match=r"lr .*did you mean 'learning_rate'"):
        load(f"{GOOD}\n{own}")


def test_a_name_that_is_imported_from_a_file_beside_it_counts_too(load, tmp_path):
    (tmp_path / "my_settings_of_names.py").write_text("epoch = 3\nwidth = 8\n")

    with pytest.raises(TaskError, match="epoch: did you mean 'epochs'"):
        load(f"from my_settings_of_names import *\n{GOOD}")


def test_another_constant_that_nothing_reads_is_warned_of_at_its_line(load):
    task = load(f"{GOOD}\nhidden = 64\n")

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        check(task)

    assert [(warning.filename, warning.lineno) for warning in told] == [(task.file, GOOD.count("\n") + 2)]
    assert "hidden is set here, and neither ActLab nor this file reads it" in str(told[0].message)


def test_constants_that_are_read_and_values_that_are_computed_are_no_unread_constants():
    text = "a = 1\nb = a + 1\nc = [a]\nd = e = 2\nmodel = lambda seed: e\nf = -1\nconfig = {'lr': 0.1}\n"

    assert unread_constants(text) == {"d": 4, "f": 6, "config": 7}


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_written_without_underscores_or_in_capitals_means_itself(setting):
    assert nearest_setting(setting.replace("_", "")) == nearest_setting(setting.upper()) == setting


@pytest.mark.parametrize(
    "name", ["hidden", "width", "noise", "depth", "rows", "dates", "classes", "temperature", "root"]
)
def test_words_of_ones_own_mean_no_setting(name):
    assert nearest_setting(name) is None


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("lr", "Did you mean 'learning_rate'"),
        ("batchsize", "Did you mean 'batch_size'"),
        ("num_workers", "returns all splits"),
    ],
)
def test_a_field_that_a_task_does_not_have_is_refused(field, said):
    given = {"name": "t", "model": None, "data": None, "loss": None, "metric": None}

    with pytest.raises(TaskError, match=f"no field '{field}'.*{said}"):
        Task(**given, **{field: 1})


def test_a_missing_field_is_named():
    with pytest.raises(TaskError, match="lacks data, loss and metric"):
        Task(name="t", model=None)


def test_a_missing_name_is_found_under_the_word_of_another_framework(load):
    with pytest.raises(TaskError, match=r"loss: .* Did you mean 'criterion'"):
        load(GOOD.replace("loss = ", "criterion = "))
