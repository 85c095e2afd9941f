"""pulumi-hcloud: Hetzner Cloud through its official Python client, with the real provider's semantics."""
