#!/bin/sh
# imagecodecs.jpegxl_encode takes uint8 for sRGB and uint16 for linear light.
#
# A colour as 8 bits, and the same colour as 16 bits (times 257), are the same picture to PNG, TIFF and JPEG 2000, and decode
# to the same numbers here, too. But the file says of 16 bits that its curve is linear, so that whoever looks at it by what
# it says (browsers, viewers, Pillow with its profile) sees another picture.
#
# Packages: imagecodecs 2026.3.6, pillow 13.0.0, pillow-jxl-plugin 1.3.8. Seen on 2026-12-01.
# One would guess: the type says how many bits there are, not what they mean; (128, 64, 64) is seen as that from both.
# Seen: both are lossless, and come back as they were; by their profiles, which libjxl makes of what the files say, uint8 is
# (128, 64, 64) in sRGB, and uint16 is (188, 137, 137). So a program that saves its 16-bit results that way has them shown
# far too light, and finds nothing wrong when it reads them back.
# Exits with 1 if that has changed. Needs Python 3.11 or newer; installs into a folder of its own, and removes it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imagecodecs==2026.3.6 pillow==13.0.0 pillow-jxl-plugin==1.3.8 packaging numpy
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

import imagecodecs
import numpy as np
import pillow_jxl
from PIL import Image, ImageCms

shown = {}
for kind, factor in (("uint8", 1), ("uint16", 257)):
    values = np.full((16, 16, 3), (128, 64, 64), kind) * np.array(factor, kind)
    data = imagecodecs.jpegxl_encode(values, lossless=True)
    same = np.array_equal(imagecodecs.jpegxl_decode(data), values)
    with Image.open(io.BytesIO(data)) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        converted = ImageCms.profileToProfile(image.convert("RGB"), profile, ImageCms.createProfile("sRGB"))
    shown[kind] = converted.getpixel((8, 8))
    print(f"{kind}: read back the same: {same}; profile {ImageCms.getProfileName(profile).strip()}; shown as {shown[kind]}")
    if not same:
        sys.exit(1)
near = max(abs(a - b) for a, b in zip(shown["uint16"], (188, 137, 137))) <= 1
sys.exit(not (shown["uint8"] == (128, 64, 64) and near))
PYTHON
