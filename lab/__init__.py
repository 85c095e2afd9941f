"""A rehearsal of everything on one machine: a cloud, its hosts, a deployment engine; knows no `mesh`."""

from lab.interrupts import end_at_once

end_at_once()
