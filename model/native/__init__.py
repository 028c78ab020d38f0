"""Kernels of a training step on the CPU, compiled by Numba, called in MindSpore's graph."""
