/*
 * Load for a forwarded port. `load serve ADDR PORT [FILE]` serves: a connection's first byte says what it wants; FILE
 * then holds the time since which it listens. `load down|up ADDR PORT BYTES` prints MB/s; `load keep|new ADDR PORT COUNT` prints the median of a small request in µs, on one
 * connection and on one connection each; `load ready ADDR PORT FILE` prints ms from that time until the port answers.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 1 << 18, REQUEST = 100, ANSWER = 200 };
static char chunk[CHUNK];
static struct sockaddr_in address;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static int whole(int fd, size_t n) {
  while (n > 0) {
    ssize_t k = read(fd, chunk, n < CHUNK ? n : CHUNK);
    if (k <= 0) return -1;
    n -= k;
  }
  return 0;
}

static int out(int fd, size_t n) {
  while (n > 0) {
    ssize_t k = write(fd, chunk, n < CHUNK ? n : CHUNK);
    if (k <= 0) return -1;
    n -= k;
  }
  return 0;
}

static void attend(int c) {
  char want;
  size_t size;
  if (read(c, &want, 1) != 1) return;
  if (want == 'd' && read(c, &size, sizeof size) == sizeof size) out(c, size);
  if (want == 'u') {
    while (read(c, chunk, CHUNK) > 0);
    out(c, 1);
  }
  if (want == 'r') while (whole(c, REQUEST) == 0 && out(c, ANSWER) == 0);
}

static int dial(char want) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct timeval patience = { 20, 0 }; /* some lose a connection at their start */
  if (want == 'r') patience.tv_sec = 1;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) { close(fd); return -1; }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (write(fd, &want, 1) != 1) { close(fd); return -1; }
  return fd;
}

static int ask(int fd) { return out(fd, REQUEST) || whole(fd, ANSWER); }

static int order(const void *a, const void *b) { return *(double *)a < *(double *)b ? -1 : 1; }

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  const char *what = argv[1];
  size_t n = argc > 4 ? strtoull(argv[4], 0, 10) : 0;
  address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(atoi(argv[3])) };
  inet_pton(AF_INET, argv[2], &address.sin_addr);
  signal(SIGPIPE, SIG_IGN);
  if (!strcmp(what, "serve")) {
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s, (struct sockaddr *)&address, sizeof address) < 0 || listen(s, 1024) < 0) return perror("serve"), 1;
    FILE *file = argc > 4 ? fopen(argv[4], "w") : 0;
    if (file) fprintf(file, "%.6f\n", now()), fclose(file);
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
      int c = accept(s, 0, 0);
      if (c < 0) continue;
      setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      if (fork() == 0) { attend(c); _exit(0); }
      close(c);
    }
  }
  double start = now();
  if (!strcmp(what, "ready")) {
    for (;;) {
      int fd = dial('r');
      if (fd >= 0 && ask(fd) == 0) break;
      if (fd >= 0) close(fd);
      if (now() - start > 60) return 1;
      usleep(200);
    }
    double end = now(), since = start;
    FILE *file = argc > 4 ? fopen(argv[4], "r") : 0;
    if (!file || fscanf(file, "%lf", &since) != 1) return fprintf(stderr, "the server has not said since when"), 1;
    printf("%.3f\n", (end - since) * 1e3);
  } else if (!strcmp(what, "down") || !strcmp(what, "up")) {
    int fd = dial(what[0]);
    if (fd < 0) return perror("connect"), 1;
    if (what[0] == 'd') { if (write(fd, &n, sizeof n) < 0 || whole(fd, n)) return 1; }
    else if (out(fd, n) || shutdown(fd, SHUT_WR) || whole(fd, 1)) return fprintf(stderr, "no answer"), 1;
    printf("%.1f\n", n / 1e6 / (now() - start));
  } else {
    double *us = malloc(n * sizeof *us);
    int keep = !strcmp(what, "keep"), fd = keep ? dial('r') : -1;
    for (size_t i = 0; i < n; i++) {
      double t = now();
      if (!keep) fd = dial('r');
      if (fd < 0 || ask(fd)) return perror("request"), 1;
      if (!keep) close(fd);
      us[i] = (now() - t) * 1e6;
    }
    qsort(us, n, sizeof *us, order);
    printf("%.1f\n", us[n / 2]);
  }
  return 0;
}
