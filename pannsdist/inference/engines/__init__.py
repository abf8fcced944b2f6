"""What computes the answers of a model: Paddle's dygraph, Paddle Inference, onnxruntime."""
