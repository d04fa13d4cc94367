/* The ring: records of changes in shared memory, written here and read by the daemon.
 *
 * One page of numbers, then the records. Positions count bytes since the beginning and never go back; a record lies at its
 * position modulo the size and never wraps, a PAD fills what is left. `bodydouble/adapters/fuse/ring.py` is the other side
 * and knows the same layout. The rest of the page, and what it makes this memory longer by, are its own: notes that are to
 * last as long as the records (`notes.py`).
 *
 * A full ring holds nobody up: what does not fit is dropped and counted, and the daemon, which finds the count changed,
 * knows that only a mirror can tell what happened.
 */
#define _GNU_SOURCE
#include "filter.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u
#define MAGIC 0x3130474e49524442ull /* "BDRING01" */
#define ALIGN 8u

struct numbers {
    uint64_t magic;
    uint64_t size;
    char apart[48];
    /* Written by this program, in a cache line of their own. */
    _Atomic uint64_t head;    /* end of the last record */
    _Atomic uint64_t begun;   /* changes begun */
    _Atomic uint64_t ended;   /* changes of which everything is recorded */
    _Atomic uint64_t dropped; /* records that found no room */
    char apart_too[32];
    /* Written by the daemon. */
    _Atomic uint64_t tail;    /* everything before it was read */
    _Atomic uint32_t waiting; /* it wants to be woken; taken back here */
};

struct header {
    uint32_t length; /* of the whole record */
    uint16_t kind;
    uint16_t root;
    uint32_t path_size;
    uint32_t second_size;
    uint64_t number;
    int64_t mtime;
    uint32_t uid, gid, mode;
    uint32_t data_size;
};

_Static_assert(offsetof(struct numbers, head) == 64 && offsetof(struct numbers, tail) == 128, "as ring.py has it");
_Static_assert(sizeof(struct header) == 48, "as records.py has it");

static struct numbers *numbers;
static unsigned char *records;
static size_t capacity;
static int memory = -1, bell = -1;
static uint64_t announced; /* how far the daemon was told */

int ring_open(size_t size)
{
    memory = memfd_create("bodydouble-filter", MFD_CLOEXEC);
    bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (memory < 0 || bell < 0 || ftruncate(memory, (off_t)(PAGE + size)) < 0)
        return errno;
    unsigned char *mapped = mmap(NULL, PAGE + size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (mapped == MAP_FAILED)
        return errno;
    numbers = (struct numbers *)mapped;
    records = mapped + PAGE;
    capacity = size;
    numbers->size = size;
    numbers->magic = MAGIC;
    return 0;
}

int ring_memory(void) { return memory; }

int ring_bell(void) { return bell; }

size_t ring_size(void) { return capacity; }

void change_begins(void) { atomic_fetch_add(&numbers->begun, 1); }

/* Everything about the change is recorded: say so, and wake the daemon if it sleeps. */
void change_ends(void)
{
    atomic_fetch_add(&numbers->ended, 1);
    uint64_t marks = atomic_load(&numbers->head) + atomic_load(&numbers->dropped);
    if (marks == announced || !atomic_exchange(&numbers->waiting, 0))
        return;
    announced = marks;
    uint64_t one = 1;
    if (write(bell, &one, sizeof one) < 0)
        return; /* the counter is full: the daemon has enough to wake from */
}

/* Room for a record of that length in one piece; NULL when there is none. */
static unsigned char *make_room(uint64_t *head, size_t length)
{
    uint64_t used = *head - atomic_load_explicit(&numbers->tail, memory_order_acquire);
    size_t at = *head % capacity, rest = capacity - at;
    size_t padding = rest < length ? rest : 0;
    if (used > capacity || capacity - used < padding + length)
        return NULL;
    if (padding) {
        struct header *pad = (struct header *)(records + at);
        pad->length = (uint32_t)padding;
        pad->kind = PAD;
        *head += padding;
    }
    return records + *head % capacity;
}

void ring_append(const struct record *record)
{
    size_t path_size = record->path->size;
    size_t length = sizeof(struct header) + path_size + record->second_size + record->data_size;
    length = (length + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    uint64_t head = atomic_load_explicit(&numbers->head, memory_order_relaxed);
    unsigned char *at = make_room(&head, length);
    if (at == NULL) {
        atomic_fetch_add(&numbers->dropped, 1);
        return;
    }
    struct header header = {.length = (uint32_t)length,
                            .kind = (uint16_t)record->kind,
                            .root = (uint16_t)record->path->root,
                            .path_size = (uint32_t)path_size,
                            .second_size = (uint32_t)record->second_size,
                            .number = record->number,
                            .data_size = (uint32_t)record->data_size};
    if (record->status != NULL) {
        header.mtime = record->status->st_mtim.tv_sec * 1000000000ll + record->status->st_mtim.tv_nsec;
        header.uid = record->status->st_uid;
        header.gid = record->status->st_gid;
        header.mode = record->status->st_mode & 07777;
    }
    memcpy(at, &header, sizeof header);
    at += sizeof header;
    memcpy(at, record->path->text, path_size);
    at += path_size;
    if (record->second_size)
        memcpy(at, record->second, record->second_size);
    at += record->second_size;
    if (record->data_size)
        memcpy(at, record->data, record->data_size);
    atomic_store_explicit(&numbers->head, head + length, memory_order_release);
}
