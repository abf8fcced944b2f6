"""Sound files become batches of waveforms."""
