/* What a model library exports, and all the engine knows about a model.
 *
 * Private contract between the engine (libsurrogate) and the code that `surrogate export` generates; hosts see
 * only surrogate.h. A model library has one public symbol, `surr_model_entry`. Everything it points to is constant
 * and lives as long as the library is loaded. Arrays of cells are cell-major: value k of cell c is x[c*n + k]. */
#ifndef SURR_MODEL_ABI_H
#define SURR_MODEL_ABI_H
#include <stdint.h>

#define SURR_MODEL_ABI 6

/* Roles a variable can play; they decide which host quantities can be converted to it. */
#define SURR_ROLE_OTHER       0
#define SURR_ROLE_SPECIES     1 /* number density [cm^-3] */
#define SURR_ROLE_TEMPERATURE 2 /* gas temperature [K] */

/* Instruction sets a model library may carry, in ascending order; see surr_kernels. */
#define SURR_ISA_BASE 0 /* x86-64-v2, or whatever the compiler targets on other CPUs */
#define SURR_ISA_V3   1 /* AVX2 + FMA */
#define SURR_ISA_V4   2 /* AVX-512 F/BW/CD/DQ/VL */
#define SURR_N_ISA    3

typedef struct surr_variable {
    const char *name, *unit;
    double lower, upper; /* inclusive range of a meaningful input, may be infinite; outside: SURR_CELL_BAD_INPUT */
    int32_t role;        /* SURR_ROLE_* */
    int32_t n_hydrogen;  /* H nuclei per particle (species), else 0 */
    double mass;         /* particle mass [g], positive (species), else 0 */
} surr_variable;

typedef struct surr_parameter {
    const char *name, *unit;
    double value;        /* used where the host binds no field of this name */
    double lower, upper; /* inclusive range of a meaningful input */
} surr_parameter;

/* What solve says of a cell: SURR_CELL_SOLVER, _FAILED and _STALLED of surrogate.h. */
#define SURR_SOLVED   4
#define SURR_GIVEN_UP 34
#define SURR_STUCK    36

typedef struct surr_solver_options {
    double rtol;      /* local error per step: |e_k| <= rtol*|y_k| + atol_frac*scale_k */
    double atol_frac; /* scale_k: total of the cell over variables of one unit, largest value so far, or a constant */
    int64_t max_attempts; /* step attempts per cell before it is given up as SURR_CELL_FAILED */
} surr_solver_options;

/* How a model computes. `self` is the struct itself. Code that is written out for one mechanism needs no data; a mechanism
 * in tables has them there, one on another device its handles. Whatever they do with them, the arrays of a call are in the
 * memory of the host. */
typedef struct surr_kernels surr_kernels;
struct surr_kernels {
    const void *data;
    int32_t lanes; /* cells advanced together, for information */
    /* Advance n cells by dt[c] > 0 from valid input, in steps of at most max_step[c] > 0 (NULL: of any length).
     * y[c*n_state + k] is overwritten only where status[c] becomes SURR_CELL_SOLVER; where it becomes SURR_CELL_FAILED
     * (max_attempts) or SURR_CELL_STALLED (max_attempts would not do) the cell is untouched. attempts[c]: step attempts
     * used. Result of a cell: independent of the others, bitwise. No allocation, no global state. The caller has put
     * the floating-point environment into non-stop mode, with subnormal numbers flushed to zero. No other status. */
    void (*solve)(const surr_kernels *self, const surr_solver_options *options, int64_t n, double *y, const double *dt,
                  const double *max_step, const double *params, uint8_t *status, int32_t *attempts);
    /* f[c*n_state + i] = dy_i/dt; jacobian[c*n_state*n_state + i*n_state + j] = df_i/dy_j, or jacobian = NULL. */
    void (*evaluate)(const surr_kernels *self, int64_t n, const double *y, const double *params, double *f,
                     double *jacobian);
    /* The net, or NULL: end[c*n_state + k] is the predicted new cell, error[c] a bound of its largest relative error
     * that 99 % of accepted cells keep, attempts[c] what the solver would need. error[c] is +inf outside the trained
     * domain (attempts[c] is then -1 - reason, see surr_work_outside), and -1 where the solver is so quick that the net
     * is no help. There is no end in these cells, nor where error[c] > rtol; with rtol = +inf, which asks always,
     * outside the domain alone. Input as for solve, no cell is changed. */
    void (*predict)(const surr_kernels *self, double rtol, int64_t n, const double *y, const double *dt,
                    const double *params, double *end, float *error, float *attempts);
};

typedef struct surr_model_desc {
    int32_t abi; /* SURR_MODEL_ABI at build time */
    int32_t n_state, n_param, n_conserved;
    const char *name;
    const char *info;                  /* JSON object: system hash, references, versions, units, build flags */
    const surr_variable *variables;    /* [n_state] */
    const surr_parameter *parameters;  /* [n_param]; one named "t" is the time at the start of a call */
    const double *conserved;           /* [n_conserved][n_state]: rows c with c . y constant */
    double gamma;                      /* adiabatic index for thermal conversions, 0 where it has no meaning */
    double k_boltzmann, mass_hydrogen; /* [erg/K], [g]: constants of the system's own unit conversions */
    double dt_lower, dt_upper;         /* [s] meaningful time steps */
    int64_t n_test;                    /* stored test vectors: f(test_y) must equal test_f within 1e-10*test_scale */
    const double *test_y, *test_param, *test_f, *test_scale; /* [n_test][n_state | n_param | n_state | n_state] */
    /* stored predictions of the net, in double precision: within 1e-4 relative, errors included, predict(net_y, net_dt,
     * net_param) must give net_end and net_error at rtol = +inf; [n_net_test][n_state | 1 | n_param | n_state | 1] */
    int64_t n_net_test;
    const double *net_y, *net_dt, *net_param, *net_end, *net_error;
    const surr_kernels *kernels[SURR_N_ISA]; /* NULL where not built */
} surr_model_desc;

const surr_model_desc *surr_model_entry(void);

#endif
