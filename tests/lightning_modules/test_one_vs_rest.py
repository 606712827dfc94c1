"""One class against the rest: the loss, the probabilities, and what stays as it was."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lightfit.lightning_modules import Classifier
from lightfit.lightning_modules.losses import one_vs_rest_loss

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, -3.0]])
Y = torch.tensor([0, 2])


def test_the_loss_is_a_binary_one_of_each_class() -> None:
    target = F.one_hot(Y, 3).float()
    by_hand = -(target * LOGITS.sigmoid().log() + (1 - target) * (1 - LOGITS.sigmoid()).log()).sum(1)
    torch.testing.assert_close(one_vs_rest_loss(LOGITS, Y), by_hand.mean())
    torch.testing.assert_close(one_vs_rest_loss(LOGITS, target), by_hand.mean())
    weights = torch.tensor([1.0, 5.0, 3.0])
    torch.testing.assert_close(one_vs_rest_loss(LOGITS, Y, class_weights=weights), (by_hand @ weights[Y]) / 2)
    smooth = target * 0.7 + 0.1
    by_hand = -(smooth * LOGITS.sigmoid().log() + (1 - smooth) * (1 - LOGITS.sigmoid()).log()).sum(1)
    torch.testing.assert_close(one_vs_rest_loss(LOGITS, Y, label_smoothing=0.3), by_hand.mean())


def test_predictions_are_sigmoids_with_a_sum_of_one() -> None:
    model = Classifier(nn.Identity(), multi_class="one_vs_rest")
    sigmoids = LOGITS.sigmoid()
    torch.testing.assert_close(model.predict_step(LOGITS), sigmoids / sigmoids.sum(1, keepdim=True))
    model.train()
    torch.testing.assert_close(model.shared_step((LOGITS, Y))["loss"], one_vs_rest_loss(LOGITS, Y))


def test_two_classes_with_one_logit_are_the_same() -> None:
    logits, y = torch.tensor([[0.3], [-2.0]]), torch.tensor([1, 0])
    ours, softmax = (Classifier(nn.Identity(), multi_class=kind) for kind in ("one_vs_rest", "softmax"))
    for one, other in zip(
        ours.shared_step((logits, y)).values(), softmax.shared_step((logits, y)).values(), strict=True
    ):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(ours.predict_step(logits), softmax.predict_step(logits))


def test_another_word_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected multi_class softmax or one_vs_rest, received 'ovr'"):
        Classifier(nn.Identity(), multi_class="ovr")  # type: ignore[arg-type]
