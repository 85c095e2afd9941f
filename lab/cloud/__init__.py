"""A cloud on loopback: Hetzner Cloud API v1 in front of the lab's hosts."""
