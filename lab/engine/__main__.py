"""`python -m lab.engine`: the engine's command line, with Pulumi's own words."""

import sys

if __name__ == "__main__":
    from lab.ending import end_with
    from lab.engine.cli.main import main

    end_with(lambda: main(sys.argv[1:]))
