/* Random plans, layouts, values and mistakes: nothing crashes, no neighbour changes, queue and step agree.
 *
 *     fuzz DIRECTORY-OF-TOYS [CALLS [SEED]]            # as a test: 2e5 calls; 1e7 take some seconds
 *     clang -fsanitize=fuzzer,address -DFUZZ_LIBFUZZER # as a target of libFuzzer, toys in $FUZZ_TOYS
 *
 * Every decision is read from a string of bytes, so that both ways drive the same code. */
#include "check.h"

#include "surrogate_balance.h"

enum { MAX_CELL = 40, MAX_POSITION = 3 * MAX_CELL, MAX_SLOT = 12, ARENA = MAX_SLOT * (MAX_POSITION + 2) * 4 };

static const uint8_t *bytes, *end_of_bytes;
static int64_t n_calls, n_committed, n_cells, n_untouched, n_refused; /* of steps */
static surr_model *models[3];

static uint32_t byte(void) { return bytes < end_of_bytes ? *bytes++ : 0; }
static uint32_t below(uint32_t n) { return (byte() << 8 | byte()) % n; }
static int one_in(uint32_t n) { return below(n) == 0; }

/* ---- values ------------------------------------------------------------------------------------------------------ */

static double value(void)
{
    static const double usual[] = {1.0, 2.0, 0.5, 100.0, 300.0, 900.0, 5000.0, 1e-3, 10.0, 1e6, 0.0, 1e-24};
    uint64_t bits = 0;
    double x;
    if (!one_in(8)) return usual[below(sizeof usual / sizeof usual[0])] * (1.0 + 1e-3 * byte());
    for (int i = 0; i < 8; i++) bits = bits << 8 | byte();
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* ---- plans ------------------------------------------------------------------------------------------------------- */

typedef struct shape {
    int n_slot;
    int32_t quantity[MAX_SLOT], flags[MAX_SLOT];
    int64_t index_base, index_bytes;
} shape;

static void add_field(surr_plan *plan, shape *s, const char *name, int32_t quantity)
{
    int32_t flags = (int32_t)below(2) * SURR_F_INDEXED, slot = -1;
    if (one_in(40)) flags = (int32_t)byte();
    if (s->n_slot == MAX_SLOT) return;
    n_calls++;
    if (surr_plan_field(plan, name, -1, quantity, one_in(4) ? value() : 1.0, flags, &slot) != SURR_OK) return;
    if (slot != s->n_slot) abort();
    s->quantity[s->n_slot] = quantity;
    s->flags[s->n_slot++] = flags;
}

/* A keeper of harvested cells, which are good ones. */
static void keep(void *context, int64_t n, const double *state, const double *dt, const double *params)
{
    (void)params;
    if (context || n < 1) abort();
    for (int64_t c = 0; c < n; c++)
        if (!(dt[c] > 0.0) || !(state[3 * c] >= 0.0)) abort();
}

static surr_plan *make_plan(shape *s)
{
    static const char *const names[] = {"A", "B", "T", "rate", "cooling", "x", "", "A "};
    static const int32_t others[] = {SURR_Q_DENSITY, SURR_Q_NH, SURR_Q_DT, SURR_Q_MASK, SURR_Q_COST};
    static const int32_t thermal[] = {SURR_Q_TEMPERATURE, SURR_Q_T_OVER_MU, SURR_Q_EINT_MASS, SURR_Q_EINT_VOLUME, 15};
    surr_plan *plan;
    const uint32_t which = below(3);
    const int32_t form = which == 2 || one_in(4) ? SURR_Q_STATE : 1 + (int32_t)below(5);
    *s = (shape){.index_base = 0, .index_bytes = 4};
    if (surr_plan_create(models[which], &plan) != SURR_OK) abort();
    if (one_in(3)) surr_plan_units(plan, value(), value(), value());
    for (int i = 0; i < 5; i++)
        if (one_in(i < 1 ? 3 : 6)) add_field(plan, s, "", others[i]);
    add_field(plan, s, "A", form);
    add_field(plan, s, "T", which == 2 ? SURR_Q_STATE : thermal[below(5)]);
    add_field(plan, s, "B", form);
    if (form == SURR_Q_MASS_FRACTION || form >= SURR_Q_PER_H) add_field(plan, s, "", SURR_Q_DENSITY);
    if (one_in(4)) add_field(plan, s, "rate", SURR_Q_PARAM);
    if (one_in(10)) add_field(plan, s, names[below(8)], (int32_t)below(40));
    surr_plan_set_d(plan, "rtol", -1, one_in(20) ? value() : 0.1);
    if (one_in(3)) surr_plan_set_d(plan, "audit", -1, 0.3);
    if (one_in(8)) surr_plan_set_i(plan, "threads", -1, 2);
    if (one_in(3)) surr_plan_set_i(plan, "max_solver_steps", -1, 1 + (int64_t)byte());
    if (one_in(3) && surr_plan_set_i(plan, "index_base", -1, 1) == SURR_OK) s->index_base = 1;
    if (one_in(3) && surr_plan_set_i(plan, "index_bytes", -1, 8) == SURR_OK) s->index_bytes = 8;
    if (one_in(3)) surr_plan_set_s(plan, "on_failure", -1, "error", -1);
    if (one_in(4))
        surr_plan_set_harvest(plan, one_in(3) ? draw() : one_in(2) ? 1.0 : -1.0, one_in(8) ? NULL : keep, NULL);
    if (one_in(6)) surr_plan_set_s(plan, "fallback", -1, one_in(2) ? "none" : "nonsense", -1);
    if (one_in(6)) surr_plan_set_i(plan, names[below(8)], -1, (int64_t)byte() - 100);
    n_calls += 9;
    if (surr_plan_commit(plan) == SURR_OK) return plan;
    surr_plan_free(plan);
    return NULL;
}

/* ---- one call ---------------------------------------------------------------------------------------------------- */

/* Fields in one arena, each in a region of its own; `element` of cell c of the call. */
typedef struct layout {
    int32_t dtype;
    int is_block, has_index;
    int64_t n_cell, cell_stride, slot_stride;
    double dt;
    void *base[MAX_SLOT];
    int64_t stride[MAX_SLOT], first[MAX_SLOT], position[MAX_CELL];
    int32_t index4[MAX_CELL];
    int64_t index8[MAX_CELL];
} layout;

typedef union arena {
    double f64[ARENA];
    float f32[2 * ARENA];
} arena;
static arena start, stepped, queued;
static uint8_t may_change[2 * ARENA];

static int64_t element(const shape *s, const layout *l, int slot, int64_t c)
{
    const int64_t at = l->has_index && (s->flags[slot] & SURR_F_INDEXED) ? l->position[c] : c;
    return l->first[slot] + at * (l->is_block ? l->cell_stride : l->stride[slot]);
}

static void choose_layout(const shape *s, layout *l)
{
    *l = (layout){.dtype = one_in(4) ? SURR_F32 : SURR_F64, .n_cell = below(MAX_CELL + 1), .has_index = (int)below(2)};
    l->is_block = one_in(3);
    if (l->is_block) l->dtype = SURR_F64;
    l->dt = one_in(30) ? value() : 0.1 + byte();
    for (int64_t c = 0; c < l->n_cell; c++) { /* none twice */
        l->position[c] = 3 * c + (int64_t)below(3);
        l->index4[c] = (int32_t)(l->position[c] + s->index_base);
        l->index8[c] = l->position[c] + s->index_base;
    }
    const int by_cell = (int)below(2);
    l->cell_stride = by_cell ? s->n_slot + (int64_t)below(3) : 1 + (int64_t)below(2);
    l->slot_stride = by_cell ? 1 : 2 * (MAX_POSITION + 1);
    for (int k = 0; k < s->n_slot; k++) {
        const int input = s->quantity[k] > SURR_Q_STATE && s->quantity[k] != SURR_Q_COST;
        l->stride[k] = input && one_in(3) ? 0 : (1 + (int64_t)below(3)) * (one_in(5) ? -1 : 1);
        l->first[k] =
            l->is_block ? k * l->slot_stride : (k * (MAX_POSITION + 2) + (l->stride[k] < 0) * MAX_POSITION) * 4;
    }
}

static int32_t call(int how, const surr_plan *plan, surr_work *work, const shape *s, layout *l, arena *a,
                    uint8_t *status, int64_t *stat)
{
    const void *index = !l->has_index ? NULL : s->index_bytes == 8 ? (const void *)l->index8 : (const void *)l->index4;
    for (int k = 0; k < s->n_slot; k++)
        l->base[k] = l->dtype == SURR_F32 ? (void *)(a->f32 + l->first[k]) : (void *)(a->f64 + l->first[k]);
    n_calls++;
    if (how == 0 && l->is_block)
        return surr_step_block(plan, work, l->n_cell, l->dt, a->f64, l->cell_stride, l->slot_stride, index, status,
                               stat);
    if (how == 0) return surr_step(plan, work, l->n_cell, l->dt, l->base, l->stride, l->dtype, index, status, stat);
    if (l->is_block)
        return surr_queue_block(plan, work, l->n_cell, l->dt, a->f64, l->cell_stride, l->slot_stride, index, status,
                                stat);
    return surr_queue(plan, work, l->n_cell, l->dt, l->base, l->stride, l->dtype, index, status, stat);
}

/* Nothing but the state and cost of cells that were advanced (cost: of all) may differ from the start. */
static void check_neighbours(const shape *s, const layout *l, const arena *a, const uint8_t *status, int32_t code)
{
    const size_t size = l->dtype == SURR_F32 ? sizeof(float) : sizeof(double), n = sizeof *a / size;
    memset(may_change, 0, sizeof may_change);
    for (int k = 0; k < s->n_slot && code >= 0; k++)
        for (int64_t c = 0; c < l->n_cell; c++) {
            const int is_state = s->quantity[k] <= SURR_Q_STATE && !(s->flags[k] & SURR_F_INPUT);
            const int is_cost = s->quantity[k] == SURR_Q_COST && !(s->flags[k] & SURR_F_INPUT);
            if ((is_state && status[c] < SURR_CELL_MASKED) || is_cost) may_change[element(s, l, k, c)] = 1;
        }
    for (size_t i = 0; i < n; i++)
        if (!may_change[i] && memcmp((const char *)a + i * size, (const char *)&start + i * size, size) != 0) {
            printf("element %d changed, code %d\n", (int)i, code);
            abort();
        }
}

static void drive_calls(const surr_plan *plan, surr_work *work, const shape *s)
{
    layout l;
    uint8_t status[MAX_CELL + 1] = {0}, again[MAX_CELL + 1] = {0};
    int64_t stat[SURR_NSTAT], first[SURR_NSTAT], second[SURR_NSTAT];
    choose_layout(s, &l);
    for (int k = 0; k < s->n_slot; k++)
        for (int64_t c = 0; c < l.n_cell; c++) {
            const int64_t at = element(s, &l, k, c);
            double x = value(), small = x >= -1e30 && x <= 1e30 ? x : 3.0; /* what a float holds */
            if (l.dtype == SURR_F32) start.f32[at] = (float)small;
            else start.f64[at] = x;
        }
    stepped = queued = start;
    status[l.n_cell] = again[l.n_cell] = 77;
    int32_t code = call(0, plan, work, s, &l, &stepped, status, stat);
    check_neighbours(s, &l, &stepped, status, code);
    n_refused += code < 0;
    n_cells += code < 0 ? 0 : stat[SURR_STAT_CELLS];
    n_untouched += code < 0 ? 0 : stat[SURR_STAT_UNTOUCHED];
    int32_t later = call(1, plan, work, s, &l, &queued, again, first);
    check_neighbours(s, &l, &queued, again, later);
    int32_t flushed = surr_flush(work, second);
    n_calls++;
    if (flushed < 0 || status[l.n_cell] != 77 || again[l.n_cell] != 77) abort();
    if (later >= 0) {
        for (int j = 0; j < SURR_NSTAT; j++)
            if (stat[j] != first[j] + second[j]) abort();
        if ((code != (later | flushed)) || memcmp(status, again, (size_t)l.n_cell)) abort();
        if (memcmp(&stepped, &queued, sizeof stepped) != 0) abort();
    }
    start = (arena){{0}};
}

/* Arguments that cannot be right. */
static void drive_mistakes(const surr_plan *plan, surr_work *work, const shape *s)
{
    double q[MAX_SLOT * 2] = {1.0}, before[MAX_SLOT * 2];
    void *base[MAX_SLOT];
    int64_t stride[MAX_SLOT] = {0};
    int32_t code = -1, index[1] = {-1 - (int32_t)byte()};
    for (int k = 0; k < MAX_SLOT; k++) base[k] = one_in(2) ? NULL : q + k;
    base[below((uint32_t)s->n_slot)] = NULL;
    memcpy(before, q, sizeof q);
    switch (below(6)) {
    case 0: code = surr_step(plan, work, 1, 1.0, base, stride, SURR_F64, NULL, NULL, NULL); break;
    case 1: code = surr_step_block(plan, work, -1 - (int64_t)byte(), 1.0, q, 1, 1, NULL, NULL, NULL); break;
    case 2: code = surr_queue_block(plan, NULL, 1, 1.0, q, 1, 1, NULL, NULL, NULL); break;
    case 3:
        code = surr_step_block(plan, work, 1, 1.0, q, 1, 1, index, NULL, NULL) | (s->index_bytes == 8 ? -1 : 0);
        break;
    case 4: code = surr_step(plan, work, 1, 1.0, base, NULL, 2 + (int32_t)byte(), NULL, NULL, NULL); break;
    default: code = surr_step_cell(NULL, work, 1.0, q, NULL);
    }
    n_calls++;
    if (s->index_bytes != 8 && (code >= 0 || memcmp(q, before, sizeof q) != 0)) abort();
}

static void drive(const uint8_t *data, size_t size)
{
    shape s;
    surr_work *work;
    bytes = data;
    end_of_bytes = data + size;
    surr_plan *plan = make_plan(&s);
    if (!plan) return;
    n_committed++;
    if (surr_work_create(plan, byte() % 50, &work) != SURR_OK) abort();
    for (int i = 0; i < 3; i++) drive_calls(plan, work, &s);
    int64_t outside[4 + MAX_SLOT], fingerprint; /* by reason: variables and parameters are fewer than slots can be */
    if (surr_work_outside(work, outside) != SURR_OK || outside[0] != 0) abort(); /* the toy tells its reason */
    if (surr_work_fingerprint(work, &fingerprint) != SURR_OK) abort();
    if (s.index_bytes == 4) drive_mistakes(plan, work, &s);
    surr_work_free(work);
    surr_plan_free(plan);
    n_calls += 4;
}

static void open_models(const char *directory)
{
    models[0] = open_toy(directory, "toy");
    models[1] = open_toy(directory, "toy_net");
    models[2] = open_toy(directory, "toy_other");
}

#ifdef FUZZ_LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!models[0]) open_models(getenv("FUZZ_TOYS"));
    drive(data, size);
    return 0;
}
#else
int main(int argc, char **argv)
{
    static uint8_t data[20000];
    REQUIRE(argc >= 2);
    const int64_t wanted = argc > 2 ? (int64_t)atof(argv[2]) : 200000;
    uint64_t state = 0x9e3779b97f4a7c15u * (uint64_t)(1 + (argc > 3 ? atoi(argv[3]) : 0));
    int64_t n_inputs = 0;
    open_models(argv[1]);
    for (; n_calls < wanted; n_inputs++) {
        for (size_t i = 0; i < sizeof data; i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            data[i] = (uint8_t)(state >> 32);
        }
        drive(data, sizeof data);
    }
    for (int i = 0; i < 3; i++) surr_model_close(models[i]);
    printf("%lld calls; %lld of %lld plans committed, %lld steps refused, %lld cells, %lld of them untouched\n",
           (long long)n_calls, (long long)n_committed, (long long)n_inputs, (long long)n_refused, (long long)n_cells,
           (long long)n_untouched);
    CHECK(n_committed > n_inputs / 10 && n_untouched < n_cells * 9 / 10 && n_refused > 0);
    return report("fuzz");
}
#endif
