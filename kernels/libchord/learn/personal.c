/* The calls of a phone: learn, judge, or both, as chordkit/coda/personal.py defines it. */
#include <math.h>
#include <string.h>

#include "internal.h"

/* All that is in the caller's memory. Training, classifier and exam take turns in one part of it. */
typedef struct workshop {
  const chord_model *model;
  chord_learn_options options;
  size_t local, outside, most_kept;
  chord_row *rows;       /* [local + outside], the own ones first */
  uint32_t *numbers;     /* [local + most_kept] of rows that are learned from */
  float *inside;         /* [outside] */
  uint32_t *ranks;       /* [outside] */
  double *before, *after; /* [local] */
  chord_parameters parameters;
  float *down;
  chord_candidates candidates, examined;
  chord_training training;
  chord_border border;
  chord_exam exam;
} workshop;

chord_learn_status chord_learn_defaults(chord_learn_options *options) {
  const chord_learn_options defaults = {
      .parts = CHORD_LEARN_AFFINE | CHORD_LEARN_LOWRANK | CHORD_LEARN_BIAS, .share = 0.5, .method = CHORD_LEARN_ADAM, .steps = 10,
      .rate = 0.01f, .temperature = 1.0f, .weight = 0.3f, .folds = 3, .others = 256, .border_folds = 3, .border_steps = 40,
      .border_decay = 0.05f, .passes = 1};
  if (!options || !chord_give(&defaults, sizeof defaults, sizeof defaults, options)) return CHORD_LEARN_BAD_ARGUMENT;
  return CHORD_LEARN_OK;
}

static bool is_between(double value, double least, double most) { return value >= least && value <= most; }

static chord_learn_status take_options(const chord_learn_options *given, chord_learn_options *options, chord_diagnosis *diagnosis) {
  options->struct_size = sizeof *options;
  if (!given) return chord_learn_defaults(options);
  if (!chord_take(given, sizeof *options, options, sizeof *options))
    return chord_decline(diagnosis, CHORD_LEARN_BAD_ARGUMENT, "the struct_size of options is not set, or they set what is not known here");
  if (options->parts > 7 || options->method > CHORD_LEARN_MOMENTUM || options->steps > CHORD_MOST_STEPS ||
      !is_between(options->rate, 0.0, 10.0) || !is_between(options->decay, 0.0, 10.0) || !is_between(options->temperature, 1e-3, 1e3) ||
      !is_between(options->share, 0.0, 1.0) || !is_between(options->weight, 1e-3, 1e3) || options->folds < 2 || options->folds > 100 ||
      options->others > CHORD_MOST_OTHERS || options->border_folds < 2 || options->border_folds > 100 ||
      options->border_steps > CHORD_MOST_STEPS || !is_between(options->border_decay, 0.0, 10.0) || options->passes < 1 ||
      options->passes > 8)
    return chord_decline(diagnosis, CHORD_LEARN_BAD_ARGUMENT, "an option lies outside its bounds");
  return CHORD_LEARN_OK;
}

static bool has_classifier(const chord_learn_options *options, size_t local, size_t outside) {
  return options->share < 1.0 && local && outside;
}

static uint64_t lay_out(workshop *w, const chord_model *model, size_t local, size_t outside, uint8_t *base) {
  const size_t dim = model->dim, others = w->options.others, items = model->items;
  chord_carver c = {.base = base};
  w->model = model;
  w->local = local;
  w->outside = outside;
  w->most_kept = has_classifier(&w->options, local, outside) ? (size_t)ceil(w->options.share * (double)outside) : outside;
  const size_t rows = local + w->most_kept, targets = rows < items ? rows : items,
               candidates = chord_round_up(targets + others < items ? targets + others : items, 16);
  w->rows = chord_carve(&c, (local + outside) * sizeof(chord_row));
  w->numbers = chord_carve(&c, rows * sizeof(uint32_t));
  w->inside = chord_carve(&c, outside * sizeof(float));
  w->ranks = chord_carve(&c, outside * sizeof(uint32_t));
  w->before = chord_carve(&c, local * sizeof(double));
  w->after = chord_carve(&c, local * sizeof(double));
  w->parameters.values = chord_carve(&c, (chord_plain_parameters(dim) + CHORD_MOST_BIASES) * sizeof(float));
  w->parameters.biased = chord_carve(&c, CHORD_MOST_BIASES * sizeof(int32_t));
  w->down = chord_carve(&c, CHORD_RANK * dim * sizeof(float));
  chord_candidates_layout(&w->candidates, &c, rows, others, items);
  chord_candidates_layout(&w->examined, &c, local, others, items);
  chord_carver training = c, border = c, exam = c;
  chord_training_layout(&w->training, &training, rows, candidates, dim);
  if (has_classifier(&w->options, local, outside)) chord_border_layout(&w->border, &border, local + outside, dim);
  chord_exam_layout(&w->exam, &exam, candidates, dim);
  uint64_t used = training.used > border.used ? training.used : border.used;
  return (used > exam.used ? used : exam.used) + 64; /* and to align it */
}

static chord_learn_status size_of(workshop *w, const chord_model *model, const chord_learn_options *options, size_t local, size_t outside,
                                  uint64_t *bytes, chord_diagnosis *diagnosis) {
  if (!chord_is_model(model)) return chord_decline(diagnosis, CHORD_LEARN_BAD_ARGUMENT, "the model is null or not open");
  const chord_learn_status status = take_options(options, &w->options, diagnosis);
  if (status != CHORD_LEARN_OK) return status;
  if (local > CHORD_MOST_LESSONS || outside > CHORD_MOST_LESSONS)
    return chord_decline(diagnosis, CHORD_LEARN_BAD_ARGUMENT, "more than %u lessons of a kind", CHORD_MOST_LESSONS);
  *bytes = lay_out(w, model, local, outside, NULL);
  return CHORD_LEARN_OK;
}

chord_learn_status chord_learn_size(const chord_model *model, const chord_learn_options *options, size_t local, size_t outside,
                                    uint64_t *memory_bytes, chord_diagnosis *diagnosis) {
  workshop w;
  if (!memory_bytes) return chord_decline(diagnosis, CHORD_LEARN_BAD_ARGUMENT, "memory_bytes is null");
  return size_of(&w, model, options, local, outside, memory_bytes, diagnosis);
}

static size_t count_of(const chord_lessons *lessons) { return lessons ? lessons->count : 0; }

static chord_learn_status open(workshop *w, const chord_model *model, const chord_learn_options *options, const chord_lessons *local,
                               const chord_lessons *outside, void *memory, size_t memory_bytes, chord_diagnosis *diagnosis) {
  uint64_t needed = 0;
  chord_learn_status status = size_of(w, model, options, count_of(local), count_of(outside), &needed, diagnosis);
  if (status != CHORD_LEARN_OK) return status;
  if (!memory || memory_bytes < needed)
    return chord_decline(diagnosis, CHORD_LEARN_NO_MEMORY, "learning needs %llu bytes", (unsigned long long)needed);
  lay_out(w, model, w->local, w->outside, (uint8_t *)(((uintptr_t)memory + 63) & ~(uintptr_t)63));
  chord_projection(model->dim, w->down);
  status = chord_rows_of(model, local, w->rows, diagnosis);
  return status == CHORD_LEARN_OK ? chord_rows_of(model, outside, w->rows + w->local, diagnosis) : status;
}

/* A float's bits, in the order of what it is worth; inside is never negative. */
static uint32_t worth(float inside) {
  uint32_t bits;
  memcpy(&bits, &inside, sizeof bits);
  return bits;
}

/* Behind the `own` numbers, ascending, those of the outside rows that most probably lie inside; the earlier one of two that are as
 * probable. */
static size_t keep(workshop *w, size_t own) {
  uint32_t *numbers = w->numbers + own;
  if (!has_classifier(&w->options, own, w->outside)) {
    for (size_t i = 0; i < w->outside; i++) numbers[i] = (uint32_t)(w->local + i);
    return w->outside;
  }
  chord_border_judge(&w->border, w->model, &w->options, w->rows, w->numbers, own, w->rows + w->local, w->outside, w->inside);
  const size_t kept = (size_t)ceil(w->options.share * (double)w->outside);
  for (size_t i = 0; i < w->outside; i++) w->ranks[i] = worth(w->inside[i]);
  chord_sort(w->ranks, w->outside);
  const uint32_t least = kept ? w->ranks[w->outside - kept] : UINT32_MAX;
  size_t ties = 0;
  for (size_t i = w->outside - kept; i < w->outside && w->ranks[i] == least; i++) ties++;
  size_t found = 0;
  for (size_t i = 0; i < w->outside; i++) {
    const uint32_t rank = worth(w->inside[i]);
    if (rank > least || (rank == least && ties > 0)) {
      ties -= rank == least;
      numbers[found++] = (uint32_t)(w->local + i);
    }
  }
  return found;
}

/* Learns from numbers[0 .. own - 1] and the outside rows that are kept. */
static bool learn(workshop *w, size_t own, size_t *kept) {
  *kept = keep(w, own);
  const size_t count = own + *kept;
  chord_candidates_choose(&w->candidates, w->rows, w->numbers, count, w->options.others, w->model->items);
  return chord_train(&w->training, w->model, &w->options, &w->candidates, w->rows, w->numbers, own, count, &w->parameters);
}

/* Own rows but the oldest judged, forward in time, in runs: each by an adapter that learned from all that is older. */
static chord_verdict judge(workshop *w) {
  const size_t count = w->local, folds = w->options.folds, start = chord_first_examined(count);
  if (count - start < CHORD_FEWEST_LESSONS || count - start < folds) return (chord_verdict){0, 0.0, 0.0, -INFINITY};
  for (size_t i = 0; i < count; i++) w->numbers[i] = (uint32_t)i;
  chord_candidates_choose(&w->examined, w->rows, w->numbers, count, w->options.others, w->model->items);
  for (size_t fold = 0; fold < folds; fold++) {
    const size_t first = start + fold * (count - start) / folds, last = start + (fold + 1) * (count - start) / folds;
    size_t kept;
    for (size_t i = 0; i < first; i++) w->numbers[i] = (uint32_t)i;
    const bool sound = learn(w, first, &kept);
    chord_exam_open(&w->exam, w->model, &w->examined, w->options.temperature);
    chord_exam_take(&w->exam, w->model, &w->examined, w->down, NULL, w->rows + first, last - first, w->before + first);
    if (sound)
      chord_exam_take(&w->exam, w->model, &w->examined, w->down, &w->parameters, w->rows + first, last - first, w->after + first);
    else
      for (size_t i = first; i < last; i++) w->after[i] = -INFINITY;
  }
  return chord_weigh(w->before + start, w->after + start, count - start);
}

/* Learns from all there is, and writes the adapter. */
static chord_learn_status make(workshop *w, const uint8_t *strategy, void *adapter, size_t *adapter_bytes, size_t *kept,
                               chord_diagnosis *diagnosis) {
  for (size_t i = 0; i < w->local; i++) w->numbers[i] = (uint32_t)i;
  if (!learn(w, w->local, kept) || !chord_write_adapter(w->model, strategy, &w->parameters, adapter, adapter_bytes))
    return chord_decline(diagnosis, CHORD_LEARN_NOT_FINITE, "a parameter is not finite, or above 10,000: the rate is too high");
  return CHORD_LEARN_OK;
}

static void write_verdict(chord_learn_report *report, chord_verdict verdict) {
  report->judged = (uint32_t)verdict.lessons;
  report->before = verdict.before;
  report->after = verdict.after;
  report->low = verdict.low;
  report->adopt = verdict.low > 0.0;
}

static bool fits(chord_learn_report *report) {
  const chord_learn_report none = {0};
  return !report || chord_give(&none, sizeof none, sizeof none, report);
}

chord_learn_status chord_personalise(const chord_model *model, const chord_learn_options *options, const chord_lessons *local,
                                     const chord_lessons *outside, const uint8_t strategy[8], void *memory, size_t memory_bytes,
                                     void *adapter, size_t *adapter_bytes, chord_learn_report *report, chord_diagnosis *diagnosis) {
  workshop w;
  if (!local || !adapter || !adapter_bytes || !fits(report))
    return chord_decline(diagnosis, CHORD_LEARN_BAD_ARGUMENT, "a pointer is null, or the struct_size of report is not set");
  *adapter_bytes = 0;
  chord_learn_status status = open(&w, model, options, local, outside, memory, memory_bytes, diagnosis);
  if (status != CHORD_LEARN_OK) return status;
  chord_learn_report found = {.local = (uint32_t)w.local, .outside = (uint32_t)w.outside};
  write_verdict(&found, judge(&w));
  if (found.adopt) {
    size_t kept;
    status = make(&w, strategy, adapter, adapter_bytes, &kept, diagnosis);
    if (status != CHORD_LEARN_OK) return status;
    found.kept = (uint32_t)kept;
  }
  if (report) chord_give(&found, sizeof found, sizeof found, report);
  return CHORD_LEARN_OK;
}

chord_learn_status chord_learn(const chord_model *model, const chord_learn_options *options, const chord_lessons *local,
                               const chord_lessons *outside, const uint8_t strategy[8], void *memory, size_t memory_bytes, void *adapter,
                               size_t *adapter_bytes, uint32_t *kept, chord_diagnosis *diagnosis) {
  workshop w;
  if (!adapter || !adapter_bytes) return chord_decline(diagnosis, CHORD_LEARN_BAD_ARGUMENT, "a pointer is null");
  *adapter_bytes = 0;
  chord_learn_status status = open(&w, model, options, local, outside, memory, memory_bytes, diagnosis);
  size_t many = 0;
  if (status == CHORD_LEARN_OK) status = make(&w, strategy, adapter, adapter_bytes, &many, diagnosis);
  if (status == CHORD_LEARN_OK && kept) *kept = (uint32_t)many;
  return status;
}

chord_learn_status chord_learn_inside(const chord_model *model, const chord_learn_options *options, const chord_lessons *local,
                                      const chord_lessons *outside, void *memory, size_t memory_bytes, float *inside,
                                      chord_diagnosis *diagnosis) {
  workshop w;
  if (!local || !outside || !inside) return chord_decline(diagnosis, CHORD_LEARN_BAD_ARGUMENT, "a pointer is null");
  const chord_learn_status status = open(&w, model, options, local, outside, memory, memory_bytes, diagnosis);
  if (status != CHORD_LEARN_OK) return status;
  if (!has_classifier(&w.options, w.local, w.outside))
    return chord_decline(diagnosis, CHORD_LEARN_BAD_ARGUMENT, "there is no classifier without lessons of both kinds, or with a share of 1");
  for (size_t i = 0; i < w.local; i++) w.numbers[i] = (uint32_t)i;
  chord_border_judge(&w.border, model, &w.options, w.rows, w.numbers, w.local, w.rows + w.local, w.outside, inside);
  return CHORD_LEARN_OK;
}

chord_learn_status chord_adapter_judge(const chord_model *model, const chord_learn_options *options, const chord_adapter *given,
                                       const chord_lessons *lessons, void *memory, size_t memory_bytes, chord_learn_report *report,
                                       chord_diagnosis *diagnosis) {
  workshop w;
  chord_adapter adapter;
  if (!given || !lessons || !report || !fits(report) || !chord_take(given, sizeof adapter, &adapter, sizeof adapter) || !adapter.data)
    return chord_decline(diagnosis, CHORD_LEARN_BAD_ARGUMENT, "a pointer is null, or a struct_size is not set");
  const chord_learn_status status = open(&w, model, options, lessons, NULL, memory, memory_bytes, diagnosis);
  if (status != CHORD_LEARN_OK) return status;
  if (adapter.dim != model->dim || adapter.items > CHORD_MOST_BIASES)
    return chord_decline(diagnosis, CHORD_LEARN_BAD_ARGUMENT, "the adapter is not what chord_adapter_open gave for this model");
  chord_read_adapter(&adapter, &w.parameters);
  for (size_t i = 0; i < w.local; i++) w.numbers[i] = (uint32_t)i;
  chord_candidates_choose(&w.examined, w.rows, w.numbers, w.local, w.options.others, model->items);
  chord_exam_open(&w.exam, model, &w.examined, w.options.temperature);
  chord_exam_take(&w.exam, model, &w.examined, w.down, NULL, w.rows, w.local, w.before);
  chord_exam_take(&w.exam, model, &w.examined, w.down, &w.parameters, w.rows, w.local, w.after);
  chord_learn_report found = {.local = (uint32_t)w.local};
  write_verdict(&found, chord_weigh(w.before, w.after, w.local));
  chord_give(&found, sizeof found, sizeof found, report);
  return CHORD_LEARN_OK;
}
