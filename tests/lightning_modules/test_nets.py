"""The nets: sizes as published, outputs as computed by hand."""

import math

import pytest
import torch
import torchvision
from torch import nn

from lightfit.lightning_modules.losses import classification_loss
from lightfit.lightning_modules.metrics import accuracy, probabilities
from lightfit.lightning_modules.nets import (
    FastResNet,
    ImageCNN,
    LayeredCNN,
    NaiveBayesBag,
    TextCNN,
    TorchvisionNet,
    sequential_cnn,
)
from lightfit.lightning_modules.nets.naive_bayes_bag import hash_pairs
from lightfit.lightning_modules.nets.quick_conv import MatmulConv1d, PairMaxPool1d
from lightfit.lightning_modules.nets.torchvision_net import TWO_HEADED
from lightfit.lightning_modules.optimizers import find_optimizer, make_optimizer, make_schedule


def num_parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def test_text_cnn_has_the_cookbooks_size() -> None:
    net = TextCNN(10_000, max_len=200)
    assert num_parameters(net) == 40_625
    assert net.dense[1].in_features == 6144
    assert net(torch.zeros(3, 200, dtype=torch.int64)).shape == (3, 1)
    assert TextCNN(50, max_len=10, num_classes=4)(torch.zeros(3, 10, dtype=torch.int64)).shape == (3, 4)


def test_text_cnn_says_what_length_it_needs() -> None:
    with pytest.raises(ValueError, match="max_len of at least 10.*received 9"):
        TextCNN(50, max_len=9)
    with pytest.raises(ValueError, match=r"texts of 20 words, received a batch \(2, 15\).*`bucket`"):
        TextCNN(50, max_len=20)(torch.zeros(2, 15, dtype=torch.int64))


def test_ngrams_are_distinct_and_skip_padding() -> None:
    net = NaiveBayesBag(10, num_buckets=1000)
    pair = lambda a, b: 10 + int(hash_pairs(torch.tensor(a), torch.tensor(b), 1000))  # noqa: E731
    ids = net.ngrams(torch.tensor([[2, 3, 2, 3, 1, 1]]))
    assert sorted(set(ids[0].tolist()) - {1}) == sorted({2, 3, pair(2, 3), pair(3, 2)})
    kept = ids[ids != 1]
    assert len(kept) == len(kept.unique())


def test_naive_bayes_ratio_by_hand() -> None:
    net = NaiveBayesBag(4, num_buckets=1, smoothing=1.0)
    # Words 2 and 3: class 0 has (2), (2); class 1 has (3). No pairs, since every text has one word.
    net.adapt([(torch.tensor([[2], [2], [3]]), torch.tensor([0, 0, 1]))])
    # Smoothed counts of class 1 over the 5 ids: [1, 1, 1, 2, 1], sum 6; of class 0: [1, 1, 3, 1, 1], sum 7.
    expected = torch.tensor([0.0, 0.0, math.log(1 / 6) - math.log(3 / 7), math.log(2 / 6) - math.log(1 / 7), 0.0])
    assert torch.allclose(net.log_count_ratio[:, 0], expected)
    nn.init.ones_(net.weight.weight)
    assert net(torch.tensor([[3, 1]])).item() == pytest.approx(expected[3].item(), rel=1e-6)


def test_several_classes_have_a_ratio_each() -> None:
    net = NaiveBayesBag(5, num_classes=3, num_buckets=1)
    net.adapt([(torch.tensor([[2], [3], [4]]), torch.tensor([0, 1, 2]))])
    nn.init.ones_(net.weight.weight)
    assert net(torch.tensor([[2], [3], [4]])).argmax(1).tolist() == [0, 1, 2]


def test_hash_stays_in_its_buckets_and_tells_pairs_apart() -> None:
    first, second = torch.randint(0, 60_000, (2, 100_000), generator=torch.Generator().manual_seed(0))
    buckets = hash_pairs(first, second, 4_000_000)
    assert buckets.min() >= 0
    assert buckets.max() < 4_000_000
    # 100,000 balls in 4,000,000 bins leave 98,768 different bins on average.
    assert buckets.unique().numel() > 98_500
    assert not torch.equal(hash_pairs(first, second, 997), hash_pairs(second, first, 997))


def test_losses_and_probabilities_by_hand() -> None:
    one, two = torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    y = torch.tensor([0, 1])
    expected = (math.log(2) + math.log(1 + math.exp(-2))) / 2
    assert classification_loss(one, y).item() == pytest.approx(expected)
    assert classification_loss(one, y[:, None].float()).item() == pytest.approx(expected)
    assert classification_loss(two, y).item() == pytest.approx(expected)
    assert torch.allclose(probabilities(one), probabilities(two))
    assert accuracy(torch.tensor([[1.0], [2.0]]), y) == 0.5
    assert accuracy(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), y) == 1.0


def test_optimizers_by_name() -> None:
    parameters = [nn.Parameter(torch.zeros(1))]
    made = make_optimizer(find_optimizer("SGD"), parameters, lr=0.5, weight_decay=0.1)
    assert made.param_groups[0]["lr"] == 0.5
    assert made.param_groups[0]["weight_decay"] == 0.1
    with pytest.raises(ValueError, match="no optimizer 'adam'; the nearest names: .*Adam"):
        find_optimizer("adam")
    with pytest.raises(ValueError, match="SparseAdam takes no weight_decay, received 0.1"):
        make_optimizer(find_optimizer("SparseAdam"), parameters, lr=0.5, weight_decay=0.1)


def test_smoothing_and_weights_of_the_loss() -> None:
    logits, y = torch.randn(6, 3), torch.tensor([0, 1, 2, 2, 2, 2])
    weights = torch.tensor([2.0, 2.0, 0.5])
    smooth = classification_loss(logits, y, label_smoothing=0.3)
    assert smooth.item() == pytest.approx(nn.functional.cross_entropy(logits, y, label_smoothing=0.3).item())
    each = nn.functional.cross_entropy(logits, y, reduction="none")
    assert classification_loss(logits, y, class_weights=weights).item() == pytest.approx(
        (each * weights[y]).mean().item()
    )
    one = torch.randn(4, 1)
    target = torch.tensor([0.0, 1.0, 1.0, 0.0])
    expected = nn.functional.binary_cross_entropy_with_logits(one[:, 0], target * 0.8 + 0.1).item()
    assert classification_loss(one, target.long(), label_smoothing=0.2).item() == pytest.approx(expected)
    # One logit and its two-class twin weigh alike.
    two, pair = torch.cat([torch.zeros_like(one), one], 1), torch.tensor([3.0, 0.5])
    both = [classification_loss(logits, target.long(), class_weights=pair).item() for logits in (one, two)]
    assert both[0] == pytest.approx(both[1])


def test_schedules() -> None:
    rates = {}
    for name in ("cosine", "one_cycle"):
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
        schedule = make_schedule(name, optimizer, 100)
        rates[name] = []
        for _ in range(100):
            rates[name].append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
    assert rates["cosine"][0] == 2
    assert rates["cosine"][50] == pytest.approx(1)
    assert rates["cosine"][99] < 0.001
    assert rates["one_cycle"][0] == pytest.approx(0.4)
    assert max(rates["one_cycle"]) == rates["one_cycle"][23] == pytest.approx(2)
    assert rates["one_cycle"][99] == pytest.approx(0.164, abs=0.001)


def test_momentum_is_nesterovs() -> None:
    parameters = [nn.Parameter(torch.zeros(1))]
    group = make_optimizer(torch.optim.SGD, parameters, lr=0.1, momentum=0.9).param_groups[0]
    assert (group["momentum"], group["nesterov"]) == (0.9, True)
    with pytest.raises(ValueError, match="Adam takes no momentum, received 0.9"):
        make_optimizer(torch.optim.Adam, parameters, lr=0.1, momentum=0.9)


def test_the_cookbooks_image_net_in_its_three_ways() -> None:
    nets = [ImageCNN(), LayeredCNN(), sequential_cnn()]
    weights = list(nets[0].state_dict().values())
    x = torch.randn(5, 3, 32, 32)
    for net in nets:
        assert num_parameters(net) == 54_273
        net.load_state_dict(dict(zip(net.state_dict(), weights, strict=True)))
        torch.testing.assert_close(net.eval()(x), nets[0].eval()(x))
    assert ImageCNN(num_classes=4)(x).shape == (5, 4)
    assert LayeredCNN(num_classes=4)(x).shape == (5, 4)
    with pytest.raises(ValueError, match=r"images of at least 14 x 14, received \(2, 3, 13, 20\)"):
        ImageCNN()(torch.zeros(2, 3, 13, 20))


@pytest.mark.parametrize("size", [(2, 2), (8, 8), (28, 28), (33, 65), (96, 96)])
def test_fast_res_net_takes_every_size(size: tuple[int, int]) -> None:
    net = FastResNet(num_classes=4, image_size=size, widths=(8, 16, 8, 12))
    x = torch.randn(3, 3, *size)
    net.adapt([(x, torch.zeros(3))])
    assert net(x).shape == (3, 4)
    assert net(x).isfinite().all()
    assert sum(isinstance(module, nn.MaxPool2d) for module in net.modules()) == min(4, int(math.log2(min(size) - 1)))


def test_whitening_decorrelates_patches() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(64, 3, 12, 12, generator=rng) @ torch.rand(12, 12, generator=rng) * 5
    net = FastResNet(num_classes=2, widths=(8,))
    net.adapt([(x[:32], torch.zeros(32)), (x[32:], torch.zeros(32))])
    out = net.whitening(x).transpose(0, 1).flatten(1).double()  # (24, samples)
    second_moments = out[:12] @ out[:12].T / out.shape[1]
    torch.testing.assert_close(second_moments, torch.eye(12, dtype=torch.float64), atol=0.05, rtol=0)
    torch.testing.assert_close(out[:12], -out[12:])
    assert not net.whitening.weight.requires_grad


def test_fast_res_net_begins_as_the_identity() -> None:
    block = FastResNet(num_classes=2, widths=(30,)).blocks[0]
    x = torch.randn(2, 24, 8, 8)
    torch.testing.assert_close(block.conv1(x)[:, :24], x)


@pytest.mark.parametrize("views", [2, 6])
def test_views_give_the_mean_of_their_logits_in_evaluation_alone(views: int) -> None:
    torch.manual_seed(0)
    plain, several = FastResNet(num_classes=3, widths=(8,)), FastResNet(num_classes=3, widths=(8,), views=views)
    several.load_state_dict(plain.state_dict())
    x = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(several(x), plain(x))
    plain.eval(), several.eval()
    expected = [plain(x), plain(x.flip(3))]
    for image in (x, x.flip(3)) if views == 6 else ():
        down = torch.cat([image[:, :, 1:2], image[:, :, :-1]], 2)
        up = torch.cat([image[:, :, 1:], image[:, :, -2:-1]], 2)
        expected.append(plain(torch.cat([down[..., 1:2], down[..., :-1]], 3)))
        expected.append(plain(torch.cat([up[..., 1:], up[..., -2:-1]], 3)))
    torch.testing.assert_close(several(x), torch.stack(expected).mean(0))


def test_a_last_batch_of_one_tiny_image_trains() -> None:
    net = FastResNet(num_classes=3, image_size=(8, 8), widths=(8, 16)).train()
    net(torch.randn(1, 3, 8, 8)).sum().backward()
    assert net.blocks[1].conv2.weight.grad.abs().sum() > 0


def test_other_numbers_of_views_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 1, 2 or 6 views, received 3"):
        FastResNet(num_classes=3, views=3)


def test_fast_res_net_refuses() -> None:
    with pytest.raises(ValueError, match=r"widths of at least one block, each at least 1, received \[\]"):
        FastResNet(num_classes=2, widths=())
    with pytest.raises(ValueError, match=r"images of at least 2 x 2 pixels, received \(1, 9\)"):
        FastResNet(num_classes=2, image_size=(1, 9))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "googlenet", "vit_b_16", "mobilenet_v3_small"])
def test_nets_of_torchvision(name: str) -> None:
    net = TorchvisionNet(name, num_classes=5, image_size=(64, 64)).eval()
    assert net(torch.randn(2, 3, 64, 64)).shape == (2, 5)


@pytest.mark.slow
def test_every_classifier_of_torchvision_can_be_built() -> None:
    names = torchvision.models.list_models(module=torchvision.models)
    assert len(names) >= 80
    for name in names:
        # Without memory for the weights, where the net can be built so; of the others the small ones.
        needs_memory = name.startswith("regnet") or name in TWO_HEADED
        if not needs_memory or name in ("regnet_x_400mf", "regnet_y_400mf", "googlenet"):
            with torch.device("cpu" if needs_memory else "meta"):
                TorchvisionNet(name, num_classes=5)


def test_names_that_torchvision_lacks() -> None:
    with pytest.raises(ValueError, match="no classifier 'resnet81'; the nearest names: resnet"):
        TorchvisionNet("resnet81", num_classes=2)
    with pytest.raises(ValueError, match=r"vit_b_16 takes square images only, received \(64, 96\)"):
        TorchvisionNet("vit_b_16", num_classes=2, image_size=(64, 96))


@pytest.mark.parametrize("length", [12, 13])
def test_quick_convolution_and_pooling_are_torchs_own(length: int) -> None:
    conv, pool = MatmulConv1d(3, 8, kernel_size=4).double(), PairMaxPool1d()
    own = nn.Conv1d(3, 8, 4).double()  # in float32 the order of a sum may change more than the tolerance
    own.load_state_dict(conv.state_dict())
    x = torch.randn(5, 3, length, dtype=torch.float64)
    x[:, :, 6:] = 0.5  # windows that are all the same, as of padding: equal values in a pair
    results = []
    for convolve, take in ((conv, pool), (own, nn.MaxPool1d(2))):
        source = x.clone().requires_grad_()
        y = take(convolve(source))
        (y * torch.arange(y.numel()).view(y.shape)).sum().backward()
        results.append((y, source.grad, convolve.weight.grad, convolve.bias.grad))
    for ours, torchs in zip(*results, strict=True):
        torch.testing.assert_close(ours, torchs)
    traced = torch.export.export(nn.Sequential(conv, pool), (x,)).graph
    assert {"aten.conv1d.default", "aten.max_pool1d.default"} & {str(node.target) for node in traced.nodes}
