/* The selective scan of Mamba. A few lanes of a warp have one channel d of one sequence, each up to 4 of its N states;
   a block has several channels, and walks through time in segments: what it reads of a segment, it reads before, into
   shared memory. N above 4 x 32 takes several turns. */
#include "parts.h"

enum { STATES = 4, THREADS = sizeof(real) == 8 ? 64 : 128, SEGMENT = WKV_SEGMENT };

/* How threads are dealt out. Lane l of a channel has the states first + l, first + l + lanes, .. of the turn. */
typedef struct {
  int lanes, channels;          /* of a channel; of a block */
  size_t blocks, states, first; /* of a sequence; of a turn, and where it begins */
} Shape;

static Shape shape_for(const SelectiveScan *op)
{
  int lanes = 1;
  while (lanes < WARP && (size_t)lanes * STATES < op->N) lanes *= 2;
  return {lanes, THREADS / lanes, pieces(op->D, THREADS / lanes), (size_t)lanes * STATES, 0};
}

typedef struct {
  size_t b, d, at; /* its sequence and channel, and its first state in [B,D,N]; the others are `lanes` apart */
  int lane, channel, count;
} Mine;

DEVICE Mine mine_of(const SelectiveScan &op, const Shape &s)
{
  Mine m;
  m.lane = threadIdx.x % s.lanes, m.channel = threadIdx.x / s.lanes;
  m.b = blockIdx.x / s.blocks, m.d = blockIdx.x % s.blocks * s.channels + m.channel;
  m.at = (m.b * op.D + m.d) * op.N + s.first + m.lane;
  m.count = 0;
  for (int k = 0; k < STATES; k++) m.count += m.d < op.D && s.first + m.lane + k * s.lanes < op.N;
  return m;
}

/* A segment in shared memory; zeros where there is nothing. */
typedef struct {
  real *x, *delta, *Bm, *Cm; /* [SEGMENT,channels], [SEGMENT,states] */
  real *y, *gdelta;          /* [SEGMENT,channels]: y on the way there; gy, then gx on the way back */
  real *h; /* on the way back: [SEGMENT + 1,STATES,THREADS + lanes] states, before each token and after all */
} Segment;

static size_t segment_bytes(const Shape &s, bool back)
{
  size_t row = (back ? 4 : 3) * (size_t)s.channels + 2 * s.states, states = STATES * (size_t)(THREADS + s.lanes);
  return (SEGMENT * row + (back ? (SEGMENT + 1) * states : 0)) * sizeof(real);
}

DEVICE Segment segment_at(real *room, const Shape &s)
{
  size_t rows = (size_t)SEGMENT * s.channels, states = SEGMENT * s.states;
  real *y = room + 2 * rows + 2 * states;
  return {room, room + rows, room + 2 * rows, room + 2 * rows + states, y, y + rows, y + 2 * rows};
}

/* to[i,k] = from[row + i, first + k] */
DEVICE void read_rows(real *to, size_t width, const real *from, size_t row, size_t count, size_t first, size_t all)
{
  for (size_t k = threadIdx.x; k < count * width; k += THREADS) {
    size_t at = first + k % width;
    to[k] = from && at < all ? from[(row + k / width) * all + at] : 0;
  }
}

/* The same back; added, if that is asked for. */
DEVICE void write_rows(real *to, size_t width, const real *from, size_t row, size_t count, size_t first, size_t all,
                       bool add)
{
  for (size_t k = threadIdx.x; to && k < count * width; k += THREADS) {
    size_t at = first + k % width;
    real *p = to + (row + k / width) * all + at;
    if (at < all) *p = add ? *p + from[k] : from[k];
  }
}

DEVICE void read_segment(const Segment &g, const SelectiveScan &op, const Shape &s, size_t row, size_t count)
{
  size_t d = blockIdx.x % s.blocks * s.channels;
  read_rows(g.x, s.channels, op.x, row, count, d, op.D);
  read_rows(g.delta, s.channels, op.delta, row, count, d, op.D);
  read_rows(g.Bm, s.states, op.Bm, row, count, s.first, op.N);
  read_rows(g.Cm, s.states, op.Cm, row, count, s.first, op.N);
}

/* The sum over a channel's lanes. */
DEVICE real channel_sum(real x, int lanes)
{
  for (int other = lanes / 2; other; other /= 2) x += __shfl_xor_sync(0xffffffffu, x, other);
  return x;
}

/* Token i of the segment: h_t = e^{delta A} h_{t-1} + delta B x */
DEVICE void step(real *h, const real *A, const Segment &g, const Shape &s, const Mine &m, size_t i)
{
  real delta = g.delta[i * s.channels + m.channel], in = delta * g.x[i * s.channels + m.channel];
  for (int k = 0; k < STATES; k++)
    if (k < m.count) h[k] = exp(delta * A[k]) * h[k] + in * g.Bm[i * s.states + m.lane + k * s.lanes];
}

/* y = C' h_t; later turns add to it */
KERNEL selective_scan(SelectiveScan op, Shape s)
{
  DYNAMIC_SHARED(real, room);
  Segment g = segment_at(room, s);
  Mine m = mine_of(op, s);
  size_t T = op.T, N = op.N, d = blockIdx.x % s.blocks * s.channels;
  real h[STATES], A[STATES];
  for (int k = 0; k < STATES; k++) {
    A[k] = k < m.count ? op.A[m.at - m.b * op.D * N + k * s.lanes] : 0;
    h[k] = k < m.count ? op.h0[m.at + k * s.lanes] : 0;
  }
  for (size_t from = 0; from < T; from += SEGMENT) {
    size_t count = smaller(SEGMENT, T - from), row = m.b * T + from;
    size_t segment = m.at + (m.b * (pieces(T, SEGMENT) - 1) + from / SEGMENT) * op.D * N;
    for (int k = 0; k < STATES; k++)
      if (op.segments && k < m.count) op.segments[segment + k * s.lanes] = h[k];
    read_segment(g, op, s, row, count);
    __syncthreads();
    for (size_t i = 0; i < count; i++) {
      step(h, A, g, s, m, i);
      real y = 0;
      for (int k = 0; k < STATES; k++)
        if (k < m.count) y += g.Cm[i * s.states + m.lane + k * s.lanes] * h[k];
      y = channel_sum(y, s.lanes);
      if (m.lane == 0) g.y[i * s.channels + m.channel] = y;
    }
    __syncthreads();
    write_rows(op.y, s.channels, g.y, row, count, d, op.D, s.first > 0);
  }
  for (int k = 0; k < STATES; k++)
    if (k < m.count) op.h1[m.at + k * s.lanes] = h[k];
}

/* ---- backward ---- */

/* What blocks leave for others to sum: gB and gC [blocks,B,T,N], gA [B,D,N]. */
typedef struct {
  real *gB, *gC, *gA;
} Left;

DEVICE real &kept(const Segment &g, const Shape &s, size_t i, size_t k, size_t thread)
{
  return g.h[(i * STATES + k) * (THREADS + s.lanes) + thread];
}

/* out[i,n] = the sum over channels of by[i] (and also_by[i]) times what is kept at later + i: a thread for each token
   and state. */
DEVICE void sum_channels(real *out, const Segment &g, const Shape &s, const SelectiveScan &op, const real *by,
                         const real *also_by, size_t row, size_t count, size_t later)
{
  size_t channels = smaller(s.channels, op.D - blockIdx.x % s.blocks * s.channels);
  for (size_t p = threadIdx.x; p < count * s.states; p += THREADS) {
    size_t i = p / s.states, n = p % s.states;
    if (s.first + n >= op.N) continue;
    real sum = 0;
    for (size_t c = 0; c < channels; c++) {
      real factor = by[i * s.channels + c];
      if (also_by) factor *= also_by[i * s.channels + c];
      sum += factor * kept(g, s, later + i, n / s.lanes, c * s.lanes + n % s.lanes);
    }
    out[(blockIdx.x % s.blocks * op.B * op.T + row + i) * op.N + s.first + n] = sum;
  }
}

/* The tokens of a segment backwards: G enters as the gradient by the state after it, and leaves as that before it. In
   the place of each state stays the gradient by the one that followed. */
DEVICE void segment_backward(real *G, real *gA, const real *A, const Segment &g, const Shape &s, const Mine &m,
                             size_t count, bool reads_out)
{
  for (size_t i = count; i-- > 0;) {
    size_t at = i * s.channels + m.channel;
    real delta = g.delta[at], x = g.x[at], gy = g.y[at], gx = 0, gdelta = 0;
    for (int k = 0; k < STATES; k++) {
      if (k >= m.count) continue;
      size_t n = i * s.states + m.lane + k * s.lanes;
      real &h = kept(g, s, i, k, threadIdx.x), Bn = g.Bm[n];
      real G1 = reads_out ? G[k] + gy * g.Cm[n] : G[k], decay = exp(delta * A[k]), gexponent = G1 * decay * h;
      gx += G1 * delta * Bn;
      gdelta += gexponent * A[k] + G1 * Bn * x;
      gA[k] += gexponent * delta;
      G[k] = decay * G1;
      h = G1;
    }
    gx = channel_sum(gx, s.lanes), gdelta = channel_sum(gdelta, s.lanes);
    if (m.lane == 0) g.y[at] = gx, g.gdelta[at] = gdelta;
  }
}

KERNEL selective_scan_backward(SelectiveScanBackward op, Shape s, Left left)
{
  DYNAMIC_SHARED(real, room);
  const SelectiveScan &f = op.forward;
  Segment g = segment_at(room, s);
  Mine m = mine_of(f, s);
  size_t T = f.T, N = f.N, d = blockIdx.x % s.blocks * s.channels;
  real h[STATES], A[STATES], G[STATES], gA[STATES];
  for (int k = 0; k < STATES; k++) {
    A[k] = k < m.count ? f.A[m.at - m.b * f.D * N + k * s.lanes] : 0;
    G[k] = op.gh1 && k < m.count ? op.gh1[m.at + k * s.lanes] : 0;
    gA[k] = 0;
  }
  for (size_t segment = pieces(T, SEGMENT); segment-- > 0;) {
    size_t from = segment * SEGMENT, count = smaller(SEGMENT, T - from), row = m.b * T + from;
    size_t before = m.at + (m.b * (pieces(T, SEGMENT) - 1) + segment) * f.D * N;
    read_segment(g, f, s, row, count);
    read_rows(g.y, s.channels, op.gy, row, count, d, f.D);
    __syncthreads();
    for (int k = 0; k < STATES; k++)
      kept(g, s, 0, k, threadIdx.x) = h[k] = k < m.count ? f.segments[before + k * s.lanes] : 0;
    for (size_t i = 0; i < count; i++) { /* the states of this segment once more */
      step(h, A, g, s, m, i);
      for (int k = 0; k < STATES; k++) kept(g, s, i + 1, k, threadIdx.x) = h[k];
    }
    __syncthreads();
    if (op.gC && op.gy) sum_channels(left.gC, g, s, f, g.y, NULL, row, count, 1);
    __syncthreads();
    segment_backward(G, gA, A, g, s, m, count, op.gy);
    __syncthreads();
    if (op.gB) sum_channels(left.gB, g, s, f, g.delta, g.x, row, count, 0);
    write_rows(op.gx, s.channels, g.y, row, count, d, f.D, true);
    write_rows(op.gdelta, s.channels, g.gdelta, row, count, d, f.D, true);
    __syncthreads();
  }
  for (int k = 0; k < STATES; k++) {
    if (k >= m.count) continue;
    if (op.gA) left.gA[m.at + k * s.lanes] = gA[k];
    if (op.gh0) op.gh0[m.at + k * s.lanes] += G[k];
  }
}

/* ---- launches ---- */

void c_selective_scan(const SelectiveScan *op)
{
  Shape s = shape_for(op);
  for (; op->B && op->D && s.first < op->N; s.first += s.states)
    LAUNCH(selective_scan, (unsigned)(s.blocks * op->B), THREADS, segment_bytes(s, false), *op, s);
}

void c_selective_scan_backward(const SelectiveScanBackward *op)
{
  const SelectiveScan *f = &op->forward;
  Shape s = shape_for(f);
  size_t BTN = f->B * f->T * f->N, DN = f->D * f->N;
  if (!f->B || !DN) return;
  real *room = (real *)device_scratch((2 * s.blocks * BTN + f->B * DN) * sizeof(real));
  Left left = {room, room + s.blocks * BTN, room + 2 * s.blocks * BTN};
  for (; s.first < f->N; s.first += s.states)
    LAUNCH(selective_scan_backward, (unsigned)(s.blocks * f->B), THREADS, segment_bytes(s, true), *op, s, left);
  add_parts({op->gB, left.gB, s.blocks, BTN}, {op->gy ? op->gC : NULL, left.gC, s.blocks, BTN},
            {op->gA, left.gA, f->B, DN});
}
