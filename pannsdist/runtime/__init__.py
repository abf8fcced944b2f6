"""Process-level services: console output, signals, atomic file writes, CPU kernels, seeds and user errors."""
