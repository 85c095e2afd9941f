"""`python -m lab.engine`: the engine's command line, with Pulumi's own words."""

import sys

if __name__ == "__main__":
    from lab.ending import end
    from lab.engine.cli.main import main

    try:
        code = main(sys.argv[1:])
    except SystemExit as over:  # of words that it does not know, or of help
        code = int(over.code or 0)
    end(code)
