"""What computes the outputs of a network: Paddle in dynamic mode, Paddle Inference, onnxruntime."""
