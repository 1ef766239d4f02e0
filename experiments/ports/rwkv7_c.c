/* Runs rwkv7.c on tokens: ./driver MODEL.bin TOKENS.i32 LOGITS.f32. It is compiled with its rwkv7.c inside:
     cc -DRWKV7_C='"PATH/src/rwkv7.c"' rwkv7_c.c -lm -o driver */
#define main their_main
#include RWKV7_C
#undef main

int main(int argc, char **argv) {
  rwkv_config config = {0};
  rwkv_weights weights;
  if (argc != 4) return fprintf(stderr, "usage: driver MODEL.bin TOKENS.i32 LOGITS.f32\n"), 2;
  load_model(argv[1], &config, &weights);
  FILE *in = fopen(argv[2], "rb"), *out = fopen(argv[3], "wb");
  if (!in || !out) return perror("driver"), 2;
  float *last = calloc((size_t)config.n_layer * 2 * config.n_embd, sizeof *last);
  float *state = calloc((size_t)config.n_layer * config.n_head * config.head_size * config.head_size, sizeof *state);
  float *logits = calloc(config.vocab_size, sizeof *logits);
  for (int token; fread(&token, sizeof token, 1, in) == 1;) {
#ifdef SEQUENCES /* forward() that takes several tokens */
    forward(logits, &config, &weights, last, state, &token, 1);
#else
    forward(logits, &config, &weights, (float *[]){last, state}, token);
#endif
    fwrite(logits, sizeof *logits, config.vocab_size, out);
  }
  return fclose(out) != 0;
}
