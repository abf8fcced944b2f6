"""Plots of detections."""
