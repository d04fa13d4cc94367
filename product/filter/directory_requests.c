/* Listing directories. A listing is taken when its reading starts, so that changes meanwhile skip no entry. */
#define _GNU_SOURCE
#include "filter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Entries as the kernel takes them, one after the other, each saying where the next begins. */
struct listing {
    int fd;
    char *bytes;
    size_t size, room;
};

int on_opendir(struct request *request)
{
    int fd = open_node(node_of(request, request->in->nodeid), O_RDONLY);
    struct listing *listing = fd < 0 ? NULL : calloc(1, sizeof *listing);
    if (listing == NULL) {
        int error = fd < 0 ? errno : ENOMEM;
        if (fd >= 0)
            close(fd);
        return error;
    }
    listing->fd = fd;
    struct fuse_open_out out = {.fh = (uint64_t)(uintptr_t)listing};
    reply(request, &out, sizeof out, NULL, 0);
    return 0;
}

static bool shown(int fd, const struct dirent *entry)
{
    struct stat status;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
        return true;
    if (!known_name(entry->d_name))
        return false;
    if (entry->d_type == DT_REG || entry->d_type == DT_DIR)
        return true;
    return (entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN) &&
           fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && sayable(fd, entry->d_name, &status);
}

static int add(struct listing *listing, const struct dirent *entry)
{
    size_t name_size = strlen(entry->d_name), size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + name_size);
    if (listing->size + size > listing->room) {
        size_t room = 2 * listing->room + 4096;
        char *larger = realloc(listing->bytes, room);
        if (larger == NULL)
            return ENOMEM;
        listing->bytes = larger;
        listing->room = room;
    }
    struct fuse_dirent *to = (struct fuse_dirent *)(listing->bytes + listing->size);
    memset(to, 0, size);
    to->ino = entry->d_ino;
    to->off = listing->size + size;
    to->namelen = (uint32_t)name_size;
    to->type = entry->d_type;
    memcpy(to->name, entry->d_name, name_size);
    listing->size += size;
    return 0;
}

static int take(struct listing *listing)
{
    int error = 0, fd = openat(listing->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (directory == NULL) {
        error = errno;
        if (fd >= 0)
            close(fd);
        return error;
    }
    listing->size = 0;
    for (struct dirent *entry; error == 0 && (errno = 0, entry = readdir(directory)) != NULL;)
        if (shown(fd, entry))
            error = add(listing, entry);
    error = error ? error : errno;
    closedir(directory);
    return error;
}

int on_readdir(struct request *request)
{
    const struct fuse_read_in *in = (const struct fuse_read_in *)request->body;
    struct listing *listing = (struct listing *)(uintptr_t)in->fh;
    int error = in->offset == 0 ? take(listing) : 0;
    if (error)
        return error;
    size_t start = in->offset < listing->size ? (size_t)in->offset : listing->size, end = start;
    while (end < listing->size) {
        const struct fuse_dirent *entry = (const struct fuse_dirent *)(listing->bytes + end);
        if (entry->off - start > in->size)
            break;
        end = (size_t)entry->off;
    }
    reply(request, listing->bytes + start, end - start, NULL, 0);
    return 0;
}

int on_releasedir(struct request *request)
{
    const struct fuse_release_in *in = (const struct fuse_release_in *)request->body;
    struct listing *listing = (struct listing *)(uintptr_t)in->fh;
    close(listing->fd);
    free(listing->bytes);
    free(listing);
    reply(request, NULL, 0, NULL, 0);
    return 0;
}

int on_fsyncdir(struct request *request)
{
    const struct fuse_fsync_in *in = (const struct fuse_fsync_in *)request->body;
    const struct listing *listing = (const struct listing *)(uintptr_t)in->fh;
    return hand_over(in->fsync_flags & 1 ? SYNCHRONISE_DATA : SYNCHRONISE, request, listing->fd, 0, 0);
}
