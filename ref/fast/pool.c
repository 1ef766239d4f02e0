#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Each thread begins with a share of its own, so that what it touched in the last loop is still in its cache, and then
   helps with the others' shares. */
typedef struct {
  _Alignas(64) atomic_size_t next;
  size_t end;
} Share;

enum {
  LOOKS = 4000,   /* before a thread goes to sleep: some 50 to 100 microseconds */
  LINE = 64,      /* bytes that one request brings, */
  AT_ONCE = 16,   /* requests before the next look, */
  AHEAD = 1 << 19 /* and bytes that a thread asks for at most: half of a usual second cache */
};
static const unsigned closed = 1u << 31;

static struct {
  void (*work)(const void *arg, size_t i);
  const void *arg;
  int team;
  Share share[POOL_MOST];
  _Alignas(64) atomic_uint round;  /* loops so far */
  _Alignas(64) atomic_uint inside; /* threads that look for work in this loop; `closed` once there is none left */
  _Alignas(64) atomic_size_t expected, expected_bytes; /* where that stands */
  atomic_int asleep;
  int threads; /* that exist, without the first */
  pthread_mutex_t lock;
  pthread_cond_t wake;
} pool = {.inside = 1u << 31, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static _Thread_local bool at_work;

static void look_again(void)
{
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void take_part(int id)
{
  at_work = true;
  for (int i = 0; i < pool.team; i++) {
    Share *s = &pool.share[(id + i) % pool.team];
    for (size_t k; (k = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed)) < s->end;) pool.work(pool.arg, k);
  }
  at_work = false;
}

static void sleep_until_after(unsigned seen)
{
  pthread_mutex_lock(&pool.lock);
  atomic_fetch_add(&pool.asleep, 1);
  while (atomic_load(&pool.round) == seen) pthread_cond_wait(&pool.wake, &pool.lock);
  atomic_fetch_sub(&pool.asleep, 1);
  pthread_mutex_unlock(&pool.lock);
}

typedef struct {
  int id, team;               /* as it was in the last loop */
  size_t expected, next, end; /* of what is expected, the part that this thread is still to ask for */
} Helper;

static void ask_ahead(Helper *h)
{
  size_t at = atomic_load_explicit(&pool.expected, memory_order_relaxed), most = AHEAD;
  if (h->expected != at) {
    size_t share = atomic_load_explicit(&pool.expected_bytes, memory_order_relaxed) / (size_t)h->team;
    h->expected = at;
    h->next = at + share * (size_t)h->id;
    h->end = h->next + (share < most ? share : most);
  }
  for (int i = 0; i < AT_ONCE && h->next < h->end; i++, h->next += LINE)
    __builtin_prefetch((const void *)h->next, 0, 2);
}

static unsigned loop_after(unsigned seen, Helper *h)
{
  for (int i = 0; i < LOOKS && atomic_load_explicit(&pool.round, memory_order_acquire) == seen; i++) {
    ask_ahead(h);
    look_again();
  }
  if (atomic_load(&pool.round) == seen) sleep_until_after(seen);
  return atomic_load(&pool.round);
}

static void *helper(void *arg)
{
  int id = (int)(size_t)arg;
  unsigned seen = 0;
  Helper h = {.id = id, .team = id + 1};
  for (;;) {
    seen = loop_after(seen, &h);
    /* Whoever is counted here before the loop is closed has a loop to work on: the next one is not set up before the
       count is back at 0. */
    if (!(atomic_fetch_add(&pool.inside, 1) & closed) && id < pool.team) {
      h.team = pool.team;
      take_part(id);
    }
    atomic_fetch_sub(&pool.inside, 1);
  }
  return NULL;
}

static void start_threads(int wanted)
{
  for (; pool.threads < wanted; pool.threads++) {
    pthread_t t;
    if (pthread_create(&t, NULL, helper, (void *)(size_t)(pool.threads + 1)) != 0) return; /* fewer will do */
    pthread_detach(t);
  }
}

void pool_expect(const void *at, size_t bytes)
{
  atomic_store_explicit(&pool.expected_bytes, bytes, memory_order_relaxed);
  atomic_store_explicit(&pool.expected, (size_t)at, memory_order_relaxed);
}

void pool_run(int team, size_t count, void (*work)(const void *arg, size_t i), const void *arg)
{
  if ((size_t)team > count) team = (int)count;
  if (team <= 1 || at_work) {
    for (size_t i = 0; i < count; i++) work(arg, i);
    return;
  }
  start_threads(team - 1);
  pool.work = work, pool.arg = arg, pool.team = team;
  for (int i = 0; i < team; i++) {
    atomic_store_explicit(&pool.share[i].next, count * (size_t)i / (size_t)team, memory_order_relaxed);
    pool.share[i].end = count * (size_t)(i + 1) / (size_t)team;
  }
  atomic_fetch_and(&pool.inside, ~closed);
  atomic_fetch_add(&pool.round, 1);
  if (atomic_load(&pool.asleep)) {
    pthread_mutex_lock(&pool.lock);
    pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.lock);
  }
  take_part(0);
  atomic_fetch_or(&pool.inside, closed);
  for (int i = 0; atomic_load_explicit(&pool.inside, memory_order_acquire) != closed; i++)
    if (i < LOOKS) look_again();
    else sched_yield(); /* the thread we wait for may need this processor */
}
