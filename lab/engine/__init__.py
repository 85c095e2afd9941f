"""A small deployment engine that speaks Pulumi's own protocol to a program written with its SDK."""
