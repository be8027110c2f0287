#!/bin/sh
# Names the system packages that are missing, with the command that installs them; installs them when run as root on Debian.
set -eu

PYTHON="${PYTHON:-python3}"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "chordkit needs Python 3.11 or newer; '$PYTHON' is not. Name another one: make PYTHON=python3.12 ..." >&2
    exit 1
}

missing=""
have() { command -v "$1" >/dev/null 2>&1; }
have cc || have gcc || have clang || missing="$missing gcc libc6-dev"
have c++ || have g++ || have clang++ || missing="$missing g++"
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
have chromium || have chromium-browser || have google-chrome || missing="$missing chromium"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && have apt-get; then
    echo "installing:$missing"
    # shellcheck disable=SC2086
    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing fonts-dejavu-core) >/dev/null || {
        echo "apt-get could not install:$missing" >&2
        have cc || have gcc || have clang || exit 1
    }
    exit 0
fi
echo "missing:$missing" >&2
echo "install with:  sudo apt-get install --no-install-recommends$missing" >&2
echo "(without a C compiler there is no native engine, without a C++ compiler no executorch-chord; without Chromium the report's browser tests are skipped)" >&2
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || exit 1
