"""From sound files to batches of waveforms. Imports no Paddle: all of it runs in worker processes."""
