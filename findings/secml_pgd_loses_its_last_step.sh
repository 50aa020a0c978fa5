#!/usr/bin/env bash
# secml-torch 1.5: PGD of n steps moves n - 1 times, and one step gives the clean inputs back.
#
# The loop of the native PGD keeps the perturbation with the largest loss, measured before each step. What the last step leads to is never
# measured, and so never kept. With num_steps=1 and no random start the "adversarial" inputs are the clean ones, to the bit, and the
# robust accuracy is the clean accuracy; with two steps of half of epsilon nothing gets further than half of epsilon. Nothing says so.
# Whoever lowers the steps to compare many models cheaply reports an attack that did not happen. The parameters of the model also keep the
# attack's gradients in .grad, and a model in training mode has the statistics of its BatchNorm moved, as with foolbox and ART.
# Seen: moved by {1: 0.0, 2: 0.05, 4: 0.075} for epsilon 0.1 and steps of epsilon / n.
# ActLab measures what every step leads to, the last one included (tests/evaluate/attacks/test_gradient_attack.py).
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "torch==2.13.0" "numpy<3"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "secml-torch==1.5" # without torchvision
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from secmlt.adv.evasion.pgd import PGDNative
from secmlt.models.pytorch.base_pytorch_nn import BasePyTorchClassifier
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
model = torch.nn.Linear(4, 3).eval()
x = 0.25 + 0.5 * torch.rand(64, 4)
loader = DataLoader(TensorDataset(x, model(x).argmax(1)), batch_size=64)
moved = {}
for steps in (1, 2, 4):
    attack = PGDNative(perturbation_model="linf", epsilon=0.1, num_steps=steps, step_size=0.1 / steps, random_start=False)
    ((adversarial, _),) = attack(BasePyTorchClassifier(model), loader)
    moved[steps] = round(float((adversarial - x).abs().max()), 4)
print("secml-torch 1.5, torch", torch.__version__, "moved by", moved)
assert moved == {1: 0.0, 2: 0.05, 4: 0.075}, f"the behaviour has changed: {moved}"
assert model.weight.grad is not None, "the behaviour has changed: no gradients are left"
PYTHON
