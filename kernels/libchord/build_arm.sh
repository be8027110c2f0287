#!/bin/sh
# Builds static Linux programs for arm64: the runner for adb and the check of all variants.
#
#   kernels/libchord/build_arm.sh OUTPUT_FOLDER [clang|gcc]
#
# clang: clang-19 and lld-19 with the libraries of gcc-aarch64-linux-gnu. gcc: aarch64-linux-gnu-gcc alone.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
output=${1:?usage: build_arm.sh OUTPUT_FOLDER [clang|gcc]}
compiler=${2:-clang}
flags="-std=c11 -O3 -g1 -fvisibility=hidden -ffp-contract=off -fno-math-errno -fno-trapping-math -Wall -Wextra -Werror -static"
case $compiler in
clang)
  libraries=$(dirname "$(aarch64-linux-gnu-gcc -print-libgcc-file-name)")
  cc="clang-19 -Wno-unused-command-line-argument --target=aarch64-linux-gnu -isystem /usr/aarch64-linux-gnu/include -B$libraries -L$libraries -L/usr/aarch64-linux-gnu/lib -fuse-ld=lld-19"
  ;;
gcc) cc=aarch64-linux-gnu-gcc ;;
*) echo "build_arm.sh: $compiler: neither clang nor gcc" >&2; exit 2 ;;
esac
mkdir -p "$output"
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
for source in "$here"/src/*.c "$here"/ukernels/scalar/*.c "$here"/ukernels/arm/*.c; do
  $cc $flags -c "$source" -o "$objects/$(basename "$(dirname "$source")")_$(basename "$source" .c).o"
done
$cc $flags -o "$output/chord_runner" "$here/tools/runner.c" "$objects"/*.o -lm
$cc $flags -o "$output/chord_variants_check" "$here/tools/variants_check.c" "$objects"/*.o -lm
