"""One stack file in, a private WireGuard network out: settings -> plan -> render -> program -> host."""
