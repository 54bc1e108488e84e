"""Tests on a real Slurm of several virtual nodes: ``make test-slurm``."""
