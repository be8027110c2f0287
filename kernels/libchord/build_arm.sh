#!/bin/sh
# Builds static Linux programs for arm64, one for each folder of tools/: the runner for adb and the check of all variants.
#
#   kernels/libchord/build_arm.sh OUTPUT_FOLDER [clang|gcc]
#
# clang: clang-19 and lld-19 with the libraries of gcc-aarch64-linux-gnu. gcc: aarch64-linux-gnu-gcc alone.
set -eu
mkdir -p "${1:?usage: build_arm.sh OUTPUT_FOLDER [clang|gcc]}"
output=$(cd "$1" && pwd)
compiler=${2:-clang}
cd "$(dirname "$0")"
flags="$(grep -v '^#' flags.txt) -g1 -Werror -static"
case $compiler in
clang)
  libraries=$(dirname "$(aarch64-linux-gnu-gcc -print-libgcc-file-name)")
  cc="clang-19 -Wno-unused-command-line-argument --target=aarch64-linux-gnu -isystem /usr/aarch64-linux-gnu/include -B$libraries -L$libraries -L/usr/aarch64-linux-gnu/lib -fuse-ld=lld-19"
  ;;
gcc) cc=aarch64-linux-gnu-gcc ;;
*) echo "build_arm.sh: $compiler: neither clang nor gcc" >&2; exit 2 ;;
esac
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
for source in $(grep -v '^#' sources.txt); do
  case $source in */fill.c) more=-Os ;; ukernels/* | learn/*) more= ;; *) more=-O2 ;; esac # as build_android.sh
  $cc $flags $more -c "$source" -o "$objects/$(echo "$source" | tr / _).o"
done
for tool in tools/*/; do
  $cc $flags -o "$output/chord_$(basename "$tool")" "$tool"*.c "$objects"/*.o -lm
done
