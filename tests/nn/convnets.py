"""Small convolutional nets in torchvision's spelling, for tests of ``find`` and ``swap_``.

Every class takes the activation it runs, so that a swap is compared with a net built with another one. The initial weights do not depend on
it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F  # the usual name, which the paths must show
from torch import Tensor, nn

Act = Callable[..., nn.Module]
ReLU = partial(nn.ReLU, inplace=True)  # as torchvision has it
ReLU6 = partial(nn.ReLU6, inplace=True)


class BasicBlock(nn.Module):
    """ResNet's block: one ReLU, used twice, in place."""

    def __init__(self, inputs: int, outputs: int, stride: int, act: Act) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = act()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        short = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.downsample = short if stride > 1 or inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, act: Act = ReLU) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = act()
        self.layer1 = nn.Sequential(BasicBlock(8, 8, 1, act), BasicBlock(8, 8, 1, act))
        self.layer2 = nn.Sequential(BasicBlock(8, 16, 2, act), BasicBlock(16, 16, 1, act))
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(self.layer2(self.layer1(x)), 1), 1))


class VGG(nn.Module):
    def __init__(self, act: Act = ReLU) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, 8), (8, 8), (8, 16)):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), act(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Linear(256, 32), act(), nn.Dropout(), nn.Linear(32, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.features(x), 1))


class Inverted(nn.Module):
    """MobileNetV2's inverted residual."""

    def __init__(self, inputs: int, outputs: int, stride: int, act: Act) -> None:
        super().__init__()
        hidden = 4 * inputs
        self.use_res_connect = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            nn.Sequential(nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), act()),
            nn.Sequential(
                nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden), act()
            ),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, act: Act = ReLU6) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), act()),
            Inverted(8, 8, 1, act),
            Inverted(8, 16, 2, act),
            Inverted(16, 16, 1, act),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(16, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean([2, 3]))


class SqueezeExcitation(nn.Module):
    """MobileNetV3's squeeze-and-excitation: a ReLU, and a hard sigmoid that scales."""

    def __init__(self, channels: int, act: Act, gate: Act) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(channels, channels // 4, 1), nn.Conv2d(channels // 4, channels, 1)
        self.activation, self.scale_activation = act(), gate()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(x)))))


class MobileNetV3(nn.Module):
    def __init__(self, act: Act = nn.Hardswish) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), act(), SqueezeExcitation(16, nn.ReLU, nn.Hardsigmoid)
        )
        self.project = nn.Sequential(nn.Conv2d(16, 32, 1), nn.BatchNorm2d(32), act())
        self.classifier = nn.Sequential(nn.Linear(32, 32), act(), nn.Linear(32, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.project(self.features(x)).mean([2, 3]))


class DenseLayer(nn.Module):
    def __init__(self, inputs: int, growth: int, act: Act) -> None:
        super().__init__()
        self.norm1, self.relu1 = nn.BatchNorm2d(inputs), act()
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.norm2, self.relu2 = nn.BatchNorm2d(4 * growth), act()
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def bn_function(self, inputs: list[Tensor]) -> Tensor:
        return self.conv1(self.relu1(self.norm1(torch.cat(inputs, 1))))

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.conv2(self.relu2(self.norm2(self.bn_function(features))))


class DenseNet(nn.Module):
    """Modules in the layers, and a functional call at the end, which is not among the modules."""

    def __init__(self, act: Act = ReLU) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.layers = nn.ModuleList(DenseLayer(8 + 4 * index, 4, act) for index in range(3))
        self.norm5 = nn.BatchNorm2d(20)
        self.classifier = nn.Linear(20, 10)

    def features(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for layer in self.layers:
            features.append(layer(features))
        return self.norm5(torch.cat(features, 1))

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        out = F.relu(features, inplace=True)
        return self.classifier(F.adaptive_avg_pool2d(out, (1, 1)).flatten(1))


class DenseNetOfMish(DenseNet):
    """The same with mish, written by hand."""

    def __init__(self) -> None:
        super().__init__(nn.Mish)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.adaptive_avg_pool2d(F.mish(self.features(x)), (1, 1)).flatten(1))


class Fire(nn.Module):
    def __init__(self, inputs: int, squeeze: int, expand: int, act: Act) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.squeeze_activation = act()
        self.expand1x1, self.expand3x3 = nn.Conv2d(squeeze, expand, 1), nn.Conv2d(squeeze, expand, 3, padding=1)
        self.expand1x1_activation, self.expand3x3_activation = act(), act()

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        return torch.cat(
            [self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))], 1
        )


class SqueezeNet(nn.Module):
    """Its last ReLU is before the pooling; the classifier is a convolution."""

    def __init__(self, act: Act = ReLU) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2), act(), nn.MaxPool2d(3, 2), Fire(8, 4, 8, act), Fire(16, 4, 8, act)
        )
        self.classifier = nn.Sequential(nn.Dropout(), nn.Conv2d(16, 10, 1), act(), nn.AdaptiveAvgPool2d(1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.classifier(self.features(x)), 1)


class ConvBnRelu(nn.Module):
    """GoogLeNet's basic convolution: the ReLU is a function, in place."""

    def __init__(self, inputs: int, outputs: int, size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(x))
        return F.relu(x, inplace=True)


class ConvBnMish(ConvBnRelu):
    """The same with mish, written by hand."""

    def forward(self, x: Tensor) -> Tensor:
        return F.mish(self.bn(self.conv(x)))


class GoogLeNet(nn.Module):
    def __init__(self, block: type[ConvBnRelu] = ConvBnRelu) -> None:
        super().__init__()
        self.stem = block(3, 8, 3)
        self.branches = nn.ModuleList([block(8, 4, 1), nn.Sequential(block(8, 4, 1), block(4, 4, 3))])
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.fc(torch.cat([branch(x) for branch in self.branches], 1).mean([2, 3]))


# Net, the same net built with mish, and the activation that a swap to mish replaces.
NETS: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module], str]] = {
    "ResNet": (ResNet, partial(ResNet, nn.Mish), "relu"),
    "VGG": (VGG, partial(VGG, nn.Mish), "relu"),
    "MobileNetV2": (MobileNetV2, partial(MobileNetV2, nn.Mish), "relu6"),
    "MobileNetV3": (MobileNetV3, partial(MobileNetV3, nn.Mish), "hardswish"),
    "DenseNet": (DenseNet, DenseNetOfMish, "relu"),
    "SqueezeNet": (SqueezeNet, partial(SqueezeNet, nn.Mish), "relu"),
    "GoogLeNet": (GoogLeNet, partial(GoogLeNet, ConvBnMish), "relu"),
}
