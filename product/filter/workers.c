/* What waits for a disk, in threads of its own: nobody else's request waits with it. */
#define _GNU_SOURCE
#include "filter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define WORKERS 8

struct job {
    struct job *next;
    enum work work;
    int device, fd;
    uint64_t unique, offset;
    uint32_t size;
};

static struct job *first, **last = &first;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;

static struct job *next_job(void)
{
    pthread_mutex_lock(&lock);
    while (first == NULL)
        pthread_cond_wait(&more, &lock);
    struct job *job = first;
    first = job->next;
    if (first == NULL)
        last = &first;
    pthread_mutex_unlock(&lock);
    return job;
}

static void read_bytes(const struct job *job, char *bytes)
{
    size_t done = 0;
    ssize_t step = 1;
    while (done < job->size && step > 0) {
        step = pread(job->fd, bytes + done, job->size - done, (off_t)(job->offset + done));
        done += step > 0 ? (size_t)step : 0;
    }
    int error = step < 0 && done == 0 ? errno : 0;
    reply_late(job->device, job->unique, error, bytes, done);
}

static void synchronise(const struct job *job)
{
    struct fuse_write_out out = {.size = job->size};
    int done = job->work == SYNCHRONISE ? fsync(job->fd) : fdatasync(job->fd);
    bool write = job->work == SYNCHRONISE_WRITE;
    reply_late(job->device, job->unique, done < 0 ? errno : 0, write ? &out : NULL, write ? sizeof out : 0);
}

static void *work(void *bytes)
{
    for (;;) {
        struct job *job = next_job();
        if (job->work == READ_BYTES)
            read_bytes(job, bytes);
        else
            synchronise(job);
        close(job->fd);
        free(job);
    }
    return NULL;
}

int start_workers(void)
{
    for (int i = 0; i < WORKERS; i++) {
        pthread_t thread;
        void *bytes = malloc(MOST_WRITE);
        int error = bytes == NULL ? ENOMEM : pthread_create(&thread, NULL, work, bytes);
        if (error)
            return error;
        pthread_detach(thread);
    }
    return 0;
}

int hand_over(enum work work, const struct request *request, int fd, uint64_t offset, uint32_t size)
{
    struct job *job = malloc(sizeof *job);
    int own = job == NULL ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0) {
        int error = job == NULL ? ENOMEM : errno;
        free(job);
        return error;
    }
    *job = (struct job){NULL, work, request->root->device, own, request->in->unique, offset, size};
    pthread_mutex_lock(&lock);
    *last = job;
    last = &job->next;
    pthread_cond_signal(&more);
    pthread_mutex_unlock(&lock);
    return 0;
}
