/*
 * A plugin for QEMU's user emulation: what a guest program executes, by function, by layer and by address. Counts repeat exactly.
 *
 *   qemu-aarch64 -plugin ./profile_plugin.so,out=FILE[,root=FUNCTION] program ...
 *
 * With a root only what runs inside of calls of that function counts, and memory is looked at too. FILE gets lines:
 *
 *   part INSTRUCTIONS FIRST LAST FUNCTION   executed by FUNCTION while it read the layers FIRST to LAST; -1 -1: while it read none
 *   code ADDRESS BYTES COUNT FUNCTION       a block of code, and how often it ran
 *   data READ WRITTEN                       bytes
 *   layers NUMBER
 *
 * A layer is what the guest's function chord_profile_layer touches first and last (profile_layers.c); they are numbered as they come.
 *
 * Debian ships no plugin header, so the few declarations that are needed stand here (docs/devel/tcg-plugins in QEMU's source). All of them
 * are alike in the versions 1 (QEMU 6 to 8) to 6 of that interface: a callback for each block, because additions in line are not.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
enum qemu_plugin_mem_rw { QEMU_PLUGIN_MEM_RW = 3 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, void (*callback)(unsigned, void *), enum qemu_plugin_cb_flags flags,
                                          void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, void (*callback)(unsigned, qemu_plugin_meminfo_t, uint64_t, void *),
                                      enum qemu_plugin_cb_flags flags, enum qemu_plugin_mem_rw rw, void *data);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t, void *), void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *insn);
unsigned qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t info);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info);

/* Functions that came with a version of the interface, and are null in an older QEMU. */
__attribute__((weak)) void *qemu_plugin_scoreboard_new(size_t size);                        /* 2 */
__attribute__((weak)) bool qemu_plugin_read_memory_vaddr(uint64_t address, void *, size_t); /* 4 */

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;

/* QEMU asks for the version after it has loaded the library, so the library can look at QEMU first. */
__attribute__((constructor)) static void agree(void) {
  if (qemu_plugin_scoreboard_new) qemu_plugin_version = 2;
  if (qemu_plugin_read_memory_vaddr) qemu_plugin_version = 4;
}

enum { MAX_LAYERS = 1024, NO_LAYER = -1 };
static const char layer_function[] = "chord_profile_layer";

typedef struct part {
  struct part *next;
  int first, last;
  uint64_t instructions;
} part;

typedef struct function {
  struct function *next;
  part *parts;
  bool root, marks_layers;
  char name[];
} function;

typedef struct block {
  struct block *next;
  function *owner;
  uint64_t start, end, instructions, count;
} block;

static char out_path[4096], root_name[256];
static function *functions;
static block *blocks;

static struct {
  uint64_t first, last;
} layers[MAX_LAYERS];
static int layer_count, marks;

static bool inside;                     /* a call of the root */
static uint64_t return_address, before; /* of that call; the end of the block before */
/* Where it is, since it came there. */
static function *here;
static uint64_t instructions;
static int first_layer, last_layer;
static uint64_t bytes_read, bytes_written;

static void *new(size_t size) {
  void *memory = calloc(1, size);
  if (!memory) abort();
  return memory;
}

static function *function_named(const char *name) {
  for (function *f = functions; f; f = f->next)
    if (strcmp(f->name, name) == 0) return f;
  function *f = new(sizeof *f + strlen(name) + 1);
  strcpy(f->name, name);
  f->root = strcmp(name, root_name) == 0;
  f->marks_layers = strcmp(name, layer_function) == 0;
  f->next = functions;
  return functions = f;
}

/* What was executed since `here` was entered goes to the layers that were read meanwhile. */
static void leave(void) {
  if (here) {
    part **at = &here->parts;
    while (*at && ((*at)->first != first_layer || (*at)->last != last_layer)) at = &(*at)->next;
    if (!*at) {
      *at = new(sizeof **at);
      (*at)->first = first_layer;
      (*at)->last = last_layer;
    }
    (*at)->instructions += instructions;
  }
  here = NULL;
  instructions = 0;
  first_layer = last_layer = NO_LAYER;
}

/* A block that is entered is executed to its end. */
static void executed(unsigned cpu, void *data) {
  (void)cpu;
  block *b = data;
  if (inside && *root_name && b->start == return_address) {
    leave();
    inside = false;
  } else if (!inside && b->owner->root) {
    inside = true;
    return_address = before;
  }
  before = b->end;
  if (!inside) return;
  if (b->owner != here) {
    leave();
    here = b->owner;
  }
  b->count++;
  instructions += b->instructions;
}

static void mark(uint64_t address) {
  if (marks / 2 == MAX_LAYERS) return;
  if (marks % 2 == 0) {
    layers[marks / 2].first = address;
  } else {
    layers[marks / 2].last = address;
    layer_count++;
  }
  marks++;
}

static void accessed(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data) {
  (void)cpu;
  const function *owner = data;
  if (owner->marks_layers) mark(address);
  if (!inside) return;
  const uint64_t bytes = (uint64_t)1 << qemu_plugin_mem_size_shift(info);
  if (qemu_plugin_mem_is_store(info)) {
    bytes_written += bytes;
    return;
  }
  bytes_read += bytes;
  for (int i = 0; i < layer_count; i++)
    if (address >= layers[i].first && address <= layers[i].last) {
      if (first_layer == NO_LAYER || i < first_layer) first_layer = i;
      if (i > last_layer) last_layer = i;
      return;
    }
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  (void)id;
  const size_t count = qemu_plugin_tb_n_insns(tb);
  struct qemu_plugin_insn *first = qemu_plugin_tb_get_insn(tb, 0), *last = qemu_plugin_tb_get_insn(tb, count - 1);
  const char *symbol = qemu_plugin_insn_symbol(first);
  block *b = new(sizeof *b);
  *b = (block){.next = blocks, .owner = function_named(symbol && *symbol ? symbol : "?"), .start = qemu_plugin_insn_vaddr(first),
               .end = qemu_plugin_insn_vaddr(last) + qemu_plugin_insn_size(last), .instructions = count};
  blocks = b;
  qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, QEMU_PLUGIN_CB_NO_REGS, b);
  for (size_t i = 0; *root_name && i < count; i++)
    qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(tb, i), accessed, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, b->owner);
}

static void finished(qemu_plugin_id_t id, void *data) {
  (void)id;
  (void)data;
  leave();
  /* A root that was called through a veneer was not seen to return, or the program died in it: no file is better than a wrong one. */
  FILE *out = *root_name && inside ? NULL : fopen(out_path, "w");
  if (!out) return;
  for (const function *f = functions; f; f = f->next)
    for (const part *p = f->parts; p; p = p->next)
      fprintf(out, "part %llu %d %d %s\n", (unsigned long long)p->instructions, p->first, p->last, f->name);
  for (const block *b = blocks; b; b = b->next)
    if (b->count)
      fprintf(out, "code %llu %llu %llu %s\n", (unsigned long long)b->start, (unsigned long long)(b->end - b->start),
              (unsigned long long)b->count, b->owner->name);
  fprintf(out, "data %llu %llu\nlayers %d\n", (unsigned long long)bytes_read, (unsigned long long)bytes_written, layer_count);
  fclose(out);
}

static bool take(const char *argument, const char *name, char *place, size_t size) {
  const size_t length = strlen(name);
  if (strncmp(argument, name, length) != 0 || strlen(argument + length) >= size) return false;
  strcpy(place, argument + length);
  return true;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int count, char **arguments) {
  (void)info;
  bool understood = true;
  for (int i = 0; i < count; i++)
    understood = understood && (take(arguments[i], "out=", out_path, sizeof out_path) || take(arguments[i], "root=", root_name, sizeof root_name));
  if (!understood || !*out_path) {
    fputs("profile_plugin: give out=FILE, and root=FUNCTION where not everything counts\n", stderr);
    return 1;
  }
  inside = !*root_name;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, finished, NULL);
  return 0;
}
