/* Makes one fsync or fdatasync of a real process fail: preloaded in front of libc, for tests/crash/test_failing_sync.py.
 *
 * FAIL_SYNC_OF     only files whose path contains this are counted
 * FAIL_SYNC_AT     which of their syncs fails, from 1
 * FAIL_SYNC_WATCH  a file whose size at that moment is noted
 * FAIL_SYNC_NOTE   where it is noted: "path size\n", and a line "again path\n" for each later sync that is asked for
 *
 * As the kernel does it (fsync(2), and what Linux makes of it): the error is told once, the next sync of the same file
 * succeeds although the bytes may be lost. Who goes on after it loses what it has acknowledged.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_int count;

static void note(const char *word, const char *path, long size) {
    char line[4400];
    int length = snprintf(line, sizeof line, "%s %s %ld\n", word, path, size);
    int file = open(getenv("FAIL_SYNC_NOTE"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (file >= 0) {
        if (write(file, line, length) != length) abort();
        close(file);
    }
}

static int fails(int descriptor) {
    const char *of = getenv("FAIL_SYNC_OF"), *at = getenv("FAIL_SYNC_AT"), *watch = getenv("FAIL_SYNC_WATCH");
    char link[64], path[4097];
    if (!of || !at || !watch || !getenv("FAIL_SYNC_NOTE")) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (!strstr(path, of)) return 0;
    int number = atomic_fetch_add(&count, 1) + 1;
    struct stat found;
    long size = stat(watch, &found) == 0 ? (long)found.st_size : 0;
    if (number == atoi(at)) {
        note("failed", path, size);
        errno = EIO;
        return 1;
    }
    if (number > atoi(at)) note("again", path, size);
    return 0;
}

int fsync(int descriptor) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return fails(descriptor) ? -1 : real(descriptor);
}

int fdatasync(int descriptor) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return fails(descriptor) ? -1 : real(descriptor);
}
