"""Draws the sample pictures: two contents (a lake at dusk, a still life) and three styles (strokes, mosaic, woodcut).

    python data/make_samples.py [FOLDER]

writes FOLDER/content/*.jpg and FOLDER/style/*.jpg; FOLDER is this script's own by default. The pictures are the same
at every run, and nobody's property.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Array: TypeAlias = NDArray[np.floating[Any]]
Numbers: TypeAlias = NDArray[np.integer[Any]]


def grid(width: int, height: int) -> tuple[Array, Array]:
    """(x, y), each HxW, in units of the height: x from 0 to width / height, y from 0 (top) to 1."""
    y, x = np.mgrid[0:height, 0:width]
    return x / height, y / height


def noise(x: Array, y: Array, seed: int) -> Array:
    """Smooth value noise in [0, 1] with features of size 1, at any points."""
    lattice = np.random.default_rng(seed).random((256, 256))
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    u, v = x - x0, y - y0
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    corners = [lattice[(y0 + j) % 256, (x0 + i) % 256] for j in (0, 1) for i in (0, 1)]
    top, bottom = corners[0] * (1 - u) + corners[1] * u, corners[2] * (1 - u) + corners[3] * u
    return np.asarray(top * (1 - v) + bottom * v)


def fractal(x: Array, y: Array, seed: int, octaves: int = 6) -> Array:
    """Noise with features of all sizes from 1 down, in [0, 1]."""
    layers = [noise(x * 2.0**k, y * 2.0**k, seed + k) * 0.5**k for k in range(octaves)]
    return np.asarray(sum(layers) / sum(0.5**k for k in range(octaves)))


def step(edge0: float, edge1: float, value: Array) -> Array:
    """0 below ``edge0``, 1 above ``edge1``, smooth between."""
    t = np.clip((value - edge0) / (edge1 - edge0), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def mix(a: Any, b: Any, t: Array) -> Array:
    """``a`` where t is 0, ``b`` where it is 1; colours (3) against masks (HxW) give HxWx3."""
    t = t[..., None]
    return np.asarray(np.asarray(a) * (1 - t) + np.asarray(b) * t)


def ramp(stops: list[tuple[float, tuple[float, float, float]]], t: Array) -> Array:
    """Colours (HxWx3) along ``stops`` of (position, colour)."""
    places = [place for place, _ in stops]
    return np.stack([np.interp(t, places, [color[c] for _, color in stops]) for c in range(3)], axis=-1)


# --- contents ---------------------------------------------------------------------------------------------------------


def dusk_lake() -> Array:
    """A lake among hills after sunset, pines on the near shore, a boat: 768x512."""
    x, y = grid(768, 512)
    shore = 0.60
    above = _dusk_land(x, np.where(y < shore, y, 2 * shore - y), x)
    depth = np.clip((y - shore) / (1 - shore), 0, 1)
    ripple = (fractal(x * 6, y * 90 / (0.35 + depth), 40, 4) - 0.5) * (0.02 + 0.10 * depth)
    mirrored = _dusk_land(x + ripple * 0.3, 2 * shore - y + ripple, x)
    water = mirrored * (0.80 - 0.30 * depth[..., None]) + np.array([0.01, 0.03, 0.06])
    glints = step(0.70, 0.86, fractal(x * 8, y * 120, 50, 3)) * np.exp(-(((x - 1.02) / (0.06 + 0.25 * depth)) ** 2))
    water = water + glints[..., None] * np.array([0.9, 0.55, 0.25]) * 0.8
    image = mix(above, water, step(shore - 0.001, shore + 0.002, y))
    image = _boat(image, x, y)
    return _pines(image, x, y)


def _dusk_land(x: Array, y: Array, column: Array) -> Array:
    """Sky and hills at (x, y); ``column`` shapes the ridges, so that ripples do not bend them twice."""
    sky = ramp(
        [(0.0, (0.13, 0.20, 0.42)), (0.28, (0.42, 0.42, 0.60)), (0.46, (0.93, 0.62, 0.42)), (0.60, (1.0, 0.84, 0.56))],
        y,
    )
    sun = np.hypot(x - 1.02, y - 0.50)
    sky = sky + np.exp(-sun * 7)[..., None] * np.array([0.55, 0.30, 0.08])
    sky = mix(sky, (1.0, 0.96, 0.80), step(0.047, 0.040, sun))
    clouds = step(0.50, 0.74, fractal(x * 1.8 + 3, y * 6.5, 7)) * step(0.55, 0.25, y)
    lit = ramp([(0.0, (0.45, 0.42, 0.55)), (0.6, (0.98, 0.72, 0.60))], y + 0.25 * (fractal(x * 3, y * 9, 8) - 0.5))
    image = mix(sky, lit, clouds * 0.85)
    hills = [(0.47, 0.13, 1.6, (0.52, 0.47, 0.60)), (0.52, 0.12, 2.4, (0.36, 0.36, 0.50)),
             (0.56, 0.11, 3.4, (0.22, 0.28, 0.36)), (0.60, 0.08, 5.0, (0.11, 0.18, 0.20))]  # fmt: skip
    for index, (base, height, frequency, color) in enumerate(hills):
        ridge = base - height * (fractal(column * frequency, np.zeros_like(x), 20 + index, 7) - 0.25)
        shade = fractal(x * 14, y * 24 + index, 30 + index, 5)[..., None]
        haze = step(0.12, 0.0, y - ridge)[..., None] * (0.25 - 0.05 * index)
        hill = np.asarray(color) * (0.72 + 0.6 * shade) + haze * np.array([0.9, 0.6, 0.45]) * 0.25
        image = mix(image, hill, step(-0.0015, 0.0015, y - ridge))
    return image


def _boat(image: Array, x: Array, y: Array) -> Array:
    """A rowing boat with a lantern, and its reflection."""
    u, v = (x - 0.52) / 0.09, (y - 0.755) / 0.026
    hull = step(0.04, -0.04, np.maximum(np.abs(v - 0.1) - 0.5 * (1 - u * u), -v - 0.1 + 0.35 * u * u))
    mirror = step(0.3, -0.3, np.abs(v - 1.0) - 0.45 * (1 - u * u)) * 0.6
    image = mix(image, (0.06, 0.06, 0.09), mirror)
    image = mix(image, mix((0.30, 0.13, 0.08), (0.62, 0.36, 0.20), step(0.3, -0.4, v)), hull)
    lamp = np.hypot(x - 0.545, y - 0.722)
    image = mix(image, (0.10, 0.08, 0.08), step(0.003, 0.0015, np.abs(x - 0.545)) * step(0.72, 0.725, y) * (y < 0.75))
    glow = np.exp(-lamp * 38) + 0.5 * np.exp(-np.hypot((x - 0.545) * 1.6, (y - 0.81) * 0.6) * 26)
    return np.asarray(image + glow[..., None] * np.array([1.0, 0.72, 0.30]))


def _pines(image: Array, x: Array, y: Array) -> Array:
    """Dark pines at both sides, and the near shore with grass."""
    random = np.random.default_rng(4)
    trees = [(0.05, 0.62), (0.14, 0.46), (0.22, 0.30), (1.42, 0.66), (1.33, 0.40), (1.25, 0.26), (-0.01, 0.4)]
    for place, tall in trees:
        foot = 0.97
        along = np.clip((y - (foot - tall)) / tall, 0, 1)
        jagged = 0.72 + 0.28 * np.abs(np.sin(along * (22 + 6 * random.random()) + 2 * random.random()))
        frayed = 0.75 + 0.5 * noise(x * 120, y * 90, int(random.integers(1000)))
        half = 0.22 * tall * along * jagged * frayed
        inside = step(0.004, -0.004, np.abs(x - place) - half) * (y > foot - tall) * step(foot + 0.02, foot, y)
        light = 0.5 + 0.8 * fractal(x * 60, y * 60, 60, 3)
        rim = step(-0.02, 0.03, np.where(place < 0.7, x - place, place - x))
        color = np.array([0.035, 0.075, 0.06]) * light[..., None] + rim[..., None] * np.array([0.10, 0.06, 0.03])
        image = mix(image, color, inside)
    ground = 0.93 - 0.04 * fractal(x * 4, np.zeros_like(x), 70) + 0.03 * np.sin(x * 3 + 1)
    blades = ground - 0.03 * noise(x * 260, y * 6, 71)
    grass = np.array([0.07, 0.10, 0.06]) * (0.5 + 1.2 * fractal(x * 90, y * 25, 72, 4))[..., None]
    return mix(image, grass, step(-0.002, 0.004, y - blades))


def still_life() -> Array:
    """A vase, a pear, an apple, an orange and grapes on a checked cloth: ray-marched, 640x640."""
    size = 640
    x, y = grid(size, size)
    origin = np.array([0.0, 1.75, -5.2])
    forward = np.array([0.15, 0.66, 0.0]) - origin
    forward = forward / np.linalg.norm(forward)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right = right / np.linalg.norm(right)
    up = np.cross(forward, right)
    ray = forward + 0.40 * ((2 * x - 1)[..., None] * right + (1 - 2 * y)[..., None] * up)
    ray = ray / np.linalg.norm(ray, axis=-1, keepdims=True)
    t = np.full(x.shape, 2.0)
    for _ in range(90):
        t = t + 0.85 * _scene(origin + t[..., None] * ray)[0]
    point = origin + t[..., None] * ray
    _, which = _scene(point)
    offsets = 1e-3 * np.eye(3)
    normal = np.stack([_scene(point + e)[0] - _scene(point - e)[0] for e in offsets], axis=-1)
    normal = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    lamp = np.array([-0.55, 0.75, -0.50])
    lamp = lamp / np.linalg.norm(lamp)
    color, gloss = _still_life_colors(point, normal, which)
    light = np.clip(normal @ lamp, 0, 1) * _shadow(point + 0.01 * normal, lamp)
    ambient = 0.22 + 0.12 * normal[..., 1]
    nearby = np.clip(_scene(point + 0.25 * normal)[0] / 0.25, 0, 1)
    half = lamp - ray
    half = half / np.linalg.norm(half, axis=-1, keepdims=True)
    shine = np.clip((normal * half).sum(-1), 0, 1) ** 60 * gloss * light
    rim = (1 - np.clip(-(normal * ray).sum(-1), 0, 1)) ** 3 * 0.18 * (which > 1)
    warm, cool = np.array([1.10, 0.98, 0.80]), np.array([0.55, 0.65, 0.85])
    image = color * ((0.95 * light)[..., None] * warm + (ambient * (0.35 + 0.65 * nearby))[..., None] * cool)
    image = image + shine[..., None] * np.array([0.9, 0.88, 0.8]) + rim[..., None] * np.array([0.5, 0.6, 0.8])
    grain = np.random.default_rng(3).normal(0, 0.012, image.shape)
    vignette = 1 - 0.45 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    return np.asarray(np.clip(image * vignette[..., None], 0, 1) ** 0.80 + grain)


def _scene(p: Array) -> tuple[Array, Numbers]:
    """Distance from points (…x3) to the nearest thing, and its number, in the order of ``_still_life_colors``."""

    def ball(center: tuple[float, float, float], radius: float) -> Array:
        return np.asarray(np.linalg.norm(p - np.asarray(center), axis=-1) - radius)

    def blend(a: Array, b: Array, soft: float) -> Array:
        h = np.clip(0.5 + 0.5 * (b - a) / soft, 0, 1)
        return np.asarray(b * (1 - h) + a * h - soft * h * (1 - h))

    folds = 0.035 * np.sin(p[..., 0] * 2.2 + 0.8 * np.sin(p[..., 2] * 1.7)) * np.clip(-p[..., 2] - 0.6, 0, 1)
    table, wall = p[..., 1] - folds, 2.6 - p[..., 2] + 0.05 * np.sin(p[..., 0] * 2)
    height = np.clip(p[..., 1], 0, 1.9)
    profile = 0.30 + 0.20 * np.sin(1.1 + 2.1 * height) - 0.02 * height + 0.10 * np.clip(height - 1.55, 0, 1)
    radial = np.hypot(p[..., 0] + 0.75, p[..., 2] - 0.55)
    vase = np.maximum((radial - profile) * 0.75, np.maximum(p[..., 1] - 1.9, -p[..., 1]))
    pear = blend(ball((0.28, 0.42, -0.10), 0.42), ball((0.36, 1.00, -0.12), 0.19), 0.36)
    stem = np.hypot(p[..., 0] - 0.38 - 0.15 * (p[..., 1] - 1.2), p[..., 2] + 0.12) - 0.022
    pear = np.minimum(pear, np.maximum(stem, np.maximum(p[..., 1] - 1.42, 1.1 - p[..., 1])))
    dimple = np.exp(-((np.hypot(p[..., 0] + 0.35, p[..., 2] + 0.85) / 0.14) ** 2)) * 0.14
    apple = ball((-0.35, 0.39, -0.85), 0.40) + dimple * (p[..., 1] > 0.39)
    orange = ball((1.15, 0.37, 0.10), 0.38) + 0.004 * np.sin(45 * p[..., 0]) * np.sin(45 * p[..., 1])
    places = [(0.55 + 0.17 * (k % 4), 0.12 + 0.15 * (k // 7), -0.95 + 0.17 * ((k * 3) % 5)) for k in range(13)]
    grapes = np.minimum.reduce([ball(place, 0.115) for place in places])
    all_things = np.stack([table, wall, vase, pear, apple, orange, grapes])
    return all_things.min(0), all_things.argmin(0)


def _shadow(point: Array, lamp: Array) -> Array:
    """How much of the lamp's light reaches the points, with soft edges."""
    reached, t = np.ones(point.shape[:-1]), np.full(point.shape[:-1], 0.04)
    for _ in range(40):
        distance = _scene(point + t[..., None] * lamp)[0]
        reached = np.minimum(reached, np.clip(9 * distance / t, 0, 1))
        t = t + np.clip(distance, 0.02, 0.25)
    return np.asarray(reached)


def _still_life_colors(p: Array, normal: Array, which: Numbers) -> tuple[Array, Array]:
    """Surface colours (…x3) and gloss, by thing."""
    checks = (np.floor(p[..., 0] * 1.6 + 0.2) + np.floor(p[..., 2] * 1.6)) % 2
    weave = 0.92 + 0.16 * noise(p[..., 0] * 60, p[..., 2] * 60, 5)
    cloth = mix((0.80, 0.76, 0.66), (0.45, 0.52, 0.58), checks) * weave[..., None]
    plaster = np.array([0.34, 0.30, 0.26]) * (0.7 + 0.6 * fractal(p[..., 0] * 1.5, p[..., 1] * 1.5, 6))[..., None]
    bands = step(0.1, 0.3, np.sin(p[..., 1] * 9 + 0.6 * np.sin(np.arctan2(p[..., 2] - 0.55, p[..., 0] + 0.75) * 6)))
    glaze = mix((0.12, 0.24, 0.40), (0.80, 0.76, 0.62), bands)
    mottle = fractal(p[..., 0] * 6, p[..., 1] * 6, 9)
    pear = mix((0.62, 0.62, 0.16), (0.80, 0.48, 0.14), step(0.35, 0.75, mottle + 0.25 * normal[..., 0]))
    pear = mix(pear, (0.25, 0.15, 0.08), step(1.15, 1.22, p[..., 1]))
    streaks = fractal(np.arctan2(p[..., 2] + 0.85, p[..., 0] + 0.35) * 6, p[..., 1] * 1.5, 10)
    apple = mix((0.66, 0.08, 0.07), (0.86, 0.62, 0.20), step(0.48, 0.72, streaks * (0.6 + 0.7 * p[..., 1])))
    orange = np.broadcast_to(np.array([0.90, 0.45, 0.08]), p.shape)
    grape = np.array([0.28, 0.10, 0.30]) * (0.7 + 0.7 * mottle)[..., None]
    colors = np.stack([cloth, plaster, glaze, pear, apple, orange, grape])
    gloss = np.array([0.0, 0.0, 0.9, 0.25, 0.7, 0.3, 0.6])[which]
    return np.take_along_axis(colors, which[None, ..., None], axis=0)[0], gloss


# --- styles -----------------------------------------------------------------------------------------------------------


def strokes() -> Array:
    """Night in thick strokes that swirl around its lights: 720x576."""
    width, height = 720, 576
    x, y = grid(width, height)
    lights = [(0.22, 0.20, 0.10), (0.70, 0.30, 0.15), (1.08, 0.14, 0.11), (0.46, 0.50, 0.07), (0.98, 0.52, 0.08)]
    angle = 0.35 * np.sin(3.5 * x + 1) + 1.2 * (fractal(x * 1.6, y * 1.6, 80, 3) - 0.5)
    dx, dy = np.cos(angle), np.sin(angle)
    glow = np.zeros_like(x)
    for index, (cx, cy, radius) in enumerate(lights):
        away = np.hypot(x - cx, y - cy)
        pull = np.exp(-((away / (1.9 * radius)) ** 2)) * 4 * (-1) ** index
        dx, dy = dx - pull * (y - cy) / (away + 1e-6), dy + pull * (x - cx) / (away + 1e-6)
        glow = np.maximum(glow, np.exp(-((away / radius) ** 2)) + 0.35 * np.exp(-(((away - 1.5 * radius) / 0.03) ** 2)))
    hill = 0.76 + 0.10 * np.sin(2.2 * x + 2.4) + 0.04 * np.sin(6 * x)
    land = y > hill
    dx, dy = np.where(land, 1.0, dx), np.where(land, 0.55 * np.cos(2.2 * x + 2.4) + 0.3 * np.sin(9 * x), dy)
    norm = np.hypot(dx, dy) + 1e-9
    tone = np.clip(glow, 0, 1)
    night = ramp(
        [(0.0, (0.05, 0.08, 0.28)), (0.35, (0.10, 0.24, 0.55)), (0.6, (0.30, 0.55, 0.72)), (1.0, (0.60, 0.75, 0.70))],
        0.7 * fractal(x * 3, y * 5, 81, 4) + 0.25 * (1 - y),
    )
    sky = mix(night, ramp([(0.0, (0.90, 0.62, 0.12)), (1.0, (1.0, 0.95, 0.60))], tone), step(0.15, 0.75, tone))
    fields = ramp(
        [(0.3, (0.06, 0.12, 0.12)), (0.5, (0.16, 0.30, 0.20)), (0.62, (0.55, 0.45, 0.15)), (0.75, (0.12, 0.20, 0.35))],
        fractal(x * 2.5, (y - hill) * 9, 82, 4),
    )
    colors = np.where(land[..., None], fields, sky)
    return _paint(colors, dx / norm, dy / norm)


def _paint(colors: Array, dx: Array, dy: Array) -> Array:
    """``colors`` (HxWx3) in strokes along the field (dx, dy), large ones below small ones, lit from the upper left."""
    height, width = dx.shape
    random = np.random.default_rng(5)
    canvas = Image.fromarray(_bytes(colors * 0.8))
    relief = Image.new("L", (width, height), 90)
    draw, raise_ = ImageDraw.Draw(canvas), ImageDraw.Draw(relief)
    for count, length, thick in ((2500, 26, 11), (5500, 20, 7), (7000, 14, 4)):
        for _ in range(count):
            px, py = random.random() * width, random.random() * height
            color = colors[int(py), int(px)] * random.normal(1, 0.10) + random.normal(0, 0.035, 3)
            path = [(px, py)]
            for _ in range(length // 3):
                i, j = min(height - 1, max(0, int(py))), min(width - 1, max(0, int(px)))
                px, py = px + 3 * dx[i, j], py + 3 * dy[i, j]
                path.append((px, py))
            ink, level = tuple(int(c) for c in _bytes(color)), int(random.integers(60, 230))
            draw.line(path, fill=ink, width=thick, joint="curve")
            raise_.line(path, fill=level, width=thick, joint="curve")
            raise_.line(path, fill=min(255, level + 40), width=max(1, thick // 3))
    height_map = np.asarray(relief.filter(ImageFilter.GaussianBlur(0.9)), dtype=float) / 255
    bristle = _along(np.random.default_rng(6).random(dx.shape), dx, dy, 7)
    height_map = height_map + 1.1 * bristle
    slope_y, slope_x = np.gradient(height_map)
    light = np.clip(1 + 1.6 * (-slope_x - slope_y), 0.55, 1.6)
    return np.asarray(np.asarray(canvas, dtype=float) / 255 * light[..., None])


def _along(values: Array, dx: Array, dy: Array, reach: int) -> Array:
    """Means of ``values`` along the field: line integral convolution (Cabral and Leedom 1993)."""
    height, width = values.shape
    total = values.copy()
    for sign in (1, -1):
        px, py = (axis.astype(float) for axis in np.meshgrid(np.arange(width), np.arange(height)))
        for _ in range(reach):
            i, j = np.clip(py, 0, height - 1).astype(int), np.clip(px, 0, width - 1).astype(int)
            px, py = px + sign * dx[i, j], py + sign * dy[i, j]
            i, j = np.clip(py, 0, height - 1).astype(int), np.clip(px, 0, width - 1).astype(int)
            total = total + values[i, j]
    return np.asarray(total / (2 * reach + 1))


def mosaic() -> Array:
    """A sun over waves in glass and stone: 640x640."""
    size, cell = 640, 15
    random = np.random.default_rng(12)
    count = size // cell + 6
    jitter = random.uniform(0.12, 0.88, (count, count, 2))
    row, column = np.mgrid[0:size, 0:size]
    first, second = np.full((size, size), 1e9), np.full((size, size), 1e9)
    seed_x, seed_y = np.zeros((size, size)), np.zeros((size, size))
    for di in range(-2, 3):
        for dj in range(-2, 3):
            i, j = row // cell + di, column // cell + dj
            cx, cy = (j + jitter[i + 2, j + 2, 0]) * cell, (i + jitter[i + 2, j + 2, 1]) * cell
            distance = np.hypot(column + 0.5 - cx, row + 0.5 - cy)
            nearer = distance < first
            second = np.where(nearer, first, np.minimum(second, distance))
            first, seed_x, seed_y = (
                np.where(nearer, distance, first),
                *(np.where(nearer, new, old) for new, old in ((cx, seed_x), (cy, seed_y))),
            )
    tile = _mosaic_motif(seed_x / size, seed_y / size)
    lattice = noise(seed_x * 7.31, seed_y * 5.17, 13)[..., None] - 0.5
    tile = tile * (1 + 0.45 * lattice) + 0.05 * (noise(seed_x * 3.1, seed_y * 9.7, 14)[..., None] - 0.5)
    edge = second - first
    slope_y, slope_x = np.gradient(np.minimum(edge, 5.0))
    bevel = 1 + 0.16 * (slope_x + slope_y) * (edge < 5)
    tilt = 1 + 0.10 * np.sin(seed_x * 1.7 + seed_y * 2.3)
    sparkle = 0.95 + 0.1 * np.random.default_rng(15).random((size, size))
    image = tile * (bevel * tilt * sparkle)[..., None]
    grout = np.array([0.16, 0.13, 0.11]) * (0.7 + 0.6 * np.random.default_rng(16).random((size, size, 1)))
    return mix(grout, image, step(0.9, 2.1, edge))


def _mosaic_motif(x: Array, y: Array) -> Array:
    """The colours of the mosaic's picture at points in the unit square."""
    away, turn = np.hypot(x - 0.5, y - 0.40), np.arctan2(y - 0.40, x - 0.5)
    rays = step(-0.2, 0.2, np.sin(turn * 14 + 3 * away)) * step(0.52, 0.28, away)
    sky = ramp([(0.0, (0.06, 0.30, 0.42)), (0.5, (0.12, 0.50, 0.55)), (1.0, (0.55, 0.75, 0.65))], away * 1.4)
    image = mix(sky, (0.93, 0.66, 0.16), rays)
    rings = ramp([(0.0, (0.98, 0.88, 0.45)), (0.5, (0.95, 0.60, 0.15)), (1.0, (0.70, 0.22, 0.10))], away / 0.17)
    image = mix(image, rings, step(0.175, 0.165, away))
    image = mix(image, (0.35, 0.10, 0.08), step(0.016, 0.008, np.abs(away - 0.178)))
    for index in range(5):
        crest = 0.66 + 0.075 * index + 0.022 * np.sin(x * (17 - index) + 2.1 * index)
        wave = ramp([(0.0, (0.92, 0.90, 0.80)), (0.022, (0.20, 0.62, 0.66)), (0.07, (0.05, 0.22, 0.45))], y - crest)
        image = mix(image, wave, step(-0.002, 0.002, y - crest))
    border = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y))
    frame = mix((0.62, 0.16, 0.10), (0.90, 0.74, 0.34), step(0.4, 0.6, np.sin((x + y) * 60) * 0.5 + 0.5))
    return mix(image, frame, step(0.052, 0.048, border))


def woodcut() -> Array:
    """A breaking wave before a mountain, cut in lines: 640x640."""
    x, y = grid(640, 640)
    wobble = 0.012 * (fractal(x * 9, y * 9, 90, 4) - 0.5)
    paper = np.array([0.93, 0.88, 0.76]) * (0.94 + 0.10 * fractal(x * 4, y * 60, 91, 4))[..., None]
    ink, blue, pale = (0.10, 0.15, 0.30), (0.22, 0.38, 0.56), (0.62, 0.74, 0.76)
    image = mix(paper, (0.86, 0.70, 0.55), step(0.55, 0.0, y) * 0.55)
    image = mix(image, (0.80, 0.26, 0.16), step(0.078, 0.074, np.hypot(x - 0.76, y - 0.20) + wobble * 0.4))
    lines = np.sin(2 * np.pi * (y * 46 + 2.2 * np.sin(x * 5) + 60 * wobble))
    image = mix(image, ink, step(0.86, 0.95, lines) * step(0.36, 0.08, y) * 0.8)
    slope = 0.66 - 0.30 * np.exp(-(((x - 0.68) / 0.16) ** 2)) - 0.06 * np.exp(-(((x - 0.68) / 0.05) ** 2)) + wobble
    image = mix(image, blue, step(0, 0.004, y - slope))
    snow = step(0, 0.004, y - slope) * step(0.42, 0.40, y + 0.03 * np.sin(x * 70))
    image = mix(image, paper, snow)
    image = _woodcut_wave(image, x, y + wobble, center=(0.36, 0.50), radius=0.30, colors=(paper, ink, blue, pale))
    for index in range(4):
        crest = 0.74 + 0.075 * index + 0.03 * np.sin(x * 8 + 1.9 * index) + 0.012 * np.sin(x * 25 + index) + wobble
        below = y - crest
        strands = np.sin(2 * np.pi * (below * 62 + 0.5 * np.sin(x * 12 + index)) + 1.5 * np.sin(x * 16 + 2 * index))
        body = mix(pale, blue, step(0.0, 0.07, below))
        body = mix(body, ink, step(0.15, 0.45, strands) * step(0.0, 0.03, below))
        body = mix(body, paper, step(0.016, 0.010, below))
        image = mix(image, body, step(-0.001, 0.002, below))
        image = mix(image, ink, step(0.0035, 0.0015, np.abs(below)))
    flecks = step(0.78, 0.82, noise(x * 90, y * 90, 95)) * step(0.62, 0.2, y) * step(0.75, 0.3, x)
    image = mix(image, paper, flecks)
    worn = step(0.80, 0.92, noise(x * 150, y * 40, 96))
    return mix(image, paper, worn * 0.35)


def _woodcut_wave(
    image: Array, x: Array, y: Array, center: tuple[float, float], radius: float, colors: tuple[Any, Any, Any, Any]
) -> Array:
    """The great wave: a body that rises from the left and curls over to the right, with claws of foam."""
    paper, ink, blue, pale = colors
    u, v = x - center[0], y - center[1]
    away, turn = np.hypot(u, v), np.arctan2(v, u)
    back = y - (0.80 - 0.56 * np.exp(-(((x - 0.13) / 0.22) ** 2)))  # the slope at the left, up to the curl
    body = np.minimum(step(-0.002, 0.002, back), step(radius * 0.62, radius * 0.66, away + 0.02 * np.sin(turn * 3)))
    lip = step(radius * 1.02, radius, away) * step(radius * 0.60, radius * 0.64, away) * (turn < -0.25) * (turn > -2.6)
    mass = np.maximum(body * (x < 0.66), lip)
    strands = np.sin(2 * np.pi * (away * 38 + 0.35 * np.sin(turn * 9)) + turn * 2)
    shade = mix(pale, blue, step(-0.4, 0.2, strands))
    shade = mix(shade, ink, step(0.45, 0.75, strands))
    image = mix(image, shade, mass)
    inner = np.abs(away - radius * 0.63 + 0.012 * np.sin(turn * 21) + 0.010 * np.sin(turn * 47))
    curl = (turn < 0.25) * (turn > -2.75)
    foam = step(0.034, 0.028, inner) * curl
    edge = np.abs(away - radius * 1.01 - 0.008 * np.sin(turn * 30))
    spray = step(0.013, 0.010, edge) * (turn < -0.25) * (turn > -2.6)
    image = mix(image, paper, np.maximum(foam, spray))
    rims = np.maximum(
        step(0.004, 0.002, np.abs(inner - 0.031)) * curl,
        step(0.004, 0.002, np.abs(edge - 0.012)) * (turn < -0.25) * (turn > -2.6),
    )
    dots = step(0.70, 0.75, noise(x * 55, y * 55, 97)) * foam
    return mix(mix(image, pale, dots), ink, rims)


def _bytes(values: Array) -> NDArray[np.uint8]:
    """[0, 1] to 0…255."""
    return np.asarray(np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)


PICTURES = {
    "content/dusk_lake": dusk_lake,
    "content/still_life": still_life,
    "style/strokes": strokes,
    "style/mosaic": mosaic,
    "style/woodcut": woodcut,
}


def main(folder: Path) -> None:
    """Draw them all."""
    for name, draw in PICTURES.items():
        path = folder / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(_bytes(draw())).save(path, quality=92, subsampling=0)
        print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
