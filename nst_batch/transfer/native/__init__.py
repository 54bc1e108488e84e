"""Kernels for CPUs, in C++, built on the machine that they run on."""
