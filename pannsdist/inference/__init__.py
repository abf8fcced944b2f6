"""A trained model as a folder, and what it answers."""
