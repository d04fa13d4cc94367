/* bodydouble-filter --daemon FD --ring BYTES [--plain] [--] DIRECTORY...
 *
 * Started by the daemon, with one end of a socket pair. Mounts over each directory, says so there and serves until it is
 * told to stop; what went wrong before that it says there, too.
 */
#define _GNU_SOURCE
#include "filter.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define LEAST_RING (16u << 20)
#define MOST_RING (1ull << 32)

struct filter the = {.extended = true, .lock = PTHREAD_MUTEX_INITIALIZER};

static int daemon_end = -1;

static int refuse(const char *where, const char *what)
{
    char text[MOST_PATH_BYTES + 256];
    int size = snprintf(text, sizeof text, "error %s: %s", where, what);
    if (daemon_end < 0)
        fprintf(stderr, "bodydouble-filter: %s: %s\n", where, what);
    else
        send(daemon_end, text, size < (int)sizeof text ? (size_t)size : sizeof text - 1, MSG_NOSIGNAL);
    return 1;
}

static int add_root(const char *path)
{
    size_t characters = 0;
    if (the.root_count == MOST_ROOTS || path[0] != '/' || !is_text(path, strlen(path), &characters))
        return EINVAL;
    struct root *root = &the.roots[the.root_count];
    *root = (struct root){.path = path, .characters = characters, .index = the.root_count, .device = -1};
    root->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat status;
    if (root->fd < 0 || fstat(root->fd, &status) < 0)
        return errno;
    root->node = node_for_root(root, &status);
    the.root_count++;
    return 0;
}

static int mount_over(struct root *root, const char *name)
{
    char options[128];
    struct stat status;
    root->device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (root->device < 0 || fstat(root->fd, &status) < 0)
        return errno;
    snprintf(options, sizeof options, "fd=%d,rootmode=%o,user_id=0,group_id=0,default_permissions,allow_other",
             root->device, status.st_mode & S_IFMT);
    if (mount(name, root->path, "fuse.bodydouble", MS_NOSUID | MS_NODEV, options) < 0)
        return errno;
    return pthread_create(&root->thread, NULL, serve, root);
}

static void take_away(int count)
{
    for (int i = 0; i < count; i++)
        umount2(the.roots[i].path, MNT_DETACH);
}

#define URGENT (-10) /* every request is one that an application waits for; the daemon can wait */

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

/* As many descriptors as there can be, no umask, and nothing that ends this program before its time: applications hang on
 * it. When memory is short, the kernel must not wait for pages that only this program can write. */
static void settle_down(void)
{
    struct rlimit limit = {1 << 20, 1 << 20};
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    setpriority(PRIO_PROCESS, 0, URGENT); /* of this thread, and so of those that it starts */
    umask(0);
    prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0); /* since Linux 5.6; before that there is no help */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (write(fd, "-1000", 5) < 0)
            errno = 0; /* not allowed here: then it takes its chances */
        close(fd);
    }
}

static int begin(char **roots)
{
    char name[64];
    for (; *roots != NULL; roots++) {
        int error = add_root(*roots);
        if (error)
            return refuse(*roots, strerror(error));
    }
    int error = control_listen(name, sizeof name);
    if (error == 0)
        error = learn_hard_links();
    if (error == 0)
        error = start_workers();
    for (int i = 0; error == 0 && i < the.root_count; i++) {
        error = mount_over(&the.roots[i], name);
        if (error) {
            take_away(i);
            return refuse(the.roots[i].path, strerror(error));
        }
    }
    return error ? refuse(the.roots[0].path, strerror(error)) : 0;
}

int main(int count, char **arguments)
{
    static const struct option options[] = {
        {"daemon", required_argument, NULL, 'd'}, {"ring", required_argument, NULL, 'r'}, {"plain", no_argument, NULL, 'p'}, {0}};
    unsigned long long ring = 0;
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
        if (option == 'd')
            daemon_end = atoi(optarg);
        else if (option == 'r')
            ring = strtoull(optarg, NULL, 10);
        else if (option == 'p')
            the.extended = false;
        else
            return 2;
    }
    if (daemon_end < 3 || optind == count || ring < LEAST_RING || ring > MOST_RING || ring % 4096) {
        fprintf(stderr, "bodydouble-filter is started by the Bodydouble daemon, not by hand\n");
        return 2;
    }
    fcntl(daemon_end, F_SETFD, FD_CLOEXEC);
    settle_down();
    int error = ring_open((size_t)ring);
    if (error)
        return refuse("ring", strerror(error));
    if (begin(arguments + optind) != 0)
        return 1;
    int status = control_loop(daemon_end);
    _exit(status); /* the kernel ends what is still mounted */
}
