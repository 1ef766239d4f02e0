/* Models into files. */
#include "metadata.h"
#include "model.h"

#include <stdio.h>

void model_write(const Model *m, FileWriter *w)
{
  char text[32];
  const struct {
    const char *name;
    int value;
  } sizes[] = {
      {"n_layer", m->d.L}, {"n_embd", m->d.C}, {"vocab_size", m->d.V}, {"head_size", m->d.N}, {"tied", m->d.tied}};
  writer_put_meta(w, "version", m->version->name);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    snprintf(text, sizeof text, "%d", sizes[i].value);
    if (sizes[i].value) writer_put_meta(w, sizes[i].name, text);
  }
  metadata_write(m, w);
  for (int i = 0; i < m->count; i++) writer_put_tensor(w, m->params[i].name, m->params[i].t);
}
