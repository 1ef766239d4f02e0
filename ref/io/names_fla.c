/* Names of flash-linear-attention (fla/layers/rwkv6.py, rwkv7.py, utils/convert_from_rwkv6.py, convert_from_rwkv7.py):
   its linear maps are torch.nn.Linear, so that low-rank maps stand there transposed. */
#include "names_table.h"

#include <stddef.h>

/* clang-format off */
static const NameRule global[] = {
    {"emb.weight",     "model.embeddings.weight", AS_IS, 0},
    {"ln_out.weight",  "model.norm.weight",       AS_IS, 0},
    {"ln_out.bias",    "model.norm.bias",         AS_IS, 0},
    {"head.weight",    "lm_head.weight",          AS_IS, 0},
    {NULL, NULL, AS_IS, 0},
};

#define NORMS                                                                                                   \
    {"ln0.weight", "pre_norm.weight",  AS_IS, 0}, {"ln0.bias", "pre_norm.bias",  AS_IS, 0},                     \
    {"ln1.weight", "attn_norm.weight", AS_IS, 0}, {"ln1.bias", "attn_norm.bias", AS_IS, 0},                     \
    {"ln2.weight", "ffn_norm.weight",  AS_IS, 0}, {"ln2.bias", "ffn_norm.bias",  AS_IS, 0}

static const NameRule v7[] = {
    NORMS,
    {"att.x_r",                 "attn.x_r",                        AS_IS, 0},
    {"att.x_w",                 "attn.x_w",                        AS_IS, 0},
    {"att.x_k",                 "attn.x_k",                        AS_IS, 0},
    {"att.x_v",                 "attn.x_v",                        AS_IS, 0},
    {"att.x_a",                 "attn.x_a",                        AS_IS, 0},
    {"att.x_g",                 "attn.x_g",                        AS_IS, 0},
    {"att.x_r",                 "attn.x_x",                        ROW, 0}, /* files before 2025-04 */
    {"att.x_w",                 "attn.x_x",                        ROW, 1},
    {"att.x_k",                 "attn.x_x",                        ROW, 2},
    {"att.x_v",                 "attn.x_x",                        ROW, 3},
    {"att.x_a",                 "attn.x_x",                        ROW, 4},
    {"att.x_g",                 "attn.x_x",                        ROW, 5},
    {"att.w0",                  "attn.w_lora.lora.2.bias",         FLAT, 0},
    {"att.w1",                  "attn.w_lora.lora.0.weight",       TRANSPOSED, 0},
    {"att.w2",                  "attn.w_lora.lora.2.weight",       TRANSPOSED, 0},
    {"att.a0",                  "attn.a_lora.lora.2.bias",         FLAT, 0},
    {"att.a1",                  "attn.a_lora.lora.0.weight",       TRANSPOSED, 0},
    {"att.a2",                  "attn.a_lora.lora.2.weight",       TRANSPOSED, 0},
    {"att.v0",                  "attn.v_lora.lora.2.bias",         FLAT, 0},
    {"att.v1",                  "attn.v_lora.lora.0.weight",       TRANSPOSED, 0},
    {"att.v2",                  "attn.v_lora.lora.2.weight",       TRANSPOSED, 0},
    {"att.g1",                  "attn.g_lora.lora.0.weight",       TRANSPOSED, 0},
    {"att.g2",                  "attn.g_lora.lora.2.weight",       TRANSPOSED, 0},
    {"att.k_k",                 "attn.k_k",                        FLAT, 0},
    {"att.k_a",                 "attn.k_a",                        FLAT, 0},
    {"att.r_k",                 "attn.r_k",                        AS_IS, 0},
    {"att.receptance.weight",   "attn.r_proj.weight",              AS_IS, 0},
    {"att.key.weight",          "attn.k_proj.weight",              AS_IS, 0},
    {"att.value.weight",        "attn.v_proj.weight",              AS_IS, 0},
    {"att.output.weight",       "attn.o_proj.weight",              AS_IS, 0},
    {"att.ln_x.weight",         "attn.g_norm.weight",              AS_IS, 0},
    {"att.ln_x.bias",           "attn.g_norm.bias",                AS_IS, 0},
    {"ffn.x_k",                 "ffn.x_k",                         FLAT, 0},
    {"ffn.key.weight",          "ffn.key.weight",                  AS_IS, 0},
    {"ffn.value.weight",        "ffn.value.weight",                AS_IS, 0},
    {NULL, NULL, AS_IS, 0},
};

static const NameRule v6[] = {
    NORMS,
    {"att.time_maa_x",          "attn.x_proj.0.mu",                FLAT, 0},
    {"att.time_maa_w1",         "attn.x_proj.0.linear.weight",     MIX_W1, 0},
    {"att.time_maa_w2",         "attn.x_proj.2.weight",            MIX_W2, 0},
    {"att.time_maa_r",          "attn.x_bias",                     ROW, 0},
    {"att.time_maa_w",          "attn.x_bias",                     ROW, 1},
    {"att.time_maa_k",          "attn.x_bias",                     ROW, 2},
    {"att.time_maa_v",          "attn.x_bias",                     ROW, 3},
    {"att.time_maa_g",          "attn.x_bias",                     ROW, 4},
    {"att.time_decay",          "attn.w_proj.linear.lora.2.bias",  FLAT, 0},
    {"att.time_decay_w1",       "attn.w_proj.linear.lora.0.weight", TRANSPOSED, 0},
    {"att.time_decay_w2",       "attn.w_proj.linear.lora.2.weight", TRANSPOSED, 0},
    {"att.time_faaaa",          "attn.bonus",                      AS_IS, 0},
    {"att.receptance.weight",   "attn.r_proj.linear.weight",       AS_IS, 0},
    {"att.key.weight",          "attn.k_proj.linear.weight",       AS_IS, 0},
    {"att.value.weight",        "attn.v_proj.linear.weight",       AS_IS, 0},
    {"att.gate.weight",         "attn.g_proj.linear.weight",       AS_IS, 0},
    {"att.output.weight",       "attn.o_proj.weight",              AS_IS, 0},
    {"att.ln_x.weight",         "attn.g_norm.weight",              AS_IS, 0},
    {"att.ln_x.bias",           "attn.g_norm.bias",                AS_IS, 0},
    {"ffn.time_maa_k",          "ffn.key.mu",                      FLAT, 0},
    {"ffn.time_maa_r",          "ffn.receptance.mu",               FLAT, 0},
    {"ffn.key.weight",          "ffn.key.linear.weight",           AS_IS, 0},
    {"ffn.receptance.weight",   "ffn.receptance.linear.weight",    AS_IS, 0},
    {"ffn.value.weight",        "ffn.value.weight",                AS_IS, 0},
    {NULL, NULL, AS_IS, 0},
};

#define FLA(blocks, mark, version) \
    {"fla", "model.embeddings.weight", "model.layers.", global, blocks, mark, version, NULL}

const NameTable names_fla_v7 = FLA(v7, "attn.w_lora.", "v7"), names_fla_v6 = FLA(v6, "attn.x_proj.", "v6");
/* clang-format on */
