/*
 * A plugin for qemu-user: counts executed guest instructions by the function they belong to, exactly.
 *
 *   qemu-aarch64 -plugin ./plugin.so,out=FILE program ...
 *
 * FILE gets one line "count symbol" each. Debian ships no plugin header, so the few declarations of QEMU's plugin ABI,
 * version 1, that are needed stand here (docs/devel/tcg-plugins in QEMU's source).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct qemu_info_t qemu_info_t;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t, void *), void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, enum qemu_plugin_op op, void *counter, uint64_t amount);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;

typedef struct entry {
  struct entry *next;
  uint64_t count;
  char name[];
} entry;

static entry *entries;
static char out_path[4096];

static entry *entry_of(const char *name) {
  for (entry *e = entries; e; e = e->next)
    if (strcmp(e->name, name) == 0) return e;
  entry *e = calloc(1, sizeof *e + strlen(name) + 1);
  if (!e) abort();
  strcpy(e->name, name);
  e->next = entries;
  return entries = e;
}

static entry *owner(const struct qemu_plugin_insn *insn) {
  const char *symbol = qemu_plugin_insn_symbol(insn);
  return entry_of(symbol && *symbol ? symbol : "?");
}

/* One addition for each run of instructions of the same function: a block that is entered is executed to its end. */
static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  (void)id;
  const size_t count = qemu_plugin_tb_n_insns(tb);
  for (size_t first = 0, last; first < count; first = last) {
    entry *e = owner(qemu_plugin_tb_get_insn(tb, first));
    for (last = first + 1; last < count && owner(qemu_plugin_tb_get_insn(tb, last)) == e;) last++;
    qemu_plugin_register_vcpu_insn_exec_inline(qemu_plugin_tb_get_insn(tb, first), QEMU_PLUGIN_INLINE_ADD_U64, &e->count, last - first);
  }
}

static void finished(qemu_plugin_id_t id, void *data) {
  (void)id;
  (void)data;
  FILE *out = fopen(out_path, "w");
  if (!out) return;
  for (const entry *e = entries; e; e = e->next) fprintf(out, "%llu %s\n", (unsigned long long)e->count, e->name);
  fclose(out);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int count, char **arguments) {
  (void)info;
  if (count != 1 || strncmp(arguments[0], "out=", 4) != 0 || strlen(arguments[0]) >= sizeof out_path) {
    fputs("arm_count_plugin: give out=FILE\n", stderr);
    return 1;
  }
  strcpy(out_path, arguments[0] + 4);
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, finished, NULL);
  return 0;
}
