"""Calling the nodes of a mesh over SSH: what `up` and the commands of day two share. Imports no Pulumi."""
