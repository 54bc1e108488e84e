"""The objective: a weighted sum of losses at chosen layers, and of total variation.

Gatys, Ecker and Bethge (CVPR 2016) unless another source is named. F is a feature map, P the content's, G and A second
moments of the picture and of the style.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nst_batch.records import Losses
from nst_batch.settings import TransferSettings
from nst_batch.transfer.octaves import octave_name, octave_pictures
from nst_batch.transfer.ops import Pull, gradient_of, nhwc
from nst_batch.transfer.passes import Passes
from nst_batch.transfer.seeing import Asked, Seen, look
from nst_batch.transfer.statistics import COVARIANCE_RIDGE, Moments
from nst_batch.transfer.variation import total_variation

Weight = float | Tensor


def gram_loss(found: Moments, target: Moments, norm: str) -> Tensor:
    """mean((G - A)²), Gram matrices divided by ``norm``: BxR."""
    scale = found.second.shape[-1] if norm == "cn" else 1
    return _mean_square((found.second - target.second) / scale, 2)


def mean_loss(found: Moments, target: Moments) -> Tensor:
    """mean((mu - mu_s)²) over channels: BxR. Galerne et al. 2024, "Scaling Painting Style Transfer"."""
    return _mean_square(found.means - target.means, 1)


def deviation_loss(found: Moments, target: Moments) -> Tensor:
    """mean((sigma - sigma_s)²) over channels: BxR. Galerne et al. 2024."""
    return _mean_square(found.deviation() - target.deviation(), 1)


def wasserstein_loss(found: Moments, target: Moments) -> Tensor:
    """Squared Wasserstein-2 distance of two normal distributions of features, over C: BxR.

    mean((mu - mu_s)²) + trace(S + S_s - 2 (S_s^½ S S_s^½)^½) / C (Crowson, style-transfer-pytorch). The trace of a root
    is the sum of the eigenvalues' roots, whose gradient needs no root of a matrix. In float64, since products of two
    covariances span twice as many orders of magnitude as features do.
    """
    ours, style = found.covariance().double(), target.covariance().double()
    root = _root(style)
    values = torch.linalg.eigvalsh(root @ ours @ root)
    roots = values.clamp_min(COVARIANCE_RIDGE**2 / 100).sqrt().sum(-1)  # rounding makes small ones negative
    traces = [matrix.diagonal(dim1=-2, dim2=-1).sum(-1) for matrix in (ours, style)]
    spread = (traces[0] + traces[1] - 2 * roots) / ours.shape[-1]
    distance: Tensor = mean_loss(found, target) + spread.to(found.second.dtype)
    return distance


def _mean_square(difference: Tensor, dimensions: int) -> Tensor:
    return difference.square().flatten(-dimensions).mean(-1)


def _root(matrices: Tensor) -> Tensor:
    """Symmetric square roots of symmetric positive matrices, ...xCxC."""
    values, vectors = torch.linalg.eigh(matrices)
    root: Tensor = (vectors * values.clamp_min(0).sqrt()[..., None, :]) @ vectors.mT
    return root


@dataclass(frozen=True)
class Targets:
    """What the pictures should have, by layer; B is 1, or one for each picture.

    ``content`` are features. ``style`` are moments of R regions; ``guides`` (Rxhxw by layer) say where those are in the
    picture, and ``shares`` how much of it each takes. Without regions R is 1 and there are no guides. ``variation``
    is the style term, by layer, of the style itself seen at another size: as near as a picture needs to come.
    """

    content: Mapping[str, Tensor]
    style: Mapping[str, Moments]
    variation: Mapping[str, float] = dataclasses.field(default_factory=dict)
    guides: Mapping[str, Tensor] = dataclasses.field(default_factory=dict)
    shares: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class Terms:
    """Weighted losses: ``values`` (KxB) in the order of ``names``: ``content/LAYER``, ``style/LAYER`` (with its octave,
    as ``style/conv1_1/2``) and ``tv``."""

    names: tuple[str, ...]
    values: Tensor

    @classmethod
    def of(cls, terms: Mapping[str, Tensor]) -> Terms:
        """From each by its name, of shape B."""
        return cls(tuple(terms), torch.stack(list(terms.values())).detach())

    def by_name(self) -> dict[str, Tensor]:
        """Each of shape B."""
        return dict(zip(self.names, self.values, strict=True))

    def total(self) -> Tensor:
        """Their sum, of shape B."""
        return self.values.sum(0)

    def to(self, device: torch.device) -> Terms:
        """The same on another device."""
        return dataclasses.replace(self, values=self.values.to(device))

    def losses(self) -> Losses:
        """As plain numbers (reads them back from the device); B must be 1."""
        per_layer: dict[str, dict[str, float]] = {"content": {}, "style": {}, "tv": {}}
        for name, value in zip(self.names, self.values[:, 0].tolist(), strict=True):
            kind, _, layer = name.partition("/")
            per_layer[kind][layer] = value
        content, style, tv = (sum(per_layer[kind].values()) for kind in ("content", "style", "tv"))
        del per_layer["tv"]
        return Losses(self.total().item(), content, style, per_layer, tv)


@dataclass(frozen=True)
class _View:
    """The picture at one octave, and what the network made of it."""

    octave: int
    picture: Tensor
    seen: Seen


class Objective:
    """The weighted sum of all terms, as a function of the picture.

    Its gradient is taken apart at the taps: autograd differentiates what is small (losses of CxC matrices, total
    variation, the octaves of a picture), and ``Passes`` what is large.

    Attributes:
        content_weights: by layer; one for all pictures, or B.
        style_weights: by layer and octave: factors on all of a layer's style terms; likewise.
    """

    def __init__(self, targets: Targets, settings: TransferSettings) -> None:
        self.targets = targets
        self.settings = settings
        self.content_weights: dict[str, Weight] = _weights(settings, "content", settings.content_weight)
        by_layer = _weights(settings, "style", 1.0)
        self.style_weights: dict[str, Weight] = {layer: by_layer[layer.partition("/")[0]] for layer in targets.style}

    def weighted(self, content: Mapping[str, Weight], style: Mapping[str, Weight]) -> Objective:
        """The same terms with other weights by layer."""
        other = Objective(self.targets, self.settings)
        other.content_weights, other.style_weights = dict(content), dict(style)
        return other

    def with_style(self, factor: float) -> Objective:
        """The same with all style terms times ``factor``."""
        return self.weighted(self.content_weights, {name: factor * w for name, w in self.style_weights.items()})

    @property
    def is_movable(self) -> bool:
        """Whether ``values`` are all that tells this objective from others like it: regions are more than that."""
        return not self.targets.guides

    def signature(self) -> Hashable:
        """What is the same in all objectives that can stand in each other's place by ``moved``."""
        settings = dataclasses.replace(self.settings, seed=0, init="content")
        shapes = tuple(tuple(target.shape) for target in self.targets.content.values())
        return settings, tuple(self.targets.content), tuple(self.targets.style), shapes

    def values(self, like: Tensor) -> list[Tensor]:
        """Targets and weights, in an order of their own; weights as tensors, for pictures like ``like`` (BxCxHxW)."""
        targets = [*self.targets.content.values()]
        for found in self.targets.style.values():
            targets += _leaves(found)
        weights = [*self.content_weights.values(), *self.style_weights.values()]
        return [*targets, *(torch.as_tensor(each, device=like.device, dtype=like.dtype) for each in weights)]

    def moved(self, values: Sequence[Tensor]) -> Objective:
        """The same with other ``values``, which are used where they lie."""
        rest = iter(values)
        content = {layer: next(rest) for layer in self.targets.content}
        style = {
            name: Moments(next(rest), None if found.mean is None else next(rest))
            for name, found in self.targets.style.items()
        }
        other = Objective(Targets(content, style), self.settings)
        return other.weighted({layer: next(rest) for layer in content}, {name: next(rest) for name in style})

    @torch.no_grad()
    def __call__(self, passes: Passes, image: Tensor) -> Terms:
        """The terms at ``image`` (BxCxHxW in [0, 1])."""
        views = self._views(passes, image)
        return Terms.of({**self._content_terms(views), **self._other_terms(image, views)})

    @torch.no_grad()
    def style_at(self, passes: Passes, image: Tensor) -> float:
        """The style term alone, of one picture, in plain numbers."""
        terms = self._style_terms(self._views(passes, image, content=False))
        return sum(float(value.sum()) for value in terms.values())

    @torch.enable_grad()
    def gradient(self, passes: Passes, image: Tensor) -> tuple[Terms, Tensor]:
        """The terms at ``image`` (BxCxHxW in [0, 1]), and their sum's gradient, of the image's shape."""
        image = image.detach().requires_grad_(True)
        views = self._views(passes, image)
        small = self._other_terms(image, views)
        terms = Terms.of({**self._content_terms(views), **small})
        leaves = [leaf for view in views for found in view.seen.moments.values() for leaf in _leaves(found)]
        total = torch.stack(list(small.values())).sum() if leaves else None
        slopes = iter(() if total is None else torch.autograd.grad(total, leaves, retain_graph=True))
        pulled = [view.seen.backward(self._pulls(view, slopes)) for view in views]
        variation = small.get("tv")
        if len(views) == 1 and variation is None:
            return terms, pulled[0]
        ends = [view.picture for view in views]
        if variation is not None:
            ends, pulled = [*ends, variation], [*pulled, torch.ones_like(variation)]
        return terms, gradient_of(image, ends, pulled)

    def _views(self, passes: Passes, image: Tensor, *, content: bool = True) -> list[_View]:
        """What the network sees of the picture, at each octave that has a target."""
        settings, views = self.settings, list[_View]()
        means = needs_means(settings)
        for octave, picture in enumerate(octave_pictures(image, settings)):
            names = {octave_name(layer, octave): layer for layer in settings.style_layers}
            names = {name: layer for name, layer in names.items() if name in self.targets.style}
            wanted = self.targets.content if content and octave == 0 else {}
            asked = Asked(names, self.targets.guides, means, wanted, backward=torch.is_grad_enabled())
            if not asked.taps:
                continue
            with torch.no_grad():
                seen = look(passes, picture, asked)
            for leaf in (leaf for found in seen.moments.values() for leaf in _leaves(found)):
                leaf.requires_grad_(torch.is_grad_enabled())
            views.append(_View(octave, picture, seen))
        return views

    def _content_terms(self, views: Sequence[_View]) -> dict[str, Tensor]:
        """By name; whoever asks for gradients takes these apart at the taps."""
        return {
            f"content/{layer}": self.content_weights[layer] * views[0].seen.distances[layer]
            for layer in self.targets.content
        }

    def _other_terms(self, image: Tensor, views: Sequence[_View]) -> dict[str, Tensor]:
        """By name: what autograd differentiates."""
        settings, terms = self.settings, {f"style/{name}": term for name, term in self._style_terms(views).items()}
        if settings.tv_weight:
            terms["tv"] = settings.tv_weight * total_variation(image, settings.tv)
        return terms

    def _style_terms(self, views: Sequence[_View]) -> dict[str, Tensor]:
        """By layer and octave; a style may have octaves that the picture has not."""
        terms = {}
        for name, found in ((name, found) for view in views for name, found in view.seen.moments.items()):
            regions = style_loss(found, self.targets.style[name], self.settings)
            shared = [share * loss for share, loss in zip(self.targets.shares, regions.unbind(1), strict=True)]
            terms[name] = self.style_weights[name] * torch.stack(shared).sum(0)
        return terms

    def _pulls(self, view: _View, slopes: Iterator[Tensor]) -> dict[str, Pull]:
        """What the losses ask of the features, by layer; ``slopes`` are the losses' derivatives by moments."""
        pulls = {}
        for name, found in view.seen.moments.items():
            layer, guides = name.partition("/")[0], self.targets.guides.get(name)
            positions = 1 if guides is not None else view.seen.positions[layer]
            slope = next(slopes) / positions
            offset = None if found.mean is None else next(slopes) / positions
            pulls[layer] = Pull(slope + slope.mT, offset, guides)
        if view.octave == 0:
            for layer, target in self.targets.content.items():
                exact = torch.promote_types(target.dtype, torch.float32)
                scale = target.new_full((len(view.picture),), 2 / target[0].numel(), dtype=exact)
                pull = pulls.get(layer, Pull())
                pulls[layer] = dataclasses.replace(pull, target=target, scale=scale * self.content_weights[layer])
        return pulls


def together(objectives: Sequence[Objective]) -> Objective:
    """One objective of several pictures, from one of each.

    Raises:
        ValueError: they have not the same layers, or one has regions.
    """
    first = objectives[0]
    if len(objectives) == 1:
        return first
    targets = [each.targets for each in objectives]
    layers = {(tuple(each.content), tuple(each.style)) for each in targets}
    if len(layers) > 1 or any(each.guides for each in targets):
        raise ValueError("these pictures have different layers or regions, and cannot share passes")
    style = {
        name: Moments(
            torch.cat([each.style[name].second for each in targets]),
            None if found.mean is None else torch.cat([each.style[name].means for each in targets]),
        )
        for name, found in first.targets.style.items()
    }
    content = {layer: _one_or_all([each.content[layer] for each in targets]) for layer in first.targets.content}
    like = next(iter(style.values())).second
    shared = Objective(Targets(content, style), first.settings)
    return shared.weighted(
        {layer: like.new_tensor([each.content_weights[layer] for each in objectives]) for layer in content},
        {name: like.new_tensor([each.style_weights[name] for each in objectives]) for name in style},
    )


def _one_or_all(features: Sequence[Tensor]) -> Tensor:
    """Content targets in one tensor: a content picture that several styles share is not multiplied."""
    return features[0] if all(each is features[0] for each in features) else nhwc(torch.cat(list(features)))


def _leaves(found: Moments) -> list[Tensor]:
    return [found.second] if found.mean is None else [found.second, found.mean]


def needs_means(settings: TransferSettings) -> bool:
    """Whether ``style_loss`` looks at features' means; it always looks at their second moments."""
    return settings.style_statistic == "w2" or settings.mean_weight > 0 or settings.std_weight > 0


def style_loss(found: Moments, target: Moments, settings: TransferSettings) -> Tensor:
    """All style terms of one layer, its own weight left out: BxR."""
    if settings.style_statistic == "w2":
        loss = settings.style_weight * wasserstein_loss(found, target)
    else:
        loss = settings.style_weight * gram_loss(found, target, settings.gram_norm)
    if settings.mean_weight:
        loss = loss + settings.mean_weight * mean_loss(found, target)
    if settings.std_weight:
        loss = loss + settings.std_weight * deviation_loss(found, target)
    return loss


def _weights(settings: TransferSettings, kind: str, factor: float) -> dict[str, Weight]:
    layers = settings.content_layers if kind == "content" else settings.style_layers
    weights = settings.layer_weights("content" if kind == "content" else "style")
    return {layer: factor * weight for layer, weight in zip(layers, weights, strict=True)}
