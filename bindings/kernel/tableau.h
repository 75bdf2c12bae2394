/* The Rosenbrock methods of solver.h, in the form that avoids products with the Jacobian (Hairer & Wanner, Solving
 * Ordinary Differential Equations II, 2nd ed. 1996, IV.7):
 *
 *   (I/(h gamma) - J) u_i = f(t + alpha_i h, y + sum_j a_ij u_j) + sum_j c_ij u_j / h + delta_i h df/dt
 *   y_1 = y + sum_j a_sj u_j + u_s,   error estimate = u_s
 *
 * Both are L-stable and stiffly accurate. A stage that moves nowhere (a_i = 0) takes the f of the one before. Trials:
 * bindings/NOTES.md. */
#ifndef SURR_TABLEAU_H
#define SURR_TABLEAU_H
#include <math.h>

#define STAGES_MAX 8

typedef struct tableau {
    int stages, order;
    double growth; /* see growth_bound */
    double gamma, alpha[STAGES_MAX], delta[STAGES_MAX], a[STAGES_MAX][STAGES_MAX], c[STAGES_MAX][STAGES_MAX];
} tableau;

/* Order 5(4): Steinebach 2023, BIT Numer. Math. 63, 27. */
static const tableau RODAS5P = {
    .stages = 8,
    .order = 5,
    .growth = 1.0,
    .gamma = 0.21193756319429014,
    .alpha = {0, 0.6358126895828704, 0.4095798393397535, 0.9769306725060716, 0.4288403609558664, 1, 1, 1},
    .delta = {0.21193756319429014, -0.42387512638858027, -0.3384627126235924, 1.8046452872882734, 2.325825639765069},
    .a = {{0},
          {3.0},
          {2.849394379747939, 0.45842242204463923},
          {-6.954028509809101, 2.489845061869568, -10.358996098473584},
          {2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641},
          {-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946},
          {-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946, 1},
          {-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946, 1,
           1}},
    .c = {{0},
          {-14.155112264123755},
          {-17.97296035885952, -2.859693295451294},
          {147.12150275711716, -1.41221402718213, 71.68940251302358},
          {165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306},
          {24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125, -0.6610691825249471},
          {30.91273214028599, -3.1208243349937974, 77.79954646070892, 34.28646028294783, -19.097331116725623,
           -28.087943162872662},
          {37.80277123390563, -3.2571969029072276, 112.26918849496327, 66.9347231244047, -40.06618937091002,
           -54.66780262877968, -9.48861652309627}},
};

/* Order 3(2), two evaluations of f beside that for the Jacobian, at the middle and at the end of the step. The family
 * of Rodas3 (Sandu et al. 1997, Atmos. Environ. 31, 3459), whose third stage may lie anywhere: with gamma = 1/2, stages
 * 1, 2 at the start and 4 at the end, the conditions of order 3, those of order 2 for the embedded solution,
 * L-stability of both and order 2 of both for algebraic variables leave alpha_3 free. Rodas3 has alpha_3 = 1, and sees
 * both ends of a step alone. */
static const tableau RODAS3_MIDDLE = {
    .stages = 4,
    .order = 3,
    .growth = 2.0,
    .gamma = 0.5,
    .alpha = {0, 0, 0.5, 1},
    .delta = {0.5, 1.5, 0.125},
    .a = {{0}, {0}, {1}, {1, 0, 4}},
    .c = {{0}, {4}, {-0.75, -0.25}, {11.0 / 3.0, -1, -32.0 / 3.0}},
};

/* The method of the steps, and that of the quick attempt at the whole interval. A model that is compiled with
 * -DSURR_METHOD=NAME takes another of the tables above: `surrogate export --cflags=-DSURR_METHOD=NAME`. */
#ifndef SURR_METHOD
#define SURR_METHOD RODAS5P
#endif
#ifndef SURR_QUICK_METHOD
#define SURR_QUICK_METHOD RODAS3_MIDDLE
#endif
#define METHOD       SURR_METHOD
#define QUICK_METHOD SURR_QUICK_METHOD

/* Largest h gamma lambda for a mode that grows as exp(lambda t): the relative error that R(h lambda) then makes is
 * about the tolerance, and h lambda well below the pole of R at 1/gamma. */
static inline double growth_bound(const tableau *m, double rtol)
{
    return fmin(0.5, m->growth * pow(rtol, 1.0 / m->order));
}

#endif
