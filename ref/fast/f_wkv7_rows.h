/* RWKV-7's recurrence, four rows i of the state at a time, for one width of vectors (f_widths.h). Rows depend on
   each other nowhere, so a block of them is taken through a whole segment while it is in the nearest cache. */

#define step_rows AT_WIDTH(step_rows)
#define first_sa AT_WIDTH(first_sa)
#define forward_head AT_WIDTH(forward_head)
#define token_head AT_WIDTH(token_head)
#define wkv7_forward AT_WIDTH(wkv7_forward)
#define rows_back AT_WIDTH(rows_back)
#define give_gradients AT_WIDTH(give_gradients)
#define add_to AT_WIDTH(add_to)
#define backward_segment AT_WIDTH(backward_segment)
#define backward_head AT_WIDTH(backward_head)
#define wkv7_backward AT_WIDTH(wkv7_backward)

#define FOUR(i) _Pragma("GCC unroll 4") for (size_t i = 0; i < 4; i++)
#define EACH(j) _Pragma("GCC unroll 4") for (size_t j = 0; j < N; j += LANES)

/* sa = S a, of four rows */
INLINE void first_sa(real *sa, const real *S, const real *a, size_t N)
{
  Vec sum[4] = {0};
  EACH(j) {
    Vec aj = vec_load(a + j);
    FOUR(i) sum[i] += vec_load(S + i * N + j) * aj;
  }
  vec_sums_4(sa, sum);
}

/* One token, four rows: S1 = S diag(e^w) + sa b' + v k' (S1 may be S), y = S1 r where y is not NULL, and
   the next token's sa = S1 a. */
INLINE void step_rows(real *S1, real *y, real *next_sa, const real *S, const real *sa, const Token *x,
                      const real *next_a, bool with_y, size_t i0, size_t N)
{
  Vec s[4], v[4], sum_y[4] = {0}, sum_a[4] = {0};
  FOUR(i) s[i] = vec_of(sa[i]), v[i] = vec_of(x->v[i0 + i]);
  EACH(j) {
    Vec ew = vec_load(x->ew + j), b = vec_load(x->b + j), k = vec_load(x->k + j), a = vec_load(next_a + j);
    Vec r = with_y ? vec_load(x->r + j) : a;
    FOUR(i) {
      Vec t = vec_load(S + i * N + j) * ew + (s[i] * b + v[i] * k);
      vec_store(S1 + i * N + j, t);
      if (with_y) sum_y[i] += t * r;
      sum_a[i] += t * a;
    }
  }
  vec_sums_4(next_sa, sum_a);
  if (with_y) vec_sums_4(y + i0, sum_y);
}

INLINE void forward_head(const Wkv7 *q, size_t bh, size_t N)
{
  real ew[WKV_SEGMENT * N_MAX];
  size_t NN = N * N, n_segments = pieces(q->T, WKV_SEGMENT), block = N % BLOCK ? 4 : BLOCK;
  real *S = q->S1 + bh * NN;
  memcpy(S, q->S0 + bh * NN, NN * sizeof *S);
  for (size_t s = 0; s < n_segments; s++) {
    size_t count = smaller(WKV_SEGMENT, q->T - s * WKV_SEGMENT), step = q->H * N;
    size_t start = ((bh / q->H * q->T + s * WKV_SEGMENT) * q->H + bh % q->H) * N;
    if (q->segments) memcpy(q->segments + (bh * n_segments + s) * NN, S, NN * sizeof *S);
    decays(ew, q->w + start, count, step, N);
    for (size_t i0 = 0; i0 < N; i0 += block) {
      real sa[BLOCK], *rows = S + i0 * N;
      for (size_t i = 0; i < block; i += 4) first_sa(sa + i, rows + i * N, q->a + start, N);
      for (size_t n = 0; n < count; n++) {
        size_t at = start + n * step;
        Token x = TOKEN(q, at, ew + n * N);
        const real *next_a = n + 1 < count ? x.a + step : x.a;
        for (size_t i = 0; i < block; i += 4)
          step_rows(rows + i * N, q->y + at, sa + i, rows + i * N, sa + i, &x, next_a, true, i0 + i, N);
      }
    }
  }
}

/* A single token, whose time is that of bringing the states: those of the next rows are asked for meanwhile. */
INLINE void token_head(const Wkv7 *q, size_t bh, size_t N)
{
  real ew[N_MAX];
  const real *S = q->S0 + bh * N * N, *a = q->a + bh * N;
  real *S1 = q->S1 + bh * N * N;
  Token x = TOKEN(q, bh * N, ew);
  decays(ew, q->w + bh * N, 1, N, N);
  for (size_t i = 0; i < N; i += 4) {
    real sa[4], next_sa[4];
    for (size_t j = 0; j < 4 * N; j += 64 / REAL_SIZE) {
      __builtin_prefetch(S + (i + ROWS_AHEAD) * N + j, 0, 2);
      __builtin_prefetch(S1 + (i + ROWS_AHEAD) * N + j, 1, 2);
    }
    first_sa(sa, S + i * N, a, N);
    step_rows(S1 + i * N, q->y + bh * N, next_sa, S + i * N, sa, &x, a, true, i, N);
  }
}

static void wkv7_forward(const void *arg, size_t from, size_t to)
{
  const Wkv7 *q = arg;
  for (size_t bh = from; bh < to; bh++) {
    bool token = q->T == 1 && !q->segments;
    if (token && q->N == 64) token_head(q, bh, 64);
    else if (token) token_head(q, bh, q->N);
    else if (q->N == 64) forward_head(q, bh, 64);
    else if (q->N == 32) forward_head(q, bh, 32);
    else forward_head(q, bh, q->N);
  }
}

/* ---- backward: the formulas of k_wkv7_backward ---- */

/* Four rows a segment back, both ways of the state in one walk. Along a row: gs, gradient by (S a)_i, and gv; down the
   columns, on top of the rows before: the other sums. G goes back through y = S1 r and S1 = S diag(e^w) + (S a) b' + v
   k', and stays in registers. */
INLINE void rows_back(const Backward *q, Workspace *ws, real *G, const real *S, size_t start, size_t count, size_t i0,
                      size_t block, size_t N)
{
  static const real zeros[N_MAX]; /* no gradient by y: neither it nor r may do anything */
  const Wkv7 *f = &q->op.forward;
  Vec g[4][N_MAX / LANES], zero = {0};
  FOUR(i)
    EACH(j) g[i][j / LANES] = vec_load(G + (i0 + i) * N + j);
  for (size_t n = count; n-- > 0;) {
    size_t at = start + n * f->H * N;
    Token x = TOKEN(f, at, ws->ew + n * N);
    Columns sum = columns(ws->sums + n * SUMS_OF_TOKEN * N, N);
    const real *before = n ? ws->states + ((n - 1) * block + i0 % block) * N : S + i0 * N;
    const real *r = q->op.gy ? x.r : zeros, *gy = q->op.gy ? q->op.gy + at + i0 : zeros;
    const real *v = x.v + i0, *sa = ws->sa + n * N + i0;
    real gs[4];
    Vec sum_b[4] = {0}, sum_k[4] = {0};
    EACH(j) {
      Vec rj = vec_load(r + j), b = vec_load(x.b + j), k = vec_load(x.k + j);
      FOUR(i) {
        Vec *gi = &g[i][j / LANES];
        *gi += gy[i] * rj;
        sum_b[i] += *gi * b;
        sum_k[i] += *gi * k;
      }
    }
    vec_sums_4(gs, sum_b);
    vec_sums_4(sum.gv + i0, sum_k);
#define SO_FAR(x) (i0 ? vec_load(x + j) : zero)
    EACH(j) {
      Vec gyS = SO_FAR(sum.gyS), gsS = SO_FAR(sum.gsS), GS = SO_FAR(sum.GS), Gv = SO_FAR(sum.Gv), Gsa = SO_FAR(sum.Gsa);
      Vec ew = vec_load(x.ew + j), a = vec_load(x.a + j);
      FOUR(i) {
        Vec *gi = &g[i][j / LANES], s = vec_load(before + i * N + j);
        gyS += gy[i] * s;
        gsS += gs[i] * s;
        GS += *gi * s;
        Gv += *gi * v[i];
        Gsa += *gi * sa[i];
        *gi = *gi * ew + gs[i] * a;
      }
      vec_store(sum.gyS + j, gyS), vec_store(sum.gsS + j, gsS), vec_store(sum.GS + j, GS);
      vec_store(sum.Gv + j, Gv), vec_store(sum.Gsa + j, Gsa);
    }
#undef SO_FAR
  }
  FOUR(i)
    EACH(j) vec_store(G + (i0 + i) * N + j, g[i][j / LANES]);
}

INLINE void add_to(bool add, real *out, size_t at, const real *in, size_t N)
{
  for (size_t j = 0; out && j < N; j += LANES)
    vec_store(out + at + j, add ? vec_load(out + at + j) + vec_load(in + j) : vec_load(in + j));
}

INLINE void give_gradients(const Backward *q, size_t at, Columns *sum, const real *gy, const real *sa, const Token *x,
                           size_t N)
{
  Vec of_gy[4] = {0};
  real dot[4];
  for (size_t i = 0; gy && i < N; i += LANES) {
    of_gy[0] += vec_load(gy + i) * vec_load(sa + i);
    of_gy[1] += vec_load(gy + i) * vec_load(x->v + i);
  }
  vec_sums_4(dot, of_gy);
  for (size_t j = 0; j < N; j += LANES) { /* S1' gy without S1 */
    Vec ew = vec_load(x->ew + j), by_r = dot[0] * vec_load(x->b + j) + dot[1] * vec_load(x->k + j);
    vec_store(sum->gyS + j, vec_load(sum->gyS + j) * ew + by_r);
    vec_store(sum->GS + j, vec_load(sum->GS + j) * ew);
  }
  if (gy) add_to(q->add[0], q->op.gr, at, sum->gyS, N);
  add_to(q->add[1], q->op.gw, at, sum->GS, N);
  add_to(q->add[2], q->op.gk, at, sum->Gv, N);
  add_to(q->add[3], q->op.gv, at, sum->gv, N);
  add_to(q->add[4], q->op.ga, at, sum->gsS, N);
  add_to(q->add[5], q->op.gb, at, sum->Gsa, N);
}

INLINE void backward_segment(const Backward *q, real *G, const real *S, size_t start, size_t count, size_t N)
{
  Workspace ws;
  const Wkv7 *f = &q->op.forward;
  size_t step = f->H * N, block = N % BLOCK ? 4 : BLOCK;
  decays(ws.ew, f->w + start, count, step, N);
  for (size_t i0 = 0; i0 < N; i0 += block) {
    for (size_t i = i0; i < i0 + block; i += 4) first_sa(ws.sa + i, S + i * N, f->a + start, N);
    for (size_t n = 0; n + 1 < count; n++) { /* the states of this segment once more */
      size_t at = start + n * step;
      Token x = TOKEN(f, at, ws.ew + n * N);
      const real *before = n ? ws.states + (n - 1) * block * N : S + i0 * N;
      real *after = ws.states + n * block * N, *sa = ws.sa + n * N + i0;
      for (size_t i = 0; i < block; i += 4)
        step_rows(after + i * N, NULL, sa + N + i, before + i * N, sa + i, &x, x.a + step, false, i0 + i, N);
    }
    for (size_t i = i0; i < i0 + block; i += 4) rows_back(q, &ws, G, S, start, count, i, block, N);
  }
  for (size_t n = 0; n < count; n++) {
    size_t at = start + n * step;
    Token x = TOKEN(f, at, ws.ew + n * N);
    Columns sum = columns(ws.sums + n * SUMS_OF_TOKEN * N, N);
    give_gradients(q, at, &sum, q->op.gy ? q->op.gy + at : NULL, ws.sa + n * N, &x, N);
  }
}

INLINE void backward_head(const Backward *q, size_t bh, size_t N)
{
  const Wkv7Backward *op = &q->op;
  const Wkv7 *f = &op->forward;
  size_t NN = N * N, n_segments = k_segments(f->T);
  real G[N_MAX * N_MAX];
  if (op->gS1) memcpy(G, op->gS1 + bh * NN, NN * sizeof *G);
  else memset(G, 0, NN * sizeof *G);
  for (size_t s = n_segments; s-- > 0;) {
    size_t first = s * WKV_SEGMENT, count = smaller(WKV_SEGMENT, f->T - first);
    size_t start = ((bh / f->H * f->T + first) * f->H + bh % f->H) * N;
    backward_segment(q, G, f->segments + (bh * n_segments + s) * NN, start, count, N);
  }
  add_to(true, op->gS0, bh * NN, G, NN);
}

static void wkv7_backward(const void *arg, size_t from, size_t to)
{
  const Backward *q = arg;
  for (size_t bh = from; bh < to; bh++) {
    if (q->op.forward.N == 64) backward_head(q, bh, 64);
    else if (q->op.forward.N == 32) backward_head(q, bh, 32);
    else backward_head(q, bh, q->op.forward.N);
  }
}

#undef FOUR
#undef EACH
