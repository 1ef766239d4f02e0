/* What pool_run promises, whosever the threads are: test_pool_NAME.c is linked with ref/fast/pool_NAME.c. */
#ifndef AVIARY_POOL_CHECKS_H
#define AVIARY_POOL_CHECKS_H

int check_pool(const char *threading);

#endif
