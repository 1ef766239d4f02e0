#include "kernel_cases.h"

/* The reference takes a second for the largest of them. */
const size_t kernel_large[OP_COUNT][8] = {
    [OP_lerp] = {32768, 1, 512},                   /* rows, C */
    [OP_linear] = {2048, 512, 520},                /* rows in out */
    [OP_matmul] = {2048, 512, 264},                /* rows in out */
    [OP_rows] = {8192, 50, 512},                   /* count rows C */
    [OP_linear_packed] = {1, 2048, 8192},          /* rows in out */
    [OP_norm] = {32768, 1, 512},                   /* rows H N */
    [OP_l2norm] = {65536, 64},                     /* groups N */
    [OP_shift] = {64, 512, 256},                   /* B T C */
    [OP_conv] = {16, 1000, 512, 4},                /* B T C W */
    [OP_sum] = {64, 2048, 64},                     /* outer size inner */
    [OP_cumsum] = {64, 2048, 64},                  /* the same */
    [OP_softmax] = {8192, 1000},                   /* rows n */
    [OP_bmm] = {64, 130, 200, 64, 8320, 12800},    /* batch M K N a_step b_step */
    [OP_cross_entropy] = {100, 65536},             /* rows V */
    [OP_head_loss] = {64, 128, 16384},             /* rows C V */
    [OP_argmax] = {100, 65536},                    /* rows n */
    [OP_adamw] = {8000001},                        /* n */
    [OP_sum_squares] = {8000001},                  /* n */
    [OP_copy_scores] = {512, 8, 256, 64, 1000},    /* rows B U D V */
    [OP_linear_attention] = {8, 300, 300, 64, 64}, /* B T U D C */
    [OP_attention] = {2, 700, 700, 4, 64},         /* B T U H N */
    [OP_wkv1] = {4, 300, 300, 4, 64, 300},         /* B T U H N ctx */
    [OP_wkv2] = {4, 1000, 1024},                   /* B T C */
    [OP_wkv4] = {4, 1000, 1024},                   /* B T C */
    [OP_wkv6] = {2, 1000, 8, 64},                  /* B T H N */
    [OP_wkv7] = {2, 1000, 8, 64},                  /* B T H N */
    [OP_selective_scan] = {2, 1000, 256, 16},      /* B T D N */
    [OP_steps] = {2, 300, 2},                      /* B T H */
};
