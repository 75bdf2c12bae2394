/* Models: where they are found, what they must look like, and the questions a host can ask them. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dladdr */
#endif
#include "engine.h"
#include "fpenv.h"

#ifndef SURR_NO_DLOPEN
#include <dlfcn.h>
#endif
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef const surr_model_desc *(*entry_function)(void);

enum { MAX_REGISTERED = 64, MAX_PATH = 4096, ROOM = 2 * MAX_PATH };

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static const surr_model_desc *registry[MAX_REGISTERED];
static int n_registered;

/* So that no child of a fork finds the registry locked by a thread that it has not got. */
static void lock_registry(void) { pthread_mutex_lock(&registry_lock); }
static void unlock_registry(void) { pthread_mutex_unlock(&registry_lock); }
static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(lock_registry, unlock_registry, unlock_registry);
}

int isa_runs_here(int32_t isa)
{
#if defined(__x86_64__)
    if (isa == SURR_ISA_BASE) return __builtin_cpu_supports("sse4.2");
    int v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
             __builtin_cpu_supports("bmi2");
    if (isa == SURR_ISA_V3) return v3;
    return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
#else
    return isa == SURR_ISA_BASE;
#endif
}

int32_t best_isa(const surr_model_desc *d)
{
    int32_t isa = SURR_N_ISA - 1;
    while (isa >= 0 && !(d->kernels[isa] && isa_runs_here(isa))) isa--;
    return isa;
}

/* NULL if the description is usable, else what is wrong with it. */
static const char *find_flaw(const surr_model_desc *d)
{
    if (!d->name || !d->name[0] || !d->info) return "it has no name or no info";
    if (d->n_state < 1 || d->n_param < 0 || d->n_conserved < 0 || d->n_test < 0) return "it has a negative size";
    if (!d->variables || (d->n_param && !d->parameters)) return "its variables are not described";
    if (d->n_conserved && !d->conserved) return "its conservation laws are missing";
    if (d->n_test && !(d->test_y && d->test_f && d->test_scale && (d->test_param || !d->n_param)))
        return "its test vectors are missing";
    if (d->n_net_test && !(d->net_y && d->net_dt && d->net_end && d->net_error && (d->net_param || !d->n_param)))
        return "the test vectors of its net are missing";
    int n_temperature = 0, n_kernels = 0;
    for (int k = 0; k < d->n_state; k++) {
        const surr_variable *v = &d->variables[k];
        if (!v->name || !v->unit) return "a variable has no name or unit";
        if (v->role == SURR_ROLE_SPECIES && !is_positive(v->mass)) return "a species has no mass";
        n_temperature += v->role == SURR_ROLE_TEMPERATURE;
    }
    if (n_temperature > 1) return "it has two temperatures";
    for (int k = 0; k < d->n_param; k++)
        if (!d->parameters[k].name || !d->parameters[k].unit) return "a parameter has no name or unit";
    for (int isa = 0; isa < SURR_N_ISA; isa++) {
        const surr_kernels *k = d->kernels[isa];
        if (k && !(k->solve && k->evaluate)) return "a kernel is incomplete";
        n_kernels += k != NULL;
    }
    return n_kernels ? NULL : "it has no kernels";
}

static int32_t check_desc(const surr_model_desc *d, const char *where)
{
    if (!d) return surr_fail(SURR_E_FORMAT, "%s: surr_model_entry returned NULL", where);
    if (d->abi != SURR_MODEL_ABI)
        return surr_fail(SURR_E_ABI,
                         "%s was built for model ABI %d, this libsurrogate reads %d: export the model again", where,
                         d->abi, SURR_MODEL_ABI);
    const char *flaw = find_flaw(d);
    if (flaw) return surr_fail(SURR_E_FORMAT, "%s is not a valid model: %s", where, flaw);
    return SURR_OK;
}

static int32_t wrap(const surr_model_desc *desc, void *library, const uint64_t digest[2], surr_model **out)
{
    surr_model *m = calloc(1, sizeof *m);
    if (!m) return surr_fail(SURR_E_NOMEM, "no memory for a model handle");
    atomic_init(&m->refs, 1);
    m->desc = desc;
    m->library = library;
    m->digest[0] = digest[0], m->digest[1] = digest[1];
    *out = m;
    return SURR_OK;
}

#ifndef SURR_NO_DLOPEN
static int32_t open_library(const char *path, surr_model **out)
{
    uint64_t digest[2];
    int32_t code = library_check(path, digest);
    if (code != SURR_OK) return code;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror();
        return surr_fail(SURR_E_FORMAT, "%s is not a loadable library: %s", path, why ? why : "unknown reason");
    }
    entry_function entry;
    *(void **)&entry = dlsym(library, "surr_model_entry");
    if (!entry)
        code = surr_fail(SURR_E_FORMAT,
                         "%s is a library but no model: it lacks surr_model_entry. Make one with `surrogate export`",
                         path);
    const surr_model_desc *desc = entry ? entry() : NULL;
    if (code == SURR_OK) code = check_desc(desc, path);
    if (code == SURR_OK) code = wrap(desc, library, digest, out);
    if (code != SURR_OK) dlclose(library);
    return code;
}

static void close_library(void *library) { dlclose(library); }

/* Where models are installed: told by find_package to hosts of libsurrogate.a, whose directory cannot be found out. */
__attribute__((weak)) const char *surr_models_dir(void) { return NULL; }

/* Directory of this library, of length *n; NULL where it cannot be told. */
static const char *own_directory(size_t *n)
{
    Dl_info self;
    if (!dladdr((void *)(intptr_t)surr_model_open, &self) || !self.dli_fname) return NULL;
    const char *slash = strrchr(self.dli_fname, '/');
    *n = slash ? (size_t)(slash - self.dli_fname) : 0;
    return self.dli_fname;
}
#else
static int32_t open_library(const char *path, surr_model **out)
{
    *out = NULL;
    return surr_fail(SURR_E_UNSUPPORTED,
                     "%s cannot be opened: this libsurrogate was built without dlopen. Link the model in (`surrogate "
                     "export --static`) and call surr_model_register",
                     path);
}
static void close_library(void *library) { (void)library; }
static const char *own_directory(size_t *n) { return *n = 0, NULL; }
static const char *surr_models_dir(void) { return NULL; }
#endif

static const surr_model_desc *find_registered(const char *name)
{
    const surr_model_desc *found = NULL;
    pthread_mutex_lock(&registry_lock);
    for (int i = 0; i < n_registered && !found; i++)
        if (strcmp(registry[i]->name, name) == 0) found = registry[i];
    pthread_mutex_unlock(&registry_lock);
    return found;
}

/* Tries DIR[0:n]/SUBDIR/NAME.so; 1 if there is such a file, with its path. */
static int is_in_directory(const char *dir, size_t n, const char *subdir, const char *name, char path[ROOM])
{
    int length = snprintf(path, ROOM, "%.*s%s/%s.so", (int)n, dir, subdir, name);
    return n > 0 && length < ROOM && access(path, R_OK) == 0;
}

static int find_file(const char *name, char path[ROOM])
{
    const char *list = getenv("SURROGATE_MODEL_PATH");
    while (list && *list) {
        size_t n = strcspn(list, ":");
        if (is_in_directory(list, n, "", name, path)) return 1;
        list += n + (list[n] == ':');
    }
    size_t n = 0;
    const char *here = own_directory(&n), *told = surr_models_dir();
    if (told && is_in_directory(told, strlen(told), "", name, path)) return 1;
    return here && (is_in_directory(here, n, "/models", name, path) ||
                    is_in_directory(here, n, "/surrogate/models", name, path));
}

static int has_end(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

int32_t surr_model_open(const char *name_or_path, int32_t len, surr_model **out)
{
    char name[MAX_PATH], path[ROOM];
    if (!out) return surr_fail(SURR_E_ARG, "out is NULL: give the address of a surr_model pointer");
    *out = NULL;
    if (!copy_string(name, sizeof name, name_or_path, len) || !name[0])
        return surr_fail(SURR_E_ARG, "the name of a model is NULL, empty or longer than %d characters", MAX_PATH - 1);
    if (strchr(name, '/')) return open_library(name, out);
    const surr_model_desc *desc = find_registered(name);
    if (desc) {
        const uint64_t digest = hash_bytes(HASH_START, desc->info, strlen(desc->info));
        return wrap(desc, NULL, (const uint64_t[]){digest, 0}, out);
    }
    if (find_file(name, path)) return open_library(path, out);
    if (has_end(name, ".h5"))
        return surr_fail(SURR_E_IO,
                         "%.200s is the name of a trained model, not of its library. Make that with `surrogate "
                         "export %.200s --to DIR`, and give its path",
                         name, name);
    if (has_end(name, ".so"))
        return surr_fail(SURR_E_IO,
                         "%.200s is no model's name. For a file give its path, with a '/': ./%.200s; a model "
                         "in $SURROGATE_MODEL_PATH goes without .so",
                         name, name);
    return surr_fail(SURR_E_IO,
                     "no model \"%.200s\": it is not registered, and there is no %.200s.so in $SURROGATE_MODEL_PATH "
                     "(%.200s) or in models/ beside libsurrogate",
                     name, name, getenv("SURROGATE_MODEL_PATH") ? getenv("SURROGATE_MODEL_PATH") : "not set");
}

int32_t surr_model_register(const struct surr_model_desc *(*entry)(void))
{
    if (!entry) return surr_fail(SURR_E_ARG, "entry is NULL: give the surr_model_entry of a linked-in model");
    const surr_model_desc *desc = entry();
    int32_t code = check_desc(desc, "the registered model");
    if (code != SURR_OK) return code;
    pthread_mutex_lock(&registry_lock);
    int i = 0;
    while (i < n_registered && strcmp(registry[i]->name, desc->name) != 0) i++;
    if (i == MAX_REGISTERED) {
        code = surr_fail(SURR_E_UNSUPPORTED, "%d models are registered already, there is no room for more",
                         MAX_REGISTERED);
    } else {
        registry[i] = desc;
        n_registered += i == n_registered;
    }
    pthread_mutex_unlock(&registry_lock);
    return code;
}

surr_model *model_retain(surr_model *m)
{
    atomic_fetch_add(&m->refs, 1);
    return m;
}

void model_release(surr_model *m)
{
    if (atomic_fetch_sub(&m->refs, 1) != 1) return;
    if (m->library) close_library(m->library);
    free(m);
}

int32_t surr_model_close(surr_model *m)
{
    if (m) model_release(m);
    return SURR_OK;
}

/* Largest |f - test_f| / test_scale over all test vectors; a value that is not finite counts as infinite. */
static double replay(const surr_model_desc *d, const surr_kernels *kernels, double *f)
{
    double worst = 0.0;
    for (int64_t i = 0; i < d->n_test; i++) {
        kernels->evaluate(1, d->test_y + i * d->n_state, d->test_param + i * d->n_param, f, NULL);
        for (int k = 0; k < d->n_state; k++) {
            int64_t at = i * d->n_state + k;
            double error = fabs(f[k] - d->test_f[at]) / d->test_scale[at];
            if (!is_finite(error)) return INFINITY;
            if (error > worst) worst = error;
        }
    }
    return worst;
}

/* Largest |x/expected - 1| over ends and errors of all stored predictions; infinite where that is no number. */
static double replay_net(const surr_model_desc *d, const surr_kernels *kernels, double *end)
{
    double worst = 0.0;
    for (int64_t i = 0; i < d->n_net_test && kernels->predict; i++) {
        const double *expected = d->net_end + i * d->n_state;
        float bound, attempts;
        kernels->predict(INFINITY, 1, d->net_y + i * d->n_state, d->net_dt + i, d->net_param + i * d->n_param, end,
                         &bound, &attempts);
        for (int k = -1; k < d->n_state; k++) {
            double error = k < 0 ? fabs((double)bound / d->net_error[i] - 1.0) : fabs(end[k] / expected[k] - 1.0);
            if (!is_finite(error)) return INFINITY;
            if (error > worst) worst = error;
        }
    }
    return worst;
}

int32_t surr_model_selftest(const surr_model *m, double *max_error)
{
    if (!m) return surr_fail(SURR_E_ARG, "model is NULL: open one first");
    const surr_model_desc *d = m->desc;
    double *f = malloc((size_t)d->n_state * sizeof *f);
    if (!f) return surr_fail(SURR_E_NOMEM, "no memory for %d values", d->n_state);
    double worst = 0.0, worst_of_net = 0.0;
    fp_state host = fp_enter();
    for (int32_t isa = 0; isa < SURR_N_ISA; isa++) {
        if (!d->kernels[isa] || !isa_runs_here(isa)) continue;
        double error = replay(d, d->kernels[isa], f);
        if (error > worst) worst = error;
        error = replay_net(d, d->kernels[isa], f);
        if (error > worst_of_net) worst_of_net = error;
    }
    int passed = worst <= 1e-10, net_passed = worst_of_net <= 1e-4;
    fp_leave(host);
    free(f);
    if (max_error) *max_error = worst;
    if (passed && net_passed) return SURR_OK;
    if (passed)
        return surr_fail(
            SURR_E_CHECKSUM,
            "the net of %s does not reproduce its stored predictions: error %.3g, allowed 1e-4. Export the "
            "model again on this machine",
            d->name, worst_of_net);
    return surr_fail(SURR_E_CHECKSUM,
                     "%s does not reproduce its own test vectors: error %.3g, allowed 1e-10. Export the model "
                     "again on this machine",
                     d->name, worst);
}

int32_t surr_model_evaluate(const surr_model *m, int64_t n_cell, const double *y, const double *params, double *f,
                            double *jacobian)
{
    if (!m) return surr_fail(SURR_E_ARG, "model is NULL: open one first");
    if (n_cell < 0) return surr_fail(SURR_E_ARG, "n_cell is %lld: give 0 or more", (long long)n_cell);
    if (!y || !f || (!params && m->desc->n_param)) return surr_fail(SURR_E_ARG, "y, f or params is NULL");
    int32_t isa = best_isa(m->desc);
    if (isa < 0)
        return surr_fail(SURR_E_UNSUPPORTED, "%s has no code for this CPU: export it again on this machine",
                         m->desc->name);
    fp_state host = fp_enter();
    m->desc->kernels[isa]->evaluate(n_cell, y, params, f, jacobian);
    fp_leave(host);
    return SURR_OK;
}

int32_t surr_model_count(const surr_model *m, int32_t *n_state, int32_t *n_param)
{
    if (!m) return surr_fail(SURR_E_ARG, "model is NULL: open one first");
    if (n_state) *n_state = m->desc->n_state;
    if (n_param) *n_param = m->desc->n_param;
    return SURR_OK;
}

int32_t surr_model_field(const surr_model *m, int32_t i, char *name, int32_t name_len, char *unit, int32_t unit_len,
                         double *lower, double *upper, double *value, int32_t *is_param)
{
    if (!m) return surr_fail(SURR_E_ARG, "model is NULL: open one first");
    const surr_model_desc *d = m->desc;
    if (i < 0 || i >= d->n_state + d->n_param)
        return surr_fail(SURR_E_ARG, "field %d: %s has %d variables and %d parameters, give 0..%d", i, d->name,
                         d->n_state, d->n_param, d->n_state + d->n_param - 1);
    if ((name && name_len < 1) || (unit && unit_len < 1))
        return surr_fail(SURR_E_ARG, "the buffers for name and unit have lengths %d and %d: give 1 or more", name_len,
                         unit_len);
    const surr_variable *v = i < d->n_state ? &d->variables[i] : NULL;
    const surr_parameter *p = v ? NULL : &d->parameters[i - d->n_state];
    if (name) snprintf(name, (size_t)name_len, "%s", v ? v->name : p->name);
    if (unit) snprintf(unit, (size_t)unit_len, "%s", v ? v->unit : p->unit);
    if (lower) *lower = v ? v->lower : p->lower;
    if (upper) *upper = v ? v->upper : p->upper;
    if (value) *value = v ? 0.0 : p->value;
    if (is_param) *is_param = !v;
    return SURR_OK;
}

int32_t surr_model_dt_range(const surr_model *m, double *lower, double *upper)
{
    if (!m) return surr_fail(SURR_E_ARG, "model is NULL: open one first");
    if (lower) *lower = m->desc->dt_lower;
    if (upper) *upper = m->desc->dt_upper;
    return SURR_OK;
}

int32_t surr_model_info(const surr_model *m, char *json, int64_t len, int64_t *needed)
{
    if (!m) return surr_fail(SURR_E_ARG, "model is NULL: open one first");
    int64_t size = (int64_t)strlen(m->desc->info) + 1;
    if (needed) *needed = size;
    if (!json) return SURR_OK;
    if (len < size)
        return surr_fail(SURR_E_ARG, "the info of %s takes %lld bytes, the buffer has %lld", m->desc->name,
                         (long long)size, (long long)len);
    memcpy(json, m->desc->info, (size_t)size);
    return SURR_OK;
}
