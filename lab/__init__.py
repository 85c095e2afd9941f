"""A rehearsal of everything on one machine: a cloud, its hosts, a deployment engine; knows no `mesh`."""
