"""The plain method, the baseline of every ratio: a script for one picture, as its peers are written.

"Neural Transfer Using PyTorch" in float32 and NCHW: transparent loss layers in a Sequential, ``torch.optim.LBFGS``,
pixels clamped inside the closure, three numbers read back at each evaluation. Nothing is cached, fused or batched, on
purpose, and nothing of nst_batch is used.

    python -m benchmarks.plain CONTENT STYLE OUT --weights FILE [--size 256] [--steps 300] [--device cpu]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.vgg import cfgs, make_layers
from torchvision.transforms.functional import pil_to_tensor, to_pil_image

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


@dataclass(frozen=True)
class Losses:
    """Which layers have losses: convolutions counted from 1, before their ReLU or after it."""

    content: tuple[int, ...]
    style: tuple[int, ...]
    after_relu: bool
    style_weight: float


TUTORIAL = Losses((4,), (1, 2, 3, 4, 5), after_relu=False, style_weight=1e6)  # conv2_2; conv1_1 to conv3_1
GATYS = Losses((10,), (1, 3, 5, 9, 13), after_relu=True, style_weight=1e3)  # relu4_2; relu1_1, 2_1, 3_1, 4_1, 5_1


def gram(f: Tensor) -> Tensor:
    """1xCxhxw to CxC, divided by the number of elements."""
    b, c, h, w = f.shape
    flat = f.reshape(b * c, h * w)
    return flat @ flat.t() / (b * c * h * w)


class _Normalise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x - MEAN.to(x.device)) / STD.to(x.device)


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
        content: 1x3xHxW float32 in [0, 1]; its device is where all is done.
        style: likewise, of any size.
        losses: which layers have them; the content weight is 1.
    """

    def __init__(self, state: Mapping[str, Tensor], content: Tensor, style: Tensor, losses: Losses = TUTORIAL) -> None:
        features = make_layers(cfgs["E"])
        features.load_state_dict(state)
        features.to(content.device).eval().requires_grad_(False)
        self.losses_at = losses
        self.content_losses: list[_ContentLoss] = []
        self.style_losses: list[_StyleLoss] = []
        self.model = self._build(features, content, style)
        self.image = content.clone().requires_grad_(True)
        self.trace: list[list[float]] = []  # total, style, content of each evaluation

    def _build(self, features: nn.Sequential, content: Tensor, style: Tensor) -> nn.Sequential:
        at, model, conv = self.losses_at, nn.Sequential(_Normalise()), 0
        for layer in features:
            model.append(nn.ReLU(inplace=False) if isinstance(layer, nn.ReLU) else layer)
            conv += isinstance(layer, nn.Conv2d)
            if not isinstance(layer, nn.ReLU if at.after_relu else nn.Conv2d):
                continue
            if conv in at.content:
                self.content_losses.append(_ContentLoss(model(content)))
                model.append(self.content_losses[-1])
            if conv in at.style:
                self.style_losses.append(_StyleLoss(model(style)))
                model.append(self.style_losses[-1])
            if conv == max(*at.content, *at.style):
                break
        return model

    def losses(self) -> tuple[Tensor, Tensor, Tensor]:
        """Total, style and content at the image."""
        self.model(self.image)
        style = self.losses_at.style_weight * torch.stack([layer.loss for layer in self.style_losses]).sum()
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


def load(path: Path, size: int) -> Tensor:
    """1x3xHxW float32 in [0, 1], the longer side ``size`` pixels."""
    image = Image.open(path).convert("RGB")
    factor = size / max(image.size)
    image = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)
    values: Tensor = pil_to_tensor(image)
    return values.float().div(255)[None].contiguous()


def main() -> None:
    """One picture, as a process of its own; prints evaluations, seconds and the final loss as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("content", "style", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument(
        "--weights", type=Path, required=True, help="torchvision's features.N.weight and features.N.bias"
    )
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    loaded = torch.load(given.weights, map_location="cpu", weights_only=True)
    state = {name.removeprefix("features."): value for name, value in loaded.items() if name.startswith("features.")}
    begun = time.perf_counter()
    content, style = (load(path, given.size).to(given.device) for path in (given.content, given.style))
    transfer = PlainTransfer(state, content, style)
    final = transfer.run(given.steps)
    to_pil_image(transfer.image.detach()[0].cpu()).save(given.out)
    print(json.dumps({"evaluations": len(transfer.trace), "seconds": time.perf_counter() - begun, "final": final}))


if __name__ == "__main__":
    main()
