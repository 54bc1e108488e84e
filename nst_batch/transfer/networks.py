"""One loaded VGG-19, wired as settings ask for."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nst_batch.records import Weights
from nst_batch.settings import TransferSettings
from nst_batch.transfer.native.library import built
from nst_batch.transfer.passes import Passes
from nst_batch.transfer.precision import Precision, precision_for
from nst_batch.transfer.vgg import VGG19, Network
from nst_batch.transfer.weights import load_state


class Networks:
    """Passes through one set of weights on one device, made when they are first asked for.

    Args:
        weights: which VGG-19; see ``transfer.weights``.
        device: where to compute.
        native: use kernels in C++ on a CPU, where they can be had.
        helpers: devices that see large pictures together with it, in bands.

    Raises:
        WeightsError: the weights cannot be loaded.
    """

    def __init__(
        self,
        weights: Weights,
        device: torch.device,
        *,
        native: bool = True,
        helpers: Sequence[torch.device] = (),
    ) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.set_device(device)  # recordings are made on the current one
            torch.backends.cudnn.benchmark = True  # shapes repeat, and so does the choice of an algorithm
        self._native = native
        self._weights = weights
        self._state = load_state(weights)
        self._helpers = helpers
        self._passes: dict[tuple[Network, torch.dtype, torch.dtype], Passes] = {}

    @property
    def note(self) -> str:
        """Why kernels in C++ are wanted and not used; empty where they are, or could not be."""
        if self.device.type != "cpu" or not self._native or built().kernels:
            return ""
        return f"no kernels in C++, pictures take about twice as long: {built().why_not}"

    def precision(self, settings: TransferSettings) -> Precision:
        """What ``settings.precision`` comes to with these weights, here."""
        return precision_for(settings, self.device)

    def passes(self, settings: TransferSettings, precision: Precision) -> Passes:
        """VGG-19 as the settings wire it."""
        network = network_of(settings, self._weights)
        key = (network, precision.picture, precision.features)
        if key not in self._passes:
            here = self._made(network, precision, self.device)
            others = [here if each == self.device else self._made(network, precision, each) for each in self._helpers]
            self._passes[key] = here.across(others)
        return self._passes[key]

    def _made(self, network: Network, precision: Precision, device: torch.device) -> Passes:
        vgg = VGG19(self._state, network).to(device, precision.picture)
        return Passes(vgg, precision.features, native=self._native)


def network_of(settings: TransferSettings, weights: Weights) -> Network:
    """The wiring that ``settings`` ask for with these weights."""
    return Network(settings.pooling, settings.pooling_scale, settings.padding, weights.format == "caffe")
