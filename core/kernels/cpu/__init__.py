"""The kernels for the CPU (numba)."""
