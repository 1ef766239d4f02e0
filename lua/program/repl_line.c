/* The line editor of the prompt, by libedit: history in a file, Tab, Ctrl-C. Without a terminal lines are just read. */
#include "repl.h"

#include <editline/readline.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HISTORY_LINES = 1000 }; /* kept; the file is cut back to them when it has twice as many */

static lua_State *names_of; /* where Tab looks names up */
static char history_path[4096];
static FILE *history; /* open from the start: later the kernel would not let us */
static char *last_kept;

/* ---- history: a text file, a line an entry, so that programs that run side by side can add to it ---- */

static void find_history(void)
{
  const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
  if (state && *state) {
    mkdir(state, 0700);
    snprintf(history_path, sizeof history_path, "%s/aviary_history", state);
  } else if (home && *home) snprintf(history_path, sizeof history_path, "%s/.aviary_history", home);
}

static FILE *open_history(const char *path, int flags)
{
  int fd = open(path, O_CREAT | O_CLOEXEC | flags, 0600);
  return fd < 0 ? NULL : fdopen(fd, flags & O_RDWR ? "r+" : flags & O_APPEND ? "a" : "w");
}

static void cut_history(void)
{
  char temporary[sizeof history_path + 16];
  snprintf(temporary, sizeof temporary, "%s.tmp%d", history_path, (int)getpid());
  FILE *f = open_history(temporary, O_WRONLY | O_TRUNC);
  if (!f) return;
  for (int i = history_base; i < history_base + history_length; i++) {
    const HIST_ENTRY *e = history_get(i);
    if (e) fprintf(f, "%s\n", e->line);
  }
  if (fclose(f) || rename(temporary, history_path)) remove(temporary);
}

static void read_history_file(void)
{
  char *line = NULL;
  size_t room = 0;
  long lines = 0;
  FILE *f = *history_path ? open_history(history_path, O_RDWR) : NULL;
  if (!f) return;
  for (ssize_t n; (n = getline(&line, &room, f)) > 0; lines++) {
    line[strcspn(line, "\n")] = 0;
    add_history(line);
  }
  free(line);
  fclose(f);
  if (lines > 2 * HISTORY_LINES) cut_history();
  history = open_history(history_path, O_WRONLY | O_APPEND);
}

static void keep(const char *line)
{
  if (!*line || (last_kept && strcmp(line, last_kept) == 0)) return;
  free(last_kept);
  last_kept = strdup(line);
  add_history(line);
  if (!history) return; /* a history that cannot be written is no reason to stop anybody */
  fprintf(history, "%s\n", line);
  fflush(history);
}

/* ---- Tab ---- */

/* Whether the cursor stands in a text in quotes: there Tab completes file names. */
static bool in_quotes(void)
{
  char quote = 0;
  for (int i = 0; i < rl_point; i++) {
    char c = rl_line_buffer[i];
    if (quote && c == '\\') i++;
    else if (quote ? c == quote : c == '"' || c == '\'') quote = quote ? 0 : c;
  }
  return quote;
}

/* libedit asks this first; the characters that end a word are taken from a variable of its own. */
static char *choose_word_breaks(void)
{
  rl_basic_word_break_characters = in_quotes() ? "\"'" : " \t\n\"'`@$><=;|&{}()[]+-*/%^~#,!?\\";
  return "";
}

static char **words;

static char *next_word(const char *text, int state)
{
  static int i;
  (void)text;
  if (state == 0) i = 0;
  return words && words[i] ? strdup(words[i++]) : NULL;
}

/* A file's name; a directory's with a slash, so that Tab goes on in it. */
static char *next_file(const char *text, int state)
{
  struct stat file;
  char *name = rl_filename_completion_function(text, state), *longer;
  size_t n = name ? strlen(name) : 0;
  if (!n || name[n - 1] == '/' || stat(name, &file) || !S_ISDIR(file.st_mode)) return name;
  longer = realloc(name, n + 2);
  if (!longer) return name;
  memcpy(longer + n, "/", 2);
  return longer;
}

static char **complete(const char *text, int start, int end)
{
  (void)start, (void)end;
  rl_attempted_completion_over = 1;
  if (in_quotes()) return rl_completion_matches(text, next_file);
  if (!*text) return NULL; /* everything is no help */
  words = complete_words(names_of, text);
  char **matches = rl_completion_matches(text, next_word);
  free_words(words);
  words = NULL;
  return matches;
}

/* ---- lines ---- */

static char *finished;
static bool done;
static volatile sig_atomic_t interrupted;

static void take(char *line)
{
  finished = line;
  done = true;
}

static void note_interrupt(int signal_number)
{
  (void)signal_number;
  interrupted = 1;
}

/* readline() cannot be left by Ctrl-C. So: a key at a time, and between keys we wait where a signal wakes us. */
static char *edit(const char *prompt, bool *cancelled)
{
  sigset_t while_waiting, otherwise;
  struct sigaction on_interrupt = {.sa_handler = note_interrupt}, before;
  struct pollfd keys = {.fd = 0, .events = POLLIN};
  sigaction(SIGINT, &on_interrupt, &before);
  sigemptyset(&otherwise);
  sigaddset(&otherwise, SIGINT);
  sigprocmask(SIG_BLOCK, &otherwise, &while_waiting);
  finished = NULL, done = false, interrupted = 0;
  rl_callback_handler_install(prompt, take);
  while (!done && !interrupted) {
    int ready = ppoll(&keys, 1, NULL, &while_waiting);
    if (ready > 0) rl_callback_read_char();
    if ((ready < 0 && errno != EINTR) || (ready > 0 && keys.revents & (POLLHUP | POLLERR | POLLNVAL))) break;
  }
  rl_callback_handler_remove();
  sigprocmask(SIG_SETMASK, &while_waiting, NULL);
  sigaction(SIGINT, &before, NULL);
  *cancelled = interrupted && !done;
  if (*cancelled) {
    putchar('\n');
    return strdup("");
  }
  return finished;
}

static char *read_plain(void)
{
  char *line = NULL;
  size_t room = 0;
  ssize_t n = getline(&line, &room, stdin);
  if (n < 0) return free(line), NULL;
  if (n > 0 && line[n - 1] == '\n') line[n - 1] = 0;
  return line;
}

void line_open(lua_State *L)
{
  if (!isatty(0)) return;
  /* libedit reads letters beyond ASCII only so; where no locale is set, in a container, say, the terminal has UTF-8. */
  if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8")) setlocale(LC_CTYPE, "C.UTF-8");
  names_of = L;
  rl_readline_name = "aviary";
  rl_attempted_completion_function = complete;
  rl_completion_word_break_hook = choose_word_breaks;
  rl_completion_append_character = 0;
  using_history();
  stifle_history(HISTORY_LINES);
  find_history();
  read_history_file();
}

char *line_read(const char *prompt, bool *cancelled)
{
  *cancelled = false;
  if (!isatty(0)) return read_plain();
  char *line = edit(prompt, cancelled);
  if (line) keep(line);
  return line;
}
