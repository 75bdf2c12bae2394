/* The harvest: drawn before anybody advances a cell, so that nothing of what happens to the cell has a say in it. */
#include "harvest.h"
#include "draw.h"
#include "error.h"
#include "harvest_file.h"
#include "text.h"

enum { MAX_PATH = 4096 };

void harvest_hand_over(const surr_plan *p, scratch *s)
{
    if (!s->kept.n) return;
    fp_leave(s->host);
    p->keep(p->keep_context, s->kept.n, s->kept.y, s->kept.dt, s->kept.params);
    (void)fp_enter();
    s->kept.n = 0;
}

void harvest_cells(const surr_plan *p, scratch *s, const float *error)
{
    if (p->harvest <= 0.0) return;
    const size_t n_state = (size_t)p->model->desc->n_state, n_param = (size_t)p->model->desc->n_param;
    for (int32_t i = 0; i < s->m; i++) {
        const double *y = s->y + (size_t)i * n_state;
        if ((error && error[i] < 0.0f) || !is_drawn(DRAW_HARVEST, p->harvest, (int32_t)n_state, y, s->dt[i])) continue;
        const size_t to = (size_t)s->kept.n++;
        memcpy(s->kept.y + to * n_state, y, n_state * sizeof *y);
        memcpy(s->kept.params + to * n_param, s->params + (size_t)i * n_param, n_param * sizeof *s->params);
        s->kept.dt[to] = s->dt[i];
        if (s->kept.n == HARVEST) harvest_hand_over(p, s);
    }
}

/* ---- what a host may ask and say --------------------------------------------------------------------------------- */

static int32_t check_share(const surr_plan *p, double share)
{
    int32_t code = plan_check_open(p);
    if (code == SURR_OK && (!is_finite(share) || share < 0.0 || share > 1.0))
        code = surr_fail(SURR_E_ARG, "the share to harvest is %g: give 0..1, as 1e-3", share);
    return code;
}

static void set(surr_plan *p, double share, harvest_keeper *keep, void *context, harvest_file *own)
{
    harvest_file_close(p->harvest_file);
    p->harvest = keep ? share : 0.0;
    p->keep = keep;
    p->keep_context = context;
    p->harvest_file = own;
}

int32_t surr_plan_set_harvest(surr_plan *p, double share, harvest_keeper *keep, void *context)
{
    int32_t code = check_share(p, share);
    if (code == SURR_OK) set(p, share, keep, context, NULL);
    return code;
}

int32_t surr_plan_set_harvest_file(surr_plan *p, double share, const char *path, int32_t path_len, int64_t most)
{
    char text[MAX_PATH];
    harvest_file *file = NULL;
    int32_t code = check_share(p, share);
    if (code == SURR_OK && (!copy_string(text, MAX_PATH, path, path_len) || !text[0]))
        code = surr_fail(SURR_E_ARG, "the path is NULL, empty or longer than %d characters", MAX_PATH - 1);
    if (code == SURR_OK && most < 1)
        code = surr_fail(SURR_E_ARG, "most is %lld: give the cells that the file may hold, 1 or more", (long long)most);
    if (code == SURR_OK) code = harvest_file_open(p->model->desc, text, most, &file);
    if (code == SURR_OK) set(p, share, harvest_file_keep, file, file);
    return code;
}

int32_t surr_plan_harvested(const surr_plan *p, int64_t *held, int64_t *drawn)
{
    if (!p) return surr_fail(SURR_E_ARG, "plan is NULL: create one first");
    if (!p->harvest_file)
        return surr_fail(SURR_E_STATE, "the plan has no file for a harvest: call surr_plan_set_harvest_file first");
    return harvest_file_count(p->harvest_file, held, drawn);
}
