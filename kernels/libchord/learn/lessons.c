/* Lessons: what came after what, and the hidden states in between. */
#include <float.h>
#include <string.h>

#include "internal.h"

size_t chord_own_lessons(size_t history_length, size_t most, chord_lesson *lessons) {
  if (history_length < 2 || history_length > UINT32_MAX) return 0;
  const size_t count = history_length - 1 < most ? history_length - 1 : most, first = history_length - count;
  for (size_t i = 0; lessons && i < count; i++) {
    const uint32_t place = (uint32_t)(first + i);
    lessons[i] = (chord_lesson){place > CHORD_SEEN ? place - CHORD_SEEN : 0, place};
  }
  return count;
}

size_t chord_first_examined(size_t lessons) { return lessons / CHORD_UNJUDGED + (lessons % CHORD_UNJUDGED != 0); }

static bool are_inside(const chord_lesson *lessons, size_t count, size_t item_count) {
  for (size_t i = 0; i < count; i++)
    if (lessons[i].begin >= lessons[i].place || lessons[i].place >= item_count) return false;
  return true;
}

chord_learn_status chord_lesson_states(chord_session *session, const int32_t *items, size_t item_count, const chord_lesson *lessons,
                                       size_t count, float *states, chord_diagnosis *diagnosis) {
  if (!chord_usable(session) || (count && (!items || !lessons || !states)))
    return chord_decline(diagnosis, CHORD_LEARN_BAD_ARGUMENT, "the session is null or not open, or a pointer is null");
  if (!are_inside(lessons, count, item_count))
    return chord_decline(diagnosis, CHORD_LEARN_BAD_LESSON, "a lesson lies outside its items, or has none before it");
  for (size_t i = 0; i < count; i++) {
    const chord_lesson lesson = lessons[i];
    switch (chord_hidden(session, items + lesson.begin, lesson.place - lesson.begin, states + i * session->model->dim)) {
      case CHORD_OK: break;
      case CHORD_NOT_FINITE: return chord_decline(diagnosis, CHORD_LEARN_NOT_FINITE, "the state before lesson %zu is not finite", i);
      default: return chord_decline(diagnosis, CHORD_LEARN_BAD_LESSON, "an item before lesson %zu is outside the catalogue", i);
    }
  }
  return CHORD_LEARN_OK;
}

chord_learn_status chord_rows_of(const chord_model *model, const chord_lessons *given, chord_row *rows, chord_diagnosis *diagnosis) {
  if (!given) return CHORD_LEARN_OK;
  chord_lessons lessons;
  if (!chord_take(given, sizeof lessons, &lessons, sizeof lessons) ||
      (lessons.count && (!lessons.items || !lessons.lessons || !lessons.states)))
    return chord_decline(diagnosis, CHORD_LEARN_BAD_ARGUMENT, "the struct_size of lessons is not set, or a pointer of theirs is null");
  if (!are_inside(lessons.lessons, lessons.count, lessons.item_count))
    return chord_decline(diagnosis, CHORD_LEARN_BAD_LESSON, "a lesson lies outside its items, or has none before it");
  for (uint32_t i = 0; i < lessons.count; i++) {
    const chord_lesson lesson = lessons.lessons[i];
    rows[i] = (chord_row){.before = lessons.items + lesson.begin, .seen = lesson.place - lesson.begin,
                          .target = lessons.items[lesson.place], .state = lessons.states + (size_t)i * model->dim};
    uint32_t wrong = (uint32_t)rows[i].target - 1 >= model->items;
    for (uint32_t seen = 0; seen < rows[i].seen; seen++) wrong |= (uint32_t)rows[i].before[seen] > model->items;
    if (wrong) return chord_decline(diagnosis, CHORD_LEARN_BAD_LESSON, "lesson %u has an item outside the catalogue", (unsigned)i);
    for (uint32_t d = 0; d < model->dim; d++)
      if (!(rows[i].state[d] >= -1e6f && rows[i].state[d] <= 1e6f))
        return chord_decline(diagnosis, CHORD_LEARN_NOT_FINITE, "the state of lesson %u is not finite, or above 1e6", (unsigned)i);
  }
  return CHORD_LEARN_OK;
}
