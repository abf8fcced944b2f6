"""What a step computes with: losses, optimizers, schedules, precision, freezing, averages."""
