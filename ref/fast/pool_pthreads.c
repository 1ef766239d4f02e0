/* Threads of our own. They wait for the next loop: for a short while by looking, then asleep. A loop never waits for a
   thread that has not begun, so on a busy machine it costs no more than one thread. */
#include "places.h"
#include "pool.h"
#include "pool_team.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum {
  LOOKS = 4000,   /* before a thread goes to sleep: some 50 to 100 microseconds */
  LINE = 64,      /* bytes that one request brings, */
  AT_ONCE = 16,   /* requests before the next look, */
  AHEAD = 1 << 19 /* and bytes that a thread asks for at most: half of a usual second cache */
};
static const unsigned closed = 1u << 31;

static struct {
  void (*part)(int member);
  int size;
  _Alignas(64) atomic_uint round;  /* loops so far */
  _Alignas(64) atomic_uint inside; /* threads that look for work in this loop; `closed` once there is none left */
  _Alignas(64) atomic_size_t expected, expected_bytes; /* what pool_expect was told */
  atomic_int asleep;
  int threads; /* that exist, without the first */
  pthread_mutex_t lock;
  pthread_cond_t wake;
} team = {.inside = 1u << 31, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

const char *pool_threading(void) { return "pthreads"; }

static void look_again(void)
{
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void sleep_until_after(unsigned seen)
{
  pthread_mutex_lock(&team.lock);
  atomic_fetch_add(&team.asleep, 1);
  while (atomic_load(&team.round) == seen) pthread_cond_wait(&team.wake, &team.lock);
  atomic_fetch_sub(&team.asleep, 1);
  pthread_mutex_unlock(&team.lock);
}

typedef struct {
  int id, team;               /* as it was in the last loop */
  size_t expected, next, end; /* of what is expected, the part that this thread is still to ask for */
} Helper;

static void ask_ahead(Helper *h)
{
  size_t at = atomic_load_explicit(&team.expected, memory_order_relaxed), most = AHEAD;
  if (h->expected != at) {
    size_t share = atomic_load_explicit(&team.expected_bytes, memory_order_relaxed) / (size_t)h->team;
    h->expected = at;
    h->next = at + share * (size_t)h->id;
    h->end = h->next + (share < most ? share : most);
  }
  for (int i = 0; i < AT_ONCE && h->next < h->end; i++, h->next += LINE)
    __builtin_prefetch((const void *)h->next, 0, 2);
}

static unsigned loop_after(unsigned seen, Helper *h)
{
  for (int i = 0; i < LOOKS && atomic_load_explicit(&team.round, memory_order_acquire) == seen; i++) {
    ask_ahead(h);
    look_again();
  }
  if (atomic_load(&team.round) == seen) sleep_until_after(seen);
  return atomic_load(&team.round);
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
    if (!(atomic_fetch_add(&team.inside, 1) & closed) && id < team.size) {
      h.team = team.size;
      team.part(id);
    }
    atomic_fetch_sub(&team.inside, 1);
  }
  return NULL;
}

/* Where OpenMP has places, thread `id` gets one of its own, as a thread of OpenMP's would. */
static void choose_place(pthread_attr_t *attr, int id)
{
  int places = omp_get_num_places(), bind = omp_get_proc_bind();
  cpu_set_t set;
  if (places < 1 || bind == omp_proc_bind_false || bind == omp_proc_bind_master) return;
  if (places_set(id % places, 1, &set)) pthread_attr_setaffinity_np(attr, sizeof set, &set);
}

static void start_threads(int wanted)
{
  for (; team.threads < wanted; team.threads++) {
    pthread_t t;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    choose_place(&attr, team.threads + 1);
    int failed = pthread_create(&t, &attr, helper, (void *)(size_t)(team.threads + 1));
    pthread_attr_destroy(&attr);
    if (failed) return; /* fewer will do */
  }
}

void pool_expect(const void *at, size_t bytes)
{
  atomic_store_explicit(&team.expected_bytes, bytes, memory_order_relaxed);
  atomic_store_explicit(&team.expected, (size_t)at, memory_order_relaxed);
}

void pool_team(int size, void (*part)(int member))
{
  start_threads(size - 1);
  team.part = part, team.size = size;
  atomic_fetch_and(&team.inside, ~closed);
  atomic_fetch_add(&team.round, 1);
  if (atomic_load(&team.asleep)) {
    pthread_mutex_lock(&team.lock);
    pthread_cond_broadcast(&team.wake);
    pthread_mutex_unlock(&team.lock);
  }
  part(0);
  atomic_fetch_or(&team.inside, closed);
  for (int i = 0; atomic_load_explicit(&team.inside, memory_order_acquire) != closed; i++)
    if (i < LOOKS) look_again();
    else sched_yield(); /* the thread we wait for may need this processor */
}
