/* Wrong use: every return code is reachable, every function bears NULL, and the message says what to do. */
#include "check.h"

#include "model_abi.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *toys;
static const field toy_fields[] = {{"A", SURR_Q_STATE, 0}, {"B", SURR_Q_STATE, 0}, {"T", SURR_Q_STATE, 0}};

static int32_t open_named(const char *name)
{
    char path[4096];
    surr_model *model = (surr_model *)1;
    snprintf(path, sizeof path, "%s/%s.so", toys, name);
    int32_t code = surr_model_open(path, -1, &model);
    if (code == SURR_OK) surr_model_close(model);
    else CHECK(model == NULL);
    return code;
}

static void test_versions_and_names(void)
{
    char text[64], tiny[4];
    CHECK(surr_abi_check(SURR_ABI_MAJOR, SURR_ABI_MINOR) == SURR_OK);
    CHECK_FAILS(surr_abi_check(SURR_ABI_MAJOR + 1, 0), SURR_E_ABI, "recompile");
    CHECK_FAILS(surr_abi_check(SURR_ABI_MAJOR, SURR_ABI_MINOR + 1), SURR_E_ABI, "recompile");
    CHECK(surr_version(text, sizeof text) == SURR_OK && strchr(text, '.'));
    CHECK(surr_version(tiny, sizeof tiny) == SURR_OK && strlen(tiny) == 3);
    CHECK_FAILS(surr_version(NULL, 10), SURR_E_ARG, "buffer");
    CHECK_FAILS(surr_version(text, 0), SURR_E_ARG, "buffer");
    CHECK(surr_last_error(NULL, 10) == SURR_E_ARG);
    CHECK(surr_status_name(SURR_CELL_BAD_INPUT, text, sizeof text) == SURR_OK && strcmp(text, "bad input") == 0);
    CHECK(surr_status_name(SURR_E_BUSY, text, sizeof text) == SURR_OK);
    CHECK_FAILS(surr_status_name(77, text, sizeof text), SURR_E_ARG, "77");
}

static void test_open(void)
{
    surr_model *model;
    CHECK(open_named("toy") == SURR_OK);
    CHECK_FAILS(open_named("nothing"), SURR_E_IO, "nothing.so");
    CHECK_FAILS(open_named("toy_abi"), SURR_E_ABI, "export the model again");
    CHECK_FAILS(open_named("toy_empty"), SURR_E_FORMAT, "no kernels");
    CHECK_FAILS(open_named("toy_no_entry"), SURR_E_FORMAT, "surr_model_entry");
    CHECK_FAILS(surr_model_open(__FILE__, -1, &model), SURR_E_FORMAT, "not a loadable library");
    CHECK_FAILS(surr_model_open("absent", -1, &model), SURR_E_IO, "SURROGATE_MODEL_PATH");
    CHECK_FAILS(surr_model_open("", -1, &model), SURR_E_ARG, "empty");
    CHECK_FAILS(surr_model_open(NULL, 3, &model), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_model_open("toy", -1, NULL), SURR_E_ARG, "out");
    setenv("SURROGATE_MODEL_PATH", toys, 1);
    CHECK(surr_model_open("toy and more", 3, &model) == SURR_OK); /* length, not NUL */
    surr_model_close(model);
    char list[4200];
    snprintf(list, sizeof list, ":/nowhere:%s", toys);
    setenv("SURROGATE_MODEL_PATH", list, 1);
    CHECK(surr_model_open("toy", -1, &model) == SURR_OK);
    surr_model_close(model);
    CHECK(surr_model_close(NULL) == SURR_OK);
}

/* The first n bytes of a file, as another file. */
static void copy_piece(const char *from, const char *to, long n)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    REQUIRE(in && out);
    for (int c; n-- > 0 && (c = fgetc(in)) != EOF;) fputc(c, out);
    fclose(in), fclose(out);
}

/* The linker maps what the headers say and dies at the first touch of what is not there. */
static void test_files_cut_short(void)
{
    char whole[4096], cut[4200];
    surr_model *model;
    snprintf(whole, sizeof whole, "%s/toy.so", toys);
    snprintf(cut, sizeof cut, "%s/cut-%d.so", toys, (int)getpid());
    FILE *file = fopen(whole, "rb");
    REQUIRE(file && fseek(file, 0, SEEK_END) == 0);
    const long size = ftell(file);
    fclose(file);
    for (int i = 0; i < 40; i++) {
        copy_piece(whole, cut, size * i / 40);
        CHECK_FAILS(surr_model_open(cut, -1, &model), SURR_E_FORMAT, "not a loadable library");
    }
    copy_piece(whole, cut, size - 1);
    CHECK_FAILS(surr_model_open(cut, -1, &model), SURR_E_FORMAT, "cut off");
    file = fopen(cut, "wb");
    REQUIRE(file && fwrite("\x89HDF\r\n\x1a\n", 1, 8, file) == 8);
    fclose(file);
    CHECK_FAILS(surr_model_open(cut, -1, &model), SURR_E_FORMAT, "surrogate export");
    remove(cut);
    CHECK_FAILS(surr_model_open(toys, -1, &model), SURR_E_IO, "is no file");
    CHECK_FAILS(surr_model_open("net.h5", -1, &model), SURR_E_IO, "surrogate export net.h5");
    CHECK_FAILS(surr_model_open("net.so", -1, &model), SURR_E_IO, "./net.so");
}

static void test_model_questions(surr_model *toy)
{
    int32_t n_state, n_param, is_param;
    double error = -1, lower, upper, value;
    char name[8], unit[8], tiny[4], json[256];
    int64_t needed;
    CHECK(surr_model_count(toy, &n_state, &n_param) == SURR_OK && n_state == 3 && n_param == 2);
    CHECK(surr_model_field(toy, 0, name, 8, unit, 8, &lower, &upper, &value, &is_param) == SURR_OK);
    CHECK(strcmp(name, "A") == 0 && strcmp(unit, "cm^-3") == 0 && lower == 0 && upper == 1e30 && !is_param);
    CHECK(surr_model_field(toy, 3, name, 8, NULL, 0, NULL, NULL, &value, &is_param) == SURR_OK);
    CHECK(strcmp(name, "rate") == 0 && value == 1e-3 && is_param);
    CHECK(surr_model_field(toy, 4, tiny, 4, NULL, 0, NULL, NULL, NULL, NULL) == SURR_OK && strcmp(tiny, "coo") == 0);
    CHECK_FAILS(surr_model_field(toy, 5, name, 8, unit, 8, NULL, NULL, NULL, NULL), SURR_E_ARG, "0..4");
    CHECK_FAILS(surr_model_field(toy, -1, name, 8, unit, 8, NULL, NULL, NULL, NULL), SURR_E_ARG, "0..4");
    CHECK_FAILS(surr_model_field(toy, 0, name, 0, unit, 8, NULL, NULL, NULL, NULL), SURR_E_ARG, "lengths");
    CHECK(surr_model_dt_range(toy, &lower, &upper) == SURR_OK && lower == 1.0 && upper == 1e6);
    CHECK(surr_model_info(toy, NULL, 0, &needed) == SURR_OK && needed > 10);
    CHECK(surr_model_info(toy, json, sizeof json, NULL) == SURR_OK && json[0] == '{');
    CHECK_FAILS(surr_model_info(toy, json, needed - 1, NULL), SURR_E_ARG, "bytes");
    CHECK(surr_model_selftest(toy, &error) == SURR_OK && error >= 0 && error < 1e-12);
    double y[6] = {1, 3, 100, 2, 0, 10}, params[4] = {1e-3, 5e-4, 1.0, 1.0}, f[6], jacobian[18];
    CHECK(surr_model_evaluate(toy, 2, y, params, f, jacobian) == SURR_OK);
    CHECK(f[1] == -2 * f[0] && f[3] == -8.0 && f[4] == 16.0 && f[5] == 0.0);
    CHECK(jacobian[9] == -8.0 && jacobian[10] == -2.0 && jacobian[11] == 0.0 && jacobian[17] == -1.0);
    CHECK(surr_model_evaluate(toy, 2, y, params, f, NULL) == SURR_OK && f[3] == -8.0);
    CHECK_FAILS(surr_model_evaluate(toy, 1, y, NULL, f, NULL), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_model_evaluate(toy, -1, y, params, f, NULL), SURR_E_ARG, "-1");
    CHECK_FAILS(surr_model_evaluate(NULL, 1, y, params, f, NULL), SURR_E_ARG, "NULL");
    surr_model *wrong = open_toy(toys, "toy_wrong");
    CHECK_FAILS(surr_model_selftest(wrong, &error), SURR_E_CHECKSUM, "test vectors");
    CHECK(error > 0.0999 && error < 0.1001);
    surr_model_close(wrong);
}

static void test_null_handles(void)
{
    int64_t stat[SURR_NSTAT];
    double q[3] = {1, 1, 100};
    void *base[3] = {q, q + 1, q + 2};
    int64_t stride[3] = {1, 1, 1};
    surr_plan *plan;
    surr_work *work;
    CHECK_FAILS(surr_model_selftest(NULL, q), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_model_count(NULL, NULL, NULL), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_model_field(NULL, 0, NULL, 0, NULL, 0, NULL, NULL, NULL, NULL), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_model_dt_range(NULL, q, q), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_model_info(NULL, NULL, 0, NULL), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_model_register(NULL), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_plan_create(NULL, &plan), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_plan_create(NULL, NULL), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_plan_units(NULL, 1, 1, 1), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_plan_field(NULL, "A", -1, SURR_Q_STATE, 1, 0, NULL), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_plan_set_i(NULL, "threads", -1, 1), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_plan_set_d(NULL, "rtol", -1, 1), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_plan_set_s(NULL, "isa", -1, "auto", -1), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_plan_commit(NULL), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_work_create(NULL, 0, &work), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_work_create(NULL, 0, NULL), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_work_seconds(NULL, q), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_step(NULL, NULL, 1, 1, base, stride, SURR_F64, NULL, NULL, stat), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_step_block(NULL, NULL, 1, 1, q, 1, 1, NULL, NULL, stat), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_step_cell(NULL, NULL, 1, q, NULL), SURR_E_ARG, "NULL");
    CHECK(surr_plan_free(NULL) == SURR_OK && surr_work_free(NULL) == SURR_OK);
}

static void test_fields(surr_model *toy)
{
    surr_plan *plan;
    int32_t slot;
    REQUIRE(surr_plan_create(toy, &plan) == SURR_OK);
    CHECK_FAILS(surr_plan_units(plan, 0.0, 1, 1), SURR_E_ARG, "positive");
    CHECK_FAILS(surr_plan_units(plan, 1, 1, 1.0 / 0.0), SURR_E_ARG, "inf");
    CHECK_FAILS(surr_plan_field(plan, "H2", -1, SURR_Q_STATE, 1, 0, &slot), SURR_E_FIELD, "A B T");
    CHECK_FAILS(surr_plan_field(plan, "flux", -1, SURR_Q_PARAM, 1, 0, &slot), SURR_E_FIELD, "rate cooling");
    CHECK_FAILS(surr_plan_field(plan, NULL, -1, SURR_Q_STATE, 1, 0, &slot), SURR_E_ARG, "name");
    CHECK_FAILS(surr_plan_field(plan, "A", -1, 99, 1, 0, &slot), SURR_E_UNITS, "99");
    CHECK_FAILS(surr_plan_field(plan, "A", -1, SURR_Q_EINT_MASS, 1, 0, &slot), SURR_E_UNITS, "no temperature");
    CHECK_FAILS(surr_plan_field(plan, "T", -1, SURR_Q_MASS_FRACTION, 1, 0, &slot), SURR_E_UNITS, "no species");
    CHECK_FAILS(surr_plan_field(plan, "A", -1, SURR_Q_STATE, 0.0, 0, &slot), SURR_E_ARG, "extra_scale");
    CHECK_FAILS(surr_plan_field(plan, "A", -1, SURR_Q_STATE, -1.0, 0, &slot), SURR_E_ARG, "extra_scale");
    CHECK_FAILS(surr_plan_field(plan, "A", -1, SURR_Q_STATE, 1.0, 64, &slot), SURR_E_ARG, "flags");
    CHECK(surr_plan_field(plan, "A and", 1, SURR_Q_MASS_DENSITY, 1, 0, &slot) == SURR_OK && slot == 0);
    CHECK_FAILS(surr_plan_field(plan, "A", -1, SURR_Q_STATE, 1, 0, &slot), SURR_E_FIELD, "twice");
    CHECK(surr_plan_field(plan, NULL, 0, SURR_Q_DENSITY, 1, 0, &slot) == SURR_OK && slot == 1);
    CHECK_FAILS(surr_plan_field(plan, NULL, 0, SURR_Q_DENSITY, 1, 0, &slot), SURR_E_FIELD, "twice");
    CHECK(surr_plan_field(plan, "B", -1, SURR_Q_NUMBER_DENSITY, 1, 0, &slot) == SURR_OK && slot == 2);
    CHECK_FAILS(surr_plan_commit(plan), SURR_E_ARG, "rtol");
    CHECK(surr_plan_set_d(plan, "rtol", -1, 1e-2) == SURR_OK);
    CHECK_FAILS(surr_plan_commit(plan), SURR_E_UNITS, "one form");
    surr_plan_free(plan);
    plan = open_plan(toy, toy_fields, 2);
    CHECK_FAILS(surr_plan_commit(plan), SURR_E_FIELD, "\"T\"");
    surr_plan_free(plan);
    plan = open_plan(toy, toy_fields, 2);
    CHECK(surr_plan_field(plan, "T", -1, SURR_Q_EINT_MASS, 1e300, 0, NULL) == SURR_OK);
    CHECK(surr_plan_units(plan, 1e10, 1, 1) == SURR_OK);
    CHECK_FAILS(surr_plan_commit(plan), SURR_E_UNITS, "out of the range");
    surr_plan_free(plan);
    surr_model *other = open_toy(toys, "toy_other");
    REQUIRE(surr_plan_create(other, &plan) == SURR_OK);
    CHECK_FAILS(surr_plan_field(plan, "A", -1, SURR_Q_NUMBER_DENSITY, 1, 0, NULL), SURR_E_UNITS, "SURR_Q_STATE");
    CHECK_FAILS(surr_plan_field(plan, "T", -1, SURR_Q_TEMPERATURE, 1, 0, NULL), SURR_E_UNITS, "SURR_Q_STATE");
    surr_plan_free(plan);
    surr_model_close(other);
}

static void test_keys(surr_model *toy)
{
    surr_plan *plan = open_plan(toy, toy_fields, 3);
    CHECK_FAILS(surr_plan_set_i(plan, "threads", -1, 0), SURR_E_ARG, "1..1024");
    CHECK_FAILS(surr_plan_set_i(plan, "index_bytes", -1, 6), SURR_E_ARG, "4 or 8");
    CHECK_FAILS(surr_plan_set_i(plan, "index_base", -1, 2), SURR_E_ARG, "0..1");
    CHECK_FAILS(surr_plan_set_i(plan, "rtol", -1, 1), SURR_E_ARG, "no integer key");
    CHECK_FAILS(surr_plan_set_i(plan, NULL, -1, 1), SURR_E_ARG, "key");
    CHECK_FAILS(surr_plan_set_d(plan, "rtol", -1, 0.0), SURR_E_ARG, "rtol is 0");
    CHECK_FAILS(surr_plan_set_d(plan, "rtol", -1, 0.0 / 0.0), SURR_E_ARG, "nan");
    CHECK_FAILS(surr_plan_set_d(plan, "audit", -1, 2.0), SURR_E_ARG, "0..1");
    CHECK_FAILS(surr_plan_set_d(plan, "thread", -1, 2.0), SURR_E_ARG, "no real key");
    CHECK_FAILS(surr_plan_set_s(plan, "isa", -1, "v9", -1), SURR_E_ARG, "auto base v3 v4");
    CHECK_FAILS(surr_plan_set_s(plan, "isas", -1, "v4", -1), SURR_E_ARG, "no word key");
    CHECK_FAILS(surr_plan_set_s(plan, "isa", -1, NULL, -1), SURR_E_ARG, "NULL");
    CHECK(surr_plan_set_d(plan, "rtol!", 4, 1e-3) == SURR_OK && surr_plan_set_d(plan, "audit", -1, 0.1) == SURR_OK);
    CHECK(surr_plan_set_s(plan, "fallback", -1, "none", -1) == SURR_OK);
    CHECK_FAILS(surr_plan_commit(plan), SURR_E_UNSUPPORTED, "no net");
    CHECK(surr_plan_set_s(plan, "fallback", -1, "solver", -1) == SURR_OK);
    CHECK(surr_plan_set_s(plan, "isa", -1, "v4", -1) == SURR_OK); /* the toy has no v4 code */
    CHECK_FAILS(surr_plan_commit(plan), SURR_E_UNSUPPORTED, "auto");
    CHECK(surr_plan_set_s(plan, "isa", -1, "auto", -1) == SURR_OK && surr_plan_commit(plan) == SURR_OK);
    CHECK_FAILS(surr_plan_commit(plan), SURR_E_STATE, "committed");
    CHECK_FAILS(surr_plan_set_d(plan, "rtol", -1, 1e-3), SURR_E_STATE, "committed");
    CHECK_FAILS(surr_plan_units(plan, 1, 1, 1), SURR_E_STATE, "committed");
    CHECK_FAILS(surr_plan_field(plan, "rate", -1, SURR_Q_PARAM, 1, 0, NULL), SURR_E_STATE, "committed");
    surr_plan_free(plan);
}

static void test_step_arguments(surr_model *toy)
{
    double q[6] = {1, 1, 100, 1, 1, 100}, before[6];
    void *base[3] = {q, q + 1, q + 2}, *holey[3] = {q, NULL, q + 2};
    int64_t stride[3] = {3, 3, 3}, broadcast[3] = {3, 0, 3};
    int32_t index[2] = {1, -1};
    surr_plan *plan = open_plan(toy, toy_fields, 3), *twin = open_plan(toy, toy_fields, 3);
    surr_work *work, *other;
    memcpy(before, q, sizeof q);
    CHECK_FAILS(surr_work_create(plan, 0, &work), SURR_E_STATE, "commit");
    CHECK_FAILS(surr_step_cell(plan, (surr_work *)q, 1.0, q, NULL), SURR_E_STATE, "commit");
    other = commit(twin);
    CHECK(surr_plan_commit(plan) == SURR_OK);
    CHECK_FAILS(surr_work_create(plan, -1, &work), SURR_E_ARG, "-1");
    REQUIRE(surr_work_create(plan, 100, &work) == SURR_OK);
    CHECK_FAILS(surr_work_seconds(work, NULL), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_step(plan, NULL, 2, 1, base, stride, SURR_F64, NULL, NULL, NULL), SURR_E_ARG, "work");
    CHECK_FAILS(surr_step(plan, other, 2, 1, base, stride, SURR_F64, NULL, NULL, NULL), SURR_E_ARG, "another plan");
    CHECK_FAILS(surr_step(plan, work, -2, 1, base, stride, SURR_F64, NULL, NULL, NULL), SURR_E_ARG, "-2");
    CHECK_FAILS(surr_step(plan, work, 2, 0, base, stride, SURR_F64, NULL, NULL, NULL), SURR_E_ARG, "dt is 0");
    CHECK_FAILS(surr_step(plan, work, 2, -1, base, stride, SURR_F64, NULL, NULL, NULL), SURR_E_ARG, "dt is -1");
    CHECK_FAILS(surr_step(plan, work, 2, 0.0 / 0.0, base, stride, SURR_F64, NULL, NULL, NULL), SURR_E_ARG, "nan");
    CHECK_FAILS(surr_step(plan, work, 2, 1.0 / 0.0, base, stride, SURR_F64, NULL, NULL, NULL), SURR_E_ARG, "inf");
    CHECK_FAILS(surr_step(plan, work, 2, 1, NULL, stride, SURR_F64, NULL, NULL, NULL), SURR_E_ARG, "base");
    CHECK_FAILS(surr_step(plan, work, 2, 1, base, NULL, SURR_F64, NULL, NULL, NULL), SURR_E_ARG, "strides");
    CHECK_FAILS(surr_step(plan, work, 2, 1, holey, stride, SURR_F64, NULL, NULL, NULL), SURR_E_ARG, "slot 1");
    CHECK_FAILS(surr_step(plan, work, 2, 1, base, broadcast, SURR_F64, NULL, NULL, NULL), SURR_E_ARG, "slot 1");
    CHECK_FAILS(surr_step(plan, work, 2, 1, base, stride, 7, NULL, NULL, NULL), SURR_E_ARG, "dtype is 7");
    CHECK_FAILS(surr_step(plan, work, 2, 1, base, stride, SURR_F64, index, NULL, NULL), SURR_E_ARG, "index[1] is -1");
    CHECK_FAILS(surr_step_block(plan, work, 2, 1, NULL, 3, 1, NULL, NULL, NULL), SURR_E_ARG, "NULL");
    CHECK(memcmp(q, before, sizeof q) == 0);
    CHECK(surr_step(plan, work, 0, 1, base, stride, SURR_F64, NULL, NULL, NULL) == SURR_OK);
    CHECK(surr_step_block(plan, work, 0, 1, NULL, 3, 1, NULL, NULL, NULL) == SURR_OK);
    CHECK(memcmp(q, before, sizeof q) == 0);
    surr_work_free(work);
    surr_work_free(other);
    surr_plan_free(plan);
    surr_plan_free(twin);
}

/* Handles may be given back in any order. */
static void test_life_times(void)
{
    double q[3] = {1, 1, 100};
    surr_model *toy = open_toy(toys, "toy");
    surr_plan *plan = open_plan(toy, toy_fields, 3);
    surr_work *work = commit(plan);
    surr_model_close(toy);
    CHECK(surr_step_cell(plan, work, 1.0, q, NULL) == SURR_OK);
    surr_plan_free(plan);
    surr_work_free(work);
}

/* ---- a model linked into the program, whose solver calls the engine again ---------------------------------------- */

static surr_plan *nested_plan;
static surr_work *nested_work;
static int32_t nested_code;

static void nested_solve(const surr_kernels *self, const surr_solver_options *options, int64_t n, double *y,
                         const double *dt, const double *max_step, const double *params, uint8_t *status,
                         int32_t *attempts)
{
    (void)self, (void)options, (void)y, (void)dt, (void)max_step, (void)params;
    for (int64_t c = 0; c < n; c++) status[c] = SURR_CELL_SOLVER, attempts[c] = 1;
    double q = 1.0;
    nested_code = surr_step_cell(nested_plan, nested_work, 1.0, &q, NULL);
}

static void nested_evaluate(const surr_kernels *self, int64_t n, const double *y, const double *params, double *f,
                            double *jacobian)
{
    (void)self, (void)y, (void)params, (void)jacobian;
    for (int64_t c = 0; c < n; c++) f[c] = 0.0;
}

static const surr_model_desc *nested_entry(void)
{
    static const surr_variable variable = {"x", "1", -1.0, 1.0, SURR_ROLE_OTHER, 0, 0.0};
    static const surr_kernels kernels = {.lanes = 1, .solve = nested_solve, .evaluate = nested_evaluate};
    static const surr_model_desc desc = {.abi = SURR_MODEL_ABI,
                                         .n_state = 1,
                                         .name = "nested",
                                         .info = "{}",
                                         .variables = &variable,
                                         .kernels = {&kernels, 0, 0}};
    return &desc;
}

static void test_busy_and_registered(void)
{
    const field x = {"x", SURR_Q_STATE, 0};
    surr_model *model;
    double q = 0.5;
    CHECK(surr_model_open("nested", -1, &model) == SURR_E_IO);
    CHECK(surr_model_register(nested_entry) == SURR_OK && surr_model_register(nested_entry) == SURR_OK);
    REQUIRE(surr_model_open("nested", -1, &model) == SURR_OK);
    nested_plan = open_plan(model, &x, 1);
    nested_work = commit(nested_plan);
    CHECK(surr_step_cell(nested_plan, nested_work, 1.0, &q, NULL) == SURR_OK);
    CHECK(nested_code == SURR_E_BUSY);
    surr_work_free(nested_work);
    surr_plan_free(nested_plan);
    surr_model_close(model);
}

/* In the child of a fork the thread that was in a step does not exist, and must not keep the work for ever. */
static sem_t stepping, may_go;
static int32_t wait_inside(void *context, int64_t n, double *state, const double *dt, const double *params)
{
    (void)n, (void)state, (void)dt, (void)params;
    if (*(int *)context) sem_post(&stepping), sem_wait(&may_go);
    return 0;
}

static int must_wait = 1;
static surr_plan *forked_plan;
static surr_work *forked_work;
static void *step_in_thread(void *unused)
{
    double q[3] = {1.0, 3.0, 100.0};
    CHECK(surr_step_cell(forked_plan, forked_work, 1.0, q, NULL) == SURR_OK);
    return unused;
}

static void test_fork(surr_model *toy)
{
    pthread_t thread;
    double q[3] = {1.0, 3.0, 100.0};
    int result = -1;
    sem_init(&stepping, 0, 0), sem_init(&may_go, 0, 0);
    forked_plan = open_plan(toy, toy_fields, 3);
    CHECK(surr_plan_set_fallback(forked_plan, wait_inside, &must_wait) == SURR_OK);
    forked_work = commit(forked_plan);
    REQUIRE(pthread_create(&thread, NULL, step_in_thread, NULL) == 0);
    sem_wait(&stepping);
    CHECK_FAILS(surr_step_cell(forked_plan, forked_work, 1.0, q, NULL), SURR_E_BUSY, "another thread");
    const pid_t child = fork();
    if (child == 0) {
        surr_model *model;
        must_wait = 0;
        const int twice = surr_step_cell(forked_plan, forked_work, 1.0, q, NULL) == SURR_OK &&
                          surr_step_cell(forked_plan, forked_work, 1.0, q, NULL) == SURR_OK;
        _exit(twice && surr_model_open("nothing", -1, &model) == SURR_E_IO ? 0 : 1);
    }
    CHECK(child > 0 && waitpid(child, &result, 0) == child && WIFEXITED(result) && WEXITSTATUS(result) == 0);
    must_wait = 0;
    sem_post(&may_go);
    pthread_join(thread, NULL);
    CHECK(surr_step_cell(forked_plan, forked_work, 1.0, q, NULL) == SURR_OK);
    surr_work_free(forked_work);
    surr_plan_free(forked_plan);
}

int main(int argc, char **argv)
{
    REQUIRE(argc == 2);
    toys = argv[1];
    surr_model *toy = open_toy(toys, "toy");
    test_versions_and_names();
    test_open();
    test_files_cut_short();
    test_model_questions(toy);
    test_null_handles();
    test_fields(toy);
    test_keys(toy);
    test_step_arguments(toy);
    test_life_times();
    test_busy_and_registered();
    test_fork(toy);
    surr_model_close(toy);
    return report("errors");
}
