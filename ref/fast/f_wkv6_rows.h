/* The recurrence of RWKV-5 and RWKV-6, for one width of vectors (f_widths.h), which lie along the values i. Rows of the
   state (keys j) depend on each other nowhere, so a block of them is taken through a whole segment at a time. */

#define keys_forward AT_WIDTH(keys_forward)
#define own_pairs AT_WIDTH(own_pairs)
#define forward_head AT_WIDTH(forward_head)
#define wkv6_forward AT_WIDTH(wkv6_forward)
#define states_again AT_WIDTH(states_again)
#define keys_back AT_WIDTH(keys_back)
#define give_gradients AT_WIDTH(give_gradients)
#define backward_segment AT_WIDTH(backward_segment)
#define backward_head AT_WIDTH(backward_head)
#define wkv6_backward AT_WIDTH(wkv6_backward)

#define TILE_MOST (LANES * REAL_SIZE == 64 ? 4 : 2) /* vectors of values: for 32 and for 16 registers */
#define FOUR(j) _Pragma("GCC unroll 4") for (size_t j = 0; j < 4; j++)
#define EACH_VECTOR(c, i) _Pragma("GCC unroll 4") for (size_t c = 0, i = i0; c < tile; c++, i += LANES)

/* Four keys and `tile` vectors of values through a segment: y += r' S, then S = diag(e^w) S + k v'. The state stays in
   registers. */
INLINE void keys_forward(real *S, real *y, const real *r, const real *ew, const real *k, const real *v, size_t i0,
                         size_t tile, size_t count, size_t step, size_t N)
{
  Vec s[4][TILE_MOST];
  FOUR(j)
    EACH_VECTOR(c, i) s[j][c] = vec_load(S + j * N + i);
  for (size_t n = 0; n < count; n++) {
    const real *rn = r + n * step, *kn = k + n * step, *vn = v + n * step, *en = ew + n * N;
    real *yn = y + n * step;
    EACH_VECTOR(c, i) {
      Vec vi = vec_load(vn + i), sum = vec_load(yn + i);
      FOUR(j) {
        sum += rn[j] * s[j][c];
        s[j][c] = en[j] * s[j][c] + kn[j] * vi;
      }
      vec_store(yn + i, sum);
    }
  }
  FOUR(j)
    EACH_VECTOR(c, i) vec_store(S + j * N + i, s[j][c]);
}

/* What a token's own pair gives: y = (sum_j r_j u_j k_j) v */
INLINE void own_pairs(real *y, const real *r, const real *u, const real *k, const real *v, size_t N)
{
  Vec sum[4] = {0};
  real own[4];
  for (size_t j = 0; j < N; j += LANES) sum[0] += vec_load(r + j) * vec_load(u + j) * vec_load(k + j);
  vec_sums_4(own, sum);
  for (size_t i = 0; i < N; i += LANES) vec_store(y + i, own[0] * vec_load(v + i));
}

INLINE void forward_head(const Wkv6 *q, size_t bh, size_t N)
{
  real ew[WKV_SEGMENT * N_MAX];
  size_t NN = N * N, n_segments = pieces(q->T, WKV_SEGMENT), b = bh / q->H, h = bh % q->H, step = q->H * N;
  real *S = q->S1 + bh * NN;
  memcpy(S, q->S0 + bh * NN, NN * sizeof *S);
  for (size_t s = 0; s < n_segments; s++) {
    size_t row = b * q->T + s * WKV_SEGMENT, count = smaller(WKV_SEGMENT, q->T - s * WKV_SEGMENT);
    size_t at = row * step + h * N;
    const real *r = q->r + at, *k = q->k + at, *v = q->v + at;
    real *y = q->y + at;
    if (q->segments) memcpy(q->segments + (bh * n_segments + s) * NN, S, NN * sizeof *S);
    decays(ew, q, row, h, count, N);
    for (size_t n = 0; n < count; n++)
      own_pairs(y + n * step, r + n * step, q->u + h * N, k + n * step, v + n * step, N);
    for (size_t j = 0; j < N; j += 4) {
      size_t i = 0;
      for (; i + TILE_MOST * LANES <= N; i += TILE_MOST * LANES)
        keys_forward(S + j * N, y, r + j, ew + j, k + j, v, i, TILE_MOST, count, step, N);
      for (; i + 2 * LANES <= N; i += 2 * LANES)
        keys_forward(S + j * N, y, r + j, ew + j, k + j, v, i, 2, count, step, N);
      for (; i < N; i += LANES) keys_forward(S + j * N, y, r + j, ew + j, k + j, v, i, 1, count, step, N);
    }
  }
}

static void wkv6_forward(const void *arg, size_t from, size_t to)
{
  const Wkv6 *q = arg;
  for (size_t bh = from; bh < to; bh++) {
    if (q->N == 64) forward_head(q, bh, 64);
    else if (q->N == 32) forward_head(q, bh, 32);
    else forward_head(q, bh, q->N);
  }
}

/* ---- backward: the formulas of k_wkv6_backward ---- */

/* A block of keys, one token: S1 = diag(e^w) S + k v' */
INLINE void states_again(real *S1, const real *S, const real *ew, const real *k, const real *v, size_t block, size_t N)
{
  for (size_t j = 0; j < block; j++) {
    Vec e = vec_of(ew[j]), kj = vec_of(k[j]);
    _Pragma("GCC unroll 4") for (size_t i = 0; i < N; i += LANES)
        vec_store(S1 + j * N + i, e * vec_load(S + j * N + i) + kj * vec_load(v + i));
  }
}

/* A block of keys and `tile` vectors of values, one token back. Along the values, for each key: gyS, Gv, GS, still as
   vectors (`along`), to which other tiles add; and gv down the keys. */
INLINE void keys_back(real *G, Vec (*along)[BLOCK], real *gv, const real *gy, const real *S, const real *r,
                      const real *ew, const real *k, const real *v, size_t i0, size_t tile, size_t block, size_t N)
{
  Vec gyi[TILE_MOST], vi[TILE_MOST], gvi[TILE_MOST];
  EACH_VECTOR(c, i) gyi[c] = vec_load(gy + i), vi[c] = vec_load(v + i), gvi[c] = vec_load(gv + i);
  for (size_t j = 0; j < block; j++) {
    Vec zero = {0}, gyS = i0 ? along[0][j] : zero, Gv = i0 ? along[1][j] : zero, GS = i0 ? along[2][j] : zero;
    Vec rj = vec_of(r[j]), e = vec_of(ew[j]), kj = vec_of(k[j]);
    EACH_VECTOR(c, i) {
      Vec g = vec_load(G + j * N + i), s = vec_load(S + j * N + i);
      gyS += gyi[c] * s;
      Gv += g * vi[c];
      GS += g * s;
      gvi[c] += g * kj;
      vec_store(G + j * N + i, e * g + gyi[c] * rj);
    }
    along[0][j] = gyS, along[1][j] = Gv, along[2][j] = GS;
  }
  EACH_VECTOR(c, i) vec_store(gv + i, gvi[c]);
}

/* gu, gw: what u, and a decay that is the same for all tokens, collect over time */
INLINE void give_gradients(const Backward *q, acc *gu, acc *gw, const Sums *sum, size_t at, size_t h, const real *ew,
                           size_t N)
{
  const Wkv6Backward *op = &q->op;
  const Wkv6 *f = &op->forward;
  const real *r = f->r + at, *k = f->k + at, *v = f->v + at, *u = f->u + h * N, *gy = op->gy ? op->gy + at : NULL;
  Vec sums[4] = {0}; /* own, gy_v */
  real dot[4] = {0};
  for (size_t j = 0; gy && j < N; j += LANES) {
    sums[0] += vec_load(r + j) * vec_load(u + j) * vec_load(k + j);
    sums[1] += vec_load(gy + j) * vec_load(v + j);
  }
  if (gy) vec_sums_4(dot, sums);
#define ADD(i, to, value)                     \
  for (size_t j = 0; to && j < N; j += LANES) \
  vec_store(to + at + j, q->add[i] ? vec_load(to + at + j) + (value) : (value))
  if (gy) {
    ADD(0, op->gr, vec_load(sum->gyS + j) + vec_load(u + j) * vec_load(k + j) * dot[1]);
    ADD(2, op->gk, vec_load(sum->Gv + j) + vec_load(r + j) * vec_load(u + j) * dot[1]);
    ADD(3, op->gv, vec_load(sum->gv + j) + vec_load(gy + j) * dot[0]);
    for (size_t j = 0; op->gu && j < N; j++) gu[j] += (acc)(dot[1] * r[j] * k[j]);
  } else {
    ADD(2, op->gk, vec_load(sum->Gv + j));
    ADD(3, op->gv, vec_load(sum->gv + j));
  }
  if (f->decay_rows > 1) ADD(1, op->gw, vec_load(sum->GS + j) * vec_load(ew + j));
  else
    for (size_t j = 0; op->gw && j < N; j++) gw[j] += (acc)(sum->GS[j] * ew[j]);
#undef ADD
}

INLINE void backward_segment(const Backward *q, real *G, acc *gu, acc *gw, const real *S, size_t row, size_t h,
                             size_t count, size_t N)
{
  static const real zeros[N_MAX]; /* no gradient by y: then r plays no part either */
  Workspace ws;
  const Wkv6 *f = &q->op.forward;
  size_t step = f->H * N, start = row * step + h * N, block = N % BLOCK ? 4 : BLOCK;
  decays(ws.ew, f, row, h, count, N);
  memset(ws.sums, 0, count * SUMS_OF_TOKEN * N * sizeof *ws.sums);
  for (size_t j0 = 0; j0 < N; j0 += block) {
#define BEFORE(n) ((n) ? ws.states + ((n)-1) * block * N : S + j0 * N)
    for (size_t n = 0; n + 1 < count; n++) { /* the states of this segment once more */
      size_t at = start + n * step;
      states_again(ws.states + n * block * N, BEFORE(n), ws.ew + n * N + j0, f->k + at + j0, f->v + at, block, N);
    }
    for (size_t n = count; n-- > 0;) {
      size_t at = start + n * step, i = 0;
      Sums sum = sums_of(ws.sums + n * SUMS_OF_TOKEN * N, N);
      Vec along[3][BLOCK];
      const real *gy = q->op.gy ? q->op.gy + at : zeros, *r = q->op.gy ? f->r + at + j0 : zeros;
      const real *ew = ws.ew + n * N + j0, *k = f->k + at + j0;
#define BACK(tile) keys_back(G + j0 * N, along, sum.gv, gy, BEFORE(n), r, ew, k, f->v + at, i, tile, block, N)
      for (; i + TILE_MOST * LANES <= N; i += TILE_MOST * LANES) BACK(TILE_MOST);
      for (; i + 2 * LANES <= N; i += 2 * LANES) BACK(2);
      for (; i < N; i += LANES) BACK(1);
#undef BACK
      for (size_t j = 0; j < block; j += 4) {
        vec_sums_4(sum.gyS + j0 + j, along[0] + j);
        vec_sums_4(sum.Gv + j0 + j, along[1] + j);
        vec_sums_4(sum.GS + j0 + j, along[2] + j);
      }
    }
#undef BEFORE
  }
  for (size_t n = 0; n < count; n++) {
    Sums sum = sums_of(ws.sums + n * SUMS_OF_TOKEN * N, N);
    give_gradients(q, gu, gw, &sum, start + n * step, h, ws.ew + n * N, N);
  }
}

INLINE void backward_head(const Backward *q, size_t bh, size_t N)
{
  const Wkv6Backward *op = &q->op;
  const Wkv6 *f = &op->forward;
  size_t NN = N * N, n_segments = k_segments(f->T), b = bh / f->H, h = bh % f->H;
  real G[N_MAX * N_MAX], *left = q->left + bh * 2 * N;
  acc gu[N_MAX] = {0}, gw[N_MAX] = {0};
  if (op->gS1) memcpy(G, op->gS1 + bh * NN, NN * sizeof *G);
  else memset(G, 0, NN * sizeof *G);
  for (size_t s = n_segments; s-- > 0;) {
    size_t first = s * WKV_SEGMENT, count = smaller(WKV_SEGMENT, f->T - first);
    backward_segment(q, G, gu, gw, f->segments + (bh * n_segments + s) * NN, b * f->T + first, h, count, N);
  }
  for (size_t i = 0; op->gS0 && i < NN; i++) op->gS0[bh * NN + i] += G[i];
  for (size_t j = 0; j < N; j++) left[j] = (real)gu[j], left[N + j] = (real)gw[j];
}

static void wkv6_backward(const void *arg, size_t from, size_t to)
{
  const Backward *q = arg;
  for (size_t bh = from; bh < to; bh++) {
    if (q->op.forward.N == 64) backward_head(q, bh, 64);
    else if (q->op.forward.N == 32) backward_head(q, bh, 32);
    else backward_head(q, bh, q->op.forward.N);
  }
}

#undef TILE_MOST
#undef FOUR
#undef EACH_VECTOR
