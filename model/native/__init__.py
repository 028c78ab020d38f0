"""Kernels of the training step for the CPU, compiled by Numba and called inside MindSpore's graph."""
