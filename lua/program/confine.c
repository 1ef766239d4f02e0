/* The outer wall: what the kernel keeps this process, and whatever it starts, from doing, before the first line of a
   script runs. Landlock: files are written beneath the output directory only, and nothing is executed but this program
   (in both precisions) and gnuplot. seccomp: no sockets, and nothing else a script never needs. */
#include "program.h"

#include "io/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

void __gcov_dump(void) __attribute__((weak)); /* in the tree of `make coverage` alone */

/* ---- Landlock ---- */

/* What the header of an older kernel does not name. */
enum {
  /* clang-format off */
  REFER = 1 << 13, TRUNCATE = 1 << 14, IOCTL_DEV = 1 << 15, /* on files: from version 2, 3, 5 on */
  BIND_TCP = 1 << 0, CONNECT_TCP = 1 << 1,                  /* on the network: 4 */
  ABSTRACT_SOCKET = 1 << 0, SIGNAL = 1 << 1                 /* kept within the sandbox: 6 */
};
/* clang-format on */
typedef struct {
  uint64_t files, net, scoped;
} Ruleset;

static const uint64_t writing = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                                LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
                                LANDLOCK_ACCESS_FS_MAKE_REG;
static const uint64_t never = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                              LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                              LANDLOCK_ACCESS_FS_MAKE_SYM;

/* Grants rights beneath a directory, or on a file. What is not there needs none. */
static void permit(int ruleset, const char *path, uint64_t rights)
{
  struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = open(path, O_PATH | O_CLOEXEC)};
  if (rule.parent_fd < 0) return;
  syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
  close(rule.parent_fd);
}

/* The same of a program, unless the script could write it. */
static void permit_program(int ruleset, const char *path)
{
  char place[PATH_MAX];
  size_t n = strlen(output_root());
  if (!path || !realpath(path, place)) return;
  bool beneath = strncmp(place, output_root(), n) == 0 && (place[n] == '/' || n == 1);
  if (!beneath) permit(ruleset, place, LANDLOCK_ACCESS_FS_EXECUTE);
}

/* The dynamic loader is executed with every program. */
static int permit_loader(struct dl_phdr_info *info, size_t size, void *ruleset)
{
  (void)size;
  for (int i = 0; i < info->dlpi_phnum; i++)
    if (info->dlpi_phdr[i].p_type == PT_INTERP)
      permit(*(int *)ruleset, (const char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr), LANDLOCK_ACCESS_FS_EXECUTE);
  return 1; /* the first object is the program */
}

static void permit_gnuplot(int ruleset)
{
  char path[PATH_MAX];
  const char *places = getenv("PATH");
  for (const char *at = places ? places : "/usr/bin:/bin"; *at; at += strcspn(at, ":"), at += *at == ':') {
    snprintf(path, sizeof path, "%.*s/gnuplot", (int)strcspn(at, ":"), at);
    if (access(path, X_OK)) continue;
    permit_program(ruleset, path);
    break;
  }
}

static bool restrict_files(void)
{
  long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 1) return false;
  uint64_t beneath = writing | (version >= 2 ? REFER : 0) | (version >= 3 ? TRUNCATE : 0);
  Ruleset all = {.files = beneath | never | LANDLOCK_ACCESS_FS_EXECUTE | (version >= 5 ? IOCTL_DEV : 0),
                 .net = version >= 4 ? BIND_TCP | CONNECT_TCP : 0,
                 .scoped = version >= 6 ? ABSTRACT_SOCKET | SIGNAL : 0};
  size_t size = version >= 6 ? sizeof all : version >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
  int ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, size, 0);
  if (ruleset < 0) return false;
  permit(ruleset, output_root(), beneath);
  permit(ruleset, "/proc/self/exe", LANDLOCK_ACCESS_FS_EXECUTE);
  permit_program(ruleset, program_file());
  permit_program(ruleset, program_double());
  dl_iterate_phdr(permit_loader, &ruleset);
  permit_gnuplot(ruleset);
  if (ranks_folder()) /* what MPI shares, and removes at the end */
    permit(ruleset, ranks_folder(), LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR);
  long failed = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_landlock_restrict_self, ruleset, 0);
  close(ruleset);
  return !failed;
}

/* ---- seccomp ---- */

/* What neither Lua, nor the kernels, nor gnuplot need, and Landlock does not look at. */
/* clang-format off */
static const char *const forbidden[] = {
    "socket", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg", "sendmmsg",
    "chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", "utime", "utimes", "utimensat", "futimesat",
    "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr",
    "truncate", "link", "linkat", "symlink", "symlinkat", "mknod", "mknodat",
    "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "pidfd_open", "pidfd_getfd",
    "pidfd_send_signal", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "kcmp", "migrate_pages", "move_pages",
    "setpriority", "ioprio_set", "sched_setscheduler", "sched_setparam", "sched_setattr",
    "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsmount", "fspick",
    "mount_setattr", "unshare", "setns", "setgroups", "capset", "setsid", "setpgid", "personality",
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
    "open_by_handle_at", "name_to_handle_at", "keyctl", "add_key", "request_key", "msgget", "msgsnd", "msgrcv",
    "msgctl", "semget", "semop", "semtimedop", "semctl", "shmget", "shmat", "shmctl", "mq_open", "mq_unlink",
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff",
    "acct", "quotactl", "quotactl_fd", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname",
    "setdomainname", "syslog", "ioperm", "iopl", "modify_ldt", "vhangup", "lookup_dcookie", "fanotify_init",
#ifndef __SANITIZE_ADDRESS__ /* which looks for leaks by it */
    "ptrace",
#endif
};
/* clang-format on */

/* Calls that came after cachestat, among them forms of chmod and setxattr: libseccomp may not know their names yet.
   Programs take them for those of an older kernel. */
enum { NEW_CALLS = 452, END_OF_CALLS = 512 };

/* Of ioctl only what is for terminals: others change files that are open for reading (FS_IOC_SETFLAGS, say). And not
   what types characters or takes the terminal away. */
enum { TERMINAL = 0x5400, END_OF_TERMINAL = 0x54ff };
static const unsigned typing[] = {TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSETD, TIOCSCTTY};

/* Name spaces give rights. */
static const unsigned spaces[] = {CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWPID,   CLONE_NEWNET,
                                  CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP};

static bool restrict_calls(bool at_prompt)
{
  static const uint32_t refused = SCMP_ACT_ERRNO(EPERM), unknown = SCMP_ACT_ERRNO(ENOSYS);
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  if (!filter) return false;
  int error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
  for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
    int number = seccomp_syscall_resolve_name(forbidden[i]);
    if (number != __NR_SCMP_ERROR) error |= seccomp_rule_add(filter, refused, number, 0);
  }
  for (int number = NEW_CALLS; number < END_OF_CALLS; number++) error |= seccomp_rule_add(filter, unknown, number, 0);
  error |= seccomp_rule_add(filter, refused, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_LT, TERMINAL));
  error |= seccomp_rule_add(filter, refused, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_GT, END_OF_TERMINAL));
  for (size_t i = 0; i < sizeof typing / sizeof *typing; i++)
    error |= seccomp_rule_add(filter, refused, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, typing[i]));
  for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
    error |= seccomp_rule_add(filter, refused, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, spaces[i], spaces[i]));
  error |= seccomp_rule_add(filter, unknown, SCMP_SYS(clone3), 0); /* hides its flags; without it there is clone */
  error |= seccomp_rule_add(filter, refused, SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_NE, 0)); /* of other processes */
  if (!at_prompt) error |= seccomp_rule_add(filter, refused, SCMP_SYS(kill), 0); /* libedit sends Ctrl-C on */
  bool done = !error && seccomp_load(filter) == 0;
  seccomp_release(filter);
  return done;
}

void confine(bool at_prompt)
{
  if (__gcov_dump) __gcov_dump(); /* `make coverage`: what runs behind the wall cannot be written down */
  bool files = restrict_files(), calls = restrict_calls(at_prompt);
  if ((files && calls) || program_is_worker()) return;
  /* clang-format off */
  fprintf(stderr, "aviary: this kernel has no %s: a script is held by the program alone (aviary help sandbox.md)\n",
          files ? "seccomp" : calls ? "Landlock" : "Landlock and no seccomp");
  /* clang-format on */
}
