#include "pool.h"
#include "pool_team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Each thread begins with a share of its own, so that what it touched in the last loop is still in its cache, and then
   helps with the others' shares. */
typedef struct {
  _Alignas(64) atomic_size_t next;
  size_t end;
} Share;

static struct {
  void (*work)(const void *arg, size_t i);
  const void *arg;
  int shares;
  Share share[POOL_MOST];
} pool;

static _Thread_local bool at_work;

static void take_part(int member)
{
  if (member >= pool.shares) return;
  at_work = true;
  for (int i = 0; i < pool.shares; i++) {
    Share *s = &pool.share[(member + i) % pool.shares];
    for (size_t k; (k = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed)) < s->end;) pool.work(pool.arg, k);
  }
  at_work = false;
}

/* A process that was forked has none of the threads, and whoever waits for one waits for ever. */
static bool forked;
static void in_child(void) { forked = true; }

static void know_forks(void)
{
  static bool known;
  if (!known) pthread_atfork(NULL, NULL, in_child);
  known = true;
}

void pool_run(int team, size_t count, void (*work)(const void *arg, size_t i), const void *arg)
{
  int shares = count < (size_t)team ? (int)count : team;
  if (shares <= 1 || at_work || forked) {
    for (size_t i = 0; i < count; i++) work(arg, i);
    return;
  }
  know_forks();
  pool.work = work, pool.arg = arg, pool.shares = shares;
  for (int i = 0; i < shares; i++) {
    atomic_store_explicit(&pool.share[i].next, count * (size_t)i / (size_t)shares, memory_order_relaxed);
    pool.share[i].end = count * (size_t)(i + 1) / (size_t)shares;
  }
  pool_team(team, take_part);
}
