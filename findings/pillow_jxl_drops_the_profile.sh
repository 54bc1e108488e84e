#!/bin/sh
# A picture in Display P3 that is saved as JPEG XL by Pillow's plugin comes back as if it were in sRGB.
#
# Pillow's writers of JPEG, PNG, WebP, TIFF and AVIF embed what is given as icc_profile; pillow-jxl-plugin is the plugin that
# reads and writes .jxl in the same way, and hands over a file's profile as info["icc_profile"].
# One would guess: image.save("a.jxl", icc_profile=profile) embeds it, or raises.
# Seen: neither the argument nor image.info["icc_profile"] is written. Values come back bit for bit (lossless), with a profile
# of the decoder's own for sRGB: the same numbers now mean duller colours. WebP, in the same run, gives the profile back.
#
# Packages: pillow 13.0.0, pillow-jxl-plugin 1.3.8, imagecodecs 2026.3.6 (which makes the profile and converts colours).
# Seen on 2026-12-01. Exits with 1 if that has changed. Needs Python 3.11 or newer; installs into a folder of its own, and
# removes it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 pillow-jxl-plugin==1.3.8 \
    imagecodecs==2026.3.6 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

import imagecodecs
import numpy as np
import pillow_jxl  # registers itself
from PIL import Image

ramp = np.linspace(0, 1, 4096)
curve = np.where(ramp <= 0.04045, ramp / 12.92, ((ramp + 0.055) / 1.055) ** 2.4).astype(np.float32)
display_p3 = bytes(imagecodecs.cms_profile(
    "rgb", whitepoint=(0.3127, 0.3290, 1.0), primaries=(0.680, 0.320, 1.0, 0.265, 0.690, 1.0, 0.150, 0.060, 1.0),
    transferfunction=curve,
))
srgb = bytes(imagecodecs.cms_profile("srgb"))


def shown(image):
    """What the picture's one colour is in sRGB, by the profile that came back with it."""
    values = np.asarray(image.convert("RGB"))[:1, :1]
    found = imagecodecs.cms_transform(values, image.info["icc_profile"], srgb, colorspace="rgb", outcolorspace="rgb")
    return tuple(int(value) for value in found[0, 0])


picture = Image.new("RGB", (64, 64), (128, 64, 64))
picture.info["icc_profile"] = display_p3
results = {}
for form in ("WEBP", "JXL"):
    data = io.BytesIO()
    picture.save(data, form, lossless=True, icc_profile=display_p3)
    back = Image.open(io.BytesIO(data.getvalue()))
    results[form] = (back.getpixel((0, 0)), back.info["icc_profile"] == display_p3, shown(back))
    print(f"{form}: stored {results[form][0]}, the profile came back: {results[form][1]}, in sRGB {results[form][2]}")
expected = {"WEBP": ((128, 64, 64), True, (138, 59, 62)), "JXL": ((128, 64, 64), False, (128, 64, 64))}
sys.exit(results != expected)
PYTHON
