"""The source of a method is recognized as the code that runs, however long it is."""

from torch import nn
from torch.nn import functional as F

from actlab.nn.sites.find import find


class Choosing(nn.Module):
    """A method so long that some of its jumps need a second byte."""

    def forward(self, x):
        if self.act == "relu":
            x = F.relu(x)
        elif self.act == "scaled":
            x = F.gelu(x * 1.1 + 0.1) * 2.0 + x * 1.2 + 0.3 + x * 1.4 + 0.5 + x * 1.6 + 0.7 + x * 1.8 + 0.9
        elif self.act == "shifted":
            x = F.silu(x * 2.1 + 0.1) * 2.0 + x * 2.2 + 0.3 + x * 2.4 + 0.5 + x * 2.6 + 0.7 + x * 2.8 + 0.9
        elif self.act == "mixed":
            x = F.mish(x * 3.1 + 0.1) * 2.0 + x * 3.2 + 0.3 + x * 3.4 + 0.5 + x * 3.6 + 0.7 + x * 3.8 + 0.9
        elif self.act == "last":
            x = F.selu(x * 4.1 + 0.1) * 2.0 + x * 4.2 + 0.3 + x * 4.4 + 0.5 + x * 4.6 + 0.7 + x * 4.8 + 0.9
        return x + 1


def test_a_long_method_is_read_as_a_short_one():
    sites = find(Choosing())

    assert [site.name for site in sites] == ["relu", "gelu", "silu", "mish", "selu"]
    assert all(site.replaceable for site in sites)
