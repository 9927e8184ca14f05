"""make_old_numpy.py FILE: a pickle by an old NumPy under Python 3, protocol 4, then 2; ran with 3.6.15 and 1.13.3."""

import pickle
import sys

import numpy as np

ARRAYS = {"W": np.arange(6, dtype="f4").reshape(2, 3), "f": np.asfortranarray(np.arange(250, 262.0).reshape(3, 4)),
          "be": np.arange(3, dtype=">i4"), "s": np.float64(2.5), "m": np.matrix([[1, 2]], "i8"), "n": np.zeros((0, 2))}
with open(sys.argv[1], "wb") as f:
    pickle.dump(ARRAYS, f, 4)
    pickle.dump(ARRAYS, f, 2)
