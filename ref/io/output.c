#include "output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char given[PATH_MAX], root[PATH_MAX]; /* as it was given; absolute, without links. Empty: no limit */
static int root_handle = -1;

static const int walk = O_PATH | O_DIRECTORY | O_CLOEXEC;

const char *output_limited(void) { return *root ? given : NULL; }
const char *output_root(void) { return root; }

const char *output_problem(int code)
{
  return code == OUTSIDE ? "it is not below the output directory" : code == ELOOP ? "it is a link" : strerror(code);
}

/* ---- where a path leads ---- */

/* The absolute path without links and dots of something that need not be there yet; false if there is none:
   ENAMETOOLONG, or another errno. */
static bool resolve(const char *path, char out[PATH_MAX])
{
  char head[PATH_MAX]; /* what is there of it */
  struct stat link;
  size_t n = strlen(path);
  if (n >= sizeof head) return errno = ENAMETOOLONG, false;
  memcpy(head, path, n + 1);
  for (;;) {
    while (n > 1 && head[n - 1] == '/') head[--n] = 0;
    if (realpath(n ? head : ".", out)) break;
    if (errno != ENOENT || lstat(head, &link) == 0) return false; /* a link to nothing may lead anywhere */
    while (n > 0 && head[n - 1] != '/') n--;
    head[n] = 0;
  }
  size_t used = strcmp(out, "/") ? strlen(out) : 0;
  for (const char *name = path + n; *(name += strspn(name, "/"));) {
    size_t length = strcspn(name, "/");
    if ((length <= 2 && strspn(name, ".") >= length) || used + length + 2 > PATH_MAX) return errno = ENOENT, false;
    used += (size_t)sprintf(out + used, "/%.*s", (int)length, name);
    name += length;
  }
  return true;
}

/* One directory further down, never through a link; the handle before is closed. Returns the new one, or -1 with
   errno. */
static int descend(int handle, const char *name, bool make)
{
  int next = -1;
  if (!make || mkdirat(handle, name, 0777) == 0 || errno == EEXIST) next = openat(handle, name, walk | O_NOFOLLOW);
  int error = errno;
  close(handle);
  return errno = error, next;
}

/* Follows `path` from the handle, which it closes. */
static int descend_all(int handle, const char *path, bool make)
{
  char name[NAME_ROOM];
  while (handle >= 0 && *(path += strspn(path, "/"))) {
    size_t length = strcspn(path, "/");
    if (length >= sizeof name) return close(handle), errno = ENAMETOOLONG, -1;
    memcpy(name, path, length);
    name[length] = 0;
    handle = descend(handle, name, make);
    path += length;
  }
  return handle;
}

/* mkdir of a path and all above it, through links too. */
static int make_all(const char *path)
{
  char part[PATH_MAX];
  size_t n = 0;
  if (strlen(path) >= sizeof part) return ENAMETOOLONG;
  while (path[n += strspn(path + n, "/")]) {
    n += strcspn(path + n, "/");
    memcpy(part, path, n);
    part[n] = 0;
    if (mkdir(part, 0777) && errno != EEXIST) return errno;
  }
  return 0;
}

/* A handle on the directory of this path, made if it shall be. 0, errno or OUTSIDE. */
static int open_directory(const char *path, bool make, int *handle)
{
  if (!*root) {
    int error = make ? make_all(path) : 0;
    if (error) return error;
    *handle = open(*path ? path : ".", walk);
    return *handle < 0 ? errno : 0;
  }
  char place[PATH_MAX];
  size_t n = strcmp(root, "/") ? strlen(root) : 0;
  if (!resolve(path, place)) return errno == ENAMETOOLONG ? ENAMETOOLONG : OUTSIDE;
  if (strncmp(place, root, n) || (place[n] && place[n] != '/')) return OUTSIDE;
  if (root_handle < 0) root_handle = descend_all(open("/", walk), root, true);
  if (root_handle < 0) return errno;
  *handle = descend_all(fcntl(root_handle, F_DUPFD_CLOEXEC, 3), place + n, make);
  return *handle < 0 ? (errno == ELOOP || errno == ENOTDIR ? OUTSIDE : errno) : 0; /* bent since it was resolved */
}

/* The directory and the name of a file. */
static int find_place(const char *path, int *directory, char name[NAME_ROOM])
{
  char head[PATH_MAX];
  size_t n = strlen(path), last = n;
  if (n >= sizeof head) return ENAMETOOLONG;
  while (last > 0 && path[last - 1] != '/') last--;
  memcpy(head, path, last);
  head[last] = 0;
  int error = open_directory(head, false, directory);
  if (error) return error;
  const char *end = path + last;
  if (!*end || strcmp(end, ".") == 0 || strcmp(end, "..") == 0) error = *root ? OUTSIDE : *path ? EISDIR : ENOENT;
  else if (n - last >= NAME_ROOM) error = ENAMETOOLONG;
  if (error) return close(*directory), error;
  memcpy(name, end, n - last + 1);
  return 0;
}

int output_limit(const char *directory)
{
  if (root_handle >= 0) close(root_handle);
  root_handle = -1;
  *root = *given = 0;
  if (!directory) return 0;
  if (!*directory || strlen(directory) >= sizeof given || !resolve(directory, root)) return *root = 0, EINVAL;
  strcpy(given, directory);
  return 0;
}

/* ---- names ---- */

static int check(const char *path, bool link_too)
{
  int directory;
  char name[NAME_ROOM];
  struct stat s;
  if (!*root) return 0;
  int error = find_place(path, &directory, name);
  if (error) return error == OUTSIDE ? OUTSIDE : 0;
  bool link = !link_too && fstatat(directory, name, &s, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(s.st_mode);
  close(directory);
  return link ? ELOOP : 0;
}

int output_check(const char *path) { return check(path, false); }
int output_check_name(const char *path) { return check(path, true); }

int output_mkdir(const char *path)
{
  int handle, error = *path || *root ? open_directory(path, true, &handle) : ENOENT;
  if (error == 0) close(handle);
  return error;
}

int output_remove(const char *path)
{
  int directory;
  char name[NAME_ROOM];
  int error = find_place(path, &directory, name);
  if (error) return error;
  if (unlinkat(directory, name, 0) && (errno != EISDIR || unlinkat(directory, name, AT_REMOVEDIR))) error = errno;
  close(directory);
  return error;
}

/* Root could lose /dev/null to a file that takes its place. */
static int check_replaceable(int directory, const char *name)
{
  struct stat s;
  if (fstatat(directory, name, &s, *root ? AT_SYMLINK_NOFOLLOW : 0)) return 0;
  if (S_ISLNK(s.st_mode)) return ELOOP;
  return S_ISREG(s.st_mode) ? 0 : S_ISDIR(s.st_mode) ? EISDIR : EEXIST;
}

int output_rename(const char *from, const char *to)
{
  int source, target;
  char old[NAME_ROOM], new[NAME_ROOM];
  int error = find_place(from, &source, old);
  if (error) return error;
  error = find_place(to, &target, new);
  if (error == 0) {
    error = check_replaceable(target, new);
    if (error == ELOOP || error == EISDIR) error = 0; /* a link is a name; directories have rules of their own */
    if (error == 0 && renameat(source, old, target, new)) error = errno;
    close(target);
  }
  close(source);
  return error;
}

int output_open(const char *path, int flags, int *fd)
{
  int directory;
  char name[NAME_ROOM];
  int error = find_place(path, &directory, name);
  if (error) return error;
  *fd = openat(directory, name, flags | O_CLOEXEC | (*root ? O_NOFOLLOW : 0), 0666);
  if (*fd < 0) error = errno;
  close(directory);
  return error;
}

/* ---- whole files ---- */

enum { HOST_DIGITS = 4, RANDOM_DIGITS = 8, DAY = 24 * 60 * 60 };

/* The first digits of what tells this running kernel from others: locks hold among its processes. */
static const char *host(void)
{
  static char digits[HOST_DIGITS + 1];
  FILE *f = *digits ? NULL : fopen("/proc/sys/kernel/random/boot_id", "re");
  if (!*digits && (!f || fread(digits, 1, HOST_DIGITS, f) != HOST_DIGITS)) strcpy(digits, "0000");
  if (f) fclose(f);
  return digits;
}

/* ".NAME.HOSTRANDOM.tmp"; a long name is cut. */
static void name_temporary(Output *o)
{
  uint32_t bits = 0;
  if (getrandom(&bits, sizeof bits, 0) < 0) bits = (uint32_t)getpid();
  snprintf(o->temporary, sizeof o->temporary, ".%.225s.%s%08x.tmp", o->name, host(), bits);
}

/* The digits in such a name, NULL if it is none. */
static const char *digits_in(const char *entry)
{
  size_t n = strlen(entry), tail = 1 + HOST_DIGITS + RANDOM_DIGITS + 4;
  const char *end = entry + n - tail;
  if (n <= tail + 1 || *entry != '.' || *end != '.' || strcmp(entry + n - 4, ".tmp")) return NULL;
  return strspn(end + 1, "0123456789abcdef") == HOST_DIGITS + RANDOM_DIGITS ? end + 1 : NULL;
}

/* Whether the file still has a name: somebody may have swept it away before it was locked. */
static bool has_name(int fd)
{
  struct stat s;
  return fstat(fd, &s) == 0 && s.st_nlink > 0;
}

int output_begin(Output *o, const char *path)
{
  int error = find_place(path, &o->directory, o->name), fd = -1;
  o->file = NULL;
  if (error) return error;
  error = check_replaceable(o->directory, o->name);
  for (int tries = 0; error == 0 && !o->file && tries < 100; tries++) {
    name_temporary(o);
    fd = openat(o->directory, o->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0 && errno != EEXIST) error = errno;
    if (fd < 0) continue;
    /* The mark of somebody at work. Where there are no locks the file is written all the same; where another process
       has this one already it is about to sweep the file away. */
    bool swept = flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
    if (swept || !has_name(fd)) close(fd);
    else if (!(o->file = fdopen(fd, "wb"))) error = errno, unlinkat(o->directory, o->temporary, 0), close(fd);
  }
  if (o->file) return 0;
  close(o->directory);
  return error ? error : EEXIST;
}

void output_abandon(Output *o)
{
  if (o->file) fclose(o->file);
  unlinkat(o->directory, o->temporary, 0);
  close(o->directory);
}

static bool discards;

void output_discard(void) { discards = true; }

int output_commit(Output *o)
{
  if (discards) return output_abandon(o), 0;
  errno = EIO; /* of a write that failed before */
  bool ok = !ferror(o->file) && fflush(o->file) == 0 && fsync(fileno(o->file)) == 0;
  int error = ok ? check_replaceable(o->directory, o->name) : errno;
  if (error == 0 && renameat(o->directory, o->temporary, o->directory, o->name)) error = errno;
  if (error) return output_abandon(o), error;
  if (fclose(o->file)) error = errno;
  close(o->directory);
  return error;
}

/* Removes the file if nobody writes it any more, while nobody can begin to. Of other machines' locks we may not know:
   theirs must be old. */
static void sweep(int directory, const char *entry, const char *digits)
{
  struct stat s;
  int fd = openat(directory, entry, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &s) == 0 && S_ISREG(s.st_mode) &&
      (strncmp(digits, host(), HOST_DIGITS) == 0 || s.st_mtime + DAY < time(NULL)))
    unlinkat(directory, entry, 0);
  close(fd);
}

void output_sweep(const char *path)
{
  int directory;
  if (open_directory(path, false, &directory)) return;
  int listed = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = listed < 0 ? NULL : fdopendir(listed);
  for (const struct dirent *e; d && (e = readdir(d));) {
    const char *digits = digits_in(e->d_name);
    if (digits) sweep(directory, e->d_name, digits);
  }
  if (d) closedir(d);
  else if (listed >= 0) close(listed);
  close(directory);
}
