"""What this project claims, tried on the devices that are there: `pannsdist doctor --prove`."""
