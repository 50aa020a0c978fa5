"""Attention over features equals the formulas of its papers, head by head."""

import pytest
import torch

from actlab.tasks.builtin.tables.table_nets import FeatureAttention, GatedMLP, _Attention


@pytest.mark.parametrize("is_linear", [False, True], ids=["quadratic", "linear"])
def test_attention_equals_its_formula_head_by_head(is_linear):
    torch.manual_seed(0)
    layer, x = _Attention(6, 2, is_linear=is_linear).double(), torch.randn(3, 5, 6, dtype=torch.double)

    query, key, value = (part.view(3, 5, 2, 3) for part in layer.joint(x).chunk(3, -1))
    heads = []
    for head in range(2):
        q, k, v = (part[:, :, head] for part in (query, key, value))
        linear = q.softmax(2) @ k.softmax(1).transpose(1, 2)  # arXiv:1812.01243, equation 3
        heads.append((linear if is_linear else (q @ k.transpose(1, 2) / 3**0.5).softmax(2)) @ v)

    assert torch.allclose(layer(x), layer.back(torch.cat(heads, 2)), atol=1e-12)


def test_linear_attention_never_holds_a_number_for_each_pair_of_features():
    features, sizes = 300, []
    net = FeatureAttention(features, 2, is_linear=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda kept: sizes.append(kept.numel()) or kept, lambda kept: kept):
        net(torch.randn(1, features))

    assert max(sizes) < features**2


def test_a_gated_block_is_a_product_with_the_activation_of_its_gate():
    torch.manual_seed(0)
    block, x = GatedMLP(5, 2).eval().blocks[0], torch.randn(3, 48)
    inner = block.norm(x)
    gate = block.gate(inner)

    expected = x + block.back(gate * gate.sigmoid() * block.value(inner))

    assert torch.allclose(block(x), expected, atol=1e-6)
