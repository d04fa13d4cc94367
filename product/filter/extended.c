/* Extended attributes: which are replicated, and all of a file's in the form in which records carry them (for each: size of
 * the name in 2 bytes, size of the value in 4, name, value; sorted by name). The rules are those of
 * `bodydouble/adapters/posix/extended.py`. */
#define _GNU_SOURCE
#include "filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#define ACCESS_LIST "system.posix_acl_access"
#define DEFAULT_LIST "system.posix_acl_default"
#define MOST_NAMES 65536
#define MOST_VALUE 65536

static bool begins(const char *name, const char *with) { return strncmp(name, with, strlen(with)) == 0; }

/* Whether an attribute of that name means the same on another host. */
bool replicated(const char *name)
{
    if (begins(name, "trusted.overlay.") || !is_text(name, strlen(name), NULL))
        return false;
    return begins(name, "user.") || begins(name, "trusted.") || strcmp(name, ACCESS_LIST) == 0 ||
           strcmp(name, DEFAULT_LIST) == 0 || strcmp(name, "security.capability") == 0;
}

static int by_name(const void *one, const void *other)
{
    return strcmp(*(const char *const *)one, *(const char *const *)other);
}

static bool none(int error) { return error == ENOTSUP || error == ENODATA; }

static int append(struct extended *into, const char *name, const void *value, size_t size)
{
    uint16_t name_size = (uint16_t)strlen(name);
    uint32_t value_size = (uint32_t)size;
    unsigned char *at = into->bytes + into->size;
    memcpy(at, &name_size, 2);
    memcpy(at + 2, &value_size, 4);
    memcpy(at + 6, name, name_size);
    memcpy(at + 6 + name_size, value, size);
    into->size += 6u + name_size + size;
    return 0;
}

int read_extended(int fd, const char *path, struct extended *into)
{
    static char names[MOST_NAMES], value[MOST_VALUE];
    const char *sorted[MOST_NAMES / 2];
    size_t found = 0, room = MOST_EXTENDED_BYTES;
    into->size = 0;
    ssize_t size = fd >= 0 ? flistxattr(fd, names, sizeof names) : llistxattr(path, names, sizeof names);
    if (size < 0)
        return none(errno) ? 0 : errno;
    for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1)
        if (replicated(names + at))
            sorted[found++] = names + at;
    qsort(sorted, found, sizeof *sorted, by_name);
    for (size_t i = 0; i < found; i++) {
        ssize_t got = fd >= 0 ? fgetxattr(fd, sorted[i], value, sizeof value)
                              : lgetxattr(path, sorted[i], value, sizeof value);
        if (got < 0 && none(errno))
            continue;
        if (got < 0)
            return errno;
        size_t weight = strlen(sorted[i]) + (size_t)got;
        if (weight > room || into->size + weight + 6 > sizeof into->bytes)
            break;
        room -= weight;
        append(into, sorted[i], value, (size_t)got);
    }
    return 0;
}

/* Names and values of all but one. */
size_t weigh_extended(const struct extended *extended, const char *except)
{
    size_t weight = 0;
    for (size_t at = 0; at < extended->size;) {
        uint16_t name_size;
        uint32_t value_size;
        memcpy(&name_size, extended->bytes + at, 2);
        memcpy(&value_size, extended->bytes + at + 2, 4);
        bool same = strlen(except) == name_size && memcmp(extended->bytes + at + 6, except, name_size) == 0;
        weight += same ? 0 : (size_t)name_size + value_size;
        at += 6u + name_size + value_size;
    }
    return weight;
}

/* Whether what is made in a directory gets an access control list from it. */
bool hands_down(int directory) { return fgetxattr(directory, DEFAULT_LIST, NULL, 0) >= 0; }
