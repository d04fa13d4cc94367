/* Nodes: files, directories and symbolic links that the kernel knows or that have several names, followed through renames
 * and removals. The table spans all roots, since one file may have names in two of them. */
#define _GNU_SOURCE
#include "filter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEEPEST 4096          /* directories on a path */
#define MOST_DIRECTORIES 8192 /* cached descriptors; more than a path has directories */

static struct node **table;
static size_t buckets, count;
static struct node *newest, *oldest;
static size_t cached;

static void let_go(struct node *node);

static void *must(void *memory)
{
    if (memory == NULL)
        abort(); /* an answer without a node would let changes go unseen */
    return memory;
}

struct key key_of(const struct stat *status)
{
    return (struct key){status->st_dev, status->st_ino, status->st_mode & S_IFMT};
}

bool same_key(const struct key *one, const struct key *other)
{
    return one->inode == other->inode && one->device == other->device && one->kind == other->kind;
}

/* --- by backing file --- */

static size_t hash(const struct key *key)
{
    uint64_t mixed = ((uint64_t)key->inode ^ ((uint64_t)key->device << 32)) * 0x9e3779b97f4a7c15ull;
    return (size_t)(mixed >> 20) & (buckets - 1);
}

static void grow(void)
{
    size_t before = buckets;
    struct node **old = table;
    buckets = before ? 2 * before : 1024;
    table = must(calloc(buckets, sizeof *table));
    for (size_t i = 0; i < before; i++)
        for (struct node *node = old[i], *next; node != NULL; node = next) {
            next = node->chain;
            size_t at = hash(&node->key);
            node->chain = table[at];
            table[at] = node;
        }
    free(old);
}

static void enter(struct node *node)
{
    if (count >= buckets)
        grow();
    size_t at = hash(&node->key);
    node->chain = table[at];
    table[at] = node;
    node->hashed = true;
    count++;
}

static void leave(struct node *node)
{
    if (!node->hashed)
        return;
    struct node **link = &table[hash(&node->key)];
    while (*link != node)
        link = &(*link)->chain;
    *link = node->chain;
    node->hashed = false;
    count--;
}

struct node *node_find(const struct stat *status)
{
    struct key key = key_of(status);
    struct node *node = buckets ? table[hash(&key)] : NULL;
    while (node != NULL && !same_key(&node->key, &key))
        node = node->chain;
    return node;
}

static struct node *make(const struct stat *status)
{
    struct node *node = must(calloc(1, sizeof *node));
    node->key = key_of(status);
    node->fd = -1;
    enter(node);
    return node;
}

struct node *node_for_root(struct root *root, const struct stat *status)
{
    struct node *node = make(status);
    node->root = root;
    node->pinned = true;
    return node;
}

/* --- names --- */

static bool is_at(const struct place *place, const struct node *parent, const char *name)
{
    return place->parent == parent && strcmp(place->name, name) == 0;
}

static void add_place(struct node *node, struct node *parent, const char *name)
{
    size_t size = strlen(name) + 1;
    struct place *place = must(malloc(sizeof *place + size));
    memcpy(place->name, name, size);
    place->parent = parent;
    place->next = node->places;
    node->places = place;
    parent->children++;
}

static void drop_place(struct place **link)
{
    struct place *place = *link;
    struct node *parent = place->parent;
    *link = place->next;
    free(place);
    parent->children--;
    let_go(parent);
}

static bool take_place(struct node *node, const struct node *parent, const char *name)
{
    for (struct place **link = &node->places; *link != NULL; link = &(*link)->next)
        if (is_at(*link, parent, name)) {
            drop_place(link);
            return true;
        }
    return false;
}

/* The product itself may have renamed it beneath the mount: the latest name is the likeliest, and names beyond the number
 * that the file has are gone. */
static void found_at(struct node *node, struct node *parent, const char *name, const struct stat *status)
{
    uint64_t several = S_ISDIR(status->st_mode) ? 1 : status->st_nlink;
    if (node->places == NULL || !is_at(node->places, parent, name)) {
        parent->children++; /* it stays although the old name may have been its last child */
        take_place(node, parent, name);
        add_place(node, parent, name);
        parent->children--;
    }
    struct place **link = &node->places;
    for (uint64_t kept = 0; *link != NULL && kept < (several ? several : 1); kept++)
        link = &(*link)->next;
    while (*link != NULL)
        drop_place(link);
}

struct node *node_looked_up(struct node *parent, const char *name, const struct stat *status)
{
    struct node *node = node_find(status);
    if (node == NULL) {
        node = make(status);
        add_place(node, parent, name);
    } else if (node->root == NULL) {
        found_at(node, parent, name, status);
    }
    return node;
}

/* What has just been made: a node with its inode number is of a file that is gone from beneath the mount. */
struct node *node_made(struct node *parent, const char *name, const struct stat *status)
{
    struct node *old = node_find(status);
    if (old != NULL && old->root == NULL) {
        leave(old);
        old->pinned = true; /* until its names are dropped */
        while (old->places != NULL)
            drop_place(&old->places);
        old->pinned = false;
        let_go(old);
    }
    return node_looked_up(parent, name, status);
}

void node_pin(struct node *node) { node->pinned = true; }

void node_moved(const struct stat *status, struct node *from, const char *old, struct node *to, const char *new)
{
    struct node *node = node_find(status);
    if (node == NULL)
        return;
    to->children++;
    take_place(node, from, old);
    take_place(node, to, new);
    add_place(node, to, new);
    to->children--;
}

void node_removed(const struct stat *status, struct node *parent, const char *name)
{
    struct node *node = node_find(status);
    if (node == NULL || !take_place(node, parent, name) || node->places != NULL)
        return;
    leave(node); /* its inode number may be used again at once */
    node->pinned = false;
    let_go(node);
}

/* Names that the product has changed beneath the mounts may, until they are looked up again, even lead in a circle. */
bool node_orphaned(const struct node *node)
{
    for (int depth = 0; node->root == NULL; node = node->places->parent)
        if (node->places == NULL || ++depth > DEEPEST)
            return true;
    return false;
}

/* --- how long a node is kept --- */

static void forget_descriptor(struct node *node)
{
    if (node->fd < 0)
        return;
    close(node->fd);
    node->fd = -1;
    *(node->newer ? &node->newer->older : &newest) = node->older;
    *(node->older ? &node->older->newer : &oldest) = node->newer;
    node->newer = node->older = NULL;
    cached--;
}

static void let_go(struct node *node)
{
    if (node->lookups || node->children || node->pinned || node->handles)
        return;
    leave(node);
    forget_descriptor(node);
    node->children++; /* not to be let go twice */
    while (node->places != NULL)
        drop_place(&node->places);
    free(node);
}

void node_forget(struct node *node, uint64_t lookups)
{
    node->lookups -= lookups < node->lookups ? lookups : node->lookups;
    let_go(node);
}

void handle_attach(struct handle *handle, struct node *node)
{
    handle->node = node;
    handle->next = node->handles;
    node->handles = handle;
}

void handle_detach(struct handle *handle)
{
    struct handle **link = &handle->node->handles;
    while (*link != handle)
        link = &(*link)->next;
    *link = handle->next;
    let_go(handle->node);
}

/* --- paths --- */

/* Writes from the end towards the beginning; false when a directory above is gone or the path is too long. */
static bool path_upwards(const struct node *node, char *text, size_t *at, int *root)
{
    for (; node->root == NULL; node = node->places->parent) {
        if (node->places == NULL)
            return false;
        size_t size = strlen(node->places->name);
        if (size + 1 > *at)
            return false;
        text[--*at] = '/';
        memcpy(text + (*at -= size), node->places->name, size);
    }
    *root = node->root->index;
    return true;
}

bool path_below(const struct node *directory, const char *name, struct path *path)
{
    size_t size = strlen(name), at = MOST_PATH_BYTES - size;
    if (size > MOST_NAME_BYTES || !path_upwards(directory, path->text, &at, &path->root))
        return false;
    path->size = MOST_PATH_BYTES - at;
    memmove(path->text, path->text + at, MOST_PATH_BYTES - size - at);
    memcpy(path->text + path->size - size, name, size + 1);
    return true;
}

bool place_path(const struct place *place, struct path *path) { return path_below(place->parent, place->name, path); }

/* The first of its names. */
bool node_path(const struct node *node, struct path *path)
{
    if (node->root != NULL) {
        *path = (struct path){.root = node->root->index};
        return true;
    }
    return node->places != NULL && place_path(node->places, path);
}

/* --- descriptors of directories --- */

static void newest_is(struct node *node)
{
    node->newer = NULL;
    node->older = newest;
    *(newest ? &newest->newer : &oldest) = node;
    newest = node;
    cached++;
}

static int descriptor(struct node *node, int depth)
{
    struct stat status;
    if (node->root != NULL)
        return node->root->fd;
    if (node->fd >= 0) {
        int fd = node->fd;
        if (newest != node) {
            *(node->newer ? &node->newer->older : &newest) = node->older;
            *(node->older ? &node->older->newer : &oldest) = node->newer;
            cached--;
            newest_is(node);
        }
        return fd;
    }
    if (node->places == NULL)
        return errno = ENOENT, -1;
    int above = depth < DEEPEST ? descriptor(node->places->parent, depth + 1) : (errno = ELOOP, -1);
    int fd = above < 0 ? -1 : openat(above, node->places->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    struct key key = fstat(fd, &status) == 0 ? key_of(&status) : (struct key){0};
    if (!same_key(&key, &node->key)) {
        close(fd);
        return errno = ESTALE, -1;
    }
    node->fd = fd;
    newest_is(node);
    if (cached > MOST_DIRECTORIES)
        forget_descriptor(oldest);
    return fd;
}

/* Valid until the next call that is not for one of its own directories; it follows its directory through renames. Gives -1
 * with errno: ESTALE when its name now means something else. */
int directory_fd(struct node *node) { return descriptor(node, 0); }
