/* Requests about attributes. The kernel enforces access control lists; the backing volume keeps mode and list in step and
 * hands default lists down. */
#define _GNU_SOURCE
#include "filter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Attributes, always fresh from the backing file. */
int status_of(struct node *node, struct stat *status)
{
    if (node->handles != NULL)
        return fstat(node->handles->fd, status) < 0 ? errno : 0;
    if (S_ISDIR(node->key.kind)) {
        int fd = directory_fd(node);
        return fd < 0 || fstat(fd, status) < 0 ? errno : 0;
    }
    if (node->places == NULL)
        return ESTALE;
    int fd = directory_fd(node->places->parent);
    if (fd < 0 || fstatat(fd, node->places->name, status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno;
    struct key key = key_of(status);
    return same_key(&key, &node->key) ? 0 : ESTALE;
}

static int reply_attributes(struct request *request, const struct stat *status)
{
    struct fuse_attr_out out = {.attr_valid = REMEMBERED};
    fill_attributes(&out.attr, status);
    reply(request, &out, sizeof out, NULL, 0);
    return 0;
}

int on_getattr(struct request *request)
{
    struct stat status;
    int error = status_of(node_of(request, request->in->nodeid), &status);
    return error ? error : reply_attributes(request, &status);
}

/* --- changing them --- */

static void wanted_times(const struct fuse_setattr_in *in, struct timespec times[2])
{
    times[0] = (struct timespec){(time_t)in->atime, in->atimensec};
    times[1] = (struct timespec){(time_t)in->mtime, in->mtimensec};
    if (!(in->valid & FATTR_ATIME))
        times[0].tv_nsec = UTIME_OMIT;
    else if (in->valid & FATTR_ATIME_NOW)
        times[0].tv_nsec = UTIME_NOW;
    if (!(in->valid & FATTR_MTIME))
        times[1].tv_nsec = UTIME_OMIT;
    else if (in->valid & FATTR_MTIME_NOW)
        times[1].tv_nsec = UTIME_NOW;
}

static uid_t wanted_owner(const struct fuse_setattr_in *in) { return in->valid & FATTR_UID ? in->uid : (uid_t)-1; }

static gid_t wanted_group(const struct fuse_setattr_in *in) { return in->valid & FATTR_GID ? in->gid : (gid_t)-1; }

/* Owner and times of a symbolic link; it has no mode of its own. */
static int set_link(struct node *node, const struct fuse_setattr_in *in, struct stat *status)
{
    char place[64 + MOST_NAME_BYTES];
    struct timespec times[2];
    int error = status_of(node, status);
    if (error)
        return error;
    const char *name = node->places->name;
    int fd = directory_fd(node->places->parent);
    if (in->valid & (FATTR_UID | FATTR_GID)) {
        if (fchownat(fd, name, wanted_owner(in), wanted_group(in), AT_SYMLINK_NOFOLLOW) < 0)
            return errno;
        error = status_of(node, status);
        link_place(place, sizeof place, fd, name);
        report_metadata(node, status, -1, place);
    }
    if (error == 0 && in->valid & (FATTR_MTIME | FATTR_ATIME)) {
        wanted_times(in, times);
        if (utimensat(fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
            return errno;
        error = status_of(node, status);
        if (in->valid & FATTR_MTIME)
            report_times(node, status);
    }
    return error;
}

static int set_owner_and_mode(struct node *node, int fd, const struct fuse_setattr_in *in, struct stat *status)
{
    int error = 0;
    if (in->valid & (FATTR_UID | FATTR_GID) && fchown(fd, wanted_owner(in), wanted_group(in)) < 0)
        return errno;
    if (in->valid & FATTR_MODE && fchmod(fd, in->mode & 07777) < 0)
        error = errno; /* what changed before it is reported */
    if (fstat(fd, status) < 0)
        return errno;
    report_metadata(node, status, fd, NULL);
    return error;
}

static int set_open(struct node *node, int fd, const struct fuse_setattr_in *in, struct stat *status)
{
    struct timespec times[2];
    int error = 0;
    if (in->valid & FATTR_SIZE)
        error = set_length(node, fd, in->size);
    if (error == 0 && in->valid & (FATTR_UID | FATTR_GID | FATTR_MODE))
        error = set_owner_and_mode(node, fd, in, status);
    if (error == 0 && in->valid & (FATTR_MTIME | FATTR_ATIME)) {
        wanted_times(in, times);
        if (futimens(fd, times) < 0 || fstat(fd, status) < 0)
            return errno;
        if (in->valid & FATTR_MTIME)
            report_times(node, status);
    }
    return error == 0 && fstat(fd, status) < 0 ? errno : error;
}

int on_setattr(struct request *request)
{
    const struct fuse_setattr_in *in = (const struct fuse_setattr_in *)request->body;
    struct node *node = node_of(request, request->in->nodeid);
    struct stat status;
    bool own = false;
    if (S_ISLNK(node->key.kind)) {
        int error = set_link(node, in, &status);
        return error ? error : reply_attributes(request, &status);
    }
    const struct handle *handle = in->valid & FATTR_FH ? (const struct handle *)(uintptr_t)in->fh : NULL;
    int fd = descriptor_for(node, handle, in->valid & FATTR_SIZE ? O_WRONLY : O_RDONLY, &own);
    if (fd < 0)
        return errno;
    int error = set_open(node, fd, in, &status);
    if (own)
        close(fd);
    return error ? error : reply_attributes(request, &status);
}

int on_statfs(struct request *request)
{
    struct fuse_statfs_out out = {0};
    struct statvfs status;
    if (fstatvfs(request->root->fd, &status) < 0)
        return errno;
    out.st = (struct fuse_kstatfs){.blocks = status.f_blocks, .bfree = status.f_bfree, .bavail = status.f_bavail,
                                   .files = status.f_files, .ffree = status.f_ffree, .bsize = (uint32_t)status.f_bsize,
                                   .namelen = (uint32_t)status.f_namemax, .frsize = (uint32_t)status.f_frsize};
    reply(request, &out, sizeof out, NULL, 0);
    return 0;
}

/* --- extended attributes --- */

/* Where a node's attributes are: an open descriptor, or for a symbolic link the path of it and -1. Gives an error number. */
static int place_of(struct node *node, int *fd, bool *own, char *link, size_t size)
{
    *fd = -1;
    *own = false;
    if (!the.extended)
        return ENOSYS; /* the kernel then says EOPNOTSUPP, and never asks again: not even before a file's first write */
    if (S_ISLNK(node->key.kind)) {
        int directory = node->places == NULL ? (errno = ENOENT, -1) : directory_fd(node->places->parent);
        if (directory < 0)
            return errno;
        link_place(link, size, directory, node->places->name);
        return 0;
    }
    *fd = descriptor_for(node, node->handles, O_RDONLY, own);
    return *fd < 0 ? errno : 0;
}

static int reply_value(struct request *request, uint32_t room, ssize_t size, int error, const char *value)
{
    if (size < 0)
        return error;
    if (room == 0) {
        struct fuse_getxattr_out out = {.size = (uint32_t)size};
        reply(request, &out, sizeof out, NULL, 0);
    } else {
        reply(request, value, (size_t)size, NULL, 0);
    }
    return 0;
}

int on_getxattr(struct request *request)
{
    static char value[65536];
    const struct fuse_getxattr_in *in = (const struct fuse_getxattr_in *)request->body;
    const char *name = name_after(request, sizeof *in);
    char link[64 + MOST_NAME_BYTES];
    size_t room = in->size < sizeof value ? in->size : sizeof value;
    bool own;
    int fd, error = place_of(node_of(request, request->in->nodeid), &fd, &own, link, sizeof link);
    if (error)
        return error;
    ssize_t size = fd >= 0 ? fgetxattr(fd, name, value, room) : lgetxattr(link, name, value, room);
    error = errno;
    if (own)
        close(fd);
    return reply_value(request, in->size, size, error, value);
}

int on_listxattr(struct request *request)
{
    static char names[65536];
    const struct fuse_getxattr_in *in = (const struct fuse_getxattr_in *)request->body;
    char link[64 + MOST_NAME_BYTES];
    size_t room = in->size < sizeof names ? in->size : sizeof names;
    bool own;
    int fd, error = place_of(node_of(request, request->in->nodeid), &fd, &own, link, sizeof link);
    if (error)
        return error;
    ssize_t size = fd >= 0 ? flistxattr(fd, names, room) : llistxattr(link, names, room);
    error = errno;
    if (own)
        close(fd);
    return reply_value(request, in->size, size, error, names);
}

static void report_attributes(struct node *node, int fd, const char *link)
{
    struct stat status;
    if ((fd >= 0 ? fstat(fd, &status) : lstat(link, &status)) == 0)
        report_metadata(node, &status, fd, link);
}

/* ENOSPC when the file's attributes would be more than an operation carries. */
static int set_attribute(struct node *node, int fd, const char *link, const char *name, const char *value, size_t size,
                         int flags)
{
    static struct extended others;
    if (replicated(name)) {
        int error = read_extended(fd, link, &others);
        if (error)
            return error;
        if (weigh_extended(&others, name) + strlen(name) + size > MOST_EXTENDED_BYTES)
            return ENOSPC;
    }
    if ((fd >= 0 ? fsetxattr(fd, name, value, size, flags) : lsetxattr(link, name, value, size, flags)) < 0)
        return errno;
    if (replicated(name))
        report_attributes(node, fd, link);
    return 0;
}

int on_setxattr(struct request *request)
{
    const struct {
        uint32_t size, flags;
    } *in = (const void *)request->body;
    struct node *node = node_of(request, request->in->nodeid);
    const char *name = name_after(request, sizeof *in), *value = name + strlen(name) + 1;
    char link[64 + MOST_NAME_BYTES];
    bool own;
    if (*name == '\0' || value + in->size > request->body + request->size)
        return EINVAL;
    int fd, error = place_of(node, &fd, &own, link, sizeof link);
    if (error)
        return error;
    error = set_attribute(node, fd, link, name, value, in->size, (int)in->flags);
    if (own)
        close(fd);
    if (error == 0)
        reply(request, NULL, 0, NULL, 0);
    return error;
}

int on_removexattr(struct request *request)
{
    struct node *node = node_of(request, request->in->nodeid);
    const char *name = name_after(request, 0);
    char link[64 + MOST_NAME_BYTES];
    bool own;
    int fd, error = place_of(node, &fd, &own, link, sizeof link);
    if (error)
        return error;
    if ((fd >= 0 ? fremovexattr(fd, name) : lremovexattr(link, name)) < 0)
        error = errno;
    else if (replicated(name))
        report_attributes(node, fd, link);
    if (own)
        close(fd);
    if (error == 0)
        reply(request, NULL, 0, NULL, 0);
    return error;
}
