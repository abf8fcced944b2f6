"""Translates a static graph of Paddle 3 to ONNX: one function for each operator, in modules by family."""
