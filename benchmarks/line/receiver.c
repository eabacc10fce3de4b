/*
 * A receiver that is never the bottleneck: one thread, epoll, keep-alive, pipelining.
 *
 *     receiver PORT LEDGER
 *
 * It looks for "serial":NNN in each body and notes in the mapped file LEDGER when each serial first came:
 * word 0 counts serials, word 1 repeats, word 2 requests; word 8 + (serial - 100,000,000) is its CLOCK_MONOTONIC nanosecond.
 * A serial counts before its 2xx is written. The path sets the mood:
 *
 *     /ok    204                      /busy   429 with Retry-After: 1
 *     /mute  never an answer          /slow   a byte of an answer each half second
 *
 * Only /ok enters serials.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FIRST = 8, FIRST_SERIAL = 100000000, ROOM = 4 << 20, EVENTS = 256, MOST = 65536 };

struct peer {
    char *data;
    size_t held, size;
    int slow; /* bytes of the slow answer already written, plus one; 0 for a peer that is not slow */
};

static struct peer peers[MOST];
static volatile uint64_t *ledger;
static uint64_t most_serials;
static const char OK[] = "HTTP/1.1 204 No Content\r\n\r\n";
static const char BUSY[] = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
static const char SLOW[] = "HTTP/1.1 200 OK\r\nx-filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void enter(const char *body, size_t length, uint64_t when) {
    static const char KEY[] = "\"serial\":";
    const char *end = body + length, *at = body;
    while ((at = memmem(at, (size_t)(end - at), KEY, sizeof KEY - 1))) {
        uint64_t serial = 0;
        for (at += sizeof KEY - 1; at < end && *at >= '0' && *at <= '9'; at++) serial = serial * 10 + (uint64_t)(*at - '0');
        serial -= FIRST_SERIAL; /* what is smaller wraps round to what is too large */
        if (serial >= most_serials) continue;
        if (ledger[FIRST + serial]) {
            ledger[1]++;
        } else {
            ledger[FIRST + serial] = when;
            ledger[0]++;
        }
    }
}

static void drop(int fd) {
    close(fd);
    free(peers[fd].data);
    peers[fd] = (struct peer){0};
}

/* The bytes of the first whole request, 0 when there is none yet; its body begins at *body. */
static size_t request(struct peer *peer, char **body, size_t *length) {
    char *end = memmem(peer->data, peer->held, "\r\n\r\n", 4);
    if (!end) return 0;
    *end = 0;
    char *field = strcasestr(peer->data, "\r\ncontent-length:");
    *length = field ? strtoul(field + 17, NULL, 10) : 0;
    *end = '\r';
    *body = end + 4;
    size_t whole = (size_t)(*body - peer->data) + *length;
    return whole <= peer->held ? whole : 0;
}

static int answer(int fd, const char *text, size_t length) {
    return write(fd, text, length) == (ssize_t)length;
}

static int serve(int fd) {
    struct peer *peer = &peers[fd];
    char *body;
    size_t length, whole, done = 0;
    uint64_t when = now();
    static char answers[1 << 16];
    size_t filled = 0;
    struct peer rest = *peer;
    while ((whole = request(&rest, &body, &length))) {
        char mood = rest.held > 7 ? rest.data[6] : 'o'; /* POST /o… */
        ledger[2]++;
        if (mood == 'o') {
            enter(body, length, when);
            memcpy(answers + filled, OK, sizeof OK - 1);
            filled += sizeof OK - 1;
        } else if (mood == 'b') {
            memcpy(answers + filled, BUSY, sizeof BUSY - 1);
            filled += sizeof BUSY - 1;
        } else if (mood == 's') {
            peer->slow = 1;
        }
        done += whole;
        rest.data += whole;
        rest.held -= whole;
        if (filled > sizeof answers - 256) {
            if (!answer(fd, answers, filled)) return 0;
            filled = 0;
        }
    }
    memmove(peer->data, peer->data + done, peer->held - done);
    peer->held -= done;
    return !filled || answer(fd, answers, filled);
}

static int take(int fd) {
    struct peer *peer = &peers[fd];
    if (peer->held + 2048 > peer->size) {
        peer->size = peer->size ? peer->size * 2 : 8192;
        if (peer->size > ROOM || !(peer->data = realloc(peer->data, peer->size))) return 0;
    }
    ssize_t came = read(fd, peer->data + peer->held, peer->size - peer->held - 1);
    if (came < 0 && errno == EAGAIN) return 1;
    if (came <= 0) return 0;
    peer->held += (size_t)came;
    return serve(fd);
}

static void trickle(void) {
    for (int fd = 0; fd < MOST; fd++) {
        struct peer *peer = &peers[fd];
        if (peer->slow && peer->slow < (int)sizeof SLOW && write(fd, SLOW + peer->slow++ - 1, 1) != 1) drop(fd);
    }
}

static int listening(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 4096)) fail("listen");
    return fd;
}

static void map(const char *path) {
    struct stat status;
    int fd = open(path, O_RDWR);
    if (fd < 0 || fstat(fd, &status)) fail(path);
    ledger = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (ledger == MAP_FAILED) fail("mmap");
    most_serials = (uint64_t)status.st_size / 8 - FIRST;
}

int main(int argc, char **argv) {
    if (argc != 3) return fputs("usage: receiver PORT LEDGER\n", stderr), 2;
    signal(SIGPIPE, SIG_IGN);
    map(argv[2]);
    int door = listening(atoi(argv[1])), poll = epoll_create1(0), on = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = door}, events[EVENTS];
    epoll_ctl(poll, EPOLL_CTL_ADD, door, &event);
    for (uint64_t next = now();;) {
        int count = epoll_wait(poll, events, EVENTS, 250);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd != door) {
                if (!take(fd)) drop(fd);
                continue;
            }
            while ((fd = accept4(door, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                if (fd >= MOST) { close(fd); continue; }
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                event = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
                epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
            }
        }
        if (now() >= next) {
            trickle();
            next = now() + 500000000u;
        }
    }
}
