/* Deflate by zlib: link with -lz. */
#include <zlib.h>

#include "../../include/chord_delta.h"

int chord_inflate_zlib(void *context, const uint8_t **data, size_t *bytes, uint8_t *out, size_t room, size_t *written) {
  z_stream *stream = context;
  const uInt given = *bytes < 1u << 30 ? (uInt)*bytes : 1u << 30, space = room < 1u << 30 ? (uInt)room : 1u << 30;
  stream->next_in = (Bytef *)(uintptr_t)*data;
  stream->avail_in = given;
  stream->next_out = out;
  stream->avail_out = space;
  const int answer = inflate(stream, Z_NO_FLUSH);
  *data += given - stream->avail_in;
  *bytes -= given - stream->avail_in;
  *written = space - stream->avail_out;
  if (answer == Z_STREAM_END) return 1;
  return answer == Z_OK || answer == Z_BUF_ERROR ? 0 : -1;
}
