/* One spelling of JSON and no other: keys ascending, indented by one space, a final newline, nothing escaped that need not be. The spelling of
 * fractions is not held to its shortest, which takes arithmetic; nothing here reads one. */
#include <string.h>

#include "internal.h"

enum { MAX_DEPTH = 8, MAX_LIST = 4096, MAX_FIELDS = 256, MAX_TEXT = 4096, MAX_VALUES = 1 << 16, MAX_DIGITS = 4300 };

static bool fail(chord_json *json) {
  json->bad = true;
  return false;
}

static bool take(chord_json *json, const char *text) {
  const size_t bytes = strlen(text);
  if (json->bad || (size_t)(json->end - json->at) < bytes || memcmp(json->at, text, bytes) != 0) return fail(json);
  json->at += bytes;
  return true;
}

static uint8_t peek(const chord_json *json) { return json->bad || json->at == json->end ? 0 : *json->at; }

static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

/* At the beginning of every value. */
static bool begin(chord_json *json) {
  if (json->depth >= MAX_DEPTH || json->values > MAX_VALUES) return fail(json);
  json->values++;
  return !json->bad;
}

static bool new_line(chord_json *json) {
  if (!take(json, "\n")) return false;
  for (uint32_t i = 0; i < json->depth; i++)
    if (!take(json, " ")) return false;
  return true;
}

/* The bytes of one character of UTF-8 at `at`, or 0. */
static size_t character(const uint8_t *at, size_t left) {
  const uint8_t first = at[0];
  if (first < 0x80) return 1;
  const size_t bytes = first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
  if (bytes == 0 || bytes > left) return 0;
  for (size_t i = 1; i < bytes; i++)
    if ((at[i] & 0xc0) != 0x80) return 0;
  /* No second spelling, no half of a UTF-16 pair, nothing above U+10FFFF. */
  if ((first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] >= 0xa0) || (first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] >= 0x90))
    return 0;
  return bytes;
}

/* The bytes of an escape at `at`, or 0, and the character that it means. Only what cannot stand for itself is escaped, in the shorter way. */
static size_t escape(const uint8_t *at, size_t left, uint8_t *meaning) {
  static const char names[7] = "\"\\bfnrt", meanings[7] = "\"\\\b\f\n\r\t";
  if (left < 2) return 0;
  for (size_t i = 0; i < sizeof names; i++) {
    *meaning = (uint8_t)meanings[i];
    if (at[1] == (uint8_t)names[i]) return 2;
  }
  if (left < 6 || memcmp(at, "\\u00", 4) != 0 || (at[4] != '0' && at[4] != '1')) return 0;
  const bool letter = at[5] >= 'a' && at[5] <= 'f';
  if (!letter && !is_digit(at[5])) return 0;
  *meaning = (uint8_t)((at[4] - '0') * 16 + (letter ? at[5] - 'a' + 10 : at[5] - '0'));
  for (size_t i = 0; i < sizeof meanings; i++)
    if (*meaning == (uint8_t)meanings[i]) return 0;
  return 6;
}

static bool read_text(chord_json *json, chord_text *text) {
  if (!take(json, "\"")) return false;
  const uint8_t *start = json->at;
  for (size_t count = 0; peek(json) != '"'; count++) {
    const size_t left = (size_t)(json->end - json->at);
    uint8_t meaning;
    if (left == 0 || count == MAX_TEXT || *json->at < 0x20) return fail(json);
    const size_t bytes = *json->at == '\\' ? escape(json->at, left, &meaning) : character(json->at, left);
    if (bytes == 0) return fail(json);
    json->at += bytes;
  }
  *text = (chord_text){start, (size_t)(json->at - start)};
  json->at++;
  return true;
}

/* Whether the key `a` comes before `b`: by their characters, whose order is that of the bytes of UTF-8. */
static bool is_before(chord_text a, chord_text b) {
  while (a.bytes != 0 && b.bytes != 0) {
    uint8_t x = *a.data, y = *b.data;
    const size_t m = x == '\\' ? escape(a.data, a.bytes, &x) : 1, n = y == '\\' ? escape(b.data, b.bytes, &y) : 1;
    if (x != y || m == 0 || n == 0) return x < y;
    a = (chord_text){a.data + m, a.bytes - m};
    b = (chord_text){b.data + n, b.bytes - n};
  }
  return a.bytes == 0 && b.bytes != 0;
}

bool chord_json_enter(chord_json *json, uint8_t open, chord_level *level) {
  if (!begin(json)) return false;
  if (peek(json) != open) return fail(json);
  json->at++;
  json->depth++;
  *level = (chord_level){.close = open == '{' ? '}' : ']'};
  return true;
}

bool chord_json_next(chord_json *json, chord_level *level) {
  const uint32_t limit = level->close == '}' ? MAX_FIELDS : MAX_LIST;
  if (peek(json) == level->close || (level->count > 0 && peek(json) == '\n')) {
    json->depth--;
    if (level->count > 0 && !new_line(json)) return false;
    if (peek(json) != level->close) return fail(json);
    json->at++;
    return false;
  }
  if (level->count == limit || (level->count > 0 && !take(json, ",")) || !new_line(json)) return fail(json);
  if (level->close == '}') {
    const chord_text before = level->key;
    if (!read_text(json, &level->key) || (level->count > 0 && !is_before(before, level->key)) || !take(json, ": ")) return fail(json);
  }
  level->count++;
  return true;
}

bool chord_json_string(chord_json *json, chord_text *text) { return begin(json) && read_text(json, text); }

bool chord_json_null(chord_json *json) { return begin(json) && take(json, "null"); }

bool chord_json_integer(chord_json *json, uint64_t *value) {
  if (!begin(json) || !is_digit(peek(json))) return fail(json);
  const bool zero = peek(json) == '0';
  *value = 0;
  for (int digits = 0; is_digit(peek(json)); digits++) {
    if (digits == 16 || (zero && digits == 1)) return fail(json);
    *value = *value * 10 + (uint64_t)(*json->at++ - '0');
  }
  const uint8_t next = peek(json);
  if (*value > CHORD_LARGEST_NUMBER || next == '.' || next == 'e' || next == 'E') return fail(json);
  return true;
}

static bool skip_digits(chord_json *json) {
  const uint8_t *start = json->at;
  while (is_digit(peek(json))) json->at++;
  return (json->at > start && json->at - start <= MAX_DIGITS) || fail(json);
}

static bool skip_number(chord_json *json) {
  const bool negative = peek(json) == '-';
  if (negative) json->at++;
  const bool zero = peek(json) == '0';
  if (zero) json->at++;
  else if (!skip_digits(json)) return false;
  if (zero && (is_digit(peek(json)) || (negative && peek(json) != '.'))) return fail(json);
  if (peek(json) == '.') {
    json->at++;
    if (!skip_digits(json)) return false;
  }
  if (peek(json) == 'e') {
    json->at++;
    if (peek(json) != '-' && !take(json, "+")) return false;
    if (peek(json) == '-') json->at++;
    if (!skip_digits(json)) return false;
  }
  return true;
}

/* As deep as MAX_DEPTH allows: begin() ends the recursion. */
bool chord_json_skip(chord_json *json) { /* NOLINT(misc-no-recursion) */
  const uint8_t first = peek(json);
  if (first == '{' || first == '[') {
    chord_level level;
    if (!chord_json_enter(json, first, &level)) return false;
    while (chord_json_next(json, &level))
      if (!chord_json_skip(json)) return false;
    return !json->bad;
  }
  if (!begin(json)) return false;
  chord_text text;
  switch (first) {
    case '"': return read_text(json, &text);
    case 't': return take(json, "true");
    case 'f': return take(json, "false");
    case 'n': return take(json, "null");
    default: return skip_number(json);
  }
}

bool chord_text_is(chord_text text, const char *other) { return text.bytes == strlen(other) && memcmp(text.data, other, text.bytes) == 0; }
