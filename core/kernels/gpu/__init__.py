"""The kernels for CUDA and ROCm devices (Triton)."""
