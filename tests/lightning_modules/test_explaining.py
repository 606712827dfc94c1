"""Explanations of every net: exact where it is linear, else complete; and the net is left as it was."""

import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lightfit.errors import MissingPackageError, UsageError
from lightfit.lightning_modules import nets
from lightfit.lightning_modules.explaining import explain, find_word_weights, is_linear
from lightfit.lightning_modules.nets import (
    DLinear,
    FastResNet,
    ForecastCombination,
    GrowthLSTM,
    ImageCNN,
    LayeredCNN,
    NaiveBayesBag,
    NamedNet,
    NgramBag,
    NLinear,
    PatchTransformer,
    SparseTSF,
    TextCNN,
    TimmNet,
    TorchvisionNet,
    WordAverage,
    sequential_cnn,
)
from lightfit.lightning_modules.views import MirroredViews

PAD = 1
SIZES = {"lookback": 24, "horizon": 4, "num_targets": 2, "num_features": 3}
LINEAR: dict[str, Callable[[], nn.Module]] = {
    "NgramBag": lambda: fill(NgramBag(30, num_classes=3)),
    "NgramBag of a shared logit": lambda: fill(NgramBag(30)),
    "NgramBag of numbers": lambda: fill(NgramBag(30, num_outputs=2)),
    "NaiveBayesBag": lambda: fill(NaiveBayesBag(30, num_classes=3, num_buckets=50)),
    "WordAverage": lambda: WordAverage(30, num_classes=3),
    "DLinear": lambda: DLinear(**SIZES),
    "NLinear": lambda: fill(NLinear(**SIZES, num_quantiles=3)),
    "SparseTSF": lambda: SparseTSF(**SIZES, season=6),
}
OTHERS: dict[str, Callable[[], nn.Module]] = {
    "WordAverage with a hidden layer": lambda: WordAverage(30, num_classes=3, hidden_size=8),
    "TextCNN": lambda: TextCNN(30, max_len=12, num_classes=3),
    "FastResNet": lambda: FastResNet(num_classes=3, image_size=(16, 16), widths=(8,)),
    "FastResNet of two views": lambda: FastResNet(num_classes=3, image_size=(16, 16), widths=(8,), views=2),
    "MirroredViews": lambda: MirroredViews(ImageCNN(num_classes=3)),
    "ImageCNN": lambda: ImageCNN(num_classes=3),
    "LayeredCNN": lambda: LayeredCNN(num_classes=3),
    "sequential_cnn": lambda: sequential_cnn(num_classes=3),
    "TorchvisionNet": lambda: TorchvisionNet("mobilenet_v3_small", num_classes=3, image_size=(32, 32)),
    "TimmNet": lambda: TimmNet("levit_128s", num_classes=3, image_size=(32, 32)),
    "NamedNet": lambda: NamedNet("squeezenet1_1", num_classes=3, image_size=(32, 32)),
    "NLinear of scaled windows": lambda: fill(NLinear(**SIZES, instance_norm=True)),
    "PatchTransformer": lambda: PatchTransformer(**SIZES, patch_len=8, patch_stride=4),
    "GrowthLSTM": lambda: GrowthLSTM(num_targets=2, num_features=3),
    "ForecastCombination": lambda: ForecastCombination(**SIZES, season=6),
}
SLOW = ("TorchvisionNet", "TimmNet", "NamedNet")


def fill(net: nn.Module) -> nn.Module:
    """Give parameters and scales of zeros random values."""
    with torch.no_grad():
        for name, values in (*net.named_parameters(), *net.named_buffers()):
            if not values.any() and values.is_floating_point():
                values.normal_()
                if name in ("scale", "log_count_ratio"):
                    values[PAD] = 0
    return net


def make_batch(net: nn.Module) -> Tensor:
    if isinstance(net, (NgramBag, NaiveBayesBag, WordAverage, TextCNN)):
        x = torch.tensor([[5, 7, 5, 9, 0, 12, 7, 5, 3, 2, 8, 21], [4, 6, *[PAD] * 10], [PAD] * 12])
        if isinstance(net, NgramBag):  # distinct ids
            x[0] = torch.tensor([2, 4, 5, 7, 9, 11, 12, 15, 22, 29, PAD, PAD])
        return x
    if isinstance(net, (DLinear, NLinear, SparseTSF, PatchTransformer, GrowthLSTM, ForecastCombination)):
        steps = torch.arange(24.0)[:, None]
        return 3 + (steps * torch.tensor([0.5, 1.1, 0.3])).sin() + 0.1 * torch.randn(2, 24, 3)
    size = 32 if isinstance(net, (TorchvisionNet, TimmNet, NamedNet)) else 16
    return torch.randn(2, 3, size, size)


def read(output: Tensor) -> Tensor:
    """Read columns (B, K): of forecasts, or of their quantiles, their mean over the steps."""
    if output.ndim == 4:
        output = output[..., output.shape[3] // 2]
    return output.mean(1) if output.ndim == 3 else output


def test_every_net_is_explained_here() -> None:
    tested = {name.partition(" ")[0] for name in (*LINEAR, *OTHERS)} - {"MirroredViews"}
    # A layer, and a net whose test is in test_encoders.py.
    assert tested == set(nets.__all__) - {"WordEmbedding", "TransformerNet"}


@pytest.mark.parametrize("name", LINEAR)
def test_contributions_and_bias_are_the_output_of_a_linear_net(name: str) -> None:
    torch.manual_seed(0)
    net = LINEAR[name]().eval()
    x = make_batch(net)
    with torch.no_grad():
        columns = read(net(x))
    for column in range(columns.shape[1]):
        found = explain(net, x, torch.full((len(x),), column), read=read)
        assert found.is_exact.all()
        torch.testing.assert_close(found.output, columns[:, column].double(), rtol=0, atol=1e-6)
        sums = found.base + found.values.flatten(1).sum(1)
        torch.testing.assert_close(sums, columns[:, column].double(), rtol=1e-5, atol=1e-5)
        assert float(found.values.abs().max()) > 0.01
    if not x.is_floating_point():
        bias = net.dense[-1].bias if isinstance(net, WordAverage) else net.bias
        torch.testing.assert_close(found.base, bias[-1].detach().double().expand(len(x)))
        assert not found.values[2].any()  # a text without words
        places = x == PAD if found.parts is None else None
        assert places is None or not found.values[places].any()


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in OTHERS])
def test_integrated_gradients_account_for_the_output(name: str) -> None:
    torch.manual_seed(0)
    net = OTHERS[name]()
    net.train()
    x = make_batch(net)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    neutral = x.mean(1, keepdim=True).expand_as(x) if x.ndim == 3 else None
    found = explain(net, x, torch.ones(len(x), dtype=torch.int64), neutral=neutral, read=read)
    assert not found.is_exact.any()
    assert found.is_complete.all(), found.delta
    assert found.values.shape == x.shape
    assert found.values.any()
    with torch.no_grad():
        torch.testing.assert_close(found.output, read(net.eval()(x))[:, 1].double(), rtol=1e-4, atol=1e-5)
    # The net is left in its mode, with its weights and statistics, without gradients and hooks.
    for key, value in net.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())


def test_the_mode_of_each_module_stays() -> None:
    net = OTHERS["TextCNN"]().train()
    net.dense.eval()
    explain(net, make_batch(net), torch.zeros(3, dtype=torch.int64))
    assert net.training
    assert net.conv.training
    assert not net.dense.training


def test_a_linear_net_behind_something_else_is_not_called_exact() -> None:
    """Such as behind quantiles that cross, and are sorted."""
    torch.manual_seed(0)
    net = NLinear(lookback=4, horizon=1, num_targets=1, num_quantiles=3)
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    x, first = torch.randn(20, 4, 1), torch.zeros(20, dtype=torch.int64)
    found = explain(net, x, first, read=lambda output: output.sort(-1).values[:, :, 0, 1])
    assert found.is_exact.any()
    assert not found.is_exact.all()
    assert found.is_complete.all()


def test_contributions_by_hand() -> None:
    """Of n-grams: weight times scale times the share; a pair of NaiveBayesBag says which words it is of."""
    bag = NgramBag(6, num_classes=2)
    with torch.no_grad():
        bag.weight.weight[:, 0] = torch.tensor([0.0, 9.0, 1.0, 2.0, 3.0, 4.0])
        bag.scale.copy_(torch.tensor([1.0, 0.0, 1.0, 0.5, 2.0, 1.0]))
        bag.mean_length.fill_(8.0)
        bag.bias.fill_(0.25)
    found = explain(bag, torch.tensor([[3, 4, PAD]]), torch.zeros(1, dtype=torch.int64))
    torch.testing.assert_close(found.values, torch.tensor([[2 * 0.5 * 2.0, 3 * 2 * 2.0, 0]]).double())
    assert found.base.tolist() == [0.25]
    weights = find_word_weights(bag)
    assert weights is not None
    assert weights[:, 0].tolist() == [0.0, 0.0, 1.0, 1.0, 6.0, 4.0]
    pairs = fill(NaiveBayesBag(6, num_classes=2, num_buckets=1000))
    found = explain(pairs, torch.tensor([[3, 4, 3, 4, PAD]]), torch.zeros(1, dtype=torch.int64))
    assert found.parts is not None
    kept = {tuple(part) for part, value in zip(found.parts[0].tolist(), found.values[0].tolist(), strict=True) if value}
    assert kept == {(0, 1), (1, 2), (0, 2), (1, 3)}  # each word and pair once, where it stands first


def test_word_weights_are_of_linear_nets_alone() -> None:
    average = WordAverage(30, num_classes=3)
    weights = find_word_weights(average)
    assert weights is not None
    with torch.no_grad():
        expected = average(torch.arange(30)[:, None]) - average.dense[-1].bias
    torch.testing.assert_close(weights, expected)
    assert find_word_weights(WordAverage(30, hidden_size=4)) is None
    assert find_word_weights(LINEAR["DLinear"]()) is None
    assert find_word_weights(TextCNN(30, max_len=12)) is None
    assert not is_linear(NLinear(**SIZES, instance_norm=True))


class OfTransformers(nn.Module):
    """A net that names its embedding as transformers' do, behind another one, with a mask made of the ids."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Embedding(12, 4)
        self.words = nn.Embedding(30, 4)
        self.head = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))

    def get_input_embeddings(self) -> nn.Module:
        return self.words

    def forward(self, x: Tensor) -> Tensor:
        mask = (x != PAD)[..., None]
        hidden = (self.words(x) + self.positions(torch.arange(x.shape[1]))) * mask
        return self.head(hidden.sum(1) / mask.sum(1))  # NaN for a text that is padding alone


def test_a_net_names_its_embedding_and_the_mask_is_that_of_the_text() -> None:
    torch.manual_seed(0)
    net = OfTransformers()
    x = torch.tensor([[5, 7, 9, PAD], [3, 4, 20, 21]])
    found = explain(net, x, torch.tensor([1, 0]))
    assert found.is_complete.all()
    assert found.output.isfinite().all()
    assert not found.values[0, 3].any()


class NoEmbedding(nn.Module):
    """A net of one-hot ids."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.one_hot(x, 30).float().mean(1)


def test_what_cannot_be_explained_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    x, first = torch.tensor([[3, 4]]), torch.zeros(1, dtype=torch.int64)
    with pytest.raises(UsageError, match=r"NoEmbedding takes ids, and has no nn.Embedding.*get_input_embeddings\(\)"):
        explain(NoEmbedding(), x, first)
    with pytest.raises(UsageError, match="have no gradient by its inputs"):
        explain(Rounded(), torch.randn(1, 4), first)
    for name in [name for name in sys.modules if name.partition(".")[0] == "captum"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [WithoutCaptum, *sys.meta_path])
    with pytest.raises(MissingPackageError, match=r"not linear needs captum.*lightfit\[pictures\]"):
        explain(OTHERS["ImageCNN"](), torch.randn(1, 3, 16, 16), first)
    assert explain(LINEAR["NgramBag"](), x, first).is_exact.all()  # which needs no captum


class WithoutCaptum:
    """A finder that finds no captum."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == "captum":
            raise ModuleNotFoundError("No module named 'captum'", name="captum")


class Rounded(nn.Module):
    """A net without a gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return x.detach().round()


class Step(nn.Module):
    """A net that jumps, whose gradient is 0 at each point of the path."""

    def forward(self, x: Tensor) -> Tensor:
        return (x > 0.5).float() * 5 + 0 * x


def test_a_jump_is_not_accounted_for_and_said() -> None:
    found = explain(Step(), torch.tensor([[1.0], [0.0]]), torch.zeros(2, dtype=torch.int64))
    assert found.delta.tolist() == [5.0, 0.0]
    assert found.is_complete.tolist() == [False, True]
