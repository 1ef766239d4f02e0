/* The table of ops, a row each: name, struct, the number of parts that it comes in (sequences or rows of the batch,
  
   is; ops.c says what the operands are. An operand is a field, and how many numbers it has:

     READS(x, n)           reads x, of which each part of the op has its own
     WRITES(y, n)          overwrites y
     SUMS(y, terms, n)     the same; each number is a sum of so many products
                           (an index: it is found by comparing such sums, and may be either of two that are equal
                           but for rounding)
     UPDATES(p, n)         reads and writes p, or writes only some of it
     ADDS(gx, terms, n)    adds sums of so many products to gx
     PACKED(w, n)          reads a matrix that is kept in fewer bits; each part has all of it
     SCRATCH(s, n)         room to work in
     READS_STEP(op, in, i), ADDS_STEP(op, i)   input i of a program of steps, and the gradient by it
     INDEX(i, n)           reads integers in the host's memory
   ..._ALL: each part has all of it. ADDS_ALL also says what the products are made of, as far as they may cancel.
   ..._IF: each part has its own if the condition holds, otherwise all of it. ..._CAST: an operand that is broadcast. */
/* clang-format off */
#define F op->forward /* the op that a backward op goes back through */
#define OUTER  op->outer * op->size * op->inner
#define F_OUTER  F.outer * F.size * F.inner
#define BTHN   op->B * op->T * op->H * op->N
#define F_BTHN   F.B * F.T * F.H * F.N
#define BUHN   op->B * op->U * op->H * op->N
#define F_BUHN   F.B * F.U * F.H * F.N
#define BHNN   op->B * op->H * op->N * op->N
#define F_BHNN   F.B * F.H * F.N * F.N
#define BTGb   op->B * op->T * op->G * op->bits
#define F_BTGb   F.B * F.T * F.G * F.bits
#define BUGb   op->B * op->U * op->G * op->bits
#define F_BUGb   F.B * F.U * F.G * F.bits
#define HCTX   op->H * op->ctx
#define F_HCTX   F.H * F.ctx
#define BTC    op->B * op->T * op->C
#define F_BTC    F.B * F.T * F.C
#define BTD    op->B * op->T * op->D
#define F_BTD    F.B * F.T * F.D
#define BTN    op->B * op->T * op->N
#define F_BTN    F.B * F.T * F.N
#define BDN    op->B * op->D * op->N
#define F_BDN    F.B * F.D * F.N
#define BC     op->B * op->C
#define F_BC     F.B * F.C

/* ---- pointwise ---- */
OP(clear, Clear, op->n, WRITES(x, op->n))
OP(unary, Unary, op->n, WRITES(y, op->n) READS(x, op->n))
OP(unary_backward, UnaryBackward, F.n, ADDS(gx, 1, F.n) READS(g, F.n) READS(forward.x, F.n) READS(forward.y, F.n))
OP(binary, Binary, k_broadcast_parts(&op->shape),
   WRITES(y, k_broadcast_size(&op->shape)) READS_CAST(a, op->shape, step_a) READS_CAST(b, op->shape, step_b))
OP(binary_backward, BinaryBackward, k_broadcast_parts(&F.shape),
   ADDS_CAST(ga, F.shape, step_a) ADDS_CAST(gb, F.shape, step_b) READS(g, k_broadcast_size(&F.shape))
   READS_CAST(forward.a, F.shape, step_a) READS_CAST(forward.b, F.shape, step_b))
OP(compare, Compare, k_broadcast_parts(&op->shape),
   WRITES(y, k_broadcast_size(&op->shape)) READS_CAST(a, op->shape, step_a) READS_CAST(b, op->shape, step_b))
OP(choose, Choose, op->n, WRITES(y, op->n) READS(mask, op->n) READS(a, op->n) READS(b, op->n))
OP(choose_backward, ChooseBackward, F.n, ADDS(ga, 1, F.n) ADDS(gb, 1, F.n) READS(g, F.n) READS(forward.mask, F.n))
OP(affine, Affine, op->n, WRITES(y, op->n) READS(x, op->n))
OP(affine_backward, AffineBackward, F.n, ADDS(gx, 1, F.n) READS(g, F.n))
OP(lerp, Lerp, op->rows,
   WRITES(z, op->rows * op->C) READS(x, op->rows * op->C) READS(p, op->rows * op->C)
   READS_IF(mu, op->mu_rows == op->rows, op->mu_rows * op->C))
OP(lerp_backward, LerpBackward, F.rows,
   ADDS(gx, 1, F.rows * F.C) ADDS(gp, 1, F.rows * F.C)
   ADDS_IF(gmu, F.mu_rows == F.rows, F.mu_rows == F.rows ? 1 : F.rows, F.mu_rows * F.C) READS(g, F.rows * F.C)
   READS(forward.x, F.rows * F.C) READS(forward.p, F.rows * F.C)
   READS_IF(forward.mu, F.mu_rows == F.rows, F.mu_rows * F.C))

/* ---- linear maps and look-up ---- */
OP(linear, Linear, op->rows,
   SUMS(y, op->in, op->rows * op->out) READS(x, op->rows * op->in) READS_ALL(w, op->out * op->in)
   READS_ALL(bias, op->out))
OP(linear_backward, LinearBackward, F.rows,
   ADDS(gx, F.out, F.rows * F.in) ADDS_ALL(gw, F.rows, "g x", F.out * F.in) ADDS_ALL(gbias, F.rows, "g", F.out)
   READS(g, F.rows * F.out) READS(forward.x, F.rows * F.in) READS_ALL(forward.w, F.out * F.in))
OP(matmul, Matmul, op->rows,
   SUMS(y, op->in, op->rows * op->out) READS(x, op->rows * op->in) READS_ALL(m, op->in * op->out))
OP(matmul_backward, MatmulBackward, F.rows,
   ADDS(gx, F.out, F.rows * F.in) ADDS_ALL(gm, F.rows, "g x", F.in * F.out) READS(g, F.rows * F.out)
   READS(forward.x, F.rows * F.in) READS_ALL(forward.m, F.in * F.out))
OP(rows, Rows, op->count, WRITES(y, op->count * op->C) READS_ALL(table, op->rows * op->C) INDEX(index, op->count))
OP(rows_backward, RowsBackward, F.count,
   ADDS_ALL(gtable, F.count, "", F.rows * F.C) READS(g, F.count * F.C) INDEX(forward.index, F.count))
OP(linear_packed, LinearPacked, op->rows,
   SUMS(y, op->in, op->rows * op->out) READS(x, op->rows * op->in) PACKED(w, op->out * op->in) READS_ALL(bias, op->out))
OP(matmul_packed, MatmulPacked, op->rows,
   SUMS(y, op->in, op->rows * op->out) READS(x, op->rows * op->in) PACKED(m, op->in * op->out))
OP(rows_packed, RowsPacked, op->count,
   WRITES(y, op->count * op->C) PACKED(table, op->rows * op->C) INDEX(index, op->count))

/* ---- normalisation ---- */
OP(norm, Norm, op->rows,
   WRITES(y, op->rows * op->H * op->N) WRITES(stats, op->rows * op->H * 2) READS(x, op->rows * op->H * op->N)
   READS_ALL(weight, op->H * op->N) READS_ALL(bias, op->H * op->N))
OP(norm_backward, NormBackward, F.rows,
   ADDS(gx, F.N, F.rows * F.H * F.N) ADDS_ALL(gweight, F.rows, "", F.H * F.N) ADDS_ALL(gbias, F.rows, "g", F.H * F.N)
   READS(g, F.rows * F.H * F.N) READS(forward.stats, F.rows * F.H * 2) READS(forward.x, F.rows * F.H * F.N)
   READS_ALL(forward.weight, F.H * F.N))
OP(l2norm, L2Norm, op->groups, WRITES(y, op->groups * op->N) READS(x, op->groups * op->N))
OP(l2norm_backward, L2NormBackward, F.groups,
   ADDS(gx, F.N, F.groups * F.N) READS(g, F.groups * F.N) READS(forward.x, F.groups * F.N))

/* ---- time shift, slices, sums ---- */
OP(shift, Shift, op->B, WRITES(prev, BTC) READS(x, BTC) READS(carry, BC))
OP(shift_backward, ShiftBackward, F.B, ADDS(gx, 1, F_BTC) ADDS(gcarry, 1, F_BC) READS(g, F_BTC))
OP(conv, Conv, op->B,
   SUMS(y, op->W, BTC) READS(x, BTC) READS(carry, op->B * (op->W - 1) * op->C) READS_ALL(w, op->C * op->W))
OP(conv_backward, ConvBackward, F.B,
   ADDS(gx, F.W, F_BTC) ADDS(gcarry, F.W, F.B * (F.W - 1) * F.C) ADDS_ALL(gw, F.B * F.T, "g x", F.C * F.W)
   READS(g, F_BTC) READS(forward.x, F_BTC) READS(forward.carry, F.B * (F.W - 1) * F.C) READS_ALL(forward.w, F.C * F.W))
OP(slice, Slice, op->outer, WRITES(part, op->outer * op->count * op->inner) READS(whole, OUTER))
OP(slice_add, Slice, op->outer, ADDS(part, 1, op->outer * op->count * op->inner) READS(whole, OUTER))
OP(unslice, Unslice, op->outer, UPDATES(whole, OUTER) READS(part, op->outer * op->count * op->inner))
OP(unslice_add, Unslice, op->outer, ADDS(whole, 1, OUTER) READS(part, op->outer * op->count * op->inner))
OP(sum, Sum, op->outer, SUMS(y, op->size, op->outer * op->inner) READS(x, OUTER))
OP(sum_backward, SumBackward, F.outer, ADDS(gx, 1, F_OUTER) READS(g, F.outer * F.inner))
OP(cumsum, Cumsum, op->outer, SUMS(y, op->size, OUTER) READS(x, OUTER))
OP(cumsum_backward, CumsumBackward, F.outer, ADDS(gx, F.size, F_OUTER) READS(g, F_OUTER))

/* ---- arrays ---- */
OP(permute, Permute, op->n[0],
   WRITES(y, op->n[0] * op->n[1] * op->n[2] * op->n[3]) READS_ALL(x, op->n[0] * op->n[1] * op->n[2] * op->n[3]))
OP(permute_backward, PermuteBackward, F.n[0],
   ADDS_ALL(gx, 1, "", F.n[0] * F.n[1] * F.n[2] * F.n[3]) READS(g, F.n[0] * F.n[1] * F.n[2] * F.n[3]))
OP(max, Max, op->outer, WRITES(y, op->outer * op->inner) WRITES(at, op->outer * op->inner) READS(x, OUTER))
OP(max_backward, MaxBackward, F.outer,
   ADDS(gx, 1, F_OUTER) READS(g, F.outer * F.inner) READS(forward.at, F.outer * F.inner))
OP(gather, Gather, op->rows,
   WRITES(y, op->rows * op->count) READS(x, op->rows * op->n) INDEX(index, op->rows * op->count))
OP(gather_backward, GatherBackward, F.rows,
   ADDS(gx, F.count, F.rows * F.n) READS(g, F.rows * F.count) INDEX(forward.index, F.rows * F.count))
OP(softmax, Softmax, op->rows, WRITES(y, op->rows * op->n) READS(x, op->rows * op->n))
OP(softmax_backward, SoftmaxBackward, F.rows,
   ADDS(gx, F.n, F.rows * F.n) READS(g, F.rows * F.n) READS(forward.y, F.rows * F.n))
OP(bmm, Bmm, op->batch,
   SUMS(y, op->K, op->batch * op->M * op->N) READS_IF(a, op->a_step, (op->a_step ? op->batch : 1) * op->M * op->K)
   READS_IF(b, op->b_step, (op->b_step ? op->batch : 1) * op->K * op->N))
OP(bmm_backward, BmmBackward, F.batch,
   ADDS_IF(ga, F.a_step, F.N, (F.a_step ? F.batch : 1) * F.M * F.K)
   ADDS_IF(gb, F.b_step, F.M, (F.b_step ? F.batch : 1) * F.K * F.N) READS(g, F.batch * F.M * F.N)
   READS_IF(forward.a, F.a_step, (F.a_step ? F.batch : 1) * F.M * F.K)
   READS_IF(forward.b, F.b_step, (F.b_step ? F.batch : 1) * F.K * F.N))

/* ---- loss and optimiser ---- */
OP(cross_entropy, CrossEntropy, op->rows,
   WRITES_ALL(loss, 1) WRITES(log_sum, op->rows) READS(logits, op->rows * op->V) INDEX(target, op->rows))
OP(cross_entropy_backward, CrossEntropyBackward, F.rows,
   ADDS(glogits, 1, F.rows * F.V) READS_ALL(g, 1) READS(forward.log_sum, F.rows) READS(forward.logits, F.rows * F.V)
   INDEX(forward.target, F.rows))
/* The gradient by the logits is a factor, too: in bfloat16 one near the middle falls to either side, which is as much
   as the rounding of so many terms. */
#define SOME_FALL(terms) (op->factors == FACTORS_FULL ? (terms) : (size_t)1 << 29)
OP(head_loss, HeadLoss, op->rows,
   WRITES_ALL(loss, 1) SUMS(best, op->C, op->rows) SUMS(largest, op->C, op->rows)
   SUMS(gx, SOME_FALL(op->V), op->rows * op->C) SUMS_ALL(gw, SOME_FALL(op->rows), op->V * op->C)
   READS(x, op->rows * op->C) READS_ALL(w, op->V * op->C) INDEX(target, op->rows))
OP(head_loss_backward, HeadLossBackward, F.rows,
   ADDS(gx, 2, F.rows * F.C) ADDS_ALL(gw, F.rows + 1, "", F.V * F.C) READS_ALL(g, 1) READS(forward.best, F.rows)
   READS(forward.largest, F.rows) READS(forward.gx, F.rows * F.C) READS_ALL(forward.gw, F.V * F.C)
   READS(forward.x, F.rows * F.C) READS_ALL(forward.w, F.V * F.C) INDEX(forward.target, F.rows))
OP(bounds, Bounds, op->n, WRITES_ALL(found, 2) READS(x, op->n))
OP(argmax, Argmax, op->rows, WRITES(best, op->rows) READS(x, op->rows * op->n))
OP(adamw, Adamw, op->n, UPDATES(p, op->n) UPDATES(m, op->n) UPDATES(v, op->n) READS(g, op->n))
OP(sum_squares, SumSquares, op->n, ADDS_ALL(sum, op->n, "", 1) READS(x, op->n))

/* ---- attention ---- */
OP(copy_scores, CopyScores, op->rows,
   SUMS(y, op->D, op->rows * op->V) READS(q, op->rows * op->D) READS_ALL(k, op->B * op->U * op->D)
   INDEX_ALL(token, op->B * op->U) INDEX(batch, op->rows) INDEX(limit, op->rows))
OP(copy_scores_backward, CopyScoresBackward, F.rows,
   ADDS(gq, F.U, F.rows * F.D) ADDS_ALL(gk, F.rows, "", F.B * F.U * F.D) READS(g, F.rows * F.V)
   READS(forward.q, F.rows * F.D) READS_ALL(forward.k, F.B * F.U * F.D) INDEX_ALL(forward.token, F.B * F.U)
   INDEX(forward.batch, F.rows) INDEX(forward.limit, F.rows))
OP(linear_attention, LinearAttention, op->B,
   SUMS(y, op->U * op->D, BTC) READS(q, BTD) READS(k, op->B * op->U * op->D) READS(v, op->B * op->U * op->C))
OP(linear_attention_backward, LinearAttentionBackward, F.B,
   ADDS(gq, F.U * F.C, F_BTD) ADDS(gk, F.T * F.C, F.B * F.U * F.D) ADDS(gv, F.T * F.D, F.B * F.U * F.C)
   READS(g, F_BTC) READS(forward.q, F_BTD) READS(forward.k, F.B * F.U * F.D) READS(forward.v, F.B * F.U * F.C))
OP(rosa, Rosa, op->B,
   WRITES(y, BTGb) WRITES(runs, op->B * op->U * op->G)
   READS(before, op->B * (op->U - op->T) * op->G) READS(q, BUGb) READS(k, BUGb) READS(v, BUGb)
   READS_ALL(low, op->G * op->bits) READS_ALL(high, op->G * op->bits))
OP(rosa_backward, RosaBackward, F.B,
   ADDS(gq, F.T, F_BUGb) ADDS(gk, F.T, F_BUGb) ADDS(gv, F.T, F_BUGb) ADDS_ALL(glow, F.B * F.T, "", F.G * F.bits)
   ADDS_ALL(ghigh, F.B * F.T, "", F.G * F.bits) SCRATCH(scratch, F.B * F.G * 2 * F.U) READS(g, F_BTGb)
   READS(forward.q, F_BUGb) READS(forward.k, F_BUGb)
   READS(forward.v, F_BUGb) READS_ALL(forward.low, F.G * F.bits) READS_ALL(forward.high, F.G * F.bits))
OP(attention, Attention, op->B,
   SUMS(y, op->U * op->N, BTHN) WRITES(log_sum, op->B * op->T * op->H) SCRATCH(scratch, op->B * op->H * 2 * op->U)
   READS(q, BTHN) READS(k, BUHN) READS(v, BUHN))
OP(attention_backward, AttentionBackward, F.B,
   ADDS(gq, F.U * F.N, F_BTHN) ADDS(gk, F.T * F.N, F_BUHN) ADDS(gv, F.T * F.N, F_BUHN)
   SCRATCH(scratch, F.B * F.H * 2 * F.U) READS(g, F_BTHN) READS(forward.log_sum, F.B * F.T * F.H)
   READS(forward.q, F_BTHN) READS(forward.k, F_BUHN) READS(forward.v, F_BUHN))

/* ---- recurrences ---- */
OP(wkv1, Wkv1, op->B,
   SUMS(y, op->U, BTHN) READS_ALL(w, HCTX) READS_ALL(alpha, HCTX) READS_ALL(beta, HCTX) READS(k, BUHN) READS(v, BUHN))
OP(wkv1_backward, Wkv1Backward, F.B,
   ADDS_ALL(gw, F.B * F.T * F.N, "", F_HCTX) ADDS_ALL(galpha, F.B * F.T * F.N, "", F_HCTX)
   ADDS_ALL(gbeta, F.B * F.T * F.N, "", F_HCTX) ADDS(gk, F.T, F_BUHN) ADDS(gv, F.T, F_BUHN) READS(gy, F_BTHN)
   READS_ALL(forward.w, F_HCTX) READS_ALL(forward.alpha, F_HCTX) READS_ALL(forward.beta, F_HCTX)
   READS(forward.k, F_BUHN) READS(forward.v, F_BUHN))
OP(wkv2, Wkv2, op->B,
   SUMS(y, op->T, BTC) SUMS(a1, op->T, BC) SUMS(b1, op->T, BC) SUMS(trace, op->T, op->B * op->T * 2 * op->C)
   READS_ALL(w, op->C) READS_ALL(u, op->C) READS(e, BTC) READS(v, BTC) READS(a0, BC) READS(b0, BC))
OP(wkv2_backward, Wkv2Backward, F.B,
   ADDS_ALL(gw, F.B * F.T, "", F.C) ADDS_ALL(gu, F.B * F.T, "", F.C) ADDS(ge, F.T, F_BTC) ADDS(gv, F.T, F_BTC)
   ADDS(ga0, F.T, F_BC) ADDS(gb0, F.T, F_BC) READS(gy, F_BTC) READS(ga1, F_BC) READS(gb1, F_BC)
   READS(forward.trace, F.B * F.T * 2 * F.C) READS_ALL(forward.w, F.C) READS_ALL(forward.u, F.C)
   READS(forward.e, F_BTC) READS(forward.v, F_BTC))
OP(wkv4, Wkv4, op->B,
   SUMS(y, op->T, BTC) SUMS(a1, op->T, BC) SUMS(b1, op->T, BC) WRITES(p1, BC)
   SUMS(trace, op->T, op->B * op->T * 3 * op->C)
   READS_IF(w, op->decay_rows > 1, op->decay_rows * op->C) READS_ALL(u, op->C) READS(k, BTC) READS(v, BTC) READS(a0, BC)
   READS(b0, BC) READS(p0, BC))
OP(wkv4_backward, Wkv4Backward, F.B,
   ADDS_IF(gw, F.decay_rows > 1, F.B * F.T, F.decay_rows * F.C) ADDS_ALL(gu, F.B * F.T, "", F.C) ADDS(gk, F.T, F_BTC)
   ADDS(gv, F.T, F_BTC) ADDS(ga0, F.T, F_BC) ADDS(gb0, F.T, F_BC) ADDS(gp0, F.T, F_BC) READS(gy, F_BTC)
   READS(ga1, F_BC) READS(gb1, F_BC) READS(gp1, F_BC) READS(forward.trace, F.B * F.T * 3 * F.C)
   READS_IF(forward.w, F.decay_rows > 1, F.decay_rows * F.C) READS_ALL(forward.u, F.C) READS(forward.k, F_BTC)
   READS(forward.v, F_BTC))
OP(wkv6, Wkv6, op->B,
   SUMS(y, op->T * op->N, BTHN) SUMS(S1, op->T, BHNN)
   SUMS(segments, op->T, op->B * op->H * k_segments(op->T) * op->N * op->N)
   READS(r, BTHN) READS(k, BTHN) READS(v, BTHN) READS_IF(w, op->decay_rows > 1, op->decay_rows * op->H * op->N)
   READS_ALL(u, op->H * op->N) READS(S0, BHNN))
OP(wkv6_backward, Wkv6Backward, F.B,
   ADDS(gr, F.T * F.N, F_BTHN) ADDS_IF(gw, F.decay_rows > 1, F.B * F.T * F.N, F.decay_rows * F.H * F.N)
   ADDS(gk, F.T * F.N, F_BTHN) ADDS(gv, F.T * F.N, F_BTHN) ADDS_ALL(gu, F.B * F.T * F.N, "", F.H * F.N)
   ADDS(gS0, F.T, F_BHNN) SCRATCH(scratch, F.B * F.H * (1 + WKV_SEGMENT) * F.N * F.N) READS(gy, F_BTHN)
   READS(gS1, F_BHNN) READS(forward.segments, F.B * F.H * k_segments(F.T) * F.N * F.N) READS(forward.r, F_BTHN)
   READS(forward.k, F_BTHN) READS(forward.v, F_BTHN) READS_IF(forward.w, F.decay_rows > 1, F.decay_rows * F.H * F.N)
   READS_ALL(forward.u, F.H * F.N))
OP(wkv7, Wkv7, op->B,
   SUMS(y, op->T * op->N, BTHN) SUMS(S1, op->T * op->N, BHNN)
   SUMS(segments, op->T * op->N, op->B * op->H * k_segments(op->T) * op->N * op->N) READS(r, BTHN) READS(w, BTHN)
   READS(k, BTHN) READS(v, BTHN) READS(a, BTHN) READS(b, BTHN) READS(S0, BHNN))
OP(wkv7_backward, Wkv7Backward, F.B,
   ADDS(gr, F.T * F.N, F_BTHN) ADDS(gw, F.T * F.N, F_BTHN) ADDS(gk, F.T * F.N, F_BTHN) ADDS(gv, F.T * F.N, F_BTHN)
   ADDS(ga, F.T * F.N, F_BTHN) ADDS(gb, F.T * F.N, F_BTHN) ADDS(gS0, F.T * F.N, F_BHNN)
   SCRATCH(scratch, F.B * F.H * k_wkv7_scratch(F.N)) READS(gy, F_BTHN) READS(gS1, F_BHNN)
   READS(forward.segments, F.B * F.H * k_segments(F.T) * F.N * F.N) READS(forward.r, F_BTHN) READS(forward.w, F_BTHN)
   READS(forward.k, F_BTHN) READS(forward.v, F_BTHN) READS(forward.a, F_BTHN) READS(forward.b, F_BTHN))
OP(selective_scan, SelectiveScan, op->B,
   SUMS(y, op->T * op->N, BTD) SUMS(h1, op->T, BDN) SUMS(segments, op->T, op->B * k_segments(op->T) * op->D * op->N)
   READS(x, BTD) READS(delta, BTD) READS_ALL(A, op->D * op->N) READS(Bm, BTN) READS(Cm, BTN) READS(h0, BDN))
OP(selective_scan_backward, SelectiveScanBackward, F.B,
   ADDS(gx, F.T * F.N, F_BTD) ADDS(gdelta, F.T * F.N, F_BTD) ADDS_ALL(gA, F.B * F.T, "", F.D * F.N)
   ADDS(gB, F.T * F.D, F_BTN) ADDS(gC, F.T * F.D, F_BTN) ADDS(gh0, F.T, F_BDN)
   SCRATCH(scratch, F.B * (2 + WKV_SEGMENT) * F.D * F.N) READS(gy, F_BTD) READS(gh1, F_BDN)
   READS(forward.segments, F.B * k_segments(F.T) * F.D * F.N) READS(forward.x, F_BTD) READS(forward.delta, F_BTD)
   READS_ALL(forward.A, F.D * F.N) READS(forward.Bm, F_BTN) READS(forward.Cm, F_BTN))

OP(steps, Steps, op->B,
   SUMS(y, k_steps_terms(op), op->B * op->T * op->H * k_steps_size(op->program, op->program->y))
   SUMS(S1, k_steps_terms(op), op->B * op->H * k_steps_state(op->program))
   SUMS(segments, k_steps_terms(op), op->B * op->H * k_segments(op->T) * k_steps_state(op->program))
   SCRATCH_ALL(scratch, k_steps_made(op->program) + k_steps_state(op->program))
   READS_STEP((*op), in, 0) READS_STEP((*op), in, 1) READS_STEP((*op), in, 2) READS_STEP((*op), in, 3)
   READS_STEP((*op), in, 4) READS_STEP((*op), in, 5) READS_STEP((*op), in, 6) READS_STEP((*op), in, 7)
   READS_STEP((*op), in, 8) READS_STEP((*op), in, 9) READS_STEP((*op), in, 10) READS_STEP((*op), in, 11)
   READS(S0, op->B * op->H * k_steps_state(op->program)))
OP(steps_backward, StepsBackward, F.B,
   ADDS_STEP(F, 0) ADDS_STEP(F, 1) ADDS_STEP(F, 2) ADDS_STEP(F, 3) ADDS_STEP(F, 4) ADDS_STEP(F, 5) ADDS_STEP(F, 6)
   ADDS_STEP(F, 7) ADDS_STEP(F, 8) ADDS_STEP(F, 9) ADDS_STEP(F, 10) ADDS_STEP(F, 11)
   ADDS(gS0, k_steps_terms(&F), F.B * F.H * k_steps_state(F.program)) SCRATCH_ALL(scratch, k_steps_back(F.program))
   READS(gy, F.B * F.T * F.H * k_steps_size(F.program, F.program->y)) READS(gS1, F.B * F.H * k_steps_state(F.program))
   READS(forward.segments, F.B * F.H * k_segments(F.T) * k_steps_state(F.program))
   READS_STEP(F, forward.in, 0) READS_STEP(F, forward.in, 1) READS_STEP(F, forward.in, 2) READS_STEP(F, forward.in, 3)
   READS_STEP(F, forward.in, 4) READS_STEP(F, forward.in, 5) READS_STEP(F, forward.in, 6) READS_STEP(F, forward.in, 7)
   READS_STEP(F, forward.in, 8) READS_STEP(F, forward.in, 9) READS_STEP(F, forward.in, 10)
   READS_STEP(F, forward.in, 11))

#undef OP
#undef SOME_FALL
#undef F
#undef OUTER
#undef F_OUTER
#undef BTHN
#undef F_BTHN
#undef BUHN
#undef F_BUHN
#undef BHNN
#undef F_BHNN
#undef HCTX
#undef F_HCTX
#undef BTC
#undef F_BTC
#undef BTD
#undef F_BTD
#undef BTN
#undef F_BTN
#undef BDN
#undef F_BDN
#undef BC
#undef F_BC
/* clang-format on */
