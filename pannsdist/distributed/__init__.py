"""Data-parallel process groups and collectives. The only package here that imports `paddle.distributed`."""
