"""The scenarios of the benchmark, as arguments of `pairs.simulate_pairs`.

A to D differ in whether the candidate is better and whether the judge is kinder to it; in E it is worse and the judge
prefers it; in F both models and the judge are good, so bad outputs are rare. G hides a bad region among eight, in I the
judge errs otherwise in every region, in J its mistakes come on the same hard items for both models, in H people were
asked where the judge found fault, HJ has both, and K has six models and three judges of unequal worth.
"""

LIKE_C = {"quality": (0.80, 0.84), "sensitivity": (0.90, 0.95), "specificity": (0.70, 0.50)}
MISLED = 1.5
OVERSAMPLED = 4.0
ODD_SLICE = 7

SCENARIOS = {
    "A": {"quality": (0.80, 0.84), "sensitivity": (0.90, 0.90), "specificity": (0.70, 0.70)},
    "B": {"quality": (0.80, 0.80), "sensitivity": (0.90, 0.90), "specificity": (0.70, 0.70)},
    "C": LIKE_C,
    "D": LIKE_C | {"quality": (0.80, 0.80)},
    "E": LIKE_C | {"quality": (0.80, 0.74)},
    "F": {"quality": (0.92, 0.94), "sensitivity": (0.95, 0.95), "specificity": (0.90, 0.90)},
    "G": {
        "quality": [(0.80, 0.84)] * ODD_SLICE + [(0.80, 0.69)],
        "sensitivity": (0.90, 0.90),
        "specificity": (0.70, 0.70),
    },
    "H": LIKE_C | {"oversampled": OVERSAMPLED},
    "I": {
        "quality": (0.80, 0.84),
        "sensitivity": [[(0.95, 0.95)], [(0.92, 0.92)], [(0.88, 0.88)], [(0.80, 0.80)]],
        "specificity": [[(0.90, 0.90)], [(0.70, 0.70)], [(0.50, 0.50)], [(0.30, 0.30)]],
    },
    "J": LIKE_C | {"misled": MISLED},
    "HJ": LIKE_C | {"misled": MISLED, "oversampled": OVERSAMPLED},
    "K": {
        "quality": (0.80, 0.84, 0.82, 0.78, 0.74, 0.88),
        "sensitivity": [(0.95,) * 6, (0.90,) * 6, (0.75,) * 6],
        "specificity": [(0.85,) * 6, (0.70,) * 6, (0.50,) * 6],
    },
}
