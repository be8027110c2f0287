/* A disk that fails: preloaded, it counts the calls that change files below one folder, and lets one of them fail.
 *
 *   gcc -shared -fPIC -O1 -o faults.so faults.c -ldl
 *   LD_PRELOAD=faults.so CHORD_FAULTS=plan command
 *
 * `plan` is a file of struct plan, mapped and shared by all processes of a command: whoever starts it writes what is to fail and reads how
 * many calls there were. A file that C's streams write is seen when it is opened only, as their writes never leave libc by name.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct plan {
    long seen;             /* calls so far */
    long at;               /* the one that fails, from 1 on; 0 = none */
    int error;             /* with this */
    int full;              /* 1 = so do all after it that need space */
    char under[PATH_MAX];  /* folder, without links */
    char hit[PATH_MAX];    /* what failed first: "call path" */
};

static struct plan *plan;

__attribute__((constructor)) static void start(void) {
    const char *name = getenv("CHORD_FAULTS");
    int fd = name == NULL ? -1 : (int)syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) return;
    void *mapped = mmap(NULL, sizeof(struct plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED) plan = mapped;
    syscall(SYS_close, fd);
}

/* Whether this call is to fail; errno is set then. */
static int fails(const char *call, const char *path, int needs_space) {
    if (plan == NULL || plan->under[0] == 0 || path == NULL) return 0;
    size_t length = strlen(plan->under);
    if (strncmp(path, plan->under, length) != 0 || (path[length] != '/' && path[length] != 0)) return 0;
    long number = __atomic_add_fetch(&plan->seen, 1, __ATOMIC_RELAXED);
    if (plan->at == 0 || number < plan->at || (number > plan->at && !(plan->full && needs_space))) return 0;
    if (number == plan->at) snprintf(plan->hit, sizeof plan->hit, "%s %s", call, path);
    errno = plan->error;
    return 1;
}

static int fails_fd(const char *call, int fd, int needs_space) {
    char link[64], path[PATH_MAX];
    if (plan == NULL || plan->under[0] == 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(call, path, needs_space);
}

static int fails_at(const char *call, int folder, const char *name, int needs_space) {
    char link[64], path[2 * PATH_MAX];
    if (plan == NULL || name == NULL || name[0] == '/') return fails(call, name, needs_space);
    if (folder == AT_FDCWD) {
        if (syscall(SYS_getcwd, path, PATH_MAX) < 0) return 0;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
        if (length < 0) return 0;
        path[length] = 0;
    }
    strncat(path, "/", sizeof path - strlen(path) - 1);
    strncat(path, name, sizeof path - strlen(path) - 1);
    return fails(call, path, needs_space);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define WRITES(flags) (((flags) & O_ACCMODE) != O_RDONLY)
#define MODE(flags)                                                  \
    mode_t mode = 0;                                                 \
    if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) { \
        va_list rest;                                                \
        va_start(rest, flags);                                       \
        mode = (mode_t)va_arg(rest, int);                            \
        va_end(rest);                                                \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return WRITES(flags) && fails_at("open", AT_FDCWD, path, 1) ? -1 : NEXT(open)(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE(flags)
    return WRITES(flags) && fails_at("open", AT_FDCWD, path, 1) ? -1 : NEXT(open64)(path, flags, mode);
}
int openat(int folder, const char *path, int flags, ...) {
    MODE(flags)
    return WRITES(flags) && fails_at("open", folder, path, 1) ? -1 : NEXT(openat)(folder, path, flags, mode);
}
int openat64(int folder, const char *path, int flags, ...) {
    MODE(flags)
    return WRITES(flags) && fails_at("open", folder, path, 1) ? -1 : NEXT(openat64)(folder, path, flags, mode);
}
FILE *fopen(const char *path, const char *mode) {
    return mode[0] != 'r' && fails_at("fopen", AT_FDCWD, path, 1) ? NULL : NEXT(fopen)(path, mode);
}
FILE *fopen64(const char *path, const char *mode) {
    return mode[0] != 'r' && fails_at("fopen", AT_FDCWD, path, 1) ? NULL : NEXT(fopen64)(path, mode);
}
ssize_t write(int fd, const void *data, size_t size) { return fails_fd("write", fd, 1) ? -1 : NEXT(write)(fd, data, size); }
ssize_t writev(int fd, const struct iovec *parts, int count) { return fails_fd("writev", fd, 1) ? -1 : NEXT(writev)(fd, parts, count); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return fails_fd("pwrite", fd, 1) ? -1 : NEXT(pwrite)(fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    return fails_fd("pwrite", fd, 1) ? -1 : NEXT(pwrite64)(fd, data, size, at);
}
ssize_t sendfile(int to, int from, off_t *at, size_t size);
ssize_t sendfile(int to, int from, off_t *at, size_t size) { return fails_fd("sendfile", to, 1) ? -1 : NEXT(sendfile)(to, from, at, size); }
ssize_t sendfile64(int to, int from, off64_t *at, size_t size);
ssize_t sendfile64(int to, int from, off64_t *at, size_t size) {
    return fails_fd("sendfile", to, 1) ? -1 : NEXT(sendfile64)(to, from, at, size);
}
ssize_t copy_file_range(int from, off64_t *read_at, int to, off64_t *write_at, size_t size, unsigned flags) {
    return fails_fd("copy_file_range", to, 1) ? -1 : NEXT(copy_file_range)(from, read_at, to, write_at, size, flags);
}
int ftruncate(int fd, off_t size) { return fails_fd("ftruncate", fd, 1) ? -1 : NEXT(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return fails_fd("ftruncate", fd, 1) ? -1 : NEXT(ftruncate64)(fd, size); }
int fsync(int fd) { return fails_fd("fsync", fd, 0) ? -1 : NEXT(fsync)(fd); }
int fdatasync(int fd) { return fails_fd("fdatasync", fd, 0) ? -1 : NEXT(fdatasync)(fd); }
int rename(const char *from, const char *to) { return fails_at("rename", AT_FDCWD, to, 0) ? -1 : NEXT(rename)(from, to); }
int renameat(int from_folder, const char *from, int folder, const char *to) {
    return fails_at("rename", folder, to, 0) ? -1 : NEXT(renameat)(from_folder, from, folder, to);
}
int renameat2(int from_folder, const char *from, int folder, const char *to, unsigned flags) {
    return fails_at("rename", folder, to, 0) ? -1 : NEXT(renameat2)(from_folder, from, folder, to, flags);
}
int link(const char *from, const char *to) { return fails_at("link", AT_FDCWD, to, 1) ? -1 : NEXT(link)(from, to); }
int linkat(int from_folder, const char *from, int folder, const char *to, int flags) {
    return fails_at("link", folder, to, 1) ? -1 : NEXT(linkat)(from_folder, from, folder, to, flags);
}
int mkdir(const char *path, mode_t mode) { return fails_at("mkdir", AT_FDCWD, path, 1) ? -1 : NEXT(mkdir)(path, mode); }
int mkdirat(int folder, const char *path, mode_t mode) { return fails_at("mkdir", folder, path, 1) ? -1 : NEXT(mkdirat)(folder, path, mode); }
