"""The steps of the workflows in `.github/workflows/mesh-*.yml`: `python3 -m tools.ci COMMAND`.

docs/github.md says what the workflows do. The steps need Python's standard library, `gh` and an
engine; input comes from the environment, with GitHub's own names.
"""
