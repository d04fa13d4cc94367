/* Which names and targets the product can speak about: UTF-8, in names without control characters. The rules are those of
 * `bodydouble/adapters/posix/names.py`. */
#define _GNU_SOURCE
#include "filter.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Bytes of the character that begins here (RFC 3629: shortest form, no surrogates), 0 when there is none. */
static size_t character(const unsigned char *at, size_t left)
{
    size_t size = *at < 0x80 ? 1 : *at >= 0xc2 && *at < 0xe0 ? 2 : (*at & 0xf0) == 0xe0 ? 3 : *at >= 0xf0 && *at < 0xf5 ? 4 : 0;
    if (size == 0 || size > left)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (*at == 0xe0 && at[1] < 0xa0) || (*at == 0xf0 && at[1] < 0x90);
    bool beyond = (*at == 0xed && at[1] >= 0xa0) || (*at == 0xf4 && at[1] >= 0x90);
    return overlong || beyond ? 0 : size;
}

bool is_text(const char *bytes, size_t size, size_t *characters)
{
    size_t count = 0;
    for (size_t at = 0; at < size; count++) {
        size_t step = character((const unsigned char *)bytes + at, size - at);
        if (step == 0)
            return false;
        at += step;
    }
    if (characters != NULL)
        *characters = count;
    return true;
}

bool known_name(const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)name[i] < ' ')
            return false;
    return size > 0 && size <= MOST_NAME_BYTES && is_text(name, size, NULL);
}

/* EINVAL when product form cannot say the name, which would leave the file unreplicated. */
int check_new_name(const struct node *directory, const char *name)
{
    static struct path path;
    size_t characters = 0;
    if (!known_name(name))
        return EINVAL;
    if (!path_below(directory, name, &path))
        return node_orphaned(directory) ? 0 : ENAMETOOLONG;
    is_text(path.text, path.size, &characters);
    return the.roots[path.root].characters + 1 + characters > MOST_PATH_CHARACTERS ? ENAMETOOLONG : 0;
}

bool sayable(int directory, const char *name, const struct stat *status)
{
    char target[4 * MOST_PATH_CHARACTERS + 1];
    if (!S_ISLNK(status->st_mode))
        return S_ISREG(status->st_mode) || S_ISDIR(status->st_mode);
    ssize_t size = readlinkat(directory, name, target, sizeof target);
    size_t characters = 0;
    return size > 0 && is_text(target, (size_t)size, &characters) && characters <= MOST_PATH_CHARACTERS;
}
