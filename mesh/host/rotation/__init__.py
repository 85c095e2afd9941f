"""Keys that give way to others without a lost packet: docs/rotation.md, docs/protocol.md."""
