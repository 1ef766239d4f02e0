/* Initial values of the release candidates of RWKV-7. */
#ifndef AVIARY_RC_H
#define AVIARY_RC_H

#include "init.h"

void rc_init_mix_k(const Init *in); /* 1 - ((c/C)^(0.9 (1 - layer/L)) + 0.4 layer/(L-1)) */
void rc_init_mix_v(const Init *in); /* 1 - ((c/C)^(0.4 (1 - layer/L)) + 0.6 layer/(L-1)) */
void rc_init_decay(const Init *in); /* -6.5 + 5 (n/last)^(0.85 + (layer/(L-1))^0.5) */

#endif
