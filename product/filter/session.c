/* The conversation with the kernel about one mount: its requests one after the other, each answered.
 *
 * It speaks the kernel's protocol itself (linux/fuse.h), without libfuse: of what it needs, libfuse 3.14 cannot ask for
 * FUSE_HANDLE_KILLPRIV_V2, without which the kernel asks for an attribute before each write.
 */
#define _GNU_SOURCE
#include "filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef FUSE_HANDLE_KILLPRIV_V2
#define FUSE_HANDLE_KILLPRIV_V2 (1 << 28)
#endif

#define OLDEST_MINOR 28 /* Linux 4.20 */
#define BUFFER (MOST_WRITE + 65536)
#define WANTED                                                                                                          \
    (FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_AUTO_INVAL_DATA |                   \
     FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_HANDLE_KILLPRIV_V2)

struct node *node_of(const struct request *request, uint64_t number)
{
    return number == FUSE_ROOT_ID ? request->root->node : (struct node *)(uintptr_t)number;
}

/* The name behind the fixed part of a request; an empty one, which nothing has, when there is none. */
const char *name_after(const struct request *request, size_t offset)
{
    bool ends = offset < request->size && memchr(request->body + offset, '\0', request->size - offset) != NULL;
    return ends ? request->body + offset : "";
}

static int answer(int device, uint64_t unique, int error, const struct iovec *parts, int count)
{
    struct iovec all[3];
    struct fuse_out_header out = {.len = sizeof out, .error = -error, .unique = unique};
    all[0] = (struct iovec){&out, sizeof out};
    for (int i = 0; i < count; i++) {
        all[i + 1] = parts[i];
        out.len += (uint32_t)parts[i].iov_len;
    }
    return writev(device, all, count + 1) < 0 ? errno : 0;
}

static void settle(struct request *request)
{
    if (request->changing)
        change_ends();
    request->changing = false;
}

int reply(struct request *request, const void *first, size_t first_size, const void *second, size_t second_size)
{
    struct iovec parts[2] = {{(void *)(uintptr_t)first, first_size}, {(void *)(uintptr_t)second, second_size}};
    settle(request);
    /* ENOENT: the application was killed and waits no more. */
    return answer(request->root->device, request->in->unique, 0, parts, second_size ? 2 : first_size ? 1 : 0);
}

int reply_late(int device, uint64_t unique, int error, const void *data, size_t size)
{
    struct iovec part = {(void *)(uintptr_t)data, size};
    return answer(device, unique, error, &part, error == 0 && size ? 1 : 0);
}

void fill_attributes(struct fuse_attr *to, const struct stat *status)
{
    *to = (struct fuse_attr){.ino = status->st_ino,
                             .size = (uint64_t)status->st_size,
                             .blocks = (uint64_t)status->st_blocks,
                             .atime = (uint64_t)status->st_atim.tv_sec,
                             .mtime = (uint64_t)status->st_mtim.tv_sec,
                             .ctime = (uint64_t)status->st_ctim.tv_sec,
                             .atimensec = (uint32_t)status->st_atim.tv_nsec,
                             .mtimensec = (uint32_t)status->st_mtim.tv_nsec,
                             .ctimensec = (uint32_t)status->st_ctim.tv_nsec,
                             .mode = status->st_mode,
                             .nlink = (uint32_t)status->st_nlink,
                             .uid = status->st_uid,
                             .gid = status->st_gid,
                             .rdev = (uint32_t)status->st_rdev,
                             .blksize = (uint32_t)status->st_blksize};
}

int reply_entry(struct request *request, struct node *node, const struct stat *status, const void *more, size_t size)
{
    struct fuse_entry_out out = {
        .nodeid = (uint64_t)(uintptr_t)node, .entry_valid = REMEMBERED, .attr_valid = REMEMBERED};
    fill_attributes(&out.attr, status);
    node->lookups++;
    if (reply(request, &out, sizeof out, more, size) != 0)
        node_forget(node, 1);
    return 0;
}

static int on_init(struct request *request)
{
    const struct fuse_init_in *in = (const struct fuse_init_in *)request->body;
    struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION};
    if (in->major > FUSE_KERNEL_VERSION) {
        reply(request, &out, sizeof out, NULL, 0); /* the kernel asks again */
        return 0;
    }
    if (in->major < FUSE_KERNEL_VERSION || in->minor < OLDEST_MINOR)
        return EPROTO;
    out.minor = in->minor < out.minor ? in->minor : out.minor;
    out.flags = in->flags & (WANTED | (the.extended ? FUSE_POSIX_ACL : 0));
    out.max_readahead = in->max_readahead;
    out.max_background = 64;
    out.congestion_threshold = 48;
    out.max_write = MOST_WRITE;
    out.max_pages = MOST_WRITE / 4096;
    out.time_gran = 1;
    reply(request, &out, sizeof out, NULL, 0);
    return 0;
}

static int on_destroy(struct request *request)
{
    reply(request, NULL, 0, NULL, 0);
    return 0;
}

static int on_forget(struct request *request)
{
    const struct fuse_forget_in *in = (const struct fuse_forget_in *)request->body;
    if (request->in->nodeid != FUSE_ROOT_ID)
        node_forget(node_of(request, request->in->nodeid), in->nlookup);
    return 0;
}

static int on_batch_forget(struct request *request)
{
    const struct fuse_batch_forget_in *in = (const struct fuse_batch_forget_in *)request->body;
    const struct fuse_forget_one *each = (const struct fuse_forget_one *)(in + 1);
    size_t most = (request->size - sizeof *in) / sizeof *each;
    for (size_t i = 0; i < in->count && i < most; i++)
        if (each[i].nodeid != FUSE_ROOT_ID)
            node_forget(node_of(request, each[i].nodeid), each[i].nlookup);
    return 0;
}

/* What is not here is answered with ENOSYS: the kernel then does it itself or does without, and asks for most of it never
 * again (flush, poll, interrupt, copy_file_range, which falls back to reads and writes). */
static const struct {
    handler *handle;
    size_t least; /* bytes of the fixed part */
    bool changes;
} table[] = {
    [FUSE_INIT] = {on_init, 16, false},
    [FUSE_DESTROY] = {on_destroy, 0, false},
    [FUSE_FORGET] = {on_forget, sizeof(struct fuse_forget_in), false},
    [FUSE_BATCH_FORGET] = {on_batch_forget, sizeof(struct fuse_batch_forget_in), false},
    [FUSE_LOOKUP] = {on_lookup, 1, false},
    [FUSE_CREATE] = {on_create, sizeof(struct fuse_create_in), true},
    [FUSE_MKNOD] = {on_mknod, sizeof(struct fuse_mknod_in), true},
    [FUSE_MKDIR] = {on_mkdir, sizeof(struct fuse_mkdir_in), true},
    [FUSE_UNLINK] = {on_unlink, 1, true},
    [FUSE_RMDIR] = {on_rmdir, 1, true},
    [FUSE_RENAME] = {on_rename, sizeof(struct fuse_rename_in), true},
    [FUSE_RENAME2] = {on_rename2, sizeof(struct fuse_rename2_in), true},
    [FUSE_LINK] = {on_link, sizeof(struct fuse_link_in), true},
    [FUSE_SYMLINK] = {on_symlink, 2, true},
    [FUSE_READLINK] = {on_readlink, 0, false},
    [FUSE_GETATTR] = {on_getattr, sizeof(struct fuse_getattr_in), false},
    [FUSE_SETATTR] = {on_setattr, sizeof(struct fuse_setattr_in), true},
    [FUSE_STATFS] = {on_statfs, 0, false},
    [FUSE_GETXATTR] = {on_getxattr, sizeof(struct fuse_getxattr_in), false},
    [FUSE_LISTXATTR] = {on_listxattr, sizeof(struct fuse_getxattr_in), false},
    [FUSE_SETXATTR] = {on_setxattr, 8, true},
    [FUSE_REMOVEXATTR] = {on_removexattr, 1, true},
    [FUSE_OPEN] = {on_open, sizeof(struct fuse_open_in), true},
    [FUSE_READ] = {on_read, sizeof(struct fuse_read_in), false},
    [FUSE_WRITE] = {on_write, sizeof(struct fuse_write_in), true},
    [FUSE_RELEASE] = {on_release, sizeof(struct fuse_release_in), false},
    [FUSE_FSYNC] = {on_fsync, sizeof(struct fuse_fsync_in), false},
    [FUSE_FALLOCATE] = {on_fallocate, sizeof(struct fuse_fallocate_in), true},
    [FUSE_LSEEK] = {on_lseek, sizeof(struct fuse_lseek_in), false},
    [FUSE_OPENDIR] = {on_opendir, sizeof(struct fuse_open_in), false},
    [FUSE_READDIR] = {on_readdir, sizeof(struct fuse_read_in), false},
    [FUSE_RELEASEDIR] = {on_releasedir, sizeof(struct fuse_release_in), false},
    [FUSE_FSYNCDIR] = {on_fsyncdir, sizeof(struct fuse_fsync_in), false},
};

static void carry_out(struct request *request)
{
    uint32_t opcode = request->in->opcode;
    bool known = opcode < sizeof table / sizeof *table && table[opcode].handle != NULL;
    int error = known ? EIO : ENOSYS;
    if (opcode == FUSE_INTERRUPT && !known)
        return; /* what it would stop is soon over */
    if (known && request->size >= table[opcode].least) {
        request->changing = table[opcode].changes;
        if (request->changing)
            change_begins();
        error = table[opcode].handle(request);
    }
    settle(request);
    if (error != 0 && opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET)
        reply_late(request->root->device, request->in->unique, error, NULL, 0);
}

void *serve(void *argument)
{
    struct root *root = argument;
    char *buffer = aligned_alloc(4096, BUFFER);
    while (buffer != NULL) {
        ssize_t size = read(root->device, buffer, BUFFER);
        if (size < 0 && (errno == ENOENT || errno == EINTR || errno == EAGAIN))
            continue; /* the application was killed before its request was read */
        if (size < (ssize_t)sizeof(struct fuse_in_header))
            break;
        const struct fuse_in_header *in = (const struct fuse_in_header *)buffer;
        struct request request = {.root = root, .in = in, .body = buffer + sizeof *in, .size = (size_t)size - sizeof *in};
        pthread_mutex_lock(&the.lock);
        carry_out(&request);
        pthread_mutex_unlock(&the.lock);
    }
    free(buffer);
    root->ended = true;
    control_say("ended %d", root->index);
    return NULL;
}
