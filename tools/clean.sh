#!/bin/sh
# Remove everything that `make` has made in this folder: lab, virtual environment, caches. Refuse while the lab is up.
set -eu
cd "$(dirname "$0")/.."
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo

# Print sudo if root has made files in this folder.
owner() {
    if [ -n "$sudo" ] && [ -n "$(find "$1" ! -user "$(id -u)" -print -quit 2>&1)" ]; then echo "$sudo"; fi
}

if [ -d .lab/cloud ]; then
    $(owner .lab) sh -c 'cat .lab/cloud/cloud.pid .lab/cloud/hosts/*/running.json 2>/dev/null || true' |
        grep -o '"pid": *[0-9]*' | grep -o '[0-9]*' | while read -r pid; do
            if tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q -- '-m lab\.'; then echo "$pid"; fi
        done | grep -q . && { echo "clean: the lab is up; run \`make down\` first" >&2; exit 1; }
fi
for made in .lab .venv build mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache; do
    if [ -L "$made" ]; then rm -f "$made"; fi
    if [ -e "$made" ]; then $(owner "$made") rm -rf --one-file-system "$made"; fi
done
$(owner .) find . -name __pycache__ -type d -prune -exec rm -rf {} +
