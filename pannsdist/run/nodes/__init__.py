"""A run on several machines: who takes part, and one supervisor of Paddle's launcher on each of them."""
