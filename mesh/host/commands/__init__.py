"""What SSH and systemd call: one module for each command, or for commands that are alike."""
