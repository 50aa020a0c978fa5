"""What ``actlab.apply_`` does to the model of a script, within the script's process."""

import json
from contextlib import ExitStack

import pytest
import torch
from torch import nn

import actlab
from actlab.errors import ActlabError, SiteError
from actlab.script_request import REPORTS, VARIABLE, write_request
from actlab.studies.arm import MAIN_FUNCTION, arm_to_dict, parse_arm
from actlab.studies.arm_model import build_model
from actlab.studies.tried_arms import TriedArms
from actlab.tasks.isolation import isolated

BATCH = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Return a function that has this process asked for something, as the process of a script is."""

    def asked(arm="gelu", *, mode="trial", **request):
        monkeypatch.setenv(VARIABLE, str(tmp_path))
        values = {"mode": mode, "seed": 0, "stage": "main", "init": "fixed", "decay_learned": True, "sites": None}
        arms = [arm] if isinstance(arm, str) else arm
        values["arms"] = [arm_to_dict(parse_arm(it, MAIN_FUNCTION)) for it in arms]
        write_request(tmp_path, {**values, "arm": values["arms"][0], **request})
        return lambda: [json.loads(line) for line in (tmp_path / REPORTS).read_text().splitlines()]

    return asked


class Ended(BaseException):
    """In the place of the end of the process."""


@pytest.fixture
def no_end(monkeypatch):
    def leave(code):
        raise Ended(code)

    monkeypatch.setattr("actlab.studies.trials.script_model.os._exit", leave)


def test_without_actlab_around_it_the_model_is_returned_as_it_is(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    model = net()
    assert actlab.apply_(model) is model
    assert [type(module) for module in model][1] is nn.ReLU
    assert actlab.report(step=1, accuracy="no number") is None


def test_the_arm_is_in_the_model_and_its_weights_before_are_recorded(ask):
    reports = ask("swish(beta=learned)")
    model = net()
    assert actlab.apply_(model, BATCH) is model
    assert "swish" in repr(model[1])
    assert "swish" in repr(model[4])
    (record,) = reports()
    assert record["kind"] == "model"
    assert record["parameters"] == sum(p.numel() for p in model.parameters())
    assert record["versions"]["torch"] == torch.__version__


def test_two_arms_of_a_seed_record_the_same_weights_and_two_seeds_do_not(ask):
    digests = {}
    for arm, seed in (("gelu", 0), ("swish(beta=learned)", 0), ("gelu", 1)):
        reports = ask(arm)
        actlab.apply_(net(seed), BATCH)
        digests[arm, seed] = reports()[-1]["weights"]
    assert digests["gelu", 0] == digests["swish(beta=learned)", 0] != digests["gelu", 1]


@pytest.mark.parametrize("arm", ["gelu", "unchanged", "glu", "elu(alpha=learned_per_channel)"])
def test_the_generators_go_on_as_without_the_swap(arm, ask):
    ask(arm)
    model = net()
    expected = torch.get_rng_state()
    actlab.apply_(model, BATCH)
    assert torch.equal(torch.get_rng_state(), expected)


@pytest.mark.parametrize("init", ["fixed", "matched"])
@pytest.mark.parametrize("arm", ["gelu", "glu", "unchanged", "1=tanh; 4=mish"])
def test_the_weights_are_those_that_a_task_file_with_this_model_gets(arm, init, ask):
    ask(arm, init=init)
    here = actlab.apply_(net(), BATCH)
    task = actlab.Task(name="t", model=net, data=None, loss=None, metric=None, metric_name="accuracy")
    with isolated(0):
        there = build_model(task, parse_arm(arm, MAIN_FUNCTION), 0, init=init, batch=BATCH)
    assert all(torch.equal(a, b) for a, b in zip(here.parameters(), there.parameters(), strict=True))


def test_a_map_of_sites_and_a_choice_of_sites_are_followed(ask):
    ask("4=tanh")
    model = actlab.apply_(net())
    assert type(model[1]) is nn.ReLU
    assert type(model[4]) is not nn.ReLU


def test_all_arms_are_tried_before_a_study_and_the_process_ends(ask, no_end):
    reports = ask(["relu", "gelu", "glu"], mode="rehearsal")
    model = net()
    with pytest.raises(Ended):
        actlab.apply_(model, BATCH)
    (record,) = reports()
    tried = TriedArms.from_dict(record, [parse_arm(arm, MAIN_FUNCTION) for arm in ("relu", "gelu", "glu")])
    assert [(role.path, role.function) for role in tried.roles] == [("1", "relu"), ("4", "relu")]
    assert tried.swaps["relu"].is_empty
    assert not tried.swaps["gelu"].is_empty
    assert tried.swaps["glu"].changed == ("1", "4")
    assert type(model[1]) is nn.ReLU


def test_an_arm_that_does_not_fit_is_named_before_the_study(ask, no_end):
    reports = ask(["gelu", "7.*=relu"], mode="rehearsal")
    with pytest.raises(SiteError, match=r"The arm 7\.\*=relu does not fit"):
        actlab.apply_(net(), BATCH)
    assert reports()[-1]["kind"] == "error"


@pytest.mark.parametrize(
    ("arm", "init"), [("gelu", "matched"), ("elu(alpha=learned_per_channel)", "fixed"), ("glu", "fixed")]
)
@pytest.mark.parametrize("mode", ["rehearsal", "trial"])
def test_what_needs_inputs_says_so(arm, init, mode, ask, no_end):
    ask([arm], mode=mode, init=init)
    with pytest.raises(ActlabError, match="example_inputs"):
        actlab.apply_(net())


def test_a_model_that_is_wrapped_or_compiled_already_is_refused_with_the_order_of_lines(ask):
    ask("gelu")
    compiled = net()
    compiled._compiled_call_impl = compiled.forward  # as compile() does, which takes seconds to import
    for model in (compiled, nn.DataParallel(net())):
        with pytest.raises(SiteError, match=r"before torch\.compile"):
            actlab.apply_(model, BATCH)


@pytest.mark.slow
def test_a_compiled_model_is_refused_with_the_order_of_lines(ask):
    ask("gelu")
    with pytest.raises(SiteError, match=r"is compiled already.*before torch\.compile"):
        actlab.apply_(torch.compile(net()), BATCH)


@pytest.mark.parametrize("model", [nn.ReLU, "net", {"weight": 1}, None])
def test_what_is_no_model_is_refused(model, ask):
    reports = ask("gelu")
    with pytest.raises(SiteError, match="takes a model"):
        actlab.apply_(model)
    assert "takes a model" in reports()[-1]["text"]


def test_learned_numbers_leave_the_weight_decay_of_optimizers_that_are_made_later(ask, monkeypatch):
    ask("swish(beta=learned)", decay_learned=False)
    with ExitStack() as stack:
        monkeypatch.setattr("actlab.studies.trials.script_model._for_this_process", stack)
        model = actlab.apply_(net(), BATCH)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer)
    model(BATCH).sum().backward()
    optimizer.step()
    scheduler.step()
    assert [(len(group["params"]), group["weight_decay"]) for group in optimizer.param_groups] == [(6, 0.1), (2, 0.0)]


def test_only_the_first_rank_reports(ask, monkeypatch):
    reports = ask("gelu")
    monkeypatch.setenv("RANK", "1")
    model = actlab.apply_(net(), BATCH)
    actlab.report(step=1, accuracy=0.5)
    assert "gelu" in repr(model[1])
    monkeypatch.setenv("RANK", "0")
    actlab.report(step=2, accuracy=0.5)
    assert [record["kind"] for record in reports()] == ["report"]


def test_tensors_and_arrays_with_one_element_are_reported_as_numbers(ask):
    reports = ask("gelu")
    actlab.report(step=torch.tensor(10**6), loss=torch.ones(1, 1, requires_grad=True), accuracy=BATCH.numpy()[0, 0])
    record = reports()[0]
    assert record["step"] == 10**6
    assert record["values"]["loss"] == 1.0
    with pytest.raises(ActlabError, match="one element"):
        actlab.report(step=10**6, loss=torch.ones(2))


def test_a_report_without_values_is_left_out_as_the_last_log_of_a_trainer_has_times_only(ask):
    reports = ask("gelu")
    logs = [{"loss": 0.5}, {"eval_accuracy": 0.75}, {"train_runtime": 3.2, "train_samples_per_second": 31.0}]
    for log in logs:
        kept = {name.removeprefix("eval_"): value for name, value in log.items() if not name.startswith("train_")}
        actlab.report(step=10**6, **kept)
    actlab.report()
    assert [record["values"] for record in reports()] == [{"loss": 0.5}, {"accuracy": 0.75}]


def test_the_line_works_after_the_package_of_its_name_was_imported(ask):
    import actlab.report.content.format  # which puts the package in the place of the function

    reports = ask("gelu")
    actlab.report(step=10**6, accuracy=0.5)
    assert reports()[0]["values"] == {"accuracy": 0.5}


@pytest.mark.parametrize("arm", ["prelu", "reglu"])
def test_an_optimizer_that_would_not_train_the_weights_of_an_arm_is_refused_before_any_trial(arm, ask, no_end):
    answers, model = ask(["relu", arm], mode="rehearsal"), net()
    optimizer = torch.optim.Adam(model.parameters())
    with pytest.raises(SiteError, match=rf"The arm {arm} does not fit .* before the optimizer is made"):
        actlab.apply_(model, BATCH)
    assert "before the optimizer is made" in answers()[0]["text"]
    assert optimizer.param_groups


def test_an_optimizer_made_before_is_no_matter_for_arms_without_weights_nor_is_that_of_another_model(ask, no_end):
    answers, model = ask(["relu", "gelu"], mode="rehearsal"), net()
    optimizer = torch.optim.Adam(model.parameters())
    with pytest.raises(Ended):
        actlab.apply_(model, BATCH)
    assert answers()[0]["kind"] == "sites"
    ask(["relu", "prelu"], mode="rehearsal")
    with pytest.raises(Ended):
        actlab.apply_(net(), BATCH)
    assert optimizer.param_groups


def test_a_model_whose_weights_have_no_shape_yet_is_refused_with_the_cure(ask, no_end):
    answers = ask(["relu", "gelu"], mode="rehearsal")
    with pytest.raises(SiteError, match="has no shape yet"):
        actlab.apply_(nn.Sequential(nn.LazyLinear(4), nn.ReLU()))
    assert "Run the model once on a batch" in answers()[0]["text"]
