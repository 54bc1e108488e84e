#!/bin/sh
# TIFF files of which the compression is unknown to them, OpenCV and libvips return black, and no error.
#
# Geodata and microscopy keep TIFF compressed as LERC, JPEG 2000 or JPEG XL; tifffile with imagecodecs writes and reads all
# three, and the wheels of OpenCV and of libvips are built with a libtiff that has none of them.
# One would guess: cv2.imread gives None, as it does of what it cannot read, and pyvips raises.
# Seen: cv2.imread gives an array of the right size and type, of zeros, for JPEG 2000 and JPEG XL, and pyvips (which is lenient
# unless it is asked for fail_on="error") an image of zeros for all three. A script that reads a folder of these trains on, or
# stylises, black pictures. Pillow raises UnidentifiedImageError for each.
#
# Packages: opencv-python-headless 5.0.0.93, pyvips 3.2.0 with pyvips-binary 8.18.7, tifffile 2026.3.3, imagecodecs 2026.3.6,
# pillow 13.0.0. Seen on 2026-12-01. Exits with 1 if that has changed. Needs Python 3.11 or newer; installs into a folder of its
# own, and removes it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 pyvips==3.2.0 \
    pyvips-binary==8.18.7 tifffile==2026.3.3 imagecodecs==2026.3.6 pillow==13.0.0
cd "$folder"
OPENCV_LOG_LEVEL=OFF "$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import sys

import cv2
import numpy as np
import pyvips
import tifffile
from PIL import Image, UnidentifiedImageError

values = np.full((64, 64, 3), (128, 64, 64), np.uint8)
values[:, 32:] = (64, 128, 64)
found = {}
for compression, options in {"lerc": {}, "jpeg2000": {"level": 0}, "jpegxl": {"lossless": True}}.items():
    name = f"{compression}.tif"
    tifffile.imwrite(name, values, photometric="rgb", compression=compression, compressionargs=options)
    by_itself = bool((tifffile.imread(name) == values).all())
    opencv = cv2.imread(name, cv2.IMREAD_UNCHANGED)
    opencv = "None" if opencv is None else f"{opencv.shape[1]} x {opencv.shape[0]}, largest value {opencv.max()}"
    vips = pyvips.Image.new_from_file(name).numpy()
    try:
        pillow = str(Image.open(name).size)
    except UnidentifiedImageError as error:
        pillow = type(error).__name__
    found[compression] = (by_itself, opencv, int(vips.max()), pillow)
    print(f"{compression}: tifffile gives back what was written: {by_itself}; OpenCV: {opencv}; "
          f"pyvips: {vips.shape[1]} x {vips.shape[0]}, largest value {vips.max()}; Pillow: {pillow}")
black = "64 x 64, largest value 0"
expected = {
    "lerc": (True, "None", 0, "UnidentifiedImageError"),
    "jpeg2000": (True, black, 0, "UnidentifiedImageError"),
    "jpegxl": (True, black, 0, "UnidentifiedImageError"),
}
sys.exit(found != expected)
PYTHON
