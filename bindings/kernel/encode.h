/* From cells to features, the region they lie in, and whether they are in the domain; training has the same steps in
 * nets/encoding.py and nets/domain.py. */
#ifndef SURR_ENCODE_H
#define SURR_ENCODE_H
#include "chunk.h"

static inline vdouble lanes_of(const double *base, int stride, int first, int n)
{
    vdouble v;
    for (int l = 0; l < SURR_LANES; l++) v[l] = base[(first + l < n ? first + l : n - 1) * stride];
    return v;
}

/* n cells of a chunk, from anywhere, side by side in lanes. */
static inline void gather_cells(const short *order, int n, const double *cells, vdouble *y)
{
    for (int k = 0; k < N_STATE; k++)
        for (int l = 0; l < SURR_LANES; l++) y[k][l] = cells[order[l < n ? l : n - 1] * N_STATE + k];
}

static inline vdouble total_density(const vdouble *y)
{
    vdouble total = vd_set(0.0);
    for (int k = 0; k < N_STATE; k++)
        if (in_total[k]) total += y[k];
    return total;
}

/* Whether the laws of a cell stand in the proportions of the training set: elements to each other, charge to what
 * carries it. */
static inline vmask laws_inside(const vdouble *y)
{
    vmask inside = ~(vmask){0};
    vdouble first = vd_set(1.0);
    for (int a = 0; a < N_CONSERVED; a++) {
        vdouble sum = vd_set(0.0), carried = vd_set(1e-300);
        for (int k = 0; k < N_STATE; k++) {
            sum += conserved[a * N_STATE + k] * y[k];
            carried += vd_abs(vd_set(conserved[a * N_STATE + k])) * y[k];
        }
        if (a == 0) first = carried;
        const vdouble ratio = sum / (net_law_is_signed[a] ? carried : first);
        inside &= (ratio >= net_law_lower[a]) & (ratio <= net_law_upper[a]);
    }
    return inside;
}

/* Whether features are in the box of the training cells of their part of the domain: training/nets/domain.py. */
static inline vmask parts_inside(const vdouble *x)
{
    vmask inside = ~(vmask){0};
    vint64 node = {0};
    for (int left = NET_CUTS; left > 0; left /= 2) {
        vdouble value = vd_set(0.0);
        const vdouble cut = vd_gather(net_cut_value, node);
        for (int l = 0; l < SURR_LANES; l++) value[l] = x[net_cut_feature[node[l]]][l];
        node = 2 * node + 1 - (value > cut); /* true is -1 */
    }
    node = (node - NET_CUTS) * NET_IN;
    for (int k = 0; k < NET_IN; k++)
        inside &= (x[k] >= vd_gather(net_part_lower[0] + k, node)) & (x[k] <= vd_gather(net_part_upper[0] + k, node));
    return inside;
}

/* Why cell i, lane l of these features, is outside: the first reason, counted as in surr_work_outside. */
static short reason_of(const chunk *c, int i, int l, const vdouble *x, vdouble total, vmask laws)
{
    for (int k = 0; k < N_PARAM; k++)
        if (!net_is_input[k] &&
            !(fabs(c->params[(int64_t)i * N_PARAM + k] - net_param[k]) <= 1e-9 * fabs(net_param[k])))
            return 4 + N_STATE + k;
    for (int k = 0; k < NET_IN; k++) {
        if (x[k][l] >= net_lower[k] && x[k][l] <= net_upper[k]) continue;
        if (k > NET_DT) return 4 + N_STATE + net_input_column[k - NET_DT - 1];
        return k + 1 + (k >= N_STATE && !NET_HAS_TOTAL);
    }
    for (int k = 0; k < N_STATE; k++)
        if (c->y[(int64_t)i * N_STATE + k] < net_least[k] * total[l]) return k + 1;
    return laws[l] ? 0 : 3 + N_STATE;
}

/* log10 of a parameter; of absent ones a decade below the range, and two of what lies between, outside any domain. */
static inline vdouble log_of_param(vdouble p, double lower)
{
    const vdouble logs = LOG10_E * vd_log(vd_max(p, vd_set(1e-300)));
    const vdouble below = vd_select(logs <= lower - NET_ABSENT_DECADES, vd_set(lower - 1.0), vd_set(lower - 2.0));
    return vd_select(logs >= lower - 1e-6, logs, below);
}

static void encode(chunk *c, int i)
{
    vdouble y[N_STATE], x[NET_IN], dt = lanes_of(c->dt, 1, i, c->n);
    vmask inside = ~(vmask){0};
    int at = 0;
    for (int k = 0; k < N_STATE; k++) y[k] = lanes_of(c->y + k, N_STATE, i, c->n);
    for (int k = 0; k < N_PARAM; k++) {
        const vdouble p = lanes_of(c->params + k, N_PARAM, i, c->n);
        if (!net_is_input[k]) inside &= vd_abs(p - net_param[k]) <= 1e-9 * vd_abs(vd_set(net_param[k]));
    }
    const vdouble total = total_density(y);
    for (int k = 0; k < N_STATE; k++) inside &= y[k] >= net_least[k] * total;
    for (int k = 0; k < N_STATE; k++) {
        const vdouble floor = in_total[k] ? NET_FRACTION_FLOOR * total : vd_set(1e-300);
        x[at++] = net_is_log[k] ? LOG10_E * vd_log(vd_max(y[k], floor) / (in_total[k] ? total : vd_set(1.0))) : y[k];
    }
    if (NET_HAS_TOTAL) x[at++] = LOG10_E * vd_log(total);
    x[at++] = LOG10_E * vd_log(dt);
    for (int k = 0; k < NET_INPUTS; k++) {
        const vdouble p = lanes_of(c->params + net_input_column[k], N_PARAM, i, c->n);
        x[at++] = net_input_is_log[k] ? log_of_param(p, net_input_lower[k]) : p;
    }
    vdouble place[NET_LEVELS] = {0};
    for (int k = 0; k < NET_IN; k++) {
        inside &= (x[k] >= net_lower[k]) & (x[k] <= net_upper[k]);
        for (int level = 0; level < NET_LEVELS; level++) place[level] += net_route[level][k] * x[k];
    }
    const vmask laws = laws_inside(y);
    inside &= laws & parts_inside(x);
    for (int l = 0; l < SURR_LANES && i + l < c->n; l++) {
        int e = 0;
        for (int level = 0; level < NET_LEVELS; level++) {
            const int n_edge = net_bins[level] - 1;
            const double *edges = net_edges + net_first_edge[level] + e * n_edge;
            int bin = 0;
            while (bin < n_edge && place[level][l] > edges[bin]) bin++;
            e = e * net_bins[level] + bin;
        }
        c->expert[i + l] = (unsigned char)e;
        c->skipped[i + l] = inside[l] ? ASKED : OUTSIDE;
        if (!inside[l]) c->why[i + l] = reason_of(c, i + l, l, x, total, laws);
        for (int k = 0; k < NET_IN; k++) c->x[i + l][k] = (float)((x[k][l] - net_mean[e][k]) * net_inverse_std[e][k]);
    }
}

#endif
