#include "pool_checks.h"

int main(void) { return check_pool("pthreads"); }
