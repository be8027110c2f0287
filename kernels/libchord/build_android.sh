#!/bin/sh
# Builds libchord.so for Android (arm64-v8a and x86_64) without the NDK: clang-19 and lld-19 know Android's ABI, the few
# declarations that are needed stand in kernels/libchord/android/include, and libc and libm are stood in for by empty libraries of
# their names, which the linker looks at and the phone never sees. With an NDK, kernels/libchord/CMakeLists.txt is the normal way.
#
#   kernels/libchord/build_android.sh OUTPUT_FOLDER        -> OUTPUT_FOLDER/<abi>/libchord.so, stripped, 16 KB page aligned
#
# CLANG and LLD name other tools.
set -eu
mkdir -p "${1:?usage: build_android.sh OUTPUT_FOLDER}"
output=$(cd "$1" && pwd)
cd "$(dirname "$0")"
clang=${CLANG:-clang-19}
lld=${LLD:-lld-19}
for tool in "$clang" "ld.$lld"; do
  command -v "$tool" >/dev/null || { echo "build_android.sh: $tool is missing: apt-get install clang-19 lld-19" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Atomics in line: the helpers for them are not in libc.
compile="$(grep -v '^#' flags.txt) -fPIC -ffunction-sections -fdata-sections -fno-unwind-tables -fno-asynchronous-unwind-tables
  -nostdlibinc -isystem android/include -Werror"

stand_in() { # target, name, functions
  for function in $3; do echo "void $function(void) {}"; done | $clang --target="$1" -fno-builtin -w -fPIC -shared -nostdlib -fuse-ld="$lld" \
    -Wl,-soname,"$2" -x c - -o "$work/$2"
}

build() { # abi, target, flags, flags of the scalar kernels and of what runs once a model
  rm -f "$work"/*.o
  stand_in "$2" libc.so "memchr memcpy memmove memset memcmp strcmp strncmp strlen snprintf vsnprintf getauxval sched_yield"
  stand_in "$2" libm.so "fmaf log1pf rintf sqrtf"
  for source in $(grep -v '^#' sources.txt); do
    case $source in ukernels/scalar/* | */api.c | */dispatch.c | */master.c | */plan.c | */profile.c | */user_vector.c) more=$4 ;; *) more= ;; esac
    $clang --target="$2" $compile $3 $more -c "$source" -o "$work/$(echo "$source" | tr / _).o"
  done
  mkdir -p "$output/$1"
  $clang --target="$2" -shared -nostdlib -fuse-ld="$lld" -Wl,-soname,libchord.so -Wl,-z,max-page-size=16384 -Wl,-z,relro,-z,now,-z,defs \
    -Wl,--gc-sections,--strip-all,--as-needed,--hash-style=gnu -o "$output/$1/libchord.so" "$work"/*.o "$work/libc.so" "$work/libm.so"
  echo "$output/$1/libchord.so $(wc -c <"$output/$1/libchord.so") bytes"
}

# Every arm64 CPU has NEON, so its scalar kernels only define the others, and a file is read once: small is enough.
build arm64-v8a aarch64-linux-android29 -mno-outline-atomics -Oz
build x86_64 x86_64-linux-android29 "" ""
