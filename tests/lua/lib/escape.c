/* escape.attempt(name, place) -> "done", or the name of the errno: ways out of the sandbox, by system calls. place: {
   outside = a directory with a file `victim`, inside = a directory that may be written, pid = a process of somebody
   else, tcp =, udp =, sockets = what listen gave }. escape.names lists them. escape.listen(directory) -> two ports, and
   sockets in the directory that this process listens to; escape.heard() -> how many of them heard anything. For
   test_confine.lua. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <linux/fs.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

typedef struct {
  const char *outside, *inside, *sockets;
  int pid, tcp, udp;
} Place;

typedef struct {
  char text[4096];
} Path;

static Path in(const char *directory, const char *name)
{
  Path p;
  snprintf(p.text, sizeof p.text, "%s/%s", directory, name);
  return p;
}

/* ---- files ---- */

static int opens(const char *path, int flags)
{
  int fd = open(path, flags | O_CLOEXEC, 0666);
  if (fd >= 0) close(fd);
  return fd < 0 ? -1 : 0;
}

static int write_file(const Place *p) { return opens(in(p->outside, "victim").text, O_WRONLY); }
static int append_file(const Place *p) { return opens(in(p->outside, "victim").text, O_WRONLY | O_APPEND); }
static int truncate_opened(const Place *p) { return opens(in(p->outside, "victim").text, O_RDONLY | O_TRUNC); }
static int create_file(const Place *p) { return opens(in(p->outside, "new").text, O_WRONLY | O_CREAT | O_EXCL); }
static int nameless_file(const Place *p) { return opens(p->outside, O_WRONLY | O_TMPFILE); }
static int truncate_file(const Place *p) { return truncate(in(p->outside, "victim").text, 0); }
static int remove_file(const Place *p) { return unlink(in(p->outside, "victim").text); }
static int make_directory(const Place *p) { return mkdir(in(p->outside, "new").text, 0777); }
static int remove_directory(const Place *p) { return rmdir(in(p->outside, "empty").text); }
static int make_fifo(const Place *p) { return mkfifo(in(p->outside, "new").text, 0666); }
static int make_socket(const Place *p) { return mknod(in(p->outside, "new").text, S_IFSOCK | 0666, 0); }
static int link_inside(const Place *p) { return symlink(p->outside, in(p->inside, "link").text); }
static int link_outside(const Place *p) { return symlink("victim", in(p->outside, "new").text); }

static int change_directory(const Place *p)
{
  char before[4096];
  if (!getcwd(before, sizeof before) || chdir(p->outside)) return -1;
  int failed = opens("new", O_WRONLY | O_CREAT | O_EXCL), error = errno;
  if (chdir(before)) return -1;
  return errno = error, failed;
}

static int rename_beside(const Place *p) { return rename(in(p->outside, "victim").text, in(p->outside, "new").text); }
static int rename_in(const Place *p) { return rename(in(p->outside, "victim").text, in(p->inside, "new").text); }
static int rename_out(const Place *p) { return rename(in(p->inside, "mine").text, in(p->outside, "new").text); }
static int rename_over(const Place *p) { return rename(in(p->inside, "mine").text, in(p->outside, "victim").text); }
static int exchange(const Place *p)
{
  return renameat2(AT_FDCWD, in(p->inside, "mine").text, AT_FDCWD, in(p->outside, "victim").text, RENAME_EXCHANGE);
}
static int hard_link_in(const Place *p) { return link(in(p->outside, "victim").text, in(p->inside, "new").text); }
static int hard_link_out(const Place *p) { return link(in(p->inside, "mine").text, in(p->outside, "new").text); }

/* ---- what belongs to a file ---- */

static int change_mode(const Place *p) { return chmod(in(p->outside, "victim").text, 0777); }
static int change_owner(const Place *p) { return chown(in(p->outside, "victim").text, getuid(), getgid()); }
static int change_times(const Place *p) { return utimensat(AT_FDCWD, in(p->outside, "victim").text, NULL, 0); }
static int set_attribute(const Place *p) { return setxattr(in(p->outside, "victim").text, "user.x", "x", 1, 0); }

/* By its number: it is newer than libraries. */
static int set_attribute_at(const Place *p)
{
  struct {
    uint64_t value;
    uint32_t size, flags;
  } arguments = {(uintptr_t) "x", 1, 0};
  return (int)syscall(463, AT_FDCWD, in(p->outside, "victim").text, 0, "user.x", &arguments, sizeof arguments);
}
static int change_mode_at(const Place *p)
{
  return (int)syscall(452, AT_FDCWD, in(p->outside, "victim").text, 0777, 0);
}

/* On a file open for reading. */
static int on_handle(const Place *p, int (*change)(int fd))
{
  int fd = open(in(p->outside, "victim").text, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  int failed = change(fd), error = errno;
  close(fd);
  return errno = error, failed;
}
static int open_mode(int fd) { return fchmod(fd, 0777); }
static int open_times(int fd) { return futimens(fd, NULL); }
static int open_attribute(int fd) { return fsetxattr(fd, "user.x", "x", 1, 0); }
static int open_flags(int fd)
{
  int flags = FS_NOATIME_FL;
  return ioctl(fd, FS_IOC_SETFLAGS, &flags);
}
static int change_open_mode(const Place *p) { return on_handle(p, open_mode); }
static int change_open_times(const Place *p) { return on_handle(p, open_times); }
static int set_open_attribute(const Place *p) { return on_handle(p, open_attribute); }
static int set_open_flags(const Place *p) { return on_handle(p, open_flags); }

/* ---- the network ---- */

static int connects(int family, int type, const void *address, socklen_t size)
{
  int s = socket(family, type | SOCK_CLOEXEC, 0);
  if (s < 0) return -1;
  int failed = connect(s, address, size) || send(s, "x", 1, MSG_NOSIGNAL) < 0 ? -1 : 0, error = errno;
  close(s);
  return errno = error, failed;
}

static int connect_local(int type, int port)
{
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return connects(AF_INET, type, &a, sizeof a);
}
static int connect_tcp(const Place *p) { return connect_local(SOCK_STREAM, p->tcp); }
static int connect_udp(const Place *p) { return connect_local(SOCK_DGRAM, p->udp); }
static struct sockaddr_un named(const Place *p, const char *name)
{
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  snprintf(a.sun_path, sizeof a.sun_path, "%.90s/%.10s", p->sockets, name);
  return a;
}
static int connect_unix(const Place *p)
{
  struct sockaddr_un a = named(p, "stream");
  return connects(AF_UNIX, SOCK_STREAM, &a, sizeof a);
}

static int send_from_pair(const Place *p)
{
  struct sockaddr_un a = named(p, "datagrams");
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair)) return -1;
  int failed = sendto(pair[0], "x", 1, 0, (struct sockaddr *)&a, sizeof a) < 0 ? -1 : 0, error = errno;
  close(pair[0]), close(pair[1]);
  return errno = error, failed;
}

/* ---- programs ---- */

/* In a child, which ends by itself if it did not become another program. */
static int executes(const char *path, char *const arguments[])
{
  int status;
  pid_t child = fork();
  if (child == 0) {
    execv(path, arguments);
    _exit(errno);
  }
  if (child < 0 || waitpid(child, &status, 0) < 0) return -1;
  return errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR, errno ? -1 : 0;
}

static int execute(const Place *p) { return (void)p, executes("/bin/true", (char *[]){"true", NULL}); }

static int spawn_shell(const Place *p)
{
  pid_t child;
  (void)p;
  int error = posix_spawn(&child, "/bin/sh", NULL, NULL, (char *[]){"sh", "-c", ":", NULL}, NULL);
  if (error == 0) waitpid(child, NULL, 0);
  return errno = error, error ? -1 : 0;
}

static int execute_copy(const Place *p) /* a script of the shell that lies where one may write */
{
  Path script = in(p->inside, "script.sh");
  int fd = open(script.text, O_WRONLY | O_CREAT | O_CLOEXEC, 0777);
  if (fd < 0 || write(fd, "#!/bin/sh\n", 10) < 0) return -1;
  close(fd);
  return executes(script.text, (char *[]){script.text, NULL});
}

/* ---- other processes ---- */

static int send_signal(const Place *p) { return kill(p->pid, SIGCONT); }
static int send_to_thread(const Place *p) { return (int)syscall(SYS_tgkill, p->pid, p->pid, SIGCONT); }
static int send_to_thread_alone(const Place *p) { return (int)syscall(SYS_tkill, p->pid, SIGCONT); }
static int send_by_handle(const Place *p)
{
  int fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
  if (fd < 0) return -1;
  return (int)syscall(SYS_pidfd_send_signal, fd, SIGCONT, NULL, 0);
}
static int trace(const Place *p)
{
  if (ptrace(PTRACE_SEIZE, p->pid, NULL, NULL)) return -1;
  return (int)ptrace(PTRACE_DETACH, p->pid, NULL, NULL) & 0;
}
static int read_memory(const Place *p)
{
  char byte;
  struct iovec here = {&byte, 1}, there = {&byte, 1};
  return process_vm_readv(p->pid, &here, 1, &there, 1, 0) < 0 && errno != EFAULT ? -1 : 0;
}
static int open_memory_of(pid_t pid)
{
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
  return opens(path, O_RDWR);
}
static int open_memory(const Place *p) { return open_memory_of(p->pid); }
static int open_own_memory(const Place *p) { return (void)p, open_memory_of(getpid()); }
static int open_parents_memory(const Place *p) { return (void)p, open_memory_of(getppid()); }
static int set_limit(const Place *p)
{
  struct rlimit none;
  return prlimit(p->pid, RLIMIT_CORE, NULL, &none);
}
static int set_priority(const Place *p) { return setpriority(PRIO_PROCESS, (id_t)p->pid, 19); }

/* ---- the machine ---- */

static int new_spaces(const Place *p) { return (void)p, unshare(CLONE_NEWUSER | CLONE_NEWNS); }
static int clone_spaces(const Place *p)
{
  (void)p;
  long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
  if (child == 0) _exit(0);
  if (child > 0) waitpid((pid_t)child, NULL, 0);
  return child < 0 ? -1 : 0;
}
static int mount_memory(const Place *p) { return mount("none", p->outside, "tmpfs", 0, NULL); }
static int ring(const Place *p)
{
  char parameters[120] = {0};
  return (void)p, syscall(SYS_io_uring_setup, 1, parameters) < 0 ? -1 : 0;
}
static int type_character(const Place *p) { return (void)p, ioctl(0, TIOCSTI, "x"); }
static int semaphore(const Place *p)
{
  (void)p;
  int id = semget(IPC_PRIVATE, 1, 0600);
  return id < 0 ? -1 : semctl(id, 0, IPC_RMID);
}
static int remove_semaphore(const Place *p) { return (void)p, semctl(1 << 30, 0, IPC_RMID); } /* there is none */
static int write_setting(const Place *p) { return (void)p, opens("/proc/self/oom_score_adj", O_WRONLY); }

/* ---- all ---- */

static const struct {
  const char *name;
  int (*attempt)(const Place *);
} attempts[] = {
    {"write", write_file},
    {"append", append_file},
    {"truncate while opening", truncate_opened},
    {"create", create_file},
    {"create without a name", nameless_file},
    {"truncate", truncate_file},
    {"unlink", remove_file},
    {"mkdir", make_directory},
    {"rmdir", remove_directory},
    {"mkfifo", make_fifo},
    {"mknod", make_socket},
    {"symlink inside", link_inside},
    {"symlink outside", link_outside},
    {"chdir and create", change_directory},
    {"rename outside", rename_beside},
    {"rename into", rename_in},
    {"rename out of", rename_out},
    {"rename over", rename_over},
    {"rename both", exchange},
    {"link into", hard_link_in},
    {"link out of", hard_link_out},
    {"chmod", change_mode},
    {"chown", change_owner},
    {"utimensat", change_times},
    {"setxattr", set_attribute},
    {"setxattrat", set_attribute_at},
    {"fchmodat2", change_mode_at},
    {"fchmod", change_open_mode},
    {"futimens", change_open_times},
    {"fsetxattr", set_open_attribute},
    {"FS_IOC_SETFLAGS", set_open_flags},
    {"tcp", connect_tcp},
    {"udp", connect_udp},
    {"unix", connect_unix},
    {"sendto", send_from_pair},
    {"execve", execute},
    {"posix_spawn", spawn_shell},
    {"a script", execute_copy},
    {"kill", send_signal},
    {"tgkill", send_to_thread},
    {"tkill", send_to_thread_alone},
    {"pidfd_send_signal", send_by_handle},
    {"ptrace", trace},
    {"process_vm_readv", read_memory},
    {"/proc/PID/mem", open_memory},
    {"/proc/self/mem", open_own_memory},
    {"/proc/PARENT/mem", open_parents_memory},
    {"prlimit", set_limit},
    {"setpriority", set_priority},
    {"unshare", new_spaces},
    {"clone", clone_spaces},
    {"mount", mount_memory},
    {"io_uring_setup", ring},
    {"TIOCSTI", type_character},
    {"semget", semaphore},
    {"semctl", remove_semaphore},
    {"/proc/self/oom_score_adj", write_setting},
};
enum { ATTEMPTS = sizeof attempts / sizeof *attempts };

static const char *text_field(lua_State *L, const char *name)
{
  lua_getfield(L, 2, name);
  return luaL_checkstring(L, -1); /* the table keeps it */
}

static int number_field(lua_State *L, const char *name) { return (int)strtol(text_field(L, name), NULL, 10); }

static int attempt(lua_State *L)
{
  const char *name = luaL_checkstring(L, 1);
  Place p = {.outside = text_field(L, "outside"),
             .inside = text_field(L, "inside"),
             .sockets = text_field(L, "sockets"),
             .pid = number_field(L, "pid"),
             .tcp = number_field(L, "tcp"),
             .udp = number_field(L, "udp")};
  for (int i = 0; i < ATTEMPTS; i++) {
    if (strcmp(attempts[i].name, name)) continue;
    errno = 0;
    int failed = attempts[i].attempt(&p);
    lua_pushstring(L, failed ? strerrorname_np(errno) : "done");
    return 1;
  }
  return luaL_error(L, "there is no attempt '%s'", name);
}

static int run(lua_State *L) /* run(path, arguments..) -> exit status, or the name of the errno */
{
  char *arguments[20] = {NULL};
  for (int i = 0; i < lua_gettop(L) && i < 19; i++) arguments[i] = (char *)(uintptr_t)luaL_checkstring(L, i + 1);
  if (executes(arguments[0], arguments)) lua_pushstring(L, strerrorname_np(errno));
  else lua_pushinteger(L, 0);
  return 1;
}

static int write_to(lua_State *L) /* write(descriptor) -> "done", or the name of the errno */
{
  ssize_t n = write((int)luaL_checkinteger(L, 1), "x", 1);
  lua_pushstring(L, n < 0 ? strerrorname_np(errno) : "done");
  return 1;
}

static int threads(lua_State *L) /* threads() -> ids of this process's */
{
  lua_newtable(L);
  DIR *d = opendir("/proc/self/task");
  for (const struct dirent *e; d && (e = readdir(d));)
    if (*e->d_name != '.') lua_pushstring(L, e->d_name), lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  if (d) closedir(d);
  return 1;
}

/* ---- the other side ---- */

static struct pollfd listening[4];

static int listens(lua_State *L, int i, int family, int type, void *address, socklen_t size)
{
  int s = socket(family, type | SOCK_CLOEXEC, 0);
  if (s < 0 || bind(s, address, size) || (type == SOCK_STREAM && listen(s, 5)) || getsockname(s, address, &size))
    return luaL_error(L, "listen: %s", strerror(errno));
  listening[i] = (struct pollfd){.fd = s, .events = POLLIN};
  return 0;
}

static int listen_all(lua_State *L)
{
  Place p = {.sockets = luaL_checkstring(L, 1)};
  struct sockaddr_un stream = named(&p, "stream"), datagrams = named(&p, "datagrams");
  for (int i = 0; i < 2; i++) {
    struct sockaddr_in a = {.sin_family = AF_INET};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listens(L, i, AF_INET, i ? SOCK_DGRAM : SOCK_STREAM, &a, sizeof a);
    lua_pushinteger(L, ntohs(a.sin_port));
  }
  listens(L, 2, AF_UNIX, SOCK_STREAM, &stream, sizeof stream);
  listens(L, 3, AF_UNIX, SOCK_DGRAM, &datagrams, sizeof datagrams);
  return 2;
}

static int heard(lua_State *L)
{
  lua_pushinteger(L, poll(listening, 4, 0));
  return 1;
}

__attribute__((visibility("default"))) int luaopen_escape(lua_State *L);
int luaopen_escape(lua_State *L)
{
  luaL_newlib(L, ((luaL_Reg[]){{"attempt", attempt},
                               {"listen", listen_all},
                               {"heard", heard},
                               {"run", run},
                               {"write", write_to},
                               {"threads", threads},
                               {NULL, NULL}}));
  lua_createtable(L, ATTEMPTS, 0);
  for (int i = 0; i < ATTEMPTS; i++) lua_pushstring(L, attempts[i].name), lua_rawseti(L, -2, i + 1);
  lua_setfield(L, -2, "names");
  return 1;
}
