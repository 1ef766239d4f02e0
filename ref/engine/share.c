#include "share.h"

static void in_order(size_t count, ShareWork *work, const void *arg)
{
  for (size_t i = 0; i < count; i++) work(arg, i);
}

static void (*share)(size_t count, ShareWork *work, const void *arg) = in_order;

void rwkv_share(size_t count, ShareWork *work, const void *arg) { share(count, work, arg); }

void rwkv_on_share(void (*by)(size_t count, ShareWork *work, const void *arg)) { share = by ? by : in_order; }
