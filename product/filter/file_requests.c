/* Requests about the bytes of files. */
#define _GNU_SOURCE
#include "filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* O_NONBLOCK: whatever took the file's name beneath the mount, opening it must not hang the filter. */
#define SAFE (O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)

int open_node(struct node *node, int access)
{
    char place[64];
    struct stat status;
    if (S_ISDIR(node->key.kind)) {
        int directory = directory_fd(node);
        return directory < 0 ? -1 : openat(directory, ".", O_RDONLY | O_CLOEXEC);
    }
    if (node->places == NULL && node->handles != NULL) {
        snprintf(place, sizeof place, "/proc/self/fd/%d", node->handles->fd);
        return open(place, access | O_CLOEXEC);
    }
    if (node->places == NULL)
        return errno = ENOENT, -1;
    int directory = directory_fd(node->places->parent);
    int fd = directory < 0 ? -1 : openat(directory, node->places->name, access | SAFE);
    if (fd < 0)
        return -1;
    struct key key = fstat(fd, &status) == 0 ? key_of(&status) : (struct key){0};
    if (same_key(&key, &node->key))
        return fd;
    close(fd);
    return errno = ESTALE, -1;
}

/* A descriptor for one change: the application's own when it named one, else one that is the caller's to close. */
int descriptor_for(struct node *node, const struct handle *handle, int access, bool *own)
{
    *own = handle == NULL;
    return handle != NULL ? handle->fd : open_node(node, access);
}

/* Takes a freshly opened descriptor in. O_SYNC and O_DIRECT stay out of it: the former would hold everybody up, the latter
 * asks for aligned buffers. Synchronous writes are followed by an fsync in a worker instead. */
int admit(struct node *node, int fd, uint32_t flags, struct fuse_open_out *out)
{
    struct handle *handle = malloc(sizeof *handle);
    if (handle == NULL) {
        close(fd);
        return ENOMEM;
    }
    handle->fd = fd;
    handle->synchronous = flags & (O_SYNC | O_DSYNC);
    handle_attach(handle, node);
    out->fh = (uint64_t)(uintptr_t)handle;
    out->open_flags = FOPEN_KEEP_CACHE; /* the kernel drops what it has of a file whose length or time changed */
    return 0;
}

int open_and_admit(struct node *node, uint32_t flags, struct fuse_open_out *out)
{
    bool cut = flags & O_TRUNC;
    int access = (int)(flags & O_ACCMODE);
    int fd = open_node(node, cut && access == O_RDONLY ? O_RDWR : access);
    if (fd < 0)
        return errno;
    int error = cut ? set_length(node, fd, 0) : 0;
    if (error) {
        close(fd);
        return error;
    }
    return admit(node, fd, flags, out);
}

int on_open(struct request *request)
{
    const struct fuse_open_in *in = (const struct fuse_open_in *)request->body;
    struct fuse_open_out out = {0};
    int error = open_and_admit(node_of(request, request->in->nodeid), in->flags, &out);
    if (error == 0)
        reply(request, &out, sizeof out, NULL, 0);
    return error;
}

int on_release(struct request *request)
{
    const struct fuse_release_in *in = (const struct fuse_release_in *)request->body;
    struct handle *handle = (struct handle *)(uintptr_t)in->fh;
    close(handle->fd);
    handle_detach(handle);
    free(handle);
    reply(request, NULL, 0, NULL, 0);
    return 0;
}

/* --- reading --- */

/* What is cached is answered at once; what is not is a worker's. */
int on_read(struct request *request)
{
    static char bytes[MOST_WRITE];
    const struct fuse_read_in *in = (const struct fuse_read_in *)request->body;
    const struct handle *handle = (const struct handle *)(uintptr_t)in->fh;
    uint32_t size = in->size < MOST_WRITE ? in->size : MOST_WRITE;
    struct iovec part = {bytes, size};
    struct stat status;
    ssize_t got = preadv2(handle->fd, &part, 1, (off_t)in->offset, RWF_NOWAIT);
    bool whole = got == (ssize_t)size;
    if (got >= 0 && !whole)
        whole = fstat(handle->fd, &status) == 0 && (off_t)in->offset + got >= status.st_size;
    if (!whole)
        return hand_over(READ_BYTES, request, handle->fd, in->offset, size);
    reply(request, bytes, (size_t)got, NULL, 0);
    return 0;
}

int on_lseek(struct request *request)
{
    const struct fuse_lseek_in *in = (const struct fuse_lseek_in *)request->body;
    const struct handle *handle = (const struct handle *)(uintptr_t)in->fh;
    off_t found = lseek(handle->fd, (off_t)in->offset, (int)in->whence);
    struct fuse_lseek_out out = {.offset = (uint64_t)found};
    if (found < 0)
        return errno;
    reply(request, &out, sizeof out, NULL, 0);
    return 0;
}

/* --- changing --- */

/* Takes set-ID bits off a changed program: the kernel leaves that to the filter. */
void drop_privileges(struct node *node, int fd, const struct stat *status)
{
    struct stat after;
    mode_t dropped = status->st_mode & ~(mode_t)S_ISUID;
    if (dropped & S_IXGRP)
        dropped &= ~(mode_t)S_ISGID;
    if (dropped != status->st_mode && fchmod(fd, dropped & 07777) == 0 && fstat(fd, &after) == 0)
        report_metadata(node, &after, fd, NULL);
}

int set_length(struct node *node, int fd, uint64_t size)
{
    struct stat status;
    if (ftruncate(fd, (off_t)size) < 0 || fstat(fd, &status) < 0)
        return errno;
    report_truncated(node, &status);
    drop_privileges(node, fd, &status);
    return 0;
}

/* The offset is the kernel's, also for files opened for appending. Also what went in before the volume was full took
 * effect: the application is told how much that was. */
int on_write(struct request *request)
{
    const struct fuse_write_in *in = (const struct fuse_write_in *)request->body;
    const struct handle *handle = (const struct handle *)(uintptr_t)in->fh;
    const char *bytes = request->body + sizeof *in;
    struct stat status;
    size_t written = 0;
    int error = in->size > request->size - sizeof *in ? EIO : 0;
    while (error == 0 && written < in->size) {
        ssize_t step = pwrite(handle->fd, bytes + written, in->size - written, (off_t)(in->offset + written));
        if (step <= 0)
            error = step < 0 ? errno : ENOSPC;
        else
            written += (size_t)step;
    }
    if (written) {
        if (fstat(handle->fd, &status) < 0)
            status = (struct stat){0};
        report_written(handle->node, in->offset, bytes, written, &status);
        drop_privileges(handle->node, handle->fd, &status);
    } else if (error) {
        return error;
    }
    if (handle->synchronous)
        return hand_over(SYNCHRONISE_WRITE, request, handle->fd, 0, (uint32_t)written);
    struct fuse_write_out out = {.size = (uint32_t)written};
    reply(request, &out, sizeof out, NULL, 0);
    return 0;
}

/* Space and zeros: what changed of the content is reported as a hole and as a new length. What moves other bytes is refused:
 * applications then write. */
int on_fallocate(struct request *request)
{
    const struct fuse_fallocate_in *in = (const struct fuse_fallocate_in *)request->body;
    const struct handle *handle = (const struct handle *)(uintptr_t)in->fh;
    bool clears = in->mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
    struct stat before, after;
    if (in->mode & ~(uint32_t)(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE) || fstat(handle->fd, &before) < 0)
        return EOPNOTSUPP;
    uint64_t end = in->offset + in->length, size = (uint64_t)before.st_size;
    uint64_t last = end < size ? end : size;
    if (fallocate(handle->fd, (int)in->mode, (off_t)in->offset, (off_t)in->length) < 0)
        return errno;
    if (fstat(handle->fd, &after) < 0)
        return errno;
    bool punched = clears && last > in->offset;
    if (punched)
        report_punched(handle->node, in->offset, last - in->offset, &after);
    if (after.st_size != before.st_size)
        report_truncated(handle->node, &after);
    else if (!punched)
        report_times(handle->node, &after); /* nothing changed but the time of last write, as file systems have it */
    if (clears || after.st_size != before.st_size)
        drop_privileges(handle->node, handle->fd, &after);
    reply(request, NULL, 0, NULL, 0);
    return 0;
}

int on_fsync(struct request *request)
{
    const struct fuse_fsync_in *in = (const struct fuse_fsync_in *)request->body;
    const struct handle *handle = (const struct handle *)(uintptr_t)in->fh;
    return hand_over(in->fsync_flags & 1 ? SYNCHRONISE_DATA : SYNCHRONISE, request, handle->fd, 0, 0);
}
