"""Editing a stack file: nodes are added, removed and renamed; every other byte of the file stays."""
