"""The seed's method written plainly, for comparison: imports nothing of the package.

Gatys, Ecker and Bethge's transfer as in "Neural Transfer Using PyTorch": transparent losses after named convolutions,
``torch.optim.LBFGS``, pixels clamped inside the closure.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.vgg import cfgs, make_layers

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
TUTORIAL_CONTENT = {4}  # conv_4, which is conv2_2
TUTORIAL_STYLE = {1, 2, 3, 4, 5}  # conv1_1, conv1_2, conv2_1, conv2_2, conv3_1


def gram(f: Tensor) -> Tensor:
    b, c, h, w = f.shape
    flat = f.reshape(b * c, h * w)
    return flat @ flat.t() / (b * c * h * w)


def network(state: Mapping[str, Tensor], dtype: torch.dtype) -> nn.Sequential:
    layers: nn.Sequential = make_layers(cfgs["E"])
    layers.load_state_dict(state)
    return layers.to(dtype).eval().requires_grad_(False)


def conv_outputs(layers: nn.Sequential, image: Tensor, last: int) -> dict[int, Tensor]:
    """The output of each convolution, counted from 1, before its ReLU."""
    x, found, conv = (image - MEAN.to(image.dtype)) / STD.to(image.dtype), {}, 0
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            x = layer(x)
            conv += 1
            found[conv] = x
            if conv == last:
                break
        else:
            x = F.relu(x) if isinstance(layer, nn.ReLU) else F.max_pool2d(x, 2)
    return found


class TutorialLoss:
    """1e6 times the style losses plus the content loss, as a function of the image."""

    def __init__(self, layers: nn.Sequential, content: Tensor, style: Tensor, style_weight: float = 1e6) -> None:
        self.layers, self.style_weight = layers, style_weight
        self.content = conv_outputs(layers, content, 5)
        self.style = {conv: gram(f) for conv, f in conv_outputs(layers, style, 5).items()}

    def __call__(self, image: Tensor) -> Tensor:
        found = conv_outputs(self.layers, image, 5)
        style = sum(F.mse_loss(gram(found[conv]), self.style[conv]) for conv in TUTORIAL_STYLE)
        content = sum(F.mse_loss(found[conv], self.content[conv]) for conv in TUTORIAL_CONTENT)
        return torch.as_tensor(self.style_weight * style + content)


def tutorial_losses(loss: TutorialLoss, content: Tensor, evaluations: int) -> list[float]:
    """The total at each closure evaluation of the tutorial's loop."""
    image, trace = content.clone().requires_grad_(True), list[float]()
    optimiser = torch.optim.LBFGS([image])
    while len(trace) < evaluations:

        def closure() -> float:
            with torch.no_grad():
                image.clamp_(0, 1)
            optimiser.zero_grad()
            total = loss(image)
            total.backward()  # type: ignore[no-untyped-call]
            trace.append(total.item())
            return total.item()

        optimiser.step(closure)  # type: ignore[no-untyped-call]
    return trace[:evaluations]
