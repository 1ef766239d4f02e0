/* The process as it was started, and how it ends. */
#include "program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Lua's deepest recursion through C takes 500, the kernels 800; with sanitizers it takes 1200
   (tests/lua/lib/deep.lua). */
#ifdef __SANITIZE_ADDRESS__
enum { STACK_KB = 3072 };
#else
enum { STACK_KB = 1536 };
#endif

/* A file that is opened later must not become the standard output. What stands in for a closed descriptor fails as it
   would. */
static void fill_descriptors(void)
{
  for (int fd = 0; fd <= 2; fd++)
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
      int other = open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
      if (other >= 0 && other != fd) dup2(other, fd), close(other);
    }
}

bool process_open(void)
{
  struct rlimit stack;
  sigset_t ours;
  fill_descriptors();
  if (getrlimit(RLIMIT_STACK, &stack) == 0 && stack.rlim_cur != RLIM_INFINITY && stack.rlim_cur < STACK_KB * 1024u) {
    fprintf(stderr, "aviary: the stack is limited to %llu KB, expected %d at least; `ulimit -s 8192` is usual\n",
            (unsigned long long)stack.rlim_cur / 1024, STACK_KB);
    return false;
  }
  signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error like others */
  signal(SIGCHLD, SIG_DFL); /* ignored, children would end unseen */
  sigemptyset(&ours);       /* whoever started us may have blocked what we wait for */
  sigaddset(&ours, SIGINT), sigaddset(&ours, SIGALRM), sigaddset(&ours, SIGCHLD), sigaddset(&ours, SIGTERM);
  sigaddset(&ours, SIGUSR1), sigaddset(&ours, SIGUSR2);
  sigprocmask(SIG_UNBLOCK, &ours, NULL);
  return true;
}

void process_close_inherited(void)
{
  DIR *d = opendir("/proc/self/fd");
  for (const struct dirent *e; d && (e = readdir(d));) {
    int fd = atoi(e->d_name);
    if (fd > 2 && fd != dirfd(d) && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY) close(fd);
  }
  if (d) closedir(d);
}

bool process_close(void)
{
  errno = 0;
  bool failed = ferror(stdout) != 0;
  failed |= fflush(stdout) != 0;
  if (!failed) return true;
  fprintf(stderr, "aviary: the output could not be written%s%s\n", errno ? ": " : "", errno ? strerror(errno) : "");
  return false;
}
