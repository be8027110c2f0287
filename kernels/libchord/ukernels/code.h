/* Parts of the code that lie together: a function with CHORD_CODE_PART(part) goes to the part's section, CHORD_CODE(part) is where that begins and
 * ends, once CHORD_CODE_DECLARE(part) has stood in the file. The linker makes both names. */
#ifndef CHORD_CODE_H
#define CHORD_CODE_H

#if defined(__ELF__)
#define CHORD_CODE_PART(part) __attribute__((section("chord_code_" #part)))
#define CHORD_CODE_DECLARE(part)                                                                     \
  extern const char __start_chord_code_##part[] __attribute__((visibility("hidden")));             \
  extern const char __stop_chord_code_##part[] __attribute__((visibility("hidden")));
#define CHORD_CODE(part) {__start_chord_code_##part, __stop_chord_code_##part}
#else
#define CHORD_CODE_PART(part)
#define CHORD_CODE_DECLARE(part)
#define CHORD_CODE(part) {NULL, NULL}
#endif

#endif
