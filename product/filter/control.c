/* The daemon: one at a time is connected, over a socket whose name the mounts carry, and root's processes only.
 *
 * A daemon that connects is sent one message that says what is mounted, with the descriptors of the ring, its bell and the
 * directories beneath the mounts. After that the program only says what happens to a mount, and the daemon says what it has
 * changed beneath the mounts, or orders a stop. When the daemon dies, applications go on; the next one connects to the same name.
 */
#define _GNU_SOURCE
#include "filter.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define VERSION 1
#define MOST_MESSAGE (MOST_ROOTS * (MOST_PATH_BYTES + 16) + 256)
#define MOST_ORDER (1u << 17)
#define PATIENCE 5000 /* milliseconds that a daemon has for taking a message */

static int listener = -1;
static _Atomic int daemon_fd = -1;

int control_listen(char *name, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    unsigned char drawn[16];
    if (getrandom(drawn, sizeof drawn, 0) != sizeof drawn)
        return EIO;
    int length = snprintf(name, size, "bodydouble:");
    for (size_t i = 0; i < sizeof drawn; i++)
        length += snprintf(name + length, size - (size_t)length, "%02x", drawn[i]);
    memcpy(address.sun_path + 1, name, (size_t)length); /* abstract: nothing is left behind */
    listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    socklen_t whole = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, whole) < 0 || listen(listener, 8) < 0)
        return errno;
    return 0;
}

void control_say(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t whole = size < (int)sizeof text ? (size_t)size : sizeof text - 1;
    if (daemon_fd >= 0)
        send(daemon_fd, text, whole, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int send_with(int fd, const char *text, size_t size, const int *passed, size_t count)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * (MOST_ROOTS + 2))];
        struct cmsghdr aligned;
    } space = {0};
    struct iovec part = {(void *)(uintptr_t)text, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space.bytes,
                             .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(header), passed, sizeof(int) * count);
    return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)size ? 0 : -1;
}

static int welcome(int fd)
{
    static char text[MOST_MESSAGE];
    int passed[MOST_ROOTS + 2] = {ring_memory(), ring_bell()};
    size_t at = (size_t)snprintf(text, sizeof text, "filter %d\npid %d\nextended %d\nring %zu\n", VERSION, (int)getpid(),
                                 the.extended, ring_size());
    for (int i = 0; i < the.root_count; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "%s %s\n", the.roots[i].ended ? "ended" : "root", the.roots[i].path);
        passed[i + 2] = the.roots[i].fd;
    }
    struct timeval patience = {PATIENCE / 1000, 0};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return send_with(fd, text, at, passed, (size_t)the.root_count + 2);
}

static void adopt(int fd)
{
    int size = MOST_MESSAGE;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (welcome(fd) == 0)
        daemon_fd = fd;
    else
        close(fd);
}

static void accept_daemon(void)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t size = sizeof peer;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != geteuid()) {
        close(fd);
    } else if (daemon_fd >= 0) {
        send(fd, "busy", 4, MSG_NOSIGNAL | MSG_DONTWAIT);
        close(fd);
    } else {
        adopt(fd);
    }
}

/* "stale NUMBER", and lines as forget_stale takes them: done before it is answered. */
static void hear_stale(char *order)
{
    char *lines;
    unsigned long number = strtoul(order + 6, &lines, 10);
    forget_stale(lines);
    control_say("fresh %lu", number);
}

/* False: it ordered this program to stop. */
static bool hear_daemon(void)
{
    static char order[MOST_ORDER + 1];
    int fd = daemon_fd;
    ssize_t size = recv(fd, order, MOST_ORDER, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (size == 4 && memcmp(order, "stop", 4) == 0)
        return false;
    if (size > 6 && memcmp(order, "stale ", 6) == 0) {
        order[size] = '\0';
        hear_stale(order);
        return true;
    }
    daemon_fd = -1; /* it died: applications go on */
    close(fd);
    return true;
}

static bool all_ended(void)
{
    for (int i = 0; i < the.root_count; i++)
        if (!the.roots[i].ended)
            return false;
    return true;
}

static void take_mounts_away(void)
{
    for (int i = 0; i < the.root_count; i++)
        if (!the.roots[i].ended)
            umount2(the.roots[i].path, MNT_DETACH);
}

/* Until the daemon orders a stop, or the last mount is gone and there is nobody left to tell. */
int control_loop(int first_daemon)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    bool told = false;
    adopt(first_daemon);
    for (;;) {
        struct pollfd watched[] = {{listener, POLLIN, 0}, {signals, POLLIN, 0}, {daemon_fd, POLLIN, 0}};
        if (poll(watched, 3, 1000) < 0 && errno != EINTR)
            return 1;
        if (watched[2].fd >= 0 && watched[2].revents && !hear_daemon())
            return 0;
        if (watched[0].revents)
            accept_daemon();
        struct signalfd_siginfo info;
        told = told || (watched[1].revents && read(signals, &info, sizeof info) == sizeof info);
        if (daemon_fd < 0 && all_ended())
            return 0;
        if (daemon_fd < 0 && told) { /* as when the machine goes down: nobody else would do it */
            take_mounts_away();
            return 0;
        }
    }
}
