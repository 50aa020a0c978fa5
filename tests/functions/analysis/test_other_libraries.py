"""Names in other libraries: the table is complete, its specs are valid, and the reverse lookup is right."""

from dataclasses import replace

import pytest
from benchmarks.libraries import missing, torch_names, transformers_names

import actlab
from actlab.errors import UnknownNameError
from actlab.functions.analysis.other_libraries import equivalents, other_libraries
from actlab.functions.grammar import parse

LIBRARIES = {other.library: other for other in other_libraries()}


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_spec_can_be_read(library):
    for theirs, ours in LIBRARIES[library].same.items():
        assert parse(ours).activation.name in actlab.names(), theirs


@pytest.mark.parametrize("library", LIBRARIES)
def test_no_name_is_both_mapped_and_without_an_entry(library):
    other = LIBRARIES[library]
    assert not set(other.same) & set(other.without)
    assert set(other.differs) | set(other.notes) <= set(other.same)
    assert all(reason.strip() for table in (other.without, other.differs, other.notes) for reason in table.values())


def test_torch_has_no_activation_that_we_do_not_know():
    listed = torch_names()
    assert {"nn.ReLU", "nn.functional.threshold", "nn.functional.prelu", "nn.functional.glu"} <= listed
    assert "nn.functional.conv1d" not in listed
    assert missing(LIBRARIES["torch"], listed) == []


def test_transformers_has_no_activation_that_we_do_not_know():
    pytest.importorskip("transformers", reason="transformers is not installed")
    assert missing(LIBRARIES["transformers"], transformers_names()) == []


def test_a_name_that_is_missing_from_the_table_is_found():
    torch = LIBRARIES["torch"]
    without_mish = {theirs: ours for theirs, ours in torch.same.items() if ours != "mish"}
    assert missing(replace(torch, same=without_mish), torch_names()) == ["nn.Mish", "nn.functional.mish"]
    assert missing(torch, {"nn.ReLU", "nn.Snake"}) == ["nn.Snake"]


def test_a_call_with_other_arguments_does_not_hide_its_plain_form():
    jax = LIBRARIES["jax"]
    only_exact = {theirs: ours for theirs, ours in jax.same.items() if theirs != "nn.gelu"}
    assert missing(replace(jax, same=only_exact), {"nn.gelu"}) == ["nn.gelu"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_way_back_lists_every_name_once(library):
    listed = [theirs for name in actlab.names() for theirs in equivalents(name).get(library, [])]
    named = [text.partition(" (")[0] for text in listed]
    assert sorted(named) == sorted(theirs for theirs in LIBRARIES[library].same)


def test_torch_s_own_modules_are_found_under_their_native():
    for name in actlab.names():
        template = actlab.get(name).module
        if template:
            cls = template.removeprefix("torch.").partition("(")[0]
            assert any(theirs.startswith(cls) for theirs in equivalents(name)["torch"]), name


def test_equivalents_say_the_parameters_that_another_default_implies():
    assert equivalents("leaky_relu")["keras"] == [
        "leaky_relu (negative_slope=0.2)",
        "layers.LeakyReLU (negative_slope=0.3)",
    ]
    assert equivalents("leaky_relu")["torch"] == ["nn.LeakyReLU", "nn.functional.leaky_relu"]


def test_an_alias_has_the_equivalents_of_its_function():
    assert equivalents("quick_gelu") == equivalents("gelu_sigmoid") != {}


def test_what_no_peer_has_has_no_equivalents():
    assert equivalents("phish") == {}


def test_the_answer_belongs_to_the_caller():
    equivalents("gelu")["torch"].clear()
    assert equivalents("gelu")["torch"]


@pytest.mark.parametrize(
    ("library", "theirs", "ours"),
    [
        ("vllm", "GeluAndMulSparse(0.95)", "gaussian_topk_geglu(gate_first=1)"),
        ("sglang", "SituAndMul()", "situ_linear_glu"),
        ("fla", "powglu(power=2)", "powlu(m=2)"),
        ("coremltools", "softplus_parametric", "parametric_softplus"),
        ("entmax", "budget_bisect", "budget"),
        ("pytorch_tabnet", "Entmoid15", "entmoid15"),
        ("onnx", "Shrink", "shrink"),
        ("mindspore", "LeakyReLU", "leaky_relu(0.2)"),
        ("ggml", "gelu", "gelu_tanh"),
    ],
)
def test_libraries_that_are_not_installed_are_known_by_their_source(library, theirs, ours):
    other = LIBRARIES[library]

    assert other.source
    assert other.same[theirs] == ours
    assert any(name.startswith(theirs) for name in equivalents(parse(ours).activation.name)[library])


def test_an_unknown_name_is_an_error():
    with pytest.raises(UnknownNameError):
        equivalents("geluu")
