/* A file of harvested cells in NumPy's format (NEP 1): a header of fixed length, then the records. The number of records
 * stands in the header, in a field of fixed width, and is written after them: what is there is readable at any time. */
#include "harvest_file.h"
#include "draw.h"
#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIGITS = 20, PREFIX = 10, FIXED = 80, PER_COLUMN = 14, ALIGNED = 64, LONGEST = 65535 }; /* of a header */

struct harvest_file {
    int fd, failure; /* failure: errno of what went wrong, and nothing is written after it */
    pid_t owner;     /* a child of a fork does not write into its parent's file */
    pthread_mutex_t lock;
    int32_t n_state, n_param;
    int64_t held, drawn, before, most; /* cells in the file, drawn since it was opened, held when it was, and at most */
    size_t header, place;              /* bytes of the header, and where in it the number of records stands */
    double *row;
    char *text; /* the header */
};

static int64_t row_bytes(const harvest_file *f)
{
    return (int64_t)sizeof(double) * ((int64_t)f->n_state + 1 + f->n_param);
}

/* 0, or errno. */
static int write_at(int fd, const void *bytes, size_t n, int64_t at)
{
    for (const char *next = bytes; n > 0;) {
        const ssize_t done = pwrite(fd, next, n, (off_t)at);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return done < 0 ? errno : ENOSPC;
        next += done, n -= (size_t)done, at += done;
    }
    return 0;
}

static void print_count(const harvest_file *f, char digits[DIGITS + 1])
{
    snprintf(digits, DIGITS + 1, "%*lld", DIGITS, (long long)f->held);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static int is_plain(const char *name)
{
    for (const char *c = name; *c; c++)
        if (*c < ' ' || *c > '~' || *c == '\'' || *c == '\\') return 0;
    return name[0] != '\0';
}

static const char *name_of_column(const surr_model_desc *d, int32_t i)
{
    return i < d->n_state ? d->variables[i].name : i == d->n_state ? "dt" : d->parameters[i - d->n_state - 1].name;
}

/* The header of a file without cells. */
static int32_t make_header(harvest_file *f, const surr_model_desc *d)
{
    const int32_t n_column = d->n_state + 1 + d->n_param;
    const uint16_t one = 1;
    const char order = *(const char *)&one ? '<' : '>';
    size_t room = PREFIX + FIXED + ALIGNED, used = PREFIX;
    for (int32_t i = 0; i < n_column; i++) {
        const char *name = name_of_column(d, i);
        if (!is_plain(name) || (i != d->n_state && strcmp(name, "dt") == 0))
            return surr_fail(SURR_E_UNSUPPORTED,
                             "\"%s\" cannot name a column of a file: harvest by a function of yours", name);
        room += strlen(name) + PER_COLUMN;
    }
    if (room > LONGEST)
        return surr_fail(SURR_E_UNSUPPORTED, "%d columns are too many for a file: harvest by a function of yours",
                         n_column);
    f->text = malloc(room);
    if (!f->text) return surr_fail(SURR_E_NOMEM, "no memory for the header of a file");
    used += (size_t)snprintf(f->text + used, room - used, "{'descr': [");
    for (int32_t i = 0; i < n_column; i++)
        used += (size_t)snprintf(f->text + used, room - used, "('%s', '%cf8'), ", name_of_column(d, i), order);
    used += (size_t)snprintf(f->text + used, room - used, "], 'fortran_order': False, 'shape': (");
    f->place = used;
    used += (size_t)snprintf(f->text + used, room - used, "%*d,)}", DIGITS, 0);
    f->header = (used + 1 + ALIGNED - 1) / ALIGNED * ALIGNED;
    memset(f->text + used, ' ', f->header - used);
    f->text[f->header - 1] = '\n';
    const size_t length = f->header - PREFIX;
    memcpy(f->text, "\x93NUMPY\x01\x00", 8);
    f->text[8] = (char)(length & 0xff);
    f->text[9] = (char)(length >> 8);
    return SURR_OK;
}

/* Whether the header on disk is ours but for the number of cells, which is read. */
static int32_t read_count(harvest_file *f, const char *path, int64_t size)
{
    char *found = calloc(1, f->header + 1), digits[DIGITS + 1] = "";
    if (!found) return surr_fail(SURR_E_NOMEM, "no memory for the header of a file");
    int same = size >= (int64_t)f->header && pread(f->fd, found, f->header, 0) == (ssize_t)f->header;
    if (same) {
        memcpy(digits, found + f->place, DIGITS);
        memcpy(found + f->place, f->text + f->place, DIGITS);
        same = memcmp(found, f->text, f->header) == 0;
    }
    free(found);
    char *end = digits;
    errno = 0;
    f->held = same ? strtoll(digits, &end, 10) : 0;
    same = same && errno == 0 && *end == '\0' && f->held >= 0 && f->held <= (size - (int64_t)f->header) / row_bytes(f);
    if (!same)
        return surr_fail(SURR_E_FORMAT, "%s is there already, and no harvest of these columns: name another file",
                         path);
    if (f->held > f->most)
        return surr_fail(SURR_E_ARG, "%s holds %lld cells already, and most is %lld: give more, or name another file",
                         path, (long long)f->held, (long long)f->most);
    f->before = f->held;
    return SURR_OK;
}

static int32_t no_file(const char *path, int error)
{
    return surr_fail(SURR_E_IO, "%s cannot be written: %s", path, strerror(error));
}

static int32_t open_at(harvest_file *f, const char *path)
{
    struct stat info;
    f->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (f->fd < 0 || fstat(f->fd, &info) != 0) return no_file(path, errno);
    if (!S_ISREG(info.st_mode)) return surr_fail(SURR_E_IO, "%s is no plain file: name another", path);
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET}; /* best effort: some file systems have no locks */
    if (fcntl(f->fd, F_SETLK, &whole) != 0 && (errno == EACCES || errno == EAGAIN))
        return surr_fail(SURR_E_BUSY, "%s is being written by another process: give each rank a file of its own", path);
    if (info.st_size > 0) return read_count(f, path, info.st_size);
    const int error = write_at(f->fd, f->text, f->header, 0);
    return error ? no_file(path, error) : SURR_OK;
}

int32_t harvest_file_open(const surr_model_desc *d, const char *path, int64_t most, harvest_file **out)
{
    harvest_file *f = calloc(1, sizeof *f);
    if (!f) return surr_fail(SURR_E_NOMEM, "no memory for a file");
    f->fd = -1;
    f->owner = getpid();
    f->n_state = d->n_state;
    f->n_param = d->n_param;
    f->most = most;
    pthread_mutex_init(&f->lock, NULL);
    f->row = malloc((size_t)row_bytes(f));
    int32_t code = f->row ? make_header(f, d) : surr_fail(SURR_E_NOMEM, "no memory for a file");
    if (code == SURR_OK) code = open_at(f, path);
    if (code == SURR_OK) *out = f;
    else harvest_file_close(f);
    return code;
}

void harvest_file_close(harvest_file *f)
{
    if (!f) return;
    if (f->fd >= 0) close(f->fd);
    pthread_mutex_destroy(&f->lock);
    free(f->row);
    free(f->text);
    free(f);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Where the next cell goes, -1: nowhere. In a full file all cells so far are there with equal chance (Vitter 1985,
 * ACM Trans. Math. Softw. 11, 37: algorithm R). */
static int64_t next_place(harvest_file *f)
{
    f->drawn++;
    if (f->held < f->most) return f->held;
    const uint64_t seen = (uint64_t)(f->before + f->drawn), place = stirred(seen, 0) % seen;
    return place < (uint64_t)f->most ? (int64_t)place : -1;
}

static int write_cell(harvest_file *f, const double *state, double dt, const double *params)
{
    const int64_t place = next_place(f);
    if (place < 0) return 0;
    memcpy(f->row, state, (size_t)f->n_state * sizeof *state);
    f->row[f->n_state] = dt;
    memcpy(f->row + f->n_state + 1, params, (size_t)f->n_param * sizeof *params);
    const int error = write_at(f->fd, f->row, (size_t)row_bytes(f), (int64_t)f->header + place * row_bytes(f));
    if (!error && place == f->held) f->held++;
    return error;
}

void harvest_file_keep(void *context, int64_t n, const double *state, const double *dt, const double *params)
{
    harvest_file *f = context;
    if (getpid() != f->owner) return;
    pthread_mutex_lock(&f->lock);
    const int64_t before = f->held;
    for (int64_t c = 0; c < n && !f->failure; c++)
        f->failure = write_cell(f, state + c * f->n_state, dt[c], params + c * f->n_param);
    if (f->held > before) {
        char digits[DIGITS + 1];
        print_count(f, digits);
        const int error = write_at(f->fd, digits, DIGITS, (int64_t)f->place);
        if (!f->failure) f->failure = error;
    }
    pthread_mutex_unlock(&f->lock);
}

int32_t harvest_file_count(harvest_file *f, int64_t *held, int64_t *drawn)
{
    pthread_mutex_lock(&f->lock);
    const int failure = f->failure;
    if (held) *held = f->held;
    if (drawn) *drawn = f->drawn;
    pthread_mutex_unlock(&f->lock);
    return failure ? surr_fail(SURR_E_IO, "the harvest cannot be written any more: %s", strerror(failure)) : SURR_OK;
}
