/* A library of any revision, opened by its path, so that several take turns in one process (contest/revision.py). */
typedef struct loaded loaded;

/* Null, and a sentence in `wrong`, where it cannot be. */
loaded *loaded_open(const char *library, const void *master, size_t master_bytes, const char *variant, char *wrong, size_t wrong_bytes);

/* What each returns is a chord_status. `loaded_reopen` checks the master once more and opens it in spare memory, as an app does at its start. */
int loaded_adopt(loaded *l, const void *strategy, size_t bytes);
int loaded_reopen(loaded *l);
int loaded_rerank(loaded *l, size_t users, const int32_t *histories, size_t length, const int32_t *candidates, size_t count, float *scores);

/* The session no longer knows its last history. */
int loaded_forget(loaded *l);

/* Takes the library's code, or all that it reads and writes, out of every cache; what calls it stays. 0 = this processor's is not known here. */
int loaded_cool_code(const loaded *l);
int loaded_cool_data(const loaded *l);
