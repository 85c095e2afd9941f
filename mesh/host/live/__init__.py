"""The running system, part by part: read, compared, changed."""
