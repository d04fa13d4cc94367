/* Saying what took effect by the paths it has now, once for each name. What has no path any more is not reported. */
#define _GNU_SOURCE
#include "filter.h"

#include <stdlib.h>
#include <string.h>

static struct path path; /* under the lock there is one report at a time */
static struct extended extended;

static const struct extended *all_extended(int fd, const char *link)
{
    if (read_extended(fd, link, &extended) != 0)
        extended.size = 0;
    return &extended;
}

/* As lists of names compare: what ends a name comes before all that a name can hold. */
static int by_components(const void *one, const void *other)
{
    const unsigned char *a = (const unsigned char *)(*(struct path *const *)one)->text;
    const unsigned char *b = (const unsigned char *)(*(struct path *const *)other)->text;
    while (*a && *a == *b)
        a++, b++;
    return (*a == '/' ? 1 : *a) - (*b == '/' ? 1 : *b);
}

static void append_under_every_name(const struct node *node, struct record *record)
{
    struct path *several[256];
    size_t found = 0;
    if (node->root != NULL || node->places == NULL || node->places->next == NULL) {
        if (node_path(node, &path)) {
            record->path = &path;
            ring_append(record);
        }
        return;
    }
    for (const struct place *place = node->places; place != NULL; place = place->next) {
        if (!place_path(place, &path))
            continue;
        struct path *copy = found < 256 ? malloc(offsetof(struct path, text) + path.size + 1) : NULL;
        record->path = &path;
        if (copy == NULL) /* so many names: in any order */
            ring_append(record);
        else
            several[found++] = memcpy(copy, &path, offsetof(struct path, text) + path.size + 1);
    }
    qsort(several, found, sizeof *several, by_components);
    for (size_t i = 0; i < found; i++) {
        record->path = several[i];
        ring_append(record);
        free(several[i]);
    }
}

static void append_made(enum kind kind, const struct node *node, const struct stat *status, const char *target,
                        const struct extended *with)
{
    struct record record = {.kind = kind, .path = &path, .status = status};
    if (!node_path(node, &path))
        return;
    if (target != NULL) {
        record.second = target;
        record.second_size = strlen(target);
    }
    if (with != NULL) {
        record.data = with->bytes;
        record.data_size = with->size;
    }
    ring_append(&record);
}

/* What was just made has attributes only if its directory handed some down. */
void report_created(const struct node *node, const struct stat *status, int fd, bool listed)
{
    append_made(CREATE_FILE, node, status, NULL, listed ? all_extended(fd, NULL) : NULL);
}

void report_made_directory(const struct node *node, const struct stat *status, int fd, bool listed)
{
    append_made(MAKE_DIRECTORY, node, status, NULL, listed ? all_extended(fd, NULL) : NULL);
}

void report_made_link(const struct node *node, const char *target, const struct stat *status, const char *link)
{
    append_made(MAKE_SYMBOLIC_LINK, node, status, target, all_extended(-1, link));
}

void report_written(const struct node *node, uint64_t offset, const void *data, size_t size, const struct stat *status)
{
    struct record record = {.kind = WRITE, .number = offset, .data = data, .data_size = size, .status = status};
    append_under_every_name(node, &record);
}

void report_punched(const struct node *node, uint64_t offset, uint64_t size, const struct stat *status)
{
    struct record record = {.kind = PUNCH_HOLE, .number = offset, .data = &size, .data_size = sizeof size, .status = status};
    append_under_every_name(node, &record);
}

void report_truncated(const struct node *node, const struct stat *status)
{
    struct record record = {.kind = TRUNCATE, .number = (uint64_t)status->st_size, .status = status};
    append_under_every_name(node, &record);
}

void report_metadata(const struct node *node, const struct stat *status, int fd, const char *link)
{
    const struct extended *with = all_extended(fd, link);
    struct record record = {.kind = SET_METADATA, .status = status, .data = with->bytes, .data_size = with->size};
    append_under_every_name(node, &record);
}

void report_times(const struct node *node, const struct stat *status)
{
    struct record record = {.kind = SET_TIMES, .status = status};
    append_under_every_name(node, &record);
}

/* The other name may lie beneath another root; which one, the record's number says. */
static void append_pair(enum kind kind, const struct path *one, const struct path *other)
{
    ring_append(&(struct record){.kind = kind, .path = one, .second = other->text, .second_size = other->size,
                                 .number = (uint64_t)other->root});
}

void report_linked(const struct path *new, const struct path *existing) { append_pair(MAKE_HARD_LINK, new, existing); }

void report_renamed(const struct path *old, const struct path *new) { append_pair(RENAME, old, new); }

void report_removed(const struct path *gone, bool directory)
{
    ring_append(&(struct record){.kind = directory ? REMOVE_DIRECTORY : REMOVE_FILE, .path = gone});
}
