"""Attention and token mixing as activations, on tensors ``(..., tokens, dim)``.

``layer(spec)(x)`` uses one tensor in all roles; ``layer(spec)(query, key, value)`` takes the projections of the model.
For tabular data, the features are the tokens. All but ``softmax_attention`` cost time linear in the tokens (``fourier_mixing``: n log n);
``causal=1`` restricts a token to itself and earlier ones.
"""

from actlab.functions.activation import Count, Flag, Positive, activation, learned


@activation(kind="vector", arxiv="1706.03762", aliases=("attention",))
def softmax_attention(query, key, value, heads: Count = 1, causal: Flag = 0):
    """Every token becomes a mean of the values, weighted by the softmax of its scaled products with the keys; quadratic."""
    from actlab.functions.tensor_code import attention

    return attention.softmax_attention(query, key, value, heads, causal=bool(causal))


@activation(kind="vector", arxiv="2006.16236", aliases=("elu_attention",))
def linear_attention(query, key, value, heads: Count = 1, causal: Flag = 0, eps: Positive = 1e-6):
    """Attention with products of elu + 1 features as weights, summed in linear time."""
    from actlab.functions.tensor_code import attention

    q, k, v = (attention.split_heads(x, heads) for x in (query, key, value))
    features = attention.elu_plus_one
    return attention.merge_heads(attention.kernel_attention(features(q), features(k), v, causal=bool(causal), eps=eps))


@activation(kind="vector", arxiv="2205.14756")
def relu_linear_attention(query, key, value, heads: Count = 1, causal: Flag = 0, eps: Positive = 1e-15):
    """Attention with products of ReLU features as weights, summed in linear time (EfficientViT)."""
    from actlab.functions.tensor_code import attention

    q, k, v = (attention.split_heads(x, heads) for x in (query, key, value))
    return attention.merge_heads(attention.kernel_attention(q.relu(), k.relu(), v, causal=bool(causal), eps=eps))


@activation(
    kind="vector", paper="folklore: Primer's squared ReLU (arXiv:2109.08668) as the feature map of linear attention"
)
def squared_relu_linear_attention(query, key, value, heads: Count = 1, causal: Flag = 0, eps: Positive = 1e-15):
    """Attention with products of squared ReLU features as weights, summed in linear time."""
    from actlab.functions.tensor_code import attention

    q, k, v = (attention.split_heads(x, heads) for x in (query, key, value))
    return attention.merge_heads(
        attention.kernel_attention(q.relu() ** 2, k.relu() ** 2, v, causal=bool(causal), eps=eps)
    )


@activation(kind="vector", arxiv="2402.18668", aliases=("based_attention",))
def taylor_attention(query, key, value, heads: Count = 1, causal: Flag = 0, eps: Positive = 1e-12):
    """Attention with the exponential's Taylor polynomial 1 + s + s^2/2, in linear time; features grow with (dim / heads)^2 (Based)."""
    from actlab.functions.tensor_code import attention

    q, k, v = (attention.split_heads(x, heads) for x in (query, key, value))
    return attention.merge_heads(attention.taylor_attention(q, k, v, causal=bool(causal), eps=eps))


@activation(kind="vector", arxiv="2402.04347")
def hedgehog_attention(
    query, key, value, heads: Count = 1, scale=learned(1.0), causal: Flag = 0, eps: Positive = 1e-12
):
    """Attention with softmax features of the input and its negative; the paper's trained map is the layer before."""
    from actlab.functions.tensor_code import attention

    q, k, v = (attention.split_heads(x, heads) for x in (query, key, value))
    q, k = attention.two_sided_softmax(scale * q), attention.two_sided_softmax(scale * k)
    return attention.merge_heads(attention.kernel_attention(q, k, v, causal=bool(causal), eps=eps))


@activation(kind="vector", arxiv="2202.08791")
def cosformer(query, key, value, heads: Count = 1, causal: Flag = 0, eps: Positive = 1e-6):
    """Attention with ReLU features, weighted by the cosine of the tokens' distance, in linear time."""
    from actlab.functions.tensor_code import attention

    q, k, v = (attention.split_heads(x, heads) for x in (query, key, value))
    q, k = attention.cosine_features(q.relu()), attention.cosine_features(k.relu())
    return attention.merge_heads(attention.kernel_attention(q, k, v, causal=bool(causal), eps=eps))


@activation(kind="vector", arxiv="1812.01243")
def efficient_attention(query, key, value, heads: Count = 1):
    """Values summed with the keys' softmax over tokens, read out with the queries' softmax over features; not causal."""
    from actlab.functions.tensor_code import attention

    q, k, v = (attention.split_heads(x, heads) for x in (query, key, value))
    return attention.merge_heads(q.softmax(-1) @ (k.softmax(-2).transpose(-2, -1) @ v))


@activation(kind="vector", arxiv="2209.07484")
def hydra_attention(query, key, value, causal: Flag = 0):
    """As many heads as features: normalised queries times the sum of normalised keys times values."""
    from torch.nn.functional import normalize

    from actlab.functions.tensor_code.attention import running_sum

    products = normalize(key, dim=-1) * value
    return normalize(query, dim=-1) * (running_sum(products) if causal else products.sum(-2, keepdim=True))


@activation(kind="vector", arxiv="2105.14103", aliases=("aft_simple",))
def attention_free(query, key, value):
    """The values' mean under the keys' softmax over tokens, gated by the sigmoid of the query (AFT-simple); not causal."""
    return query.sigmoid() * (key.softmax(-2) * value).sum(-2, keepdim=True)


@activation(kind="vector", arxiv="2307.08621")
def retention(query, key, value, heads: Count = 1):
    """Causal attention without softmax: products with the keys that decay by 1 - 2^(-5 - head) per token (RetNet, no GroupNorm)."""
    from actlab.functions.tensor_code import attention

    q, k, v = (attention.split_heads(x, heads) for x in (query, key, value))
    decay = attention.retention_decay(k)
    return attention.merge_heads(attention.decayed_sum(q, k / k.shape[-1] ** 0.5, v, decay))


@activation(kind="vector", arxiv="2312.06635", aliases=("gla",))
def gated_linear_attention(query, key, value, gate, heads: Count = 1, tau: Positive = 16.0):
    """Causal attention without softmax whose memory decays by sigmoid(gate)^(1 / tau) per token and feature."""
    from actlab.functions.tensor_code import attention

    q, k, v, g = (attention.split_heads(x, heads) for x in (query, key, value, gate))
    return attention.merge_heads(attention.decayed_sum(q / q.shape[-1] ** 0.5, k, v, attention.logsigmoid(g) / tau))


@activation(kind="vector", arxiv="2105.03824", aliases=("fnet",))
def fourier_mixing(x):
    """The real part of the Fourier transform over tokens and features (FNet)."""
    from torch.fft import fft2

    return fft2(x).real if x.numel() else x


@activation(kind="vector", arxiv="1805.00631")
def average_attention(x):
    """The mean of a token and all earlier ones."""
    from actlab.functions.tensor_code.attention import running_sum

    return running_sum(x) / x.new_ones(x.shape[-2], 1).cumsum(0)
