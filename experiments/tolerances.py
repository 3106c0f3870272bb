"""How far the numbers of a fresh run may be from the committed ones: absolute, of shares in [0, 1].

A control only computes: what differs is rounding at a mask's edge. A training on a CPU repeats to the last digit on one
kind of it, by one set of libraries; elsewhere it is like another seed.
"""

TOLERANCE_CONTROL = 0.002
TOLERANCE_TRAINED = 0.03
