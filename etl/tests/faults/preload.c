/*
 * A process under this library (LD_PRELOAD) has one of its calls to the operating system go wrong.
 *
 * Counted are the calls below whose file lies in the folder FAULT_FOLDER. The one with the number FAULT_AT, from 1, has
 * the fate FAULT_KIND: `eio` and `enospc` fail it, `short` does half of what was asked, `kill` ends the process in front
 * of it, `stop` stops the process in front of it until somebody continues it. Without FAULT_AT nothing goes wrong, and
 * the number of calls is written to the file FAULT_COUNT. FAULT_WAITS names a file that is made when a lock is found
 * held by somebody else. FAULT_WATCHED is how many folders the system has room to notify of changes in; with none it does
 * not notify at all.
 *
 * What must stay true: a process that is not told of a fault does what it would have done.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum fate { NONE, FAIL, SHORT };

static const char *folder;
static const char *waits;
static long fault_at;
static char kind[16];
static atomic_long calls;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void settle(void) {
    folder = getenv("FAULT_FOLDER");
    waits = getenv("FAULT_WAITS");
    const char *at = getenv("FAULT_AT");
    const char *how = getenv("FAULT_KIND");
    fault_at = at ? atol(at) : 0;
    snprintf(kind, sizeof kind, "%s", how ? how : "");
}

/* What happens to a call that concerns the file `path`; errno is set if it fails. */
static enum fate meet(const char *path) {
    pthread_once(&once, settle);
    if (!folder || !path || strncmp(path, folder, strlen(folder)) != 0) return NONE;
    long call = atomic_fetch_add(&calls, 1) + 1;
    if (call != fault_at) return NONE;
    if (strcmp(kind, "kill") == 0) {
        kill(getpid(), SIGKILL);
        pause();
    }
    if (strcmp(kind, "stop") == 0) {
        raise(SIGSTOP);
        return NONE;
    }
    if (strcmp(kind, "short") == 0) return SHORT;
    errno = strcmp(kind, "enospc") == 0 ? ENOSPC : EIO;
    return FAIL;
}

static enum fate meet_open(int file) {
    char link[64], path[PATH_MAX];
    pthread_once(&once, settle);
    if (!folder || file < 3) return NONE;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return NONE;
    path[length] = 0;
    return meet(path);
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((destructor)) static void tell(void) {
    const char *count = getenv("FAULT_COUNT");
    if (!count) return;
    folder = NULL;
    FILE *out = fopen(count, "w");
    if (!out) return;
    fprintf(out, "%ld\n", (long)atomic_load(&calls));
    fclose(out);
}

static int opened(int (*real)(const char *, int, ...), const char *path, int flags, mode_t mode) {
    return meet(path) == FAIL ? -1 : real(path, flags, mode);
}

int open(const char *path, int flags, ...) {
    REAL(open);
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, int);
    va_end(rest);
    return opened(real, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    REAL(open64);
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, int);
    va_end(rest);
    return opened(real, path, flags, mode);
}

ssize_t read(int file, void *bytes, size_t count) {
    REAL(read);
    enum fate fate = meet_open(file);
    if (fate == FAIL) return -1;
    return real(file, bytes, fate == SHORT && count > 1 ? count / 2 : count);
}

ssize_t write(int file, const void *bytes, size_t count) {
    REAL(write);
    enum fate fate = meet_open(file);
    if (fate == FAIL) return -1;
    return real(file, bytes, fate == SHORT && count > 1 ? count / 2 : count);
}

int fsync(int file) {
    REAL(fsync);
    return meet_open(file) == FAIL ? -1 : real(file);
}

int fdatasync(int file) {
    REAL(fdatasync);
    return meet_open(file) == FAIL ? -1 : real(file);
}

int link(const char *from, const char *to) {
    REAL(link);
    return meet(to) == FAIL ? -1 : real(from, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    REAL(linkat);
    return meet(to) == FAIL ? -1 : real(from_folder, from, to_folder, to, flags);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    return meet(to) == FAIL ? -1 : real(from, to);
}

int unlink(const char *path) {
    REAL(unlink);
    return meet(path) == FAIL ? -1 : real(path);
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    return meet(path) == FAIL ? -1 : real(path, mode);
}

int flock(int file, int how) {
    REAL(flock);
    if (meet_open(file) == FAIL) return -1;
    int done = real(file, how);
    int error = errno;
    if (done != 0 && error == EWOULDBLOCK && waits) {
        int mark = openat(AT_FDCWD, waits, O_CREAT | O_WRONLY, 0600);
        if (mark >= 0) close(mark);
    }
    errno = error;
    return done;
}

int inotify_init1(int flags) {
    REAL(inotify_init1);
    const char *most = getenv("FAULT_WATCHED");
    if (most && atol(most) == 0) {
        errno = EMFILE;
        return -1;
    }
    return real(flags);
}

int inotify_add_watch(int file, const char *path, uint32_t events) {
    REAL(inotify_add_watch);
    static atomic_long watched;
    const char *most = getenv("FAULT_WATCHED");
    if (most && atomic_fetch_add(&watched, 1) >= atol(most)) {
        errno = ENOSPC;
        return -1;
    }
    return real(file, path, events);
}
