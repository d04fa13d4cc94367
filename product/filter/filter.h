/* The filter program: what its parts share.
 *
 * It stands between applications and the protected directories as a FUSE file system that passes every request on to the
 * directory beneath the mount, and notes each change in a ring of memory that the daemon reads. All requests of all roots
 * are served under one lock, so a change and its record are one step and the order of records is an order of the changes.
 * What waits for a disk (fsync, reading what is not cached) goes to worker threads, outside of the lock.
 */
#ifndef BODYDOUBLE_FILTER_H
#define BODYDOUBLE_FILTER_H

#include <limits.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define MOST_ROOTS 64
#define MOST_PATH_CHARACTERS 4096
#define MOST_PATH_BYTES (4 * MOST_PATH_CHARACTERS)
#define MOST_NAME_BYTES 255
#define MOST_WRITE (1u << 20)
#define MOST_EXTENDED_BYTES (256u * 1024)
/* Seconds for which the kernel may remember names and attributes. The product says what it changes beneath the mounts; this
 * is for what others do there, and for a daemon that crashed before it said so. */
#define REMEMBERED 1

/* --- what is protected (main.c) --- */

struct root {
    const char *path;
    size_t characters; /* of the path, as people count them */
    int fd;            /* the directory, opened before it was mounted over */
    int device;        /* /dev/fuse */
    int index;
    bool ended; /* it was unmounted */
    struct node *node;
    pthread_t thread;
};

struct filter {
    struct root roots[MOST_ROOTS];
    int root_count;
    bool extended; /* whether applications may use extended attributes */
    pthread_mutex_t lock;
};

extern struct filter the;

/* --- what the kernel's inode numbers stand for (nodes.c) --- */

/* What tells one backing file from another. The kind is part of it because an inode number may be used again for another
 * kind of file while the kernel still remembers the removed one. */
struct key {
    dev_t device;
    ino_t inode;
    mode_t kind;
};

struct place {
    struct place *next;
    struct node *parent;
    char name[];
};

struct handle {
    struct handle *next;
    struct node *node;
    int fd;
    bool synchronous;
};

struct node {
    struct node *chain;   /* others with the same hash */
    struct key key;
    struct root *root;    /* set for the node of a root only */
    struct place *places; /* its names, the likeliest first; none for roots and for what was removed */
    struct handle *handles; /* newest first */
    uint64_t lookups;     /* how many times the kernel was told of it and has not forgotten it */
    uint32_t children;    /* places of other nodes that lie in this one */
    bool pinned;          /* kept although the kernel does not know it, because of the names that lead through it */
    bool hashed;
    int fd;               /* of a directory, when it is cached */
    struct node *newer, *older;
};

/* Where something is: which root, and its path beneath it. */
struct path {
    int root;
    size_t size;
    char text[MOST_PATH_BYTES + 1];
};

struct key key_of(const struct stat *status);
bool same_key(const struct key *one, const struct key *other);
struct node *node_for_root(struct root *root, const struct stat *status);
struct node *node_find(const struct stat *status);
struct node *node_looked_up(struct node *parent, const char *name, const struct stat *status);
struct node *node_made(struct node *parent, const char *name, const struct stat *status);
void node_pin(struct node *node);
void node_moved(const struct stat *status, struct node *from, const char *old, struct node *to, const char *new);
void node_removed(const struct stat *status, struct node *parent, const char *name);
void node_forget(struct node *node, uint64_t lookups);
bool node_orphaned(const struct node *node);
bool node_path(const struct node *node, struct path *path);
bool path_below(const struct node *directory, const char *name, struct path *path);
bool place_path(const struct place *place, struct path *path);
int directory_fd(struct node *node);
void handle_attach(struct handle *handle, struct node *node);
void handle_detach(struct handle *handle);

/* --- what product form can say (names.c) --- */

bool is_text(const char *bytes, size_t size, size_t *characters);
int check_new_name(const struct node *directory, const char *name);
bool known_name(const char *name);
bool sayable(int directory, const char *name, const struct stat *status);

/* --- extended attributes (extended.c) --- */

struct extended {
    size_t size;
    unsigned char bytes[MOST_EXTENDED_BYTES + 65536];
};

bool replicated(const char *name);
/* Of an open file, or (fd < 0) of the path of something that may be a symbolic link and is not followed. */
int read_extended(int fd, const char *path, struct extended *into);
size_t weigh_extended(const struct extended *extended, const char *except);
bool hands_down(int directory);

/* --- the ring (ring.c) --- */

enum kind {
    PAD = 0,
    MAKE_DIRECTORY,
    CREATE_FILE,
    WRITE,
    TRUNCATE,
    RENAME,
    REMOVE_FILE,
    REMOVE_DIRECTORY,
    SET_METADATA,
    SET_TIMES,
    MAKE_HARD_LINK,
    MAKE_SYMBOLIC_LINK,
    PUNCH_HOLE,
};

struct record {
    enum kind kind;
    const struct path *path;
    const char *second; /* new name, existing name or target */
    size_t second_size;
    uint64_t number; /* offset or length */
    const struct stat *status;
    const void *data;
    size_t data_size;
};

int ring_open(size_t size);
int ring_memory(void);
int ring_bell(void);
size_t ring_size(void);
void change_begins(void);
void change_ends(void);
void ring_append(const struct record *record);

/* --- saying what took effect, once for each name (report.c) --- */

void report_created(const struct node *node, const struct stat *status, int fd, bool listed);
void report_made_directory(const struct node *node, const struct stat *status, int fd, bool listed);
void report_written(const struct node *node, uint64_t offset, const void *data, size_t size, const struct stat *status);
void report_punched(const struct node *node, uint64_t offset, uint64_t size, const struct stat *status);
void report_truncated(const struct node *node, const struct stat *status);
void report_metadata(const struct node *node, const struct stat *status, int fd, const char *link);
void report_times(const struct node *node, const struct stat *status);
void report_linked(const struct path *path, const struct path *existing);
void report_made_link(const struct node *node, const char *target, const struct stat *status, const char *link);
void report_renamed(const struct path *old, const struct path *new);
void report_removed(const struct path *path, bool directory);

/* --- files that have several names already (hard_links.c) --- */

int learn_hard_links(void);

/* --- requests (session.c and the handlers) --- */

struct request {
    struct root *root;
    const struct fuse_in_header *in;
    const char *body;
    size_t size;
    bool changing;
};

/* A handler answers and gives 0, or gives the error number to answer with. */
typedef int handler(struct request *request);

void *serve(void *root);
int reply(struct request *request, const void *first, size_t first_size, const void *second, size_t second_size);
int reply_late(int device, uint64_t unique, int error, const void *data, size_t size);
int reply_entry(struct request *request, struct node *node, const struct stat *status, const void *more, size_t size);
void fill_attributes(struct fuse_attr *attributes, const struct stat *status);
struct node *node_of(const struct request *request, uint64_t number);
const char *name_after(const struct request *request, size_t offset);

int status_of(struct node *node, struct stat *status);
int open_node(struct node *node, int access);
int descriptor_for(struct node *node, const struct handle *handle, int access, bool *own);
int set_length(struct node *node, int fd, uint64_t size);
void drop_privileges(struct node *node, int fd, const struct stat *status);
void link_place(char *into, size_t size, int directory, const char *name);
int admit(struct node *node, int fd, uint32_t flags, struct fuse_open_out *out);
int open_and_admit(struct node *node, uint32_t flags, struct fuse_open_out *out);

handler on_lookup, on_create, on_mknod, on_mkdir, on_unlink, on_rmdir, on_rename, on_rename2, on_link, on_symlink,
    on_readlink;
handler on_getattr, on_setattr, on_statfs, on_getxattr, on_listxattr, on_setxattr, on_removexattr;
handler on_open, on_read, on_write, on_release, on_fsync, on_fallocate, on_lseek;
handler on_opendir, on_readdir, on_releasedir, on_fsyncdir;

/* --- what waits for a disk (workers.c) --- */

enum work { READ_BYTES, SYNCHRONISE, SYNCHRONISE_DATA, SYNCHRONISE_WRITE };

int start_workers(void);
/* Takes the work over with a descriptor of its own; gives an error number when it cannot. */
int hand_over(enum work work, const struct request *request, int fd, uint64_t offset, uint32_t size);

/* --- the daemon (control.c) --- */

/* The product changed these beneath the mounts (stale.c). */
void forget_stale(char *text);

int control_listen(char *name, size_t size);
int control_loop(int first);
void control_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
