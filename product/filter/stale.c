/* What the kernel remembers of files that the product itself has changed beneath the mounts: made to be asked for again.
 *
 * The kernel may wait for an application's request while it forgets, and that request is served under the lock. So what to
 * forget is found under the lock, and the kernel is told without it.
 */
#define _GNU_SOURCE
#include "filter.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct stale {
    int device;
    uint64_t directory, file; /* as the kernel numbers them; 0 for what it does not know */
    const char *name;
};

static uint64_t number_of(const struct node *node)
{
    if (node == NULL)
        return 0;
    return node->root != NULL ? FUSE_ROOT_ID : node->lookups ? (uint64_t)(uintptr_t)node : 0;
}

/* No symbolic link is followed: it could lead into a mount, and this program would wait for itself. */
static struct node *at(const struct root *root, const char *path, struct stat *status)
{
    struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    long fd = *path ? syscall(SYS_openat2, root->fd, path, &how, sizeof how) : -1;
    if (*path && fd < 0)
        return NULL;
    bool found = fstat(*path ? (int)fd : root->fd, status) == 0;
    if (fd >= 0)
        close((int)fd);
    return found ? node_find(status) : NULL;
}

/* What the product has renamed is known by its new name from here on. */
static void find(const struct root *root, char *path, struct stale *found)
{
    struct stat status, above;
    struct node *file = at(root, path, &status);
    found->device = root->device;
    found->file = number_of(file);
    found->name = "";
    if (*path == '\0')
        return; /* a root has no name */
    char *slash = strrchr(path, '/');
    found->name = slash ? slash + 1 : path;
    if (slash)
        *slash = '\0';
    struct node *directory = at(root, slash ? path : "", &above);
    found->directory = number_of(directory);
    if (file != NULL && directory != NULL)
        node_looked_up(directory, found->name, &status);
}

static void notify(int device, int code, const void *first, size_t first_size, const char *name)
{
    struct fuse_out_header out = {.error = code};
    struct iovec parts[3] = {{&out, sizeof out}, {(void *)(uintptr_t)first, first_size}, {NULL, 0}};
    if (name != NULL)
        parts[2] = (struct iovec){(void *)(uintptr_t)name, strlen(name) + 1};
    out.len = (uint32_t)(sizeof out + first_size + parts[2].iov_len);
    if (writev(device, parts, 3) < 0)
        return; /* it knows nothing of that any more */
}

static void forget_node(int device, uint64_t number, int64_t offset)
{
    struct fuse_notify_inval_inode_out out = {.ino = number, .off = offset};
    if (number)
        notify(device, FUSE_NOTIFY_INVAL_INODE, &out, sizeof out, NULL);
}

static void tell(const struct stale *stale)
{
    struct fuse_notify_inval_entry_out out = {.parent = stale->directory, .namelen = (uint32_t)strlen(stale->name)};
    if (stale->directory) {
        notify(stale->device, FUSE_NOTIFY_INVAL_ENTRY, &out, sizeof out, stale->name);
        forget_node(stale->device, stale->directory, -1);
    }
    forget_node(stale->device, stale->file, 0);
}

/* Each line of the text: the number of a root, a space, a path beneath it. */
void forget_stale(char *text)
{
    size_t room = 1, count = 0;
    for (const char *at = text; *at; at++)
        room += *at == '\n';
    struct stale *all = calloc(room, sizeof *all);
    if (all == NULL)
        return; /* what the kernel remembers ends by itself */
    pthread_mutex_lock(&the.lock);
    for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL && count < room;) {
        char *path;
        long root = strtol(line, &path, 10);
        if (path != line && *path == ' ' && root >= 0 && root < the.root_count)
            find(&the.roots[root], path + 1, &all[count++]);
    }
    pthread_mutex_unlock(&the.lock);
    for (size_t i = 0; i < count; i++)
        tell(&all[i]);
    free(all);
}
