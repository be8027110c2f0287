#!/bin/sh
# Builds libchord.so for Android (arm64-v8a and x86_64) without the NDK: clang-19 and lld-19 know Android's ABI, the few
# declarations that are needed stand in kernels/libchord/android/include, and libc and libm are stood in for by empty libraries of
# their names, which the linker looks at and the phone never sees. With an NDK, kernels/libchord/CMakeLists.txt is the normal way.
#
#   kernels/libchord/build_android.sh OUTPUT_FOLDER        -> OUTPUT_FOLDER/<abi>/libchord.so, stripped, 16 KB page aligned
#   kernels/libchord/build_android.sh OUTPUT_FOLDER JNI    -> libchord_jni.so instead: the engine, the verifier, the learner, the reader of
#                                                             personal files and the C files of the
#                                                             folder JNI, of which only what its exports.map lists is seen from outside
#
# CLANG and LLD name other tools. JNI_HEADERS: folders of jni.h, with colons between them.
set -eu
export LC_ALL=C
mkdir -p "${1:?usage: build_android.sh OUTPUT_FOLDER [JNI_FOLDER]}"
output=$(cd "$1" && pwd)
jni=${2:+$(cd "$2" && pwd)}
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
name=libchord.so sources=$(grep -v '^#' sources.txt) more_flags= link= libc= libm=
if [ -n "$jni" ]; then
  # Under a name without spaces.
  ln -s "$jni" "$work/jni"
  name=libchord_jni.so jni=$work/jni
  # shellcheck disable=SC2046
  sources=$(printf '%s\n' $(grep -hv '^#' sources.txt verify/sources.txt learn/sources.txt personal/sources.txt) "$jni"/*.c | sort -u)
  more_flags="-Iinclude -isystem $(echo "${JNI_HEADERS:?folders of jni.h: the include folder of a JDK, and include/linux}" | sed 's/:/ -isystem /g')"
  link="-Wl,--version-script=$jni/exports.map" libc="malloc free posix_memalign" libm="ceil fmaxf log sqrt"
fi
clang=${CLANG:-clang-19}
lld=${LLD:-lld-19}
for tool in "$clang" "ld.$lld"; do
  command -v "$tool" >/dev/null || { echo "build_android.sh: $tool is missing: apt-get install clang-19 lld-19" >&2; exit 2; }
done
# Atomics in line: the helpers for them are not in libc.
compile="$(grep -v '^#' flags.txt) -fPIC -ffunction-sections -fdata-sections -fno-unwind-tables -fno-asynchronous-unwind-tables
  -nostdlibinc -isystem android/include -Werror $more_flags"

stand_in() { # target, name, functions, folder
  for function in $3; do echo "void $function(void) {}"; done | $clang --target="$1" -fno-builtin -w -fPIC -shared -nostdlib -fuse-ld="$lld" \
    -Wl,-soname,"$2" -x c - -o "$4/$2"
}

build() { # abi, target, flags, flags of the scalar kernels and of what runs once a model
  objects=$work/$1
  mkdir "$objects"
  stand_in "$2" libc.so "memchr memcpy memmove memset memcmp strcmp strncmp strlen snprintf vsnprintf getauxval sched_yield $libc" "$objects"
  stand_in "$2" libm.so "fmaf log1pf rintf sqrtf $libm" "$objects"
  for source in $sources; do
    case $source in
    ukernels/scalar/* | */api.c | */dispatch.c | */master.c | */plan.c | */profile.c | */user_vector.c | learn/[aglps]* | verify/* | personal/* | "$jni"/*.c) more=$4 ;;
    */fill.c) more=-Os ;;
    ukernels/* | learn/*) more= ;;
    *) more=-O2 ;; # what unrolling them further saves is nothing that could be counted
    esac
    $clang --target="$2" $compile $3 $more -c "$source" -o "$objects/$(echo "${source#"$jni"/}" | tr / _).o"
  done
  mkdir -p "$output/$1"
  $clang --target="$2" -shared -nostdlib -fuse-ld="$lld" -Wl,-soname,$name -Wl,-z,max-page-size=16384 -Wl,-z,relro,-z,now,-z,defs \
    -Wl,--gc-sections,--strip-all,--pack-dyn-relocs=android,--as-needed,--hash-style=gnu $link -o "$output/$1/$name" "$objects"/*.o "$objects/libc.so" "$objects/libm.so"
  echo "$output/$1/$name $(wc -c <"$output/$1/$name") bytes"
}

# Every arm64 CPU has NEON, so its scalar kernels only define the others, and a file is read once: small is enough.
build arm64-v8a aarch64-linux-android26 -mno-outline-atomics -Oz &
arm64=$!
build x86_64 x86_64-linux-android26 "" ""
wait $arm64
