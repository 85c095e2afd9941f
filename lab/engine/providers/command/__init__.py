"""pulumi-command: commands on this machine and over SSH, with the real provider's semantics."""
