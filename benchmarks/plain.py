"""The plain method, the baseline of every ratio: a script for one picture, as its peers are written.

"Neural Transfer Using PyTorch" in float32 and NCHW: transparent loss layers in a Sequential, ``torch.optim.LBFGS``,
pixels clamped inside the closure, three numbers read back at each evaluation. Nothing is cached, fused or batched, on
purpose, and nothing of nst_batch is used.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.vgg import cfgs, make_layers

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
CONTENT_CONVS = (4,)  # conv2_2
STYLE_CONVS = (1, 2, 3, 4, 5)  # conv1_1, conv1_2, conv2_1, conv2_2, conv3_1


def gram(f: Tensor) -> Tensor:
    """1xCxhxw to CxC, divided by the number of elements."""
    b, c, h, w = f.shape
    flat = f.reshape(b * c, h * w)
    return flat @ flat.t() / (b * c * h * w)


class _Normalise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x - MEAN) / STD


class _ContentLoss(nn.Module):
    def __init__(self, target: Tensor) -> None:
        super().__init__()
        self.target, self.loss = target.detach(), torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:
        self.loss = F.mse_loss(x, self.target)
        return x


class _StyleLoss(nn.Module):
    def __init__(self, target: Tensor) -> None:
        super().__init__()
        self.target, self.loss = gram(target).detach(), torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:
        self.loss = F.mse_loss(gram(x), self.target)
        return x


class PlainTransfer:
    """One content, one style; ``closure`` evaluates, ``run`` optimises.

    Args:
        state: torchvision's VGG-19 ``features``.
        content: 1x3xHxW float32 in [0, 1].
        style: likewise, of any size.
        style_weight: the content weight is 1.
    """

    def __init__(self, state: Mapping[str, Tensor], content: Tensor, style: Tensor, style_weight: float = 1e6) -> None:
        features = make_layers(cfgs["E"])
        features.load_state_dict(state)
        features.eval().requires_grad_(False)
        self.style_weight = style_weight
        self.content_losses: list[_ContentLoss] = []
        self.style_losses: list[_StyleLoss] = []
        self.model = self._build(features, content, style)
        self.image = content.clone().requires_grad_(True)
        self.trace: list[list[float]] = []  # total, style, content of each evaluation

    def _build(self, features: nn.Sequential, content: Tensor, style: Tensor) -> nn.Sequential:
        model, conv = nn.Sequential(_Normalise()), 0
        for layer in features:
            model.append(nn.ReLU(inplace=False) if isinstance(layer, nn.ReLU) else layer)
            if not isinstance(layer, nn.Conv2d):
                continue
            conv += 1
            if conv in CONTENT_CONVS:
                self.content_losses.append(_ContentLoss(model(content)))
                model.append(self.content_losses[-1])
            if conv in STYLE_CONVS:
                self.style_losses.append(_StyleLoss(model(style)))
                model.append(self.style_losses[-1])
            if conv == max(*CONTENT_CONVS, *STYLE_CONVS):
                break
        return model

    def losses(self) -> tuple[Tensor, Tensor, Tensor]:
        """Total, style and content at the image."""
        self.model(self.image)
        style = self.style_weight * torch.stack([layer.loss for layer in self.style_losses]).sum()
        content = torch.stack([layer.loss for layer in self.content_losses]).sum()
        return style + content, style, content

    def closure(self) -> float:
        """One evaluation, as the tutorial's closure makes it."""
        with torch.no_grad():
            self.image.clamp_(0, 1)
        self.image.grad = None
        total, style, content = self.losses()
        total.backward()  # type: ignore[no-untyped-call]
        self.trace.append([total.item(), style.item(), content.item()])
        return self.trace[-1][0]

    def run(self, steps: int) -> float:
        """Optimise until more than ``steps`` evaluations are made; the final loss, at the clamped image."""
        optimiser = torch.optim.LBFGS([self.image])
        while len(self.trace) <= steps:
            optimiser.step(self.closure)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            self.image.clamp_(0, 1)
            return self.losses()[0].item()
