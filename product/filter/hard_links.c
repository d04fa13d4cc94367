/* Files that have several names when the filter starts, found once before it is mounted.
 *
 * A change through any name must be reported under every other, also under one that no application has asked for yet. Names
 * that come later pass through the filter. The walk costs one stat a file.
 */
#define _GNU_SOURCE
#include "filter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct found {
    struct key key;
    struct node *root;
    char *path; /* beneath the root */
};

static struct found *all;
static size_t count, room;

static int note(struct node *root, const char *path, const struct stat *status)
{
    if (count == room) {
        room = room ? 2 * room : 256;
        struct found *larger = realloc(all, room * sizeof *all);
        if (larger == NULL)
            return ENOMEM;
        all = larger;
    }
    all[count] = (struct found){key_of(status), root, strdup(path)};
    return all[count++].path == NULL ? ENOMEM : 0;
}

static int look_at(struct node *root, int directory, char *path, size_t size, const char *name);

/* Takes the descriptor over. `path` is of the directory, with a slash at its end unless it is the root. */
static int walk(struct node *root, int fd, char *path, size_t size)
{
    DIR *directory = fdopendir(fd);
    int error = 0;
    if (directory == NULL) {
        error = errno;
        close(fd);
        return error;
    }
    for (struct dirent *entry; error == 0 && (errno = 0, entry = readdir(directory)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && known_name(entry->d_name))
            error = look_at(root, dirfd(directory), path, size, entry->d_name);
    error = error ? error : errno;
    closedir(directory);
    return error;
}

static int look_at(struct node *root, int directory, char *path, size_t size, const char *name)
{
    struct stat status;
    size_t name_size = strlen(name);
    if (size + name_size + 1 > MOST_PATH_BYTES)
        return 0;
    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : errno;
    memcpy(path + size, name, name_size + 1);
    if (!S_ISDIR(status.st_mode))
        return status.st_nlink > 1 && sayable(directory, name, &status) ? note(root, path, &status) : 0;
    int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : errno;
    memcpy(path + size + name_size, "/", 2);
    return walk(root, fd, path, size + name_size + 1);
}

static int by_key(const void *one, const void *other)
{
    const struct found *a = one, *b = other;
    if (a->key.device != b->key.device)
        return a->key.device < b->key.device ? -1 : 1;
    if (a->key.inode != b->key.inode)
        return a->key.inode < b->key.inode ? -1 : 1;
    return 0;
}

/* Make a name, and the directories above it, known. What was removed since stays unknown. */
static void pin(struct found *found)
{
    struct node *node = found->root;
    struct stat status;
    for (char *name = found->path, *end; name != NULL; name = end ? end + 1 : NULL) {
        end = strchr(name, '/');
        if (end != NULL)
            *end = '\0';
        int fd = directory_fd(node);
        if (fd < 0 || fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            return;
        node = node_looked_up(node, name, &status);
        node_pin(node);
    }
}

int learn_hard_links(void)
{
    static char path[MOST_PATH_BYTES + 1];
    int error = 0;
    for (int i = 0; error == 0 && i < the.root_count; i++) {
        int fd = openat(the.roots[i].fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        path[0] = '\0';
        error = fd < 0 ? errno : walk(the.roots[i].node, fd, path, 0);
    }
    if (count > 0)
        qsort(all, count, sizeof *all, by_key);
    for (size_t i = 0; error == 0 && i < count; i++)
        if ((i > 0 && same_key(&all[i - 1].key, &all[i].key)) ||
            (i + 1 < count && same_key(&all[i + 1].key, &all[i].key)))
            pin(&all[i]);
    for (size_t i = 0; i < count; i++)
        free(all[i].path);
    free(all);
    all = NULL;
    return error;
}
