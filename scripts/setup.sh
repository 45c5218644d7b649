#!/bin/sh
# Makes .venv from the lock and looks for bubblewrap. `setup.sh run` or `setup.sh dev`.
set -eu
cd "$(dirname "$0")/.."
kind=${1:-run}
case "$kind" in
run) lock=requirements.lock ;;
dev) lock=requirements-dev.lock ;;
*) echo "usage: setup.sh run|dev" >&2; exit 2 ;;
esac

say() { printf '%s\n' "sandgate: $*" >&2; }

find_python() {
    for name in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null 2>&1 &&
            "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    say "Python 3.11 or newer is needed. On Debian or Ubuntu: apt-get install python3 python3-venv"
    exit 1
}

install_lock() {
    python=$(find_python)
    say "installing $lock into .venv (once)"
    if command -v uv >/dev/null 2>&1; then
        [ -x .venv/bin/python ] || uv venv -q -p "$python" .venv
        VIRTUAL_ENV=$PWD/.venv uv pip install -q --compile-bytecode --require-hashes -r "$lock"
        VIRTUAL_ENV=$PWD/.venv uv pip install -q --no-deps -e .
    else
        if ! [ -x .venv/bin/pip ]; then
            rm -rf .venv
            "$python" -m venv .venv || {
                rm -rf .venv
                say "the venv module is missing. On Debian or Ubuntu: apt-get install python3-venv"
                exit 1
            }
        fi
        .venv/bin/pip install -qq --disable-pip-version-check --require-hashes -r "$lock"
        .venv/bin/pip install -qq --disable-pip-version-check --no-deps -e .
    fi
}

stamp=.venv/.installed-$kind
if ! [ -x .venv/bin/python ] || ! cmp -s "$lock" "$stamp" 2>/dev/null; then
    # what the development lock brings contains what running needs
    if [ "$kind" = dev ] || ! cmp -s requirements-dev.lock .venv/.installed-dev 2>/dev/null; then
        install_lock
    fi
    cp "$lock" "$stamp"
fi

if ! command -v bwrap >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "installing bubblewrap (sandboxes without Docker)"
        if ! apt-get install -y -qq bubblewrap libseccomp2 >/dev/null 2>&1; then
            if ! { apt-get update -qq && apt-get install -y -qq bubblewrap libseccomp2; } >/dev/null 2>&1; then
                say "bubblewrap could not be installed; type: apt-get update && apt-get install bubblewrap"
            fi
        fi
    else
        say "bubblewrap is missing; type: sudo apt-get install bubblewrap libseccomp2"
    fi
fi
