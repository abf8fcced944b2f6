"""Inference: model folders and published weights, applied to sounds."""
