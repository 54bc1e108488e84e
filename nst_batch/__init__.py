"""nst_batch: batch neural style transfer by optimisation (Gatys: VGG-19 features, Gram matrices, L-BFGS on pixels).

The command line is ``nst-batch``. From Python::

    from nst_batch import Stylizer, TransferSettings

    image, losses = Stylizer(device="cuda:0").stylize("photo.jpg", "painting.jpg", TransferSettings(size=512))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nst_batch.records import Losses
from nst_batch.settings import TransferSettings

if TYPE_CHECKING:
    from nst_batch.transfer.stylize import Stylizer

__version__ = "0.1.0"
__all__ = ["Losses", "Stylizer", "TransferSettings", "__version__"]


def __getattr__(name: str) -> Any:
    """``Stylizer`` needs torch, which takes seconds to import: only those who ask for it pay."""
    if name == "Stylizer":
        from nst_batch.environment import OPENMP, applied

        with applied(OPENMP):  # it is read when torch is loaded; who has loaded it before has what it was then
            import torch

            torch.get_num_threads()
        from nst_batch.transfer.stylize import Stylizer

        return Stylizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
