"""Trainings as they are published need at most five changed lines to be compared, and do the same as before without ActLab.

The files in ``trainings/`` know nothing of ActLab. ``TRAININGS`` says which lines of each are changed.
"""

import difflib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import actlab

FILES = Path(__file__).with_name("trainings")
MOST_CHANGED = 5


@dataclass(frozen=True, kw_only=True)
class Training:
    """A published training.

    Attributes:
        file: in ``trainings/``.
        changes: pairs of a line and what stands in its place.
        arguments: that make it short, with the place of the seed.
        arms: to compare.
        metric: that is compared, with its direction.
        shorter: replacements that make it short where there is no argument for it.
    """

    file: str
    changes: tuple[tuple[str, str], ...]
    arguments: str
    arms: tuple[str, ...]
    metric: tuple[str, str]
    shorter: tuple[tuple[str, str], ...] = ()

    def plain(self):
        text = (FILES / self.file).read_text(encoding="utf-8")
        for old, new in self.shorter:
            assert text.count(old) == 1
            text = text.replace(old, new)
        return text

    def changed(self):
        text = self.plain()
        for old, new in self.changes:
            assert text.count(f"{old}\n") == 1, f"{old!r} is not one line of {self.file}"
            text = text.replace(f"{old}\n", f"{new}\n")
        return text


def after(line, *new):
    """Return a line and the same with new lines below, with its indentation."""
    indentation = line[: len(line) - len(line.lstrip())]
    return line, "\n".join([line, *(indentation + each for each in new)])


IMPORT = ("import torch", "import actlab\nimport torch")
TRAININGS = [
    Training(
        file="digits_loop.py",
        changes=(
            IMPORT,
            ("    model = Net().to(device)", "    model = actlab.apply_(Net()).to(device)"),
            after(
                "        accuracy = test(model, device, test_loader)", "actlab.report(step=epoch, accuracy=accuracy)"
            ),
        ),
        arguments="--epochs 1 --seed {seed}",
        arms=("relu", "gelu"),
        metric=("accuracy", "max"),
        shorter=(("    digits = load_digits()\n", "    digits = load_digits(n_class=4)\n"),),
    ),
    Training(
        file="char_gpt.py",
        changes=(
            IMPORT,
            ("model = GPT().to(device)", "model = actlab.apply_(GPT()).to(device)"),
            after(
                """        print(f"step {iter_num}: train loss {losses['train']:.4f}, val loss {losses['val']:.4f}")""",
                """actlab.report(step=iter_num, loss=losses["train"], val_loss=losses["val"])""",
            ),
        ),
        arguments="--max_iters=40 --seed={seed}",
        arms=("gelu", "silu"),
        metric=("val_loss", "min"),
    ),
    Training(
        file="sequence_classification.py",
        changes=(
            IMPORT,
            (
                "    model = DistilBertForSequenceClassification(config)",
                "    model = actlab.apply_(DistilBertForSequenceClassification(config))",
            ),
            after(
                """        accelerator.print(f"epoch {epoch}: accuracy {correct / total:.4f}")""",
                "actlab.report(step=completed, accuracy=correct / total)",
            ),
        ),
        arguments="--num_train_epochs 1 --train_size 160 --seed {seed}",
        arms=("gelu", "relu"),
        metric=("accuracy", "max"),
    ),
    Training(
        file="autoencoder.py",
        changes=(
            IMPORT,
            ("    autoencoder = LitAutoEncoder()", "    autoencoder = actlab.apply_(LitAutoEncoder())"),
            after(
                """    print(f"mean squared error {result['test_mse']:.5f}")""",
                """actlab.report(step=trainer.global_step, test_mse=result["test_mse"])""",
            ),
        ),
        arguments="--max_epochs 1 --seed {seed}",
        arms=("relu", "gelu"),
        metric=("test_mse", "min"),
    ),
    Training(
        file="skorch_net.py",
        changes=(
            IMPORT,
            ("    Net(),", "    actlab.apply_(Net()),"),
            after(
                """print(f"accuracy {score:.4f} after {len(net.history)} epochs")""", "actlab.report(accuracy=score)"
            ),
        ),
        arguments="{seed} 5",
        arms=("relu", "gelu"),
        metric=("accuracy", "max"),
    ),
]
OSCILLATOR = Training(  # through the other door: its function trains
    file="oscillator.py",
    changes=(
        (
            """if __name__ == "__main__":""",
            """train, metric_name = solve, "error"\nmodel = lambda seed: FCN()\n\nif __name__ == "__main__":""",
        ),
    ),
    arguments="",
    arms=("tanh", "sin"),
    metric=("error", "min"),
    shorter=(("STEPS = 1000", "STEPS = 20"),),
)
BY_FILE = pytest.mark.parametrize("training", [*TRAININGS, OSCILLATOR], ids=lambda it: it.file)


def run(folder, name, text, arguments, **environment):
    (folder / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", name, *arguments.replace("{seed}", "0").split()],
        cwd=folder, capture_output=True, text=True, timeout=240, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@BY_FILE
def test_at_most_five_lines_are_changed(training):
    plain, changed = training.plain().splitlines(), training.changed().splitlines()
    marks = [line[0] for line in difflib.ndiff(plain, changed) if line[0] in "+-" and line[1:].strip()]

    assert 1 <= max(marks.count("+"), marks.count("-")) <= MOST_CHANGED
    compile(training.changed(), training.file, "exec")
    assert "actlab" not in training.plain()


def test_a_function_of_a_published_file_is_compared_as_it_is(tmp_path):
    (tmp_path / "oscillator.py").write_text(OSCILLATOR.changed(), encoding="utf-8")

    study = actlab.compare(
        tmp_path / "oscillator.py",
        OSCILLATOR.arms,
        seeds=2,
        jobs=1,
        store=tmp_path / "a.db",
        target="none",
        progress=False,
    )

    rows = study.rows()
    assert [row["status"] for row in rows] == ["completed"] * 4, rows
    assert (study.plan.metric, study.plan.direction, study.plan.baseline) == ("error", "min", "tanh")
    assert len({row["metric"] for row in rows}) == 4


@pytest.mark.slow
@BY_FILE
def test_without_actlab_around_it_the_changed_file_prints_what_the_plain_one_does(training, tmp_path):
    absent = tmp_path / "absent" / "actlab"
    absent.mkdir(parents=True)
    (absent / "__init__.py").write_text("raise ImportError('the plain file needs no ActLab')", encoding="utf-8")

    plain = run(tmp_path, "plain.py", training.plain(), training.arguments, PYTHONPATH=str(absent.parent))
    changed = run(tmp_path, "changed.py", training.changed(), training.arguments)

    assert plain
    assert plain == changed


@pytest.mark.slow
@pytest.mark.parametrize("training", TRAININGS, ids=lambda it: it.file)
def test_a_published_script_is_compared(training, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(training.file).write_text(training.changed(), encoding="utf-8")
    script = actlab.Script(f"python -W ignore {training.file} {training.arguments}")

    study = actlab.compare(
        script, training.arms, seeds=2, jobs=2, store=tmp_path / "a.db", progress=False, target="none"
    )

    rows = study.rows()
    assert [row["status"] for row in rows] == ["completed"] * 4, rows
    assert (study.plan.metric, study.plan.direction, study.plan.baseline) == (*training.metric, training.arms[0])
    by_seed = {seed: [row["series"] for row in rows if row["seed"] == seed] for seed in (0, 1)}
    assert len({row["inputs"]["weights"] for row in rows}) == 2  # one for each seed
    assert all(len(pair) == 2 for pair in by_seed.values())
    assert study.verdict().recommendation
