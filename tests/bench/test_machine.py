"""The machine is described by what the system says of its processor."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from actlab.bench.machine import describe_machine

X86 = "processor : 0\nmodel name\t: Some CPU @ 2GHz\nflags\t\t: fpu avx avx2 f16c avx512f amx_bf16 avx512_bf16 sse\n"
ARM = "processor : 0\nBogoMIPS : 50\nFeatures\t: fp asimd fphp asimdhp sve bf16\n"


@pytest.mark.parametrize(
    ("text", "instructions"),
    [
        (X86, ("avx", "avx2", "f16c", "avx512f", "avx512_bf16", "amx_bf16")),
        (ARM, ("asimd", "asimdhp", "bf16", "sve")),
        ("", ()),
    ],
)
def test_instruction_sets_for_vectors_and_half_precision_are_named(tmp_path, text, instructions):
    (tmp_path / "cpuinfo").write_text(text)
    found = describe_machine(cpuinfo=tmp_path / "cpuinfo")
    assert found.instructions == instructions
    assert found.name
    assert (found.threads, found.versions["torch"]) == (torch.get_num_threads(), torch.__version__)


def test_a_card_has_a_compute_capability_and_a_memory(monkeypatch):
    card = SimpleNamespace(name="A card", major=9, minor=0, total_memory=80 * 10**9)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    found = describe_machine("cuda")
    assert (found.name, found.capability, found.memory, found.instructions) == ("A card", "9.0", 80 * 10**9, ())
