/*
 * Attacks on a sandbox, each in a process of its own: attack NAME[:ARGUMENT]…
 * Prints one line for each, `NAME[:ARGUMENT] done` or `… ERRNO`, the errno's name being that of errno(3).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <linux/userfaultfd.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <arpa/inet.h>
#include <unistd.h>

#define HIGH (0xabcdL << 32)
#define TRY(call) do { if ((call) < 0) return errno; } while (0)

static const char *arg; /* what stands after the colon */

static int number(void) { return atoi(arg); }

/* ---- namespaces, mounts, roots */

static int child(long pid) {
  TRY(pid);
  if (pid == 0) _exit(0);
  return 0;
}
static int clone_user(void) { return child(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)); }
static int clone_user_high(void) { return child(syscall(SYS_clone, HIGH | CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)); }
static int clone3_user(void) {
  struct clone_args args = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
  return child(syscall(SYS_clone3, &args, sizeof args));
}
static int unshare_user(void) { TRY(unshare(CLONE_NEWUSER)); return 0; }
static int unshare_net(void) { TRY(unshare(CLONE_NEWNET)); return 0; }
static int unshare_mount(void) { TRY(unshare(CLONE_NEWNS)); return 0; }
static int join_namespace(void) {
  int fd = open("/proc/self/ns/net", O_RDONLY);
  TRY(fd);
  TRY(setns(fd, CLONE_NEWNET));
  return 0;
}
static int mount_tmpfs(void) { TRY(mount("none", arg, "tmpfs", 0, 0)); return 0; }
static int bind_here(void) { TRY(mount("/", arg, 0, MS_BIND | MS_REC, 0)); return 0; }
static int remount(void) { TRY(mount(0, arg, 0, MS_REMOUNT | MS_BIND, 0)); return 0; }
static int set_writable(void) {
  struct { uint64_t set, clear, propagation, userns; } change = { 0, 1 /* MOUNT_ATTR_RDONLY */, 0, 0 };
  TRY(syscall(SYS_mount_setattr, AT_FDCWD, arg, 0, &change, sizeof change));
  return 0;
}
static int uncover(void) { TRY(umount2(arg, MNT_DETACH)); return 0; }
static int clone_mount(void) { TRY(syscall(SYS_open_tree, AT_FDCWD, arg, 1 /* CLONE */)); return 0; }
static int new_tmpfs(void) { TRY(syscall(SYS_fsopen, "tmpfs", 0)); return 0; }
static int new_cgroupfs(void) { TRY(mount("none", arg, "cgroup2", 0, 0)); return 0; }
static int change_root(void) { TRY(chroot(arg)); return 0; }
/* The double chroot: stand outside the new root and walk up. */
static int escape_chroot(void) {
  int here = open("/", O_RDONLY | O_DIRECTORY);
  TRY(here);
  TRY(chroot(arg));
  TRY(fchdir(here));
  for (int i = 0; i < 64; i++) TRY(chdir(".."));
  TRY(chroot("."));
  return 0;
}
static int pivot(void) {
  TRY(mount("none", arg, "tmpfs", 0, 0));
  TRY(chdir(arg));
  TRY(syscall(SYS_pivot_root, ".", "."));
  return 0;
}
static int host_name(void) { TRY(sethostname("mine", 4)); return 0; }

/* ---- the kernel */

static int add_key(void) { TRY(syscall(SYS_add_key, "user", "cordon-test", "x", 1, KEY_SPEC_PROCESS_KEYRING)); return 0; }
static int list_keys(void) { TRY(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 1)); return 0; }
static int io_uring(void) {
  char parameters[120] = { 0 };
  TRY(syscall(SYS_io_uring_setup, 1, parameters));
  return 0;
}
static int user_fault(void) { TRY(syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY)); return 0; }
static int interrupt32(void) {
#ifdef __x86_64__
  long result = 20; /* getpid */
  __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
  if (result < 0) return -result;
#endif
  return 0;
}
static int terminal(unsigned long command) {
  int master, slave;
  TRY(openpty(&master, &slave, 0, 0, 0));
  setsid();
  TRY(ioctl(slave, TIOCSCTTY, 0));
  TRY(syscall(SYS_ioctl, slave, command, "x"));
  return 0;
}
static int type_ahead(void) { return terminal(TIOCSTI); }
static int type_ahead_high(void) { return terminal(HIGH | TIOCSTI); }
static int exclusive_terminal(void) { TRY(ioctl(0, TIOCEXCL)); return 0; }
static int packet(void) { TRY(socket(AF_PACKET, SOCK_RAW, 0)); return 0; }
static int packet_old(void) { TRY(socket(AF_INET, SOCK_PACKET, 0)); return 0; }
static int vsock(void) { TRY(socket(AF_VSOCK, SOCK_STREAM, 0)); return 0; }

/* ---- processes */

static int signal_process(void) { TRY(kill(number(), 0)); return 0; }
static int trace(void) { TRY(ptrace(PTRACE_SEIZE, number(), 0, 0)); return 0; }
static int write_memory(void) {
  char path[64], byte;
  snprintf(path, sizeof path, "/proc/%d/mem", number());
  int fd = open(path, O_RDWR);
  TRY(fd);
  return read(fd, &byte, 0) < 0 ? errno : 0;
}
static int write_vm(void) {
  char byte = 0;
  struct iovec local = { &byte, 1 }, remote = { &byte, 1 };
  long n = syscall(SYS_process_vm_writev, number(), &local, 1, &remote, 1, 0);
  return n < 0 && errno != EFAULT ? errno : 0; /* EFAULT: allowed, and nothing is mapped there */
}
static int steal_descriptor(void) {
  int pidfd = syscall(SYS_pidfd_open, number(), 0);
  TRY(pidfd);
  long fd = syscall(SYS_pidfd_getfd, pidfd, 1, 0);
  return fd < 0 && errno != EBADF ? errno : 0; /* EBADF: allowed, and it has no such descriptor */
}
static int become_root(void) { TRY(setresuid(0, 0, 0)); return 0; }
/* How many children can be alive at once; they end with us. */
static int fork_bomb(void) {
  int count = 0, most = number();
  pid_t *pids = calloc(most, sizeof *pids);
  int error = 0;
  while (count < most) {
    pid_t pid = fork();
    if (pid < 0) { error = errno; break; }
    if (pid == 0) { pause(); _exit(0); }
    pids[count++] = pid;
  }
  for (int i = 0; i < count; i++) kill(pids[i], SIGKILL);
  return error;
}

/* ---- files */

static int read_file(void) {
  char byte;
  int fd = open(arg, O_RDONLY | O_NONBLOCK);
  TRY(fd);
  long n = read(fd, &byte, 1);
  return n < 0 ? errno : n == 0 ? ENODATA : 0;
}
static int open_for_writing(void) { TRY(open(arg, O_WRONLY | O_NONBLOCK)); return 0; }
static int create(void) { TRY(open(arg, O_WRONLY | O_CREAT, 0600)); return 0; }
static int create_block_device(void) { TRY(mknod(arg, S_IFBLK | 0600, makedev(7, 0))); return 0; }
static int create_character_device(void) { TRY(mknod(arg, S_IFCHR | 0600, makedev(1, 3))); return 0; }
/* A mode that the file has already: success shows the right to change it and changes nothing. */
static int change_mode(void) {
  struct stat now;
  TRY(stat(arg, &now));
  TRY(chmod(arg, now.st_mode & 07777));
  return 0;
}
static int change_mode_of_stdin(void) {
  struct stat now;
  TRY(fstat(0, &now));
  TRY(fchmod(0, now.st_mode & 07777));
  return 0;
}
/* A hard link in the working directory. */
static int hard_link(void) { TRY(link(arg, "hard-link")); TRY(unlink("hard-link")); return 0; }
static int hard_link_by_descriptor(void) {
  int fd = open(arg, O_PATH);
  char path[64];
  TRY(fd);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  TRY(linkat(AT_FDCWD, path, AT_FDCWD, "hard-link", AT_SYMLINK_FOLLOW));
  TRY(unlink("hard-link"));
  return 0;
}
/* Files in the working directory that would run as their owner, made in every way there is; they are removed again. */
static int setuid_file(int fd) {
  struct stat now;
  TRY(fd);
  TRY(fstat(fd, &now));
  if (!(now.st_mode & (S_ISUID | S_ISGID))) return ENODATA;
  unlink("setuid");
  return 0;
}
static int setuid_chmod(void) {
  int fd = open("setuid", O_CREAT | O_RDWR, 0755);
  TRY(chmod("setuid", 04755));
  return setuid_file(fd);
}
static int setuid_fchmod(void) {
  int fd = open("setuid", O_CREAT | O_RDWR, 0755);
  TRY(fchmod(fd, 04755));
  return setuid_file(fd);
}
static int setuid_fchmodat(void) {
  int fd = open("setuid", O_CREAT | O_RDWR, 0755);
  TRY(fchmodat(AT_FDCWD, "setuid", 04755, 0));
  return setuid_file(fd);
}
static int setuid_fchmodat2(void) {
  int fd = open("setuid", O_CREAT | O_RDWR, 0755);
  TRY(syscall(452, AT_FDCWD, "setuid", HIGH | 04755, 0));
  return setuid_file(fd);
}
static int setuid_open(void) { return setuid_file(syscall(SYS_openat, AT_FDCWD, "setuid-open", O_CREAT | O_RDWR, 04755)); }
static int setgid_open(void) { return setuid_file(syscall(SYS_openat, AT_FDCWD, "setgid-open", O_CREAT | O_RDWR, 02755)); }
static int setuid_tmpfile(void) {
  int fd = open(".", O_TMPFILE | O_RDWR, HIGH | 04755);
  TRY(fd);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  TRY(linkat(AT_FDCWD, path, AT_FDCWD, "setuid-tmpfile", AT_SYMLINK_FOLLOW));
  return setuid_file(fd);
}
static int setuid_mknod(void) {
  TRY(mknod("setuid-mknod", S_IFREG | 04755, 0));
  return setuid_file(open("setuid-mknod", O_RDONLY));
}
static int setuid_openat2(void) {
  struct { uint64_t flags, mode, resolve; } how = { O_CREAT | O_RDWR, 04755, 0 };
  return setuid_file(syscall(SYS_openat2, AT_FDCWD, "setuid-openat2", &how, sizeof how));
}
/* An inherited directory is a way to everything above it. */
static int climb_descriptor(void) { TRY(openat(number(), "..", O_RDONLY | O_DIRECTORY)); return 0; }
static int open_by_handle(void) {
  struct { struct file_handle head; unsigned char bytes[128]; } handle = { { 128, 0 }, { 0 } };
  int mount_id;
  TRY(name_to_handle_at(AT_FDCWD, arg, &handle.head, &mount_id, 0));
  int at = open(arg, O_RDONLY);
  TRY(at);
  TRY(open_by_handle_at(at, &handle.head, O_RDONLY));
  return 0;
}

/* ---- network */

static int abstract_socket(void) {
  struct sockaddr_un name = { .sun_family = AF_UNIX };
  size_t length = strlen(arg);
  memcpy(name.sun_path + 1, arg, length);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  TRY(fd);
  TRY(connect(fd, (struct sockaddr *)&name, offsetof(struct sockaddr_un, sun_path) + 1 + length));
  return 0;
}
static int loopback(void) {
  struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(number()), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  TRY(fd);
  TRY(connect(fd, (struct sockaddr *)&name, sizeof name));
  return 0;
}

#define ATTACK(name) { #name, name }
static const struct { const char *name; int (*run)(void); } attacks[] = {
  ATTACK(clone_user), ATTACK(clone_user_high), ATTACK(clone3_user), ATTACK(unshare_user),
  ATTACK(unshare_net), ATTACK(unshare_mount), ATTACK(join_namespace), ATTACK(mount_tmpfs), ATTACK(bind_here),
  ATTACK(remount), ATTACK(set_writable), ATTACK(uncover), ATTACK(clone_mount), ATTACK(new_tmpfs), ATTACK(new_cgroupfs),
  ATTACK(change_root), ATTACK(escape_chroot), ATTACK(pivot), ATTACK(host_name), ATTACK(add_key), ATTACK(list_keys),
  ATTACK(io_uring), ATTACK(user_fault), ATTACK(interrupt32), ATTACK(type_ahead),
  ATTACK(type_ahead_high), ATTACK(packet), ATTACK(packet_old), ATTACK(vsock), ATTACK(signal_process), ATTACK(trace),
  ATTACK(write_memory), ATTACK(write_vm), ATTACK(steal_descriptor), ATTACK(become_root),
  ATTACK(fork_bomb), ATTACK(read_file), ATTACK(open_for_writing), ATTACK(create), ATTACK(create_block_device),
  ATTACK(create_character_device), ATTACK(change_mode), ATTACK(change_mode_of_stdin), ATTACK(hard_link),
  ATTACK(hard_link_by_descriptor), ATTACK(climb_descriptor), ATTACK(open_by_handle), ATTACK(abstract_socket),
  ATTACK(loopback), ATTACK(exclusive_terminal), ATTACK(setuid_chmod), ATTACK(setuid_fchmod), ATTACK(setuid_fchmodat), ATTACK(setuid_fchmodat2),
  ATTACK(setuid_open), ATTACK(setgid_open), ATTACK(setuid_tmpfile), ATTACK(setuid_mknod), ATTACK(setuid_openat2),
};

static int run(char *what) {
  char *colon = strchr(what, ':');
  size_t length = colon ? (size_t)(colon - what) : strlen(what);
  for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
    if (strlen(attacks[i].name) != length || strncmp(attacks[i].name, what, length)) continue;
    arg = colon ? colon + 1 : "";
    return attacks[i].run();
  }
  fprintf(stderr, "no attack is called %s\n", what);
  exit(2);
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    int result[2];
    if (pipe(result) < 0) return 2;
    pid_t pid = fork();
    if (pid < 0) return 2;
    if (pid == 0) {
      int error = run(argv[i]);
      if (write(result[1], &error, sizeof error) != sizeof error) _exit(2);
      _exit(0);
    }
    int error = -1, status;
    close(result[1]);
    if (read(result[0], &error, sizeof error) != sizeof error) error = -1;
    close(result[0]);
    waitpid(pid, &status, 0);
    if (error < 0) printf("%s died %d\n", argv[i], status);
    else printf("%s %s\n", argv[i], error ? strerrorname_np(error) : "done");
    fflush(stdout);
  }
  return 0;
}
