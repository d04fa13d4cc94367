/* Requests about names: looking them up, giving them, taking them away.
 *
 * Refused, so that nothing changes unreported: special files (EPERM), exchanging two names (EINVAL), names and targets that
 * product form cannot say (EINVAL). What of these exists already is not shown.
 */
#define _GNU_SOURCE
#include "filter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEEP ((mode_t)-1)

void link_place(char *into, size_t size, int directory, const char *name)
{
    snprintf(into, size, "/proc/self/fd/%d/%s", directory, name);
}

static int status_in(struct node *directory, const char *name, struct stat *status, int *fd)
{
    *fd = directory_fd(directory);
    if (*fd < 0 || fstatat(*fd, name, status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno;
    return sayable(*fd, name, status) ? 0 : ENOENT;
}

int on_lookup(struct request *request)
{
    struct node *directory = node_of(request, request->in->nodeid);
    const char *name = name_after(request, 0);
    struct stat status;
    int fd, error = known_name(name) ? status_in(directory, name, &status, &fd) : ENOENT;
    if (error)
        return error;
    return reply_entry(request, node_looked_up(directory, name, &status), &status, NULL, 0);
}

/* --- making --- */

/* Gives what was just made to whoever asked for it; a set-group-ID directory passes its group on. With KEEP the mode stays
 * what a default access control list has made of it. */
static int own(int fd, const struct stat *above, mode_t mode, const struct fuse_in_header *asker, struct stat *status)
{
    gid_t group = above->st_mode & S_ISGID ? above->st_gid : asker->gid;
    if (fstat(fd, status) < 0)
        return errno;
    if (status->st_uid != asker->uid || status->st_gid != group) {
        if (fchown(fd, asker->uid, group) < 0 || fstat(fd, status) < 0)
            return errno;
    }
    if (mode != KEEP && (status->st_mode & 07777) != (mode & 07777)) {
        if (fchmod(fd, mode & 07777) < 0 || fstat(fd, status) < 0)
            return errno;
    }
    return 0;
}

static int create(struct request *request, struct node *directory, const char *name, mode_t mode, mode_t umask,
                  struct node **node, struct stat *status)
{
    struct stat above;
    int parent = directory_fd(directory);
    if (parent < 0 || fstat(parent, &above) < 0)
        return -errno;
    bool listed = the.extended && hands_down(parent);
    bool owned = request->in->uid == 0; /* otherwise nobody may open it before it belongs to its maker */
    mode_t first = listed ? mode & 07777 : owned ? mode & ~umask & 0777 : 0600;
    int fd = openat(parent, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, first);
    if (fd < 0)
        return -errno;
    int error = own(fd, &above, listed ? KEEP : mode & ~umask, request->in, status);
    if (error) {
        close(fd);
        unlinkat(parent, name, 0);
        return -error;
    }
    *node = node_made(directory, name, status);
    report_created(*node, status, fd, listed);
    return fd;
}

int on_create(struct request *request)
{
    const struct fuse_create_in *in = (const struct fuse_create_in *)request->body;
    struct node *directory = node_of(request, request->in->nodeid), *node;
    const char *name = name_after(request, sizeof *in);
    struct fuse_open_out out = {0};
    struct stat status;
    int parent, error = check_new_name(directory, name);
    if (error)
        return error;
    int fd = create(request, directory, name, in->mode, in->umask, &node, &status);
    if (fd == -EEXIST && !(in->flags & O_EXCL)) {
        /* It appeared beneath the mount meanwhile. */
        error = status_in(directory, name, &status, &parent);
        if (error)
            return error;
        node = node_looked_up(directory, name, &status);
        error = open_and_admit(node, in->flags, &out);
        if (error == 0)
            error = status_of(node, &status);
    } else {
        error = fd < 0 ? -fd : admit(node, fd, in->flags, &out);
    }
    return error ? error : reply_entry(request, node, &status, &out, sizeof out);
}

int on_mknod(struct request *request)
{
    const struct fuse_mknod_in *in = (const struct fuse_mknod_in *)request->body;
    struct node *directory = node_of(request, request->in->nodeid), *node;
    const char *name = name_after(request, sizeof *in);
    struct stat status;
    int error = S_ISREG(in->mode) ? check_new_name(directory, name) : EPERM;
    if (error)
        return error;
    int fd = create(request, directory, name, in->mode, in->umask, &node, &status);
    if (fd < 0)
        return -fd;
    close(fd);
    return reply_entry(request, node, &status, NULL, 0);
}

int on_mkdir(struct request *request)
{
    const struct fuse_mkdir_in *in = (const struct fuse_mkdir_in *)request->body;
    struct node *directory = node_of(request, request->in->nodeid);
    const char *name = name_after(request, sizeof *in);
    struct stat status, above;
    int error = check_new_name(directory, name), parent = directory_fd(directory);
    if (error)
        return error;
    if (parent < 0 || fstat(parent, &above) < 0)
        return errno;
    bool listed = the.extended && hands_down(parent);
    if (mkdirat(parent, name, listed ? in->mode & 07777 : 0700) < 0)
        return errno;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    mode_t mode = (in->mode & ~in->umask & 01777) | (above.st_mode & S_ISGID);
    error = fd < 0 ? errno : own(fd, &above, listed ? KEEP : mode, request->in, &status);
    if (error) {
        if (fd >= 0)
            close(fd);
        unlinkat(parent, name, AT_REMOVEDIR);
        return error;
    }
    struct node *node = node_made(directory, name, &status);
    report_made_directory(node, &status, fd, listed);
    close(fd);
    return reply_entry(request, node, &status, NULL, 0);
}

int on_symlink(struct request *request)
{
    struct node *directory = node_of(request, request->in->nodeid);
    const char *name = name_after(request, 0), *target = name_after(request, strlen(name) + 1);
    char place[64 + MOST_NAME_BYTES];
    size_t characters = 0, size = strlen(target);
    struct stat status, above;
    int error = check_new_name(directory, name), fd = directory_fd(directory);
    if (error)
        return error;
    if (size == 0 || !is_text(target, size, &characters) || characters > MOST_PATH_CHARACTERS)
        return EINVAL;
    if (fd < 0 || fstat(fd, &above) < 0 || symlinkat(target, fd, name) < 0)
        return errno;
    gid_t group = above.st_mode & S_ISGID ? above.st_gid : request->in->gid;
    if (fchownat(fd, name, request->in->uid, group, AT_SYMLINK_NOFOLLOW) < 0 ||
        fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
        error = errno;
        unlinkat(fd, name, 0);
        return error;
    }
    struct node *node = node_made(directory, name, &status);
    link_place(place, sizeof place, fd, name);
    report_made_link(node, target, &status, place);
    return reply_entry(request, node, &status, NULL, 0);
}

int on_readlink(struct request *request)
{
    char target[4 * MOST_PATH_CHARACTERS + 1];
    struct node *node = node_of(request, request->in->nodeid);
    if (node->places == NULL)
        return ENOENT;
    int fd = directory_fd(node->places->parent);
    ssize_t size = fd < 0 ? -1 : readlinkat(fd, node->places->name, target, sizeof target);
    if (size < 0)
        return errno;
    reply(request, target, (size_t)size, NULL, 0);
    return 0;
}

/* --- further names, other names, no names --- */

int on_link(struct request *request)
{
    static struct path existing, path;
    const struct fuse_link_in *in = (const struct fuse_link_in *)request->body;
    struct node *node = node_of(request, in->oldnodeid), *directory = node_of(request, request->in->nodeid);
    const char *name = name_after(request, sizeof *in);
    struct stat status;
    int error = check_new_name(directory, name);
    if (error)
        return error;
    if (node->places == NULL)
        return ENOENT;
    bool speakable = node_path(node, &existing) & path_below(directory, name, &path);
    int to = directory_fd(directory), from = directory_fd(node->places->parent);
    if (to < 0 || from < 0 || linkat(from, node->places->name, to, name, 0) < 0)
        return errno;
    if (fstatat(to, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno;
    struct key key = key_of(&status);
    if (!same_key(&key, &node->key)) {
        unlinkat(to, name, 0);
        return ESTALE;
    }
    node_looked_up(directory, name, &status);
    if (speakable)
        report_linked(&path, &existing);
    return reply_entry(request, node, &status, NULL, 0);
}

static int rename_node(struct request *request, uint64_t new_directory, uint32_t flags, const char *old)
{
    static struct path old_path, new_path;
    struct node *from = node_of(request, request->in->nodeid), *to = node_of(request, new_directory);
    const char *new = name_after(request, (size_t)(old - request->body) + strlen(old) + 1);
    struct stat moved, replaced;
    int to_fd, from_fd, error = known_name(old) ? check_new_name(to, new) : ENOENT;
    if (flags & ~(uint32_t)RENAME_NOREPLACE)
        return EINVAL;
    if (error == 0)
        error = status_in(from, old, &moved, &from_fd);
    if (error)
        return error;
    to_fd = directory_fd(to);
    from_fd = directory_fd(from);
    if (to_fd < 0 || from_fd < 0)
        return errno;
    bool over = fstatat(to_fd, new, &replaced, AT_SYMLINK_NOFOLLOW) == 0;
    bool speakable = path_below(from, old, &old_path) & path_below(to, new, &new_path);
    if (renameat2(from_fd, old, to_fd, new, flags) < 0)
        return errno;
    struct key moved_key = key_of(&moved), replaced_key = over ? key_of(&replaced) : (struct key){0};
    if (!over || !same_key(&moved_key, &replaced_key)) { /* two names of one file: rename(2) leaves both */
        if (over)
            node_removed(&replaced, to, new);
        node_moved(&moved, from, old, to, new);
        if (speakable)
            report_renamed(&old_path, &new_path);
    }
    reply(request, NULL, 0, NULL, 0);
    return 0;
}

int on_rename(struct request *request)
{
    const struct fuse_rename_in *in = (const struct fuse_rename_in *)request->body;
    return rename_node(request, in->newdir, 0, name_after(request, sizeof *in));
}

int on_rename2(struct request *request)
{
    const struct fuse_rename2_in *in = (const struct fuse_rename2_in *)request->body;
    return rename_node(request, in->newdir, in->flags, name_after(request, sizeof *in));
}

static int remove_name(struct request *request, bool directory)
{
    static struct path path;
    struct node *holder = node_of(request, request->in->nodeid);
    const char *name = name_after(request, 0);
    struct stat status;
    int fd, error = known_name(name) ? status_in(holder, name, &status, &fd) : ENOENT;
    if (error)
        return error;
    bool speakable = path_below(holder, name, &path);
    if (unlinkat(fd, name, directory ? AT_REMOVEDIR : 0) < 0)
        return errno;
    node_removed(&status, holder, name);
    if (speakable)
        report_removed(&path, directory);
    reply(request, NULL, 0, NULL, 0);
    return 0;
}

int on_unlink(struct request *request) { return remove_name(request, false); }

int on_rmdir(struct request *request) { return remove_name(request, true); }
