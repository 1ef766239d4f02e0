/* Names of llama.cpp (conversion/rwkv.py, src/models/rwkv6.cpp, rwkv7.cpp), whose low-rank maps stand there transposed,
   and the sizes that its loader asks the metadata for. */
#include "names_table.h"

#include "format.h"
#include "names.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* clang-format off */
#define NORM(official, theirs) \
    {official ".weight", theirs ".weight", AS_IS, 0}, {official ".bias", theirs ".bias", AS_IS, 0}

static const NameRule global[] = {
    {"emb.weight",  "token_embd.weight", AS_IS, 0},
    {"head.weight", "output.weight",     AS_IS, 0},
    NORM("ln_out",       "output_norm"),
    NORM("blocks.0.ln0", "token_embd_norm"),
    {NULL, NULL, AS_IS, 0},
};

#define SHARED                                                         \
    NORM("ln1", "attn_norm"),                                          \
    NORM("ln2", "attn_norm_2"),                                        \
    NORM("att.ln_x", "time_mix_ln"),                                   \
    {"att.receptance.weight", "time_mix_receptance.weight", AS_IS, 0}, \
    {"att.key.weight",        "time_mix_key.weight",        AS_IS, 0}, \
    {"att.value.weight",      "time_mix_value.weight",      AS_IS, 0}, \
    {"att.output.weight",     "time_mix_output.weight",     AS_IS, 0}, \
    {"ffn.key.weight",        "channel_mix_key.weight",     AS_IS, 0}, \
    {"ffn.value.weight",      "channel_mix_value.weight",   AS_IS, 0}

static const NameRule v7[] = {
    SHARED,
    {"att.x_r", "time_mix_lerp_fused.weight",  SHEET, 0},
    {"att.x_w", "time_mix_lerp_fused.weight",  SHEET, 1},
    {"att.x_k", "time_mix_lerp_fused.weight",  SHEET, 2},
    {"att.x_v", "time_mix_lerp_fused.weight",  SHEET, 3},
    {"att.x_a", "time_mix_lerp_fused.weight",  SHEET, 4},
    {"att.x_g", "time_mix_lerp_fused.weight",  SHEET, 5},
    {"att.w0",  "time_mix_w0.weight",          FLAT, 0},
    {"att.w1",  "time_mix_w1.weight",          TRANSPOSED, 0},
    {"att.w2",  "time_mix_w2.weight",          TRANSPOSED, 0},
    {"att.a0",  "time_mix_a0.weight",          FLAT, 0},
    {"att.a1",  "time_mix_a1.weight",          TRANSPOSED, 0},
    {"att.a2",  "time_mix_a2.weight",          TRANSPOSED, 0},
    {"att.v0",  "time_mix_v0.weight",          FLAT, 0},
    {"att.v1",  "time_mix_v1.weight",          TRANSPOSED, 0},
    {"att.v2",  "time_mix_v2.weight",          TRANSPOSED, 0},
    {"att.g1",  "time_mix_g1.weight",          TRANSPOSED, 0},
    {"att.g2",  "time_mix_g2.weight",          TRANSPOSED, 0},
    {"att.k_k", "time_mix_k_k.weight",         FLAT, 0},
    {"att.k_a", "time_mix_k_a.weight",         FLAT, 0},
    {"att.r_k", "time_mix_r_k.weight",         FLAT, 0},
    {"ffn.x_k", "channel_mix_lerp_k.weight",   FLAT, 0},
    {NULL, NULL, AS_IS, 0},
};

static const NameRule v6[] = {
    SHARED,
    {"att.time_maa_x",        "time_mix_lerp_x.weight",        FLAT, 0},
    {"att.time_maa_w",        "time_mix_lerp_fused.weight",    SHEET, 0},
    {"att.time_maa_k",        "time_mix_lerp_fused.weight",    SHEET, 1},
    {"att.time_maa_v",        "time_mix_lerp_fused.weight",    SHEET, 2},
    {"att.time_maa_r",        "time_mix_lerp_fused.weight",    SHEET, 3},
    {"att.time_maa_g",        "time_mix_lerp_fused.weight",    SHEET, 4},
    {"att.time_maa_w",        "time_mix_lerp_w.weight",        FLAT, 0}, /* files before 2025-01 */
    {"att.time_maa_k",        "time_mix_lerp_k.weight",        FLAT, 0},
    {"att.time_maa_v",        "time_mix_lerp_v.weight",        FLAT, 0},
    {"att.time_maa_r",        "time_mix_lerp_r.weight",        FLAT, 0},
    {"att.time_maa_g",        "time_mix_lerp_g.weight",        FLAT, 0},
    {"att.time_maa_w1",       "time_mix_w1.weight",            TRANSPOSED, 0},
    {"att.time_maa_w2",       "time_mix_w2.weight",            TRANSPOSED, 0},
    {"att.time_decay",        "time_mix_decay.weight",         FLAT, 0},
    {"att.time_decay_w1",     "time_mix_decay_w1.weight",      TRANSPOSED, 0},
    {"att.time_decay_w2",     "time_mix_decay_w2.weight",      TRANSPOSED, 0},
    {"att.time_faaaa",        "time_mix_first.weight",         AS_IS, 0},
    {"att.gate.weight",       "time_mix_gate.weight",          AS_IS, 0},
    {"ffn.time_maa_k",        "channel_mix_lerp_k.weight",     FLAT, 0},
    {"ffn.time_maa_r",        "channel_mix_lerp_r.weight",     FLAT, 0},
    {"ffn.receptance.weight", "channel_mix_receptance.weight", AS_IS, 0},
    {NULL, NULL, AS_IS, 0},
};

#define LLAMA(blocks, mark, version, filled) \
    {"llama.cpp", "token_embd.weight", "blk.", global, blocks, mark, version, filled}

const NameTable names_llama_v7 = LLAMA(v7, "time_mix_a0.", "v7", "time_mix_v"),
                names_llama_v6 = LLAMA(v6, "time_mix_decay.", "v6", NULL);
/* clang-format on */

/* Its sums and products of vectors know nothing else; matrices may be in any type. */
bool names_in_f32(const char *family, const FileTensor *t)
{
  bool llama = strcmp(family, names_llama_v7.family) == 0;
  return llama && (t->axes != 2 || strstr(t->name, "time_mix_first"));
}

/* Where a size is found: an axis of a tensor. */
typedef struct {
  const char *key, *tensor;
  int axis;
} Size;

static const Size sizes[] = {
    {"vocab_size", "emb.weight", 0},
    {"embedding_length", "emb.weight", 1},
    {"feed_forward_length", "blocks.0.ffn.key.weight", 0},
    {"wkv.head_size", "blocks.0.att.r_k", 1},
    {"wkv.head_size", "blocks.0.att.time_faaaa", 1},
    {"attention.decay_lora_rank", "blocks.0.att.w1", 1},
    {"attention.iclr_lora_rank", "blocks.0.att.a1", 1},
    {"attention.value_residual_mix_lora_rank", "blocks.0.att.a1", 1}, /* with one block there is no other */
    {"attention.value_residual_mix_lora_rank", "blocks.1.att.v1", 1},
    {"attention.gate_lora_rank", "blocks.0.att.g1", 1},
    {"time_mix_extra_dim", "blocks.0.att.time_maa_w2", 1},
    {"time_decay_extra_dim", "blocks.0.att.time_decay_w1", 1},
};

/* What is the same for all: a vocabulary of ids alone, weights as they were trained, a context without end. */
static const char *const fixed[][2] = {
    {"attention.layer_norm_epsilon", "1e-05"},
    {"attention.head_count", "0"}, /* it wants one, and does not use it */
    {"context_length", "1048576"},
    {"rescale_every_n_layers", "0"},
};

static void set(TensorFile *f, const NameTable *table, const char *key, const char *text)
{
  char full[80];
  snprintf(full, sizeof full, "rwkv%s.%s", table->version + 1, key);
  format_set_text(f, full, text);
}

static int blocks_of(const TensorFile *f)
{
  char name[40];
  int count = 0;
  do snprintf(name, sizeof name, "blocks.%d.ln1.weight", count++);
  while (file_find(f, name));
  return count - 1;
}

void names_llama_sizes(TensorFile *f, const NameTable *table)
{
  char text[16];
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    const FileTensor *t = file_find(f, sizes[i].tensor);
    if (!t || t->axes <= sizes[i].axis) continue;
    snprintf(text, sizeof text, "%d", t->shape[sizes[i].axis]);
    set(f, table, sizes[i].key, text);
  }
  for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) set(f, table, fixed[i][0], fixed[i][1]);
  snprintf(text, sizeof text, "%d", blocks_of(f));
  set(f, table, "block_count", text);
  snprintf(text, sizeof text, "rwkv%s", table->version + 1);
  format_set_text(f, "general.architecture", text);
  if (!file_meta(f, "tokenizer.ggml.model")) format_set_text(f, "tokenizer.ggml.model", "none");
}
