"""Real files of Keras 1.2.2 (on Theano, both orderings) and 2.3.1 (on TensorFlow 1.15), and the other way round: does that Keras
load what wmap writes?

    python make_old_keras.py make FOLDER     writes keras-VERSION[-ORDERING].h5, whole models, and beside them .npz: x, y
    python make_old_keras.py load FOLDER     loads got-NAME.h5 of the folder into the same network: y must be that of NAME.npz

Python 3.6: numpy==1.16.6 scipy==1.2.3 h5py==2.10.0 theano==1.0.5 keras==1.2.2 pyyaml==5.4.1, KERAS_BACKEND=theano
Python 3.7: numpy==1.18.5 h5py==2.10.0 protobuf==3.20.3 tensorflow==1.15.5 keras==2.3.1
"""

import os
import sys

import keras
import numpy as np
from keras import layers as L
from keras.models import Sequential

OLD = keras.__version__.startswith("1.")
if OLD:
    import theano.ifelse  # Theano 1.0.5 no longer imports it by itself


def network(order):
    """A convolution whose kernel is not square, BatchNorm, dense after flatten; and an LSTM and a GRU."""
    shape = (2, 7, 8) if order == "th" else (7, 8, 2)
    if OLD:
        keras.backend.set_image_dim_ordering(order)
        conv = L.Convolution2D(3, 3, 2, input_shape=shape, name="conv")
        norm = L.BatchNormalization(mode=0, axis=1 if order == "th" else 3, name="norm")
    else:
        conv = L.Conv2D(3, (3, 2), input_shape=shape, name="conv")
        norm = L.BatchNormalization(name="norm")
    image = Sequential([conv, norm, L.Activation("relu", name="relu"), L.Flatten(name="flat"), L.Dense(4, name="dense")])
    kind = {"inner_activation" if OLD else "recurrent_activation": "sigmoid"}
    after = {} if OLD else {"reset_after": True}  # Keras 1 resets before the product only
    sequence = Sequential([L.LSTM(4, return_sequences=True, input_shape=(5, 3), name="lstm", **kind), L.GRU(2, name="gru", **kind, **after)])
    return image, sequence


def inputs(order):
    rng = np.random.RandomState(3)
    return rng.normal(size=(2, 2, 7, 8) if order == "th" else (2, 7, 8, 2)).astype("float32"), rng.normal(size=(2, 5, 3)).astype("float32")


def main():
    mode, folder = sys.argv[1:]
    for order in ("th", "tf") if OLD else ("tf",):
        name = "keras-" + keras.__version__ + ("-" + order if OLD else "")
        for part, model, x in zip(("image", "sequence"), network(order), inputs(order)):
            path = os.path.join(folder, name + "-" + part)
            if mode == "make":
                rng = np.random.RandomState(4)
                model.set_weights([rng.uniform(0.2, 0.9, w.shape) for w in model.get_weights()])
                model.compile("sgd", "mse")
                model.save(path + ".h5")
                np.savez(path + ".npz", x=x, y=model.predict(x))
                continue
            got = os.path.join(folder, "got-" + name + "-" + part + ".h5")
            model.set_weights([np.zeros_like(w) for w in model.get_weights()])
            model.load_weights(got)
            with np.load(path + ".npz") as kept:
                assert np.array_equal(model.predict(kept["x"]), kept["y"]), path
            print(got, "gives the same outputs")


main()
