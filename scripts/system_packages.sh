#!/bin/sh
# Names the system packages that are missing, with the command that installs them; installs them when run as root on Debian.
#   system_packages.sh [tests|apk]      with `tests`: also what the sanitizers, the emulated arm64 CPUs and the verifiers of the tests need;
#                                       with `apk`: also what the Android app and library are built with
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

checkers=""
if [ "${1:-}" = tests ]; then
    have clang-19 && have ld.lld-19 && have llvm-mca-19 || checkers="$checkers clang-19 lld-19 llvm-19"
    ls /usr/lib/llvm-19/lib/clang/19/lib/linux/libclang_rt.fuzzer-*.a >/dev/null 2>&1 || checkers="$checkers libclang-rt-19-dev"
    # What -m32 links with. Not gcc-multilib, which keeps gcc-aarch64-linux-gnu out.
    [ "$(uname -m)" != x86_64 ] || { [ -e /usr/lib32/crt1.o ] && ls /usr/lib/gcc/x86_64-linux-gnu/*/32/libgcc.a >/dev/null 2>&1; } ||
        checkers="$checkers libc6-dev-i386 lib32gcc-$(gcc -dumpversion 2>/dev/null | cut -d. -f1)-dev"
    have qemu-aarch64-static || checkers="$checkers qemu-user-static"
    have qemu-aarch64 || checkers="$checkers qemu-user"
    have aarch64-linux-gnu-gcc || checkers="$checkers gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
    have aarch64-linux-gnu-g++ || checkers="$checkers g++-aarch64-linux-gnu"
    # The verifier: libraries for Ed25519 in C, and a JDK.
    [ -e /usr/include/sodium.h ] || checkers="$checkers libsodium-dev"
    [ -e /usr/include/openssl/evp.h ] || checkers="$checkers libssl-dev"
    have javac || checkers="$checkers default-jdk-headless"
    # The server under a registry of releases.
    have initdb || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || checkers="$checkers postgresql"
    # The proxy in front of the service.
    have nginx || [ -x /usr/sbin/nginx ] || checkers="$checkers nginx-light"
fi
if [ "${1:-}" = apk ]; then
    have clang-19 && have ld.lld-19 || checkers="$checkers clang-19 lld-19"
    have javac && have java || checkers="$checkers default-jdk-headless"
fi
[ -n "$missing$checkers" ] || exit 0

install() {
    # shellcheck disable=SC2086
    # RUNLEVEL: no server that comes with a package is started.
    (apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $1) >/dev/null
}
if [ "$(id -u)" = 0 ] && have apt-get; then
    echo "installing:$missing$checkers"
    [ -z "$missing" ] || install "$missing fonts-dejavu-core" || {
        echo "apt-get could not install:$missing" >&2
        have cc || have gcc || have clang || exit 1
    }
    [ -z "$checkers" ] || install "$checkers" || echo "apt-get could not install:$checkers (their tests are skipped)" >&2
    exit 0
fi
echo "missing:$missing$checkers" >&2
echo "install with:  sudo apt-get install --no-install-recommends$missing$checkers" >&2
echo "(without a C compiler there is no native engine, without a C++ compiler no executorch-chord; without Chromium the report's browser tests are skipped," >&2
echo " without clang the sanitizers', without qemu and the arm64 compiler the arm64 tests, without a JDK those of the Java verifier)" >&2
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || exit 1
