/* Names of Hugging Face's transformers (models/rwkv/modeling_rwkv.py and its conversion script), and of the files with
   code of their own for RWKV-5 and RWKV-6 beside them. */
#include "names_table.h"

#include <stddef.h>

/* clang-format off */
static const NameRule global[] = {
    {"emb.weight",    "rwkv.embeddings.weight", AS_IS, 0},
    {"ln_out.weight", "rwkv.ln_out.weight",     AS_IS, 0},
    {"ln_out.bias",   "rwkv.ln_out.bias",       AS_IS, 0},
    {"head.weight",   "head.weight",            AS_IS, 0},
    {NULL, NULL, AS_IS, 0},
};

static const NameRule blocks[] = {
    {"ln0.weight",              "pre_ln.weight",                   AS_IS, 0},
    {"ln0.bias",                "pre_ln.bias",                     AS_IS, 0},
    {"ln1.weight",              "ln1.weight",                      AS_IS, 0},
    {"ln1.bias",                "ln1.bias",                        AS_IS, 0},
    {"ln2.weight",              "ln2.weight",                      AS_IS, 0},
    {"ln2.bias",                "ln2.bias",                        AS_IS, 0},
    {"att.time_mix_k",          "attention.time_mix_key",          AS_IS, 0},
    {"att.time_mix_v",          "attention.time_mix_value",        AS_IS, 0},
    {"att.time_mix_r",          "attention.time_mix_receptance",   AS_IS, 0},
    {"att.time_mix_g",          "attention.time_mix_gate",         AS_IS, 0},
    {"att.time_decay",          "attention.time_decay",            AS_IS, 0},
    {"att.time_first",          "attention.time_first",            AS_IS, 0},
    {"att.time_faaaa",          "attention.time_faaaa",            AS_IS, 0},
    {"att.time_decay_w1",       "attention.time_decay_w1",         AS_IS, 0},
    {"att.time_decay_w2",       "attention.time_decay_w2",         AS_IS, 0},
    {"att.time_maa_x",          "attention.time_maa_x",            AS_IS, 0},
    {"att.time_maa_w",          "attention.time_maa_w",            AS_IS, 0},
    {"att.time_maa_k",          "attention.time_maa_k",            AS_IS, 0},
    {"att.time_maa_v",          "attention.time_maa_v",            AS_IS, 0},
    {"att.time_maa_r",          "attention.time_maa_r",            AS_IS, 0},
    {"att.time_maa_g",          "attention.time_maa_g",            AS_IS, 0},
    {"att.time_maa_w1",         "attention.time_maa_w1",           AS_IS, 0},
    {"att.time_maa_w2",         "attention.time_maa_w2",           AS_IS, 0},
    {"att.key.weight",          "attention.key.weight",            AS_IS, 0},
    {"att.value.weight",        "attention.value.weight",          AS_IS, 0},
    {"att.receptance.weight",   "attention.receptance.weight",     AS_IS, 0},
    {"att.gate.weight",         "attention.gate.weight",           AS_IS, 0},
    {"att.output.weight",       "attention.output.weight",         AS_IS, 0},
    {"att.ln_x.weight",         "attention.ln_x.weight",           AS_IS, 0},
    {"att.ln_x.bias",           "attention.ln_x.bias",             AS_IS, 0},
    {"ffn.time_mix_k",          "feed_forward.time_mix_key",       AS_IS, 0},
    {"ffn.time_mix_r",          "feed_forward.time_mix_receptance", AS_IS, 0},
    {"ffn.time_maa_k",          "feed_forward.time_maa_k",         AS_IS, 0},
    {"ffn.time_maa_r",          "feed_forward.time_maa_r",         AS_IS, 0},
    {"ffn.key.weight",          "feed_forward.key.weight",         AS_IS, 0},
    {"ffn.receptance.weight",   "feed_forward.receptance.weight",  AS_IS, 0},
    {"ffn.value.weight",        "feed_forward.value.weight",       AS_IS, 0},
    {NULL, NULL, AS_IS, 0},
};

const NameTable names_transformers = {"transformers", "rwkv.embeddings.weight", "rwkv.blocks.", global, blocks, "",
                                      NULL, NULL};
/* clang-format on */
