"""Models in which some activations are no hidden ones: gates, attention, poolers, bounded outputs."""

import torch
from torch import nn
from torch.nn import functional as F


class SqueezeExcitation(nn.Module):
    """A convolution whose channels are scaled by a gate, with a bounded output."""

    def __init__(self):
        super().__init__()
        self.stem, self.squeeze, self.excite = nn.Conv2d(1, 8, 3, padding=1), nn.Linear(8, 4), nn.Linear(4, 8)
        self.norm, self.hidden, self.head = nn.BatchNorm2d(8), nn.Linear(8, 16), nn.Linear(16, 2)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x.view(-1, 1, 4, 4))))
        scale = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3))))))
        x = F.relu(self.hidden((x * scale[:, :, None, None]).mean((2, 3))))
        return 3 * torch.tanh(self.head(x)) + 0.5


class Pooled(nn.Module):
    """Attention, a GELU block and a tanh in the pooler, as BERT has them."""

    def __init__(self):
        super().__init__()
        self.embed, self.query, self.key, self.value = (
            nn.Linear(4, 8) if i == 0 else nn.Linear(8, 8) for i in range(4)
        )
        self.inner, self.outer, self.norm = nn.Linear(8, 32), nn.Linear(32, 8), nn.LayerNorm(8)
        self.pooler, self.head, self.drop = nn.Linear(8, 8), nn.Linear(8, 2), nn.Dropout(0.1)

    def forward(self, x):
        x = self.embed(x.view(-1, 4, 4))
        scores = torch.softmax(self.query(x) @ self.key(x).transpose(1, 2) / 8**0.5, -1)
        x = self.norm(x + self.drop(scores @ self.value(x)))
        x = self.norm(x + self.drop(self.outer(F.gelu(self.inner(x)))))
        return self.head(torch.tanh(self.pooler(x[:, 0])))


class GatedUnit(nn.Module):
    """SiLU blocks, one of them a SwiGLU, with a GLU and a gate written out in between."""

    def __init__(self):
        super().__init__()
        self.first, self.both = nn.Linear(16, 32), nn.Linear(32, 32)
        self.up, self.gate, self.down = nn.Linear(16, 24), nn.Linear(16, 24), nn.Linear(24, 16)
        self.left, self.right, self.head = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 2)
        self.act, self.glu = nn.SiLU(), nn.GLU()

    def forward(self, x):
        x = self.glu(self.both(self.act(self.first(x))))
        x = x + self.down(self.act(self.gate(x)) * self.up(x))
        return self.head(torch.tanh(self.left(x)) * torch.sigmoid(self.right(x)))


class Recurrent(nn.Module):
    """A recurrent cell written in Python: nothing but gates, and a rectifier in front of the head."""

    def __init__(self):
        super().__init__()
        self.input, self.state, self.head, self.act = nn.Linear(4, 32), nn.Linear(8, 32), nn.Linear(8, 2), F.elu

    def forward(self, x):
        hidden = cell = x.new_zeros(len(x), 8)
        for step in x.view(-1, 4, 4).unbind(1):
            into, keep, new, out = (self.input(step) + self.state(hidden)).chunk(4, -1)
            cell = torch.sigmoid(keep) * cell + torch.sigmoid(into) * torch.tanh(new)
            hidden = torch.sigmoid(out) * torch.tanh(cell)
        return self.head(self.act(hidden))


class Parametrized(nn.Module):
    """Weights that are computed from others, hand-written normalisation, and a learned gate that is closed at first."""

    def __init__(self):
        super().__init__()
        self.first = nn.utils.parametrizations.spectral_norm(nn.Linear(16, 16))
        self.second = nn.utils.parametrizations.weight_norm(nn.Linear(16, 16))
        self.head, self.open = nn.Linear(16, 2), nn.Parameter(torch.zeros(1))

    def forward(self, x):
        x = torch.tanh(self.first(x))
        x = (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-5)
        return self.head(x + torch.tanh(self.second(x)) + torch.tanh(self.open) * x)


MODELS = (SqueezeExcitation, Pooled, GatedUnit, Recurrent, Parametrized)
