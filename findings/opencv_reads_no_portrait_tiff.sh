#!/bin/sh
# OpenCV 5 reads no TIFF that its tag Orientation lays on its side, where it reads those that it turns upside down.
#
# cv2.imread turns pictures by their orientation. For JPEG and PNG that holds for all eight values; of TIFFs, those whose
# sides change places (5 to 8, which is how cameras and raw converters store every portrait) are not read at all.
#
# Packages: opencv-python-headless 5.0.0.93, tifffile 2026.3.3, pillow 13.0.0 (as a witness). Seen on 2026-12-01.
# One would guess: a TIFF with Orientation 6 is read upright, as a JPEG with it is, and as Pillow has it; or as it is stored,
# with the flag that asks for that.
# Seen: 1 to 4 are turned, 5 to 8 are None, with IMREAD_UNCHANGED and IMREAD_IGNORE_ORIENTATION, too; JPEGs of all eight are
# upright. The picture is allocated for the size as stored; the TIFF reader turns it into another, and that it has moved is
# taken for an error ("original_ptr == real_mat.data must be true", on standard error).
# Exits with 1 if that has changed. Needs Python 3.11 or newer; installs into a folder of its own, and removes it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 tifffile==2026.3.3 pillow==13.0.0 numpy
"$folder/venv/bin/python" - "$folder" 2>"$folder/log" <<'PYTHON'
import sys

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageOps

stored = np.zeros((40, 64, 3), np.uint8)
stored[:8, :8] = 255
found = {}
for turned in range(1, 9):
    tiff, jpeg = f"{sys.argv[1]}/{turned}.tif", f"{sys.argv[1]}/{turned}.jpg"
    tifffile.imwrite(tiff, stored, photometric="rgb", extratags=[(274, "H", 1, turned, True)])
    exif = Image.Exif()
    exif[274] = turned
    Image.fromarray(stored).save(jpeg, exif=exif, quality=95)
    with Image.open(tiff) as image:
        right = np.asarray(ImageOps.exif_transpose(image))
    shapes = [None if read is None else read.shape[:2] for read in (
        cv2.imread(tiff), cv2.imread(tiff, cv2.IMREAD_UNCHANGED), cv2.imread(jpeg),
        cv2.imread(tiff, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION),
    )]
    upright = right.shape[:2]
    print(f"{turned}: upright it is {upright}; TIFF {shapes[0]}, unchanged {shapes[1]}, JPEG {shapes[2]}, ignored {shapes[3]}")
    found[turned] = (shapes[0] == upright, shapes == [None, None, upright, None], shapes[2] == upright)
as_seen = all(found[turned] == (turned < 5, turned > 4, True) for turned in found)
sys.exit(not as_seen)
PYTHON
