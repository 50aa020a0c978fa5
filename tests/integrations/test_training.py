"""Probe callbacks: loops with Lightning's hooks, and the callback handler of transformers."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import actlab
from actlab.errors import IntegrationError
from actlab.integrations.training import LightningProbe, transformers_probe

X = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))


class Module(nn.Module):
    """A LightningModule in all that matters here: its ``training_step`` does not call its ``forward``."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))

    def training_step(self, batch, index):
        return self.net(batch).square().mean() + 0 * index


def fitted(callbacks, steps=5, *, fails=False):
    """Train as Lightning does: the hooks it calls, by name, in its order."""
    module = Module()
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)

    def call(name, *arguments):
        for callback in callbacks:
            getattr(callback, name)(None, module, *arguments)

    call("setup", "fit")
    call("on_fit_start")
    call("on_train_start")
    call("on_train_epoch_start")
    for index in range(steps):
        call("on_train_batch_start", X, index)
        loss = module.training_step(X, index)
        call("on_before_zero_grad", optimiser)
        optimiser.zero_grad()
        call("on_before_backward", loss)
        loss.backward()
        call("on_after_backward")
        optimiser.step()
        if fails:
            call("on_exception", KeyboardInterrupt())
            return module
        call("on_train_batch_end", loss, X, index)
    call("on_train_epoch_end")
    call("on_train_end")
    call("on_fit_end")
    call("teardown", "fit")
    return module


def test_lightning_hooks_sample_every_second_batch_and_change_nothing():
    callback = LightningProbe(every=2)
    watched, plain = fitted([callback]), fitted([])

    assert [report.step for report in callback.probe.history] == [0, 2, 4]
    assert callback.report()["net.1"].gradient_norm > 0
    assert all(torch.equal(a, b) for a, b in zip(watched.parameters(), plain.parameters(), strict=True))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in watched.modules())


def test_an_exception_in_training_takes_everything_off():
    callback = LightningProbe(every=1)
    module = fitted([callback], fails=True)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())
    assert not torch.overrides._get_current_function_mode_stack()


def test_before_training_there_is_nothing_to_report():
    with pytest.raises(IntegrationError, match="has not started"):
        LightningProbe().report()
    with pytest.raises(AttributeError):
        _ = LightningProbe().nonsense


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # Lightning's own
def test_lightning_itself_runs_it(tmp_path):
    lightning = pytest.importorskip("pytorch_lightning", reason="pytorch-lightning is not installed")

    class Real(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.inner = Module()

        def training_step(self, batch, index):
            return self.inner.training_step(batch, index)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    callback = LightningProbe(every=2)
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = lightning.Trainer(max_epochs=1, callbacks=[callback], default_root_dir=tmp_path, **options)
    trainer.fit(Real(), torch.utils.data.DataLoader(X.repeat(5, 1), batch_size=4))

    assert [report.step for report in callback.probe.history] == [0, 2, 4]


def test_what_feeds_an_activation_is_found_in_transformers_too():
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    sizes = {"vocab_size": 32, "n_positions": 16, "n_embd": 16, "n_layer": 1, "n_head": 2}
    gpt2 = transformers.GPT2Model(transformers.GPT2Config(**sizes, bos_token_id=0, eos_token_id=1))
    (row,) = actlab.probe(gpt2, [{"input_ids": torch.arange(24).reshape(2, 12)}])

    assert (row.after, row.units, row.elements) == ("h.0.mlp.c_fc", 64, 2 * 12 * 64)  # a Linear of transformers' own


def test_the_callback_of_transformers_samples_by_step():
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    from transformers.trainer_callback import CallbackHandler, TrainerControl, TrainerState

    sizes = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.BertConfig(**sizes, intermediate_size=24, max_position_embeddings=16, num_labels=2)
    torch.manual_seed(0)
    plain = transformers.BertForSequenceClassification(config).train()
    model = copy.deepcopy(plain)
    callback = transformers_probe(every=2)
    handler = CallbackHandler([callback], model, None, None, None)
    state, control, arguments = TrainerState(), TrainerControl(), None
    tokens = torch.arange(24).reshape(2, 12) % 32

    for net in (model, plain):
        torch.manual_seed(1)
        optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
        for step in range(4):
            state.global_step = step
            if net is model:
                handler.on_step_begin(arguments, state, control)
            for _ in range(2):  # two micro-batches a step: the first is looked at
                net(input_ids=tokens, labels=torch.tensor([0, 1])).loss.backward()
            optimiser.step()
            optimiser.zero_grad()
    handler.on_train_end(arguments, state, control)

    assert [report.step for report in callback.probe.history] == [0, 2]
    row = callback.probe.report()["bert.encoder.layer.0.intermediate.intermediate_act_fn"]
    assert (row.spec, row.units, row.samples) == ("gelu", 24, 4)
    assert row.gradient_norm > 0
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), plain.parameters(), strict=True))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
