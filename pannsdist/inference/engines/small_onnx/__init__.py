"""Exported ONNX graphs with smaller weights: float16, or int8 by static quantization."""
