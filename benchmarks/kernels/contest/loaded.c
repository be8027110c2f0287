#include "chord.h"
#include "loaded.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 64, MOST_SPANS = 8 };

typedef struct span {
  const char *start;
  size_t bytes;
} span;

struct loaded {
  __typeof__(chord_query_sizes) *query_sizes;
  __typeof__(chord_open) *open;
  __typeof__(chord_session_open) *session_open;
  __typeof__(chord_adopt) *adopt;
  __typeof__(chord_adopt_user) *adopt_user;
  __typeof__(chord_rerank_batch) *rerank_batch;
  chord_options options;
  span master, memory, spare, scratch, code[MOST_SPANS];
  size_t codes;
  const void *base;
  chord_model *model;
  chord_session *session;
};

static int note_code(struct dl_phdr_info *info, size_t bytes, void *pointer) {
  loaded *l = pointer;
  (void)bytes;
  const char *start = (const char *)info->dlpi_addr;
  if (start != l->base) return 0;
  for (size_t i = 0; i < info->dlpi_phnum && l->codes < MOST_SPANS; i++)
    if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X)
      l->code[l->codes++] = (span){start + info->dlpi_phdr[i].p_vaddr, info->dlpi_phdr[i].p_memsz};
  return 1;
}

static span memory_of(size_t bytes) { return (span){aligned_alloc(LINE, (bytes + LINE - 1) / LINE * LINE), bytes}; }

static int symbols(loaded *l, const char *library) {
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!handle) return 0;
#define FIND(name) (l->name = (__typeof__(l->name))dlsym(handle, "chord_" #name))
  const int found = FIND(query_sizes) && FIND(open) && FIND(session_open) && FIND(adopt) && FIND(adopt_user) && FIND(rerank_batch);
  Dl_info about;
  if (!found || !dladdr((void *)l->rerank_batch, &about)) return 0;
  l->base = about.dli_fbase;
  return dl_iterate_phdr(note_code, l) && l->codes;
}

loaded *loaded_open(const char *library, const void *master, size_t master_bytes, const char *variant, char *wrong, size_t wrong_bytes) {
  loaded *l = calloc(1, sizeof *l);
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  chord_sizes sizes = {.struct_size = sizeof sizes};
  if (!l || !symbols(l, library)) {
    const char *said = dlerror();
    snprintf(wrong, wrong_bytes, "%s: %s", library, said ? said : "no library of this engine");
    return NULL;
  }
  l->options = (chord_options){.struct_size = sizeof l->options, .variant = variant};
  l->master = (span){master, master_bytes};
  if (l->query_sizes(master, master_bytes, &l->options, &sizes, &diagnosis) == CHORD_OK) {
    l->memory = memory_of(sizes.model_bytes), l->spare = memory_of(sizes.model_bytes), l->scratch = memory_of(sizes.session_bytes);
    if (l->open(master, master_bytes, &l->options, (void *)l->memory.start, l->memory.bytes, &l->model, &diagnosis) == CHORD_OK &&
        l->session_open(l->model, (void *)l->scratch.start, l->scratch.bytes, &l->session) == CHORD_OK)
      return l;
  }
  snprintf(wrong, wrong_bytes, "%s", diagnosis.text);
  return NULL;
}

int loaded_adopt(loaded *l, const void *strategy, size_t bytes) { return l->adopt(l->model, strategy, bytes, NULL); }

int loaded_reopen(loaded *l) {
  chord_sizes sizes = {.struct_size = sizeof sizes};
  chord_model *model;
  const int status = l->query_sizes(l->master.start, l->master.bytes, &l->options, &sizes, NULL);
  return status ? status : (int)l->open(l->master.start, l->master.bytes, &l->options, (void *)l->spare.start, l->spare.bytes, &model, NULL);
}

int loaded_rerank(loaded *l, size_t users, const int32_t *histories, size_t length, const int32_t *candidates, size_t count, float *scores) {
  return l->rerank_batch(l->session, users, histories, length, candidates, count, scores);
}

int loaded_forget(loaded *l) { return l->adopt_user(l->session, NULL, 0, NULL); }

#if defined(__x86_64__)
static void cool(span s) {
  for (size_t i = 0; i < s.bytes; i += LINE) __asm__ volatile("clflush %0" ::"m"(s.start[i]));
  __asm__ volatile("mfence" ::: "memory");
}
#elif defined(__aarch64__)
static void cool(span s) {
  for (size_t i = 0; i < s.bytes; i += LINE) __asm__ volatile("dc civac, %0\n\tic ivau, %0" ::"r"(s.start + i) : "memory");
  __asm__ volatile("dsb ish\n\tisb" ::: "memory");
}
#endif

#if defined(__x86_64__) || defined(__aarch64__)
int loaded_cool_code(const loaded *l) {
  for (size_t i = 0; i < l->codes; i++) cool(l->code[i]);
  return 1;
}

int loaded_cool_data(const loaded *l) {
  cool(l->master), cool(l->memory), cool(l->scratch);
  return 1;
}
#else
int loaded_cool_code(const loaded *l) { return (void)l, 0; }
int loaded_cool_data(const loaded *l) { return (void)l, 0; }
#endif
