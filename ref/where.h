/* Where parameters and state exist: in which blocks, under which sizes and hooks.

   has_X: the block does X in its version's own way. What a hook does instead, the version needs no parameters for. */
#ifndef AVIARY_WHERE_H
#define AVIARY_WHERE_H

#include "dims.h"

typedef bool Where(const Dims *d, int layer); /* layer: -1 for what is around the blocks */

Where always;
Where has_head; /* of its own: the embedding is not the head too */
Where has_copy_head;
Where has_ln0;                       /* block 0: it normalises the embedding */
Where has_idle_ln0;                  /* nowhere: files hold it in block 0, and nothing depends on it */
Where has_pre_ffn;                   /* block 0 of models with a second channel mix in place of its time mixing */
Where has_tiny;                      /* the block with tiny attention (v4) */
Where has_earlier_values;            /* a block before it has time mixing, so values that a value residual mixes in */
Where has_shift_state;               /* the first part of the block needs the token before */
Where has_time_mix, has_channel_mix; /* the two parts of a block, */
Where has_shift, has_ffn_shift, has_receptance, has_decay, has_iclr, has_gate, has_bonus, has_key_norm, has_key_scale,
    has_value_residual, has_recurrence, has_norm; /* and what they consist of */

#endif
