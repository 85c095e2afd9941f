"""The mesh as a component for programs in other languages: Pulumi runs this folder as a plugin."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mesh.program.component import serve

serve(sys.argv[1:])
