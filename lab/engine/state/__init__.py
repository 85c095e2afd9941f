"""What the engine remembers: resources, their secrets, and where all of it is kept."""
