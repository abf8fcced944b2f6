"""Fine-tune pretrained audio networks on PaddlePaddle, data-parallel and exactly."""

__version__ = "0.1.0"
