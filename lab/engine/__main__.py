"""`python -m lab.engine`: the engine's command line, with Pulumi's own words."""

import os

# gRPC tells of each connection that ends, on stderr, where only engine and program should speak.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

if __name__ == "__main__":
    from lab.ending import end
    from lab.engine.cli.main import main  # gRPC reads the variable when it is imported

    try:
        main()
    except SystemExit as over:
        end(int(over.code or 0))
