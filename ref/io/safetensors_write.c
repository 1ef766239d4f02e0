/* The safetensors format: 8 bytes of header length, a JSON header, then the tensors' bytes. */
#include "writer_format.h"

static bool write_entry(FILE *f, const WriterPart *p, size_t from)
{
  bool ok = fputc(',', f) != EOF && writer_json_text(writer_to_file, f, p->name) &&
            fprintf(f, ":{\"dtype\":\"%s\",\"shape\":[", file_type_name(p->type)) > 0;
  for (int i = 0; ok && i < p->axes; i++) ok = fprintf(f, i ? ",%d" : "%d", p->shape[i]) > 0;
  return ok && fprintf(f, "],\"data_offsets\":[%zu,%zu]}", from, from + p->size) > 0;
}

static bool write_header(const FileWriter *w, FILE *f)
{
  static const char texts[] = "{\"__metadata__\":";
  size_t from = 0;
  bool ok = writer_to_file(f, texts, sizeof texts - 1) && writer_json_texts(w, writer_to_file, f);
  for (int i = 0; ok && i < w->count; from += w->parts[i++].size) ok = write_entry(f, &w->parts[i], from);
  return ok && fputc('}', f) != EOF;
}

/* The header's length is known when it is there. Data starts at a multiple of 8. */
static bool write(FileWriter *w, FILE *f)
{
  unsigned char length[8] = {0};
  bool ok = writer_to_file(f, length, 8) && write_header(w, f);
  long end = ftell(f);
  for (; ok && end % 8; end++) ok = fputc(' ', f) != EOF;
  for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)(end - 8) >> 8 * i);
  ok = ok && fseek(f, 0, SEEK_SET) == 0 && writer_to_file(f, length, 8) && fseek(f, end, SEEK_SET) == 0;
  for (int i = 0; ok && i < w->count; i++) ok = writer_part(w, &w->parts[i], writer_to_file, f);
  return ok;
}

const WriterFormat writer_safetensors = {write, NULL};
