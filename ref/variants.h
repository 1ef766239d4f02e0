/* The built-in hooks. */
#ifndef AVIARY_VARIANTS_H
#define AVIARY_VARIANTS_H

#include "hook.h"

const Hook *const *hook_list(void);                     /* all of them; ends with NULL */
const Hook *hook_find(HookSlot slot, const char *name); /* NULL if there is none */

#endif
