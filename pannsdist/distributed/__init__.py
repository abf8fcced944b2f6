"""The processes that train together. Nothing else in the package imports paddle.distributed."""
