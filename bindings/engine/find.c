/* Models: where they are found, and what they must look like. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dladdr */
#endif
#include "bits.h"
#include "error.h"
#include "library.h"
#include "model.h"
#include "text.h"

#ifndef SURR_NO_DLOPEN
#include <dlfcn.h>
#endif
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

void library_close(void *library) { dlclose(library); }

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
void library_close(void *library) { (void)library; }
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
