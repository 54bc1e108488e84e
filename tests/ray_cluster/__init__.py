"""Tests on a real Ray cluster of two nodes: ``make test-ray``."""
