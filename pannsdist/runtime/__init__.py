"""This process: what it says, how it stops, what it writes, which kernels it computes with."""
