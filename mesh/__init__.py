"""One stack file in, a private WireGuard network out: settings -> plan -> render -> program -> host."""

from mesh.interrupts import end_at_once

end_at_once()
