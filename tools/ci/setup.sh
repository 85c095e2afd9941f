#!/bin/sh
# Install on GitHub's Ubuntu what the steps of the mesh workflows need: Pulumi, and .venv with the pinned packages.
#   WGMESH_PULUMI set: another engine is named, so Pulumi stays away.
set -eu
cd "$(dirname "$0")/../.."

version=3.260.0
releases=${PULUMI_RELEASES:-https://github.com/pulumi/pulumi/releases/download}

if [ -z "${WGMESH_PULUMI:-}" ]; then
    case $(uname -m) in
        x86_64) machine=x64 ;;
        aarch64) machine=arm64 ;;
        *) echo "setup: Pulumi has no release for the processor $(uname -m)" >&2; exit 1 ;;
    esac
    folder=${RUNNER_TEMP:?}/pulumi-$version
    archive=pulumi-v$version-linux-$machine.tar.gz
    mkdir -p "$folder"
    curl -fsSL --retry 3 -o "$folder/$archive" "$releases/v$version/$archive"
    curl -fsSL --retry 3 -o "$folder/SHA512SUMS" "$releases/v$version/SHA512SUMS"
    (cd "$folder" && sha512sum --check --strict --ignore-missing SHA512SUMS)
    tar -xzf "$folder/$archive" -C "$folder"
    echo "$folder/pulumi" >>"${GITHUB_PATH:?}"
fi

if [ ! -x .venv/bin/python ]; then
    python3 -m venv .venv
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/mesh.txt
fi
