"""Day two: what one does with a mesh that exists. `python -m mesh --help`."""
