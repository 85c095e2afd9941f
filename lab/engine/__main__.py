"""`python -m lab.engine`: the engine's command line, with Pulumi's own words."""

from lab.engine.cli.main import main

if __name__ == "__main__":
    main()
