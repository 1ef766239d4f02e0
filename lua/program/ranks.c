/* Programs that compute one thing together, started by mpirun: who this one is, and numbers that go from one to
   another. MPI is opened when there is something to do, by the names of Open MPI; the program is not linked with it.

   Behind the walls around a script (confine.c) nothing can be connected any more. So all meet each other before they
   stand, and read each other's memory through what they share, not by asking the kernel for it.

   Only rank 0 speaks and writes. What is wrong on another is said by that one, and ends all. */
#include "bindings/bind.h"
#include "bindings/gradients.h"
#include "program.h"

#include "engine/backend.h"
#include "io/output.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TAG = 7, PIECE = 1 << 28 }; /* bytes at a time, whose number is an int */

static struct {
  void *world, *byte;
  int (*init)(int *, char ***), (*rank)(void *, int *), (*size)(void *, int *), (*finalize)(void),
      (*abort)(void *, int);
  int (*send)(const void *, int, void *, int, int, void *), (*receive)(void *, int, void *, int, int, void *, void *);
  int (*exchange)(const void *, int, void *, int, int, void *, int, void *, int, int, void *, void *);
  int (*broadcast)(void *, int, void *, int, void *), (*barrier)(void *);
} mpi;
static int rank, ranks; /* 0 of them: this program is alone */
static bool on_devices; /* which add up by themselves */
static int errors = -1; /* where a rank that does not speak can say what is wrong */

bool ranks_wanted(void) { return getenv("OMPI_COMM_WORLD_SIZE") != NULL; }

static void *symbol(lua_State *L, void *library, const char *name)
{
  void *found = dlsym(library, name);
  if (!found) luaL_error(L, "mpirun: libmpi has no %s; expected Open MPI", name);
  return found;
}

/* What is neither said nor written by this rank. */
static void fall_silent(void)
{
  output_discard();
  int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
  errors = fcntl(2, F_DUPFD_CLOEXEC, 3);
  if (nothing < 0) return;
  dup2(nothing, 1), dup2(nothing, 2);
  close(nothing);
}

const char *ranks_folder(void) { return ranks_wanted() ? getenv("PMIX_SERVER_TMPDIR") : NULL; }

/* What Open MPI shall do, and not do, when walls are going to stand. */
static void prepare_for_walls(void)
{
  setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 1);
  if (ranks_folder()) setenv("OMPI_MCA_btl_vader_backing_directory", ranks_folder(), 1);
}

/* Every two exchange a message, long enough to take all ways that there are between them. */
static bool meet(void)
{
  enum { LONG = 1 << 20 };
  char *bytes = calloc(2, LONG);
  bool failed = !bytes;
  for (int apart = 1; apart < ranks && !failed; apart++)
    failed = mpi.exchange(bytes, LONG, mpi.byte, (rank + apart) % ranks, TAG, bytes + LONG, LONG, mpi.byte,
                          (rank + ranks - apart) % ranks, TAG, mpi.world, NULL);
  free(bytes);
  return !failed;
}

void ranks_open(lua_State *L, bool walls)
{
  void *library = dlopen("libmpi.so.40", RTLD_NOW | RTLD_GLOBAL);
  if (!library) library = dlopen("libmpi.so", RTLD_NOW | RTLD_GLOBAL);
  if (!library) luaL_error(L, "mpirun: %s", dlerror());
  *(void **)&mpi.init = symbol(L, library, "MPI_Init");
  *(void **)&mpi.rank = symbol(L, library, "MPI_Comm_rank");
  *(void **)&mpi.size = symbol(L, library, "MPI_Comm_size");
  *(void **)&mpi.send = symbol(L, library, "MPI_Send");
  *(void **)&mpi.receive = symbol(L, library, "MPI_Recv");
  *(void **)&mpi.exchange = symbol(L, library, "MPI_Sendrecv");
  *(void **)&mpi.broadcast = symbol(L, library, "MPI_Bcast");
  *(void **)&mpi.barrier = symbol(L, library, "MPI_Barrier");
  *(void **)&mpi.finalize = symbol(L, library, "MPI_Finalize");
  *(void **)&mpi.abort = symbol(L, library, "MPI_Abort");
  mpi.world = symbol(L, library, "ompi_mpi_comm_world");
  mpi.byte = symbol(L, library, "ompi_mpi_byte");
  if (walls) prepare_for_walls();
  if (mpi.init(NULL, NULL) || mpi.rank(mpi.world, &rank) || mpi.size(mpi.world, &ranks))
    luaL_error(L, "mpirun: MPI does not start");
  if (walls && !meet()) luaL_error(L, "mpirun: rank %d does not reach all others", rank);
  if (rank > 0) fall_silent();
}

int ranks_device(void)
{
  const char *own = ranks_wanted() ? getenv("OMPI_COMM_WORLD_LOCAL_RANK") : NULL;
  return own ? atoi(own) : 0;
}

/* Rank 0 finds out whether devices can; then all must. */
void ranks_join_devices(lua_State *L)
{
  const BackendRanks *b = ranks ? backend_now()->ranks : NULL;
  char why[400] = "";
  if (!b) return;
  char *id = lua_newuserdatauv(L, b->id_bytes + 1, 0);
  id[b->id_bytes] = rank == 0 && b->id(id, why, sizeof why);
  if (rank == 0 && !id[b->id_bytes]) fprintf(stderr, "aviary: mpirun: gradients go over the host: %s\n", why);
  if (mpi.broadcast(id, (int)b->id_bytes + 1, mpi.byte, 0, mpi.world))
    luaL_error(L, "mpirun: numbers did not come through");
  on_devices = id[b->id_bytes];
  if (on_devices && !b->join(id, rank, ranks, why, sizeof why)) luaL_error(L, "mpirun: %s", why);
  lua_pop(L, 1);
}

void ranks_speak(void)
{
  if (errors < 0) return;
  fflush(NULL);
  dup2(errors, 2);
  setvbuf(stderr, NULL, _IOFBF, BUFSIZ); /* others speak, too: a message goes out as a whole */
  fprintf(stderr, "rank %d of %d: ", rank, ranks);
}

void ranks_close(int status)
{
  enum { AGAIN = 75 }; /* all ranks end so together (lua/rwkv/experiment/notice.lua) */
  if (ranks == 0) return;
  fflush(NULL);
  if (status != 0 && status != AGAIN) mpi.abort(mpi.world, status);
  mpi.finalize();
  ranks = 0;
}

/* ---- for the library ---- */

/* ranks() -> this program's rank, how many there are, whether their devices add up; nothing if mpirun has not started
   it */
static int get_ranks(lua_State *L)
{
  if (ranks == 0) return 0;
  lua_pushinteger(L, rank);
  lua_pushinteger(L, ranks);
  lua_pushboolean(L, on_devices);
  return 3;
}

static int other(lua_State *L, int index) { return int_argument(L, index, 0, ranks - 1, "rank"); }

typedef enum { SEND, RECEIVE, BROADCAST } Way;

static int transfer(Way way, void *bytes, int n, int whom)
{
  if (way == SEND) return mpi.send(bytes, n, mpi.byte, whom, TAG, mpi.world);
  if (way == RECEIVE) return mpi.receive(bytes, n, mpi.byte, whom, TAG, mpi.world, NULL);
  return mpi.broadcast(bytes, n, mpi.byte, whom, mpi.world);
}

/* What stands beside gradients, and then all of them, a piece at a time. */
static int transfer_gradients(lua_State *L, Way way, int whom)
{
  Gradients *g = check_gradients(L, 1);
  char *all = (char *)g->of;
  size_t bytes = gradients_bytes(g);
  int failed = transfer(way, g->beside, sizeof g->beside, whom);
  for (size_t at = 0, n; at < bytes && !failed; at += n) {
    n = bytes - at < PIECE ? bytes - at : PIECE;
    failed = transfer(way, all + at, (int)n, whom);
  }
  return failed ? luaL_error(L, "mpirun: numbers did not come through") : 0;
}

/* send(gradients, rank) */
static int send_gradients(lua_State *L) { return transfer_gradients(L, SEND, other(L, 2)); }

/* receive(gradients, rank): in the place of as many numbers */
static int receive_gradients(lua_State *L) { return transfer_gradients(L, RECEIVE, other(L, 2)); }

/* broadcast(gradients): those of rank 0 to all */
static int broadcast_gradients(lua_State *L) { return transfer_gradients(L, BROADCAST, 0); }

/* agree(number) -> that of rank 0; all wait for each other */
static int agree(lua_State *L)
{
  double x = luaL_checknumber(L, 1);
  if (transfer(BROADCAST, &x, sizeof x, 0) || mpi.barrier(mpi.world))
    return luaL_error(L, "mpirun: a number did not come through");
  lua_pushnumber(L, x);
  return 1;
}

void open_ranks(lua_State *L)
{
  add_private(L, (luaL_Reg[]){{"ranks", get_ranks},
                              {"send", send_gradients},
                              {"receive", receive_gradients},
                              {"broadcast", broadcast_gradients},
                              {"agree", agree},
                              {NULL, NULL}});
}
