"""How do lr and weight_decay work together in a ResNet trained by SGD with momentum?

With normalisation layers the size of most weights does not matter to the output, so weight
decay acts through the effective learning rate (van Laarhoven 2017, arXiv:1706.05350): the two
should trade off against each other.

By default on scikit-learn's handwritten digits, with a small ResNet: a fifth of them to train on,
because little data is where weight decay shows, and the rest to validate, which makes the loss
precise. With `--set data=cifar10` on CIFAR-10 from the Hugging Face hub, with the ResNet-20 of
He et al. 2016.

    python -m wdstudy run studies/resnet.py
    python -m wdstudy report resnet

About two minutes on two cores, on the digits.
"""

from functools import partial

import torch
from torch import Tensor, nn

from wdstudy import SearchSpace, StudySpec, Task, log_range
from wdstudy.images import crop_and_flip, digits, hub_images


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.skip = nn.Identity() if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.skip(x))


def resnet(channels: int, blocks: int) -> nn.Sequential:
    widths = [16, 32, 64]
    layers: list[nn.Module] = [
        nn.Conv2d(channels, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
    ]
    for stage, width in enumerate(widths):
        for block in range(blocks):
            first = block == 0 and stage > 0
            layers.append(Block(width // 2 if first else width, width, stride=2 if first else 1))
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    return net.to(memory_format=torch.channels_last)  # a quarter faster on a CPU


def accuracy(output: Tensor, y: Tensor) -> Tensor:
    return (output.argmax(-1) == y).float().mean()


def study(data: str = "digits") -> StudySpec:
    real = data != "digits"
    return StudySpec(
        name=f"resnet-{data}" if real else "resnet",
        task=Task(
            model=partial(resnet, channels=3 if real else 1, blocks=3 if real else 1),
            data=partial(hub_images, "uoft-cs/cifar10" if data == "cifar10" else data)
            if real
            else partial(digits, train=360),
            loss=nn.functional.cross_entropy,
            metrics={"accuracy": accuracy},
            augment=crop_and_flip() if real else None,
        ),
        space=SearchSpace(
            lr=log_range(10**-2.5, 10**0.5, 7),
            weight_decay=[0, *log_range(1e-4, 1e-1, 7)],
            seeds=1 if real else 2,
        ),
        optimizer=partial(torch.optim.SGD, momentum=0.9),
        schedule="cosine",
        epochs=50 if real else 16,
        batch_size=128 if real else 32,
        record_every=None if real else 22,  # every second epoch
    )
