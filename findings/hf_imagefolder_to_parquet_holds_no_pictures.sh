#!/bin/sh
# A folder of pictures, loaded by Hugging Face datasets and written as Parquet, holds paths and no pictures.
#
# The Image feature is stored as {"bytes", "path"}, and data sets on the hub are Parquet with the bytes in it.
# One would guess: load_dataset("imagefolder", ...).to_parquet(...) gives such a file, which can be copied elsewhere.
# Seen: "bytes" is null in every row and "path" names the file that was loaded. The Parquet file of forty noisy pictures is a
# few kilobytes; once the folder is gone, its pictures cannot be read, and nothing said so when it was written. Mapping
# datasets.table.embed_table_storage over the rows first puts the bytes in.
#
# Packages: datasets 5.2.0, pyarrow as it asks for, pillow 13.0.0. Seen on 2026-12-01.
# Exits with 1 if that has changed. Needs Python 3.11 or newer; installs into a folder of its own, and removes it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pillow==13.0.0 numpy
cd "$folder"
export HF_HOME="$folder/home" HF_HUB_OFFLINE=1
"$folder/venv/bin/python" - <<'PYTHON'
import pathlib
import shutil
import sys

import datasets
import numpy as np
import pyarrow.parquet as pq
from datasets.table import embed_table_storage
from PIL import Image

datasets.disable_progress_bars()
noise = np.random.default_rng(0)
for number in range(40):
    place = pathlib.Path("pictures", ("cat", "dog")[number % 2])
    place.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(place / f"{number}.png")
on_disk = sum(path.stat().st_size for path in pathlib.Path("pictures").rglob("*.png"))

loaded = datasets.load_dataset("imagefolder", data_dir="pictures", split="train")
loaded.to_parquet("plain.parquet")
loaded.with_format("arrow").map(embed_table_storage, batched=True).to_parquet("embedded.parquet")
held = {}
for name in ("plain", "embedded"):
    images = pq.read_table(f"{name}.parquet").column("image").to_pylist()
    held[name] = sum(image["bytes"] is not None for image in images)
    size = pathlib.Path(f"{name}.parquet").stat().st_size
    print(f"{name}: {held[name]} of {len(images)} rows have bytes; {size:,} bytes for {on_disk:,} of pictures")

shutil.rmtree("pictures")
lost = datasets.load_dataset("parquet", data_files="plain.parquet", split="train").cast_column("image", datasets.Image())
try:
    lost[0]["image"].load()
    error = None
except OSError as raised:
    error = type(raised).__name__
print(f"the folder gone: {error}")
sys.exit(not (held == {"plain": 0, "embedded": 40} and error is not None))
PYTHON
