"""Measurements: ratios against the plain method, taken side by side in one run."""
