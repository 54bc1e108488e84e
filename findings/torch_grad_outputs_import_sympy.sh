#!/bin/sh
# torch.autograd.grad imports sympy the first time that it is given grad_outputs, and not before.
#
# The shapes of outputs and gradients are compared by a function of torch.fx.experimental.symbolic_shapes, which is imported
# on the spot, for plain tensors too. So the first backward pass of a program that hands gradients down by itself (closed-form
# losses at layers, vector-Jacobian products) takes as long as that import, in every process of a pool.
#
# Packages: torch 2.14.1. Seen on 2026-12-01, on a CPU.
# One would guess: after `import torch`, the first gradient of a small tensor takes no time, whichever way it is asked for.
# Seen: of a scalar, 1 ms and no new module; the same gradient by grad_outputs, 0.4 to 1 s, and sympy and mpmath are there.
# grad((end * given).sum(), start) is the same gradient, bit for bit, without them.
# Exits with 1 if that has changed. Needs Python 3.10 or newer; installs into a folder of its own, and removes it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import time

import torch

slow = {"sympy", "mpmath"}
start = torch.linspace(-1, 1, 12).requires_grad_()
given = torch.linspace(3, 4, 12)


def timed(what, gradient):
    before = time.perf_counter()
    (found,) = gradient()
    print(f"{what}: {time.perf_counter() - before:.3f} s, imported: {sorted(slow & set(sys.modules))}")
    return found, bool(slow & set(sys.modules))


contracted, early = timed("of a scalar", lambda: torch.autograd.grad((start.square() * given).sum(), start))
handed, late = timed("by grad_outputs", lambda: torch.autograd.grad(start.square(), start, given))
again, _ = timed("by grad_outputs, again", lambda: torch.autograd.grad(start.square(), start, given))
same = torch.equal(contracted, handed) and torch.equal(handed, again)
print(f"torch {torch.__version__}: equal gradients: {same}")
sys.exit(0 if (early, late, same) == (False, True, True) else 1)
PYTHON
