/* Elementary functions made only of what IEEE 754 fixes to the last bit: sums, products, quotients. So the reference
   gives the same numbers on every machine, whatever its C library does. exp and log are within one unit in the last
   place, log1p and tanh within three, the cosine within 1e-15. */
#ifndef AVIARY_ELEMENTARY_H
#define AVIARY_ELEMENTARY_H

double m_exp(double x);
double m_log(double x);
double m_log1p(double x);
double m_tanh(double x);
double m_cos_turn(double turns); /* cos(2 pi turns), 0 <= turns <= 1 */

/* The same numbers for LANES at a time, without branches, so that vectors of the processor take them together. */
enum { LANES = 8 };
void m_log_lanes(double *y, const double *x); /* 2^-1022 <= x, finite */
void m_cos_turn_lanes(double *y, const double *turns);

#endif
