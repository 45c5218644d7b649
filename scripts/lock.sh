#!/bin/sh
# Resolves the three lock files: development first, the smaller ones within it.
set -eu
cd "$(dirname "$0")/.."
compile="uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header"
$compile --extra dev pyproject.toml -o requirements-dev.lock
$compile -c requirements-dev.lock pyproject.toml -o requirements.lock
$compile -c requirements.lock sandbox/runner/requirements.in -o requirements-runner.lock
