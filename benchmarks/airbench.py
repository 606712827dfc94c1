"""airbench94's published recipe as a loop by hand: the peer of LightFit's net for CIFAR-10.

Source: Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (arXiv 2404.00498), section 3 and the appendix's
table of hyper-parameters; in bfloat16 by autocast, two views in evaluation.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BATCH, MOMENTUM, SMOOTHING, BIAS_SCALE, WHITEN_EPOCHS, EPSILON = 1024, 0.85, 0.2, 64, 3, 5e-4
KILOSTEP = 1024 * (1 + 1 / (1 - MOMENTUM))
LR, WEIGHT_DECAY = 11.5 / KILOSTEP, 0.0153 * BATCH / KILOSTEP
MEAN, STD = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)


class Group(nn.Module):
    """Two convolutions with a pooling between, each with a norm that learns a bias alone."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        convs = [nn.Conv2d(channels, after, 3, padding=1, bias=False) for channels in (before, after)]
        for conv in convs:
            nn.init.dirac_(conv.weight[: conv.in_channels])
        self.convs = nn.ModuleList(convs)
        norms = [nn.BatchNorm2d(after, eps=1e-12, momentum=0.4) for _ in range(2)]
        for norm in norms:
            norm.weight.requires_grad = False
        self.norms = nn.ModuleList(norms)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, after, H // 2, W // 2)."""
        x = F.gelu(self.norms[0](F.max_pool2d(self.convs[0](x), 2)))
        return F.gelu(self.norms[1](self.convs[1](x)))


class Net(nn.Module):
    """A whitening convolution, three groups, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2)
        self.whiten.weight.requires_grad = False
        self.groups = nn.Sequential(Group(24, 64), Group(64, 256), Group(256, 256))
        self.head = nn.Linear(256, 10, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 32, 32) to logits (B, 10)."""
        return self.head(F.max_pool2d(self.groups(F.gelu(self.whiten(x))), 3).flatten(1)) / 9

    @torch.no_grad()
    def set_whitening(self, x: Tensor) -> None:
        """Return filters whose outputs are uncorrelated on the patches of some images."""
        patches = F.unfold(x.float(), 2).transpose(1, 2).flatten(0, 1)
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (vectors / (values + EPSILON).sqrt()).T.flip(0).view(12, 3, 2, 2)
        self.whiten.weight.copy_(torch.cat([filters, -filters]))


def prepare(pixels: Tensor) -> Tensor:
    """(N, 3, 32, 32) uint8 to normalised numbers, channels last."""
    mean, std = (torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in (MEAN, STD))
    return ((pixels.float() - mean) / std).contiguous(memory_format=torch.channels_last)


def augment(x: Tensor, epoch: int, flipped: Tensor) -> Tensor:
    """All images of an epoch: every other epoch flipped, shifted by up to two pixels."""
    x = torch.where((flipped ^ bool(epoch % 2))[:, None, None, None], x.flip(3), x)
    padded, made = F.pad(x, (2, 2, 2, 2), mode="reflect"), torch.empty_like(x)
    shifts = torch.randint(0, 5, (2, len(x)), device=x.device)
    for down in range(5):
        for right in range(5):
            own = (shifts[0] == down) & (shifts[1] == right)
            made[own] = padded[own][:, :, down : down + 32, right : right + 32]
    return made


def lookahead(net: nn.Module, slow: dict[str, Tensor], decay: float) -> None:
    """Move the slow weights towards the net's, and set the net to them."""
    for name, value in net.state_dict().items():
        if value.is_floating_point():
            slow[name].lerp_(value, 1 - decay)
            value.copy_(slow[name])


def train(x: Tensor, y: Tensor, *, epochs: int, after_epoch: Callable[[nn.Module], None]) -> nn.Module:
    """Train on prepared images, calling a function with the net after each epoch."""
    net = Net().to(x.device).to(memory_format=torch.channels_last)
    net.set_whitening(x[:5000])
    norms = [value for name, value in net.named_parameters() if "norms" in name and value.requires_grad]
    others = [v for n, v in net.named_parameters() if "norms" not in n and v.requires_grad]
    groups = [
        {"params": norms, "lr": LR * BIAS_SCALE, "weight_decay": WEIGHT_DECAY / (LR * BIAS_SCALE)},
        {"params": others, "lr": LR, "weight_decay": WEIGHT_DECAY / LR},
    ]
    optimizer = torch.optim.SGD(groups, momentum=MOMENTUM, nesterov=True)
    steps = epochs * (len(x) // BATCH)
    peak = max(int(0.23 * steps), 1)
    rate = lambda n: 0.2 + 0.8 * n / peak if n < peak else 1 - 0.93 * (n - peak) / max(steps - peak, 1)  # noqa: E731
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    slow = {name: value.clone() for name, value in net.state_dict().items()}
    flipped, step = torch.rand(len(x), device=x.device) < 0.5, 0
    for epoch in range(epochs):
        net.train()
        net.whiten.get_parameter("bias").requires_grad_(epoch < WHITEN_EPOCHS)
        images, order = augment(x, epoch, flipped), torch.randperm(len(x), device=x.device)
        for index in order.split(BATCH)[: len(x) // BATCH]:
            with torch.autocast(x.device.type, torch.bfloat16):
                logits = net(images[index])
            F.cross_entropy(logits.float(), y[index], label_smoothing=SMOOTHING, reduction="sum").backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            if step % 5 == 0:
                lookahead(net, slow, 0.95**5 * (step / steps) ** 3)
        after_epoch(net)
    return net


@torch.no_grad()
def accuracy(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """On the images and their mirror images."""
    net.eval()
    hits = 0
    for images, labels in zip(x.split(2000), y.split(2000), strict=True):
        with torch.autocast(x.device.type, torch.bfloat16):
            hits += int(((net(images) + net(images.flip(3))).argmax(1) == labels).sum())
    return hits / len(x)
