#!/usr/bin/env bash
# Lightning 2.6.6: LightningModule.log rounds Python floats and integers to float32; trainer.test returns other numbers than were logged.
#
# `self.log(name, value)` takes "a float, Tensor, or a Metric", and `trainer.test`, `trainer.validate` and `callback_metrics` give the value
# back. A float64 tensor comes back as it was. A Python float comes back rounded to float32 (0.7555555555555555 as 0.7555555701255798), and
# so does an integer, as a Python number or as an int64 tensor: 16777217 comes back as 16777216.0. Counts above 2**24 and metrics that
# are compared to the last bit change silently.
# Seen: {'float': 0.7555555701255798, 'int': 16777216.0, 'double': 0.7555555555555555, 'long': 16777216.0}.
# ActLab stores what a training function returns; the same training through Lightning has the losses of the other ways to the bit and
# its logged accuracy to 2**-24 (tests/test_doors.py).
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "lightning==2.6.6" "torch==2.13.0" "numpy<3"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import lightning
import torch
from torch.utils.data import DataLoader

LOGGED = {"float": 0.7555555555555555, "int": 16777217, "double": torch.tensor(0.7555555555555555, dtype=torch.float64), "long": torch.tensor(16777217)}


class Net(lightning.LightningModule):
    def test_step(self, batch, index):
        self.log_dict(LOGGED)


trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
(returned,) = trainer.test(Net(), DataLoader(torch.zeros(4, 1)), verbose=False)
print("lightning", lightning.__version__, returned)
changed = {name for name, value in LOGGED.items() if float(value) != returned[name]}
assert changed == {"float", "int", "long"}, f"the behaviour has changed: {changed}"
PYTHON
