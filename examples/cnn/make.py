"""Makes cnn.h5, the file that scripts/quickstart converts, with real Keras (keras 3, any back end):

    python make.py            # writes cnn.h5 beside this script

Weights are random with a fixed seed; BatchNorm's statistics are not those of a fresh layer.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

keras.utils.set_random_seed(1)
layers = keras.layers
model = keras.Sequential(
    [
        layers.Input((12, 20, 3)),
        layers.Conv2D(8, 3, padding="same", name="conv1"),
        layers.BatchNormalization(name="bn1"),
        layers.ReLU(),
        layers.MaxPooling2D(2),
        layers.Conv2D(8, 3, padding="same", activation="relu", name="conv2"),
        layers.MaxPooling2D(2),
        layers.Flatten(),  # 3 rows, 5 columns, 8 channels
        layers.Dense(32, activation="relu", name="fc1"),
        layers.Dense(10, name="fc2"),
    ],
    name="cnn",
)
random = np.random.default_rng(1)
for variable in model.weights:
    low = 0.5 if "variance" in variable.path or "gamma" in variable.path else -0.5
    variable.assign(random.uniform(low, 1.0, variable.shape).astype("float32"))
model.save(os.path.join(os.path.dirname(os.path.abspath(__file__)), "cnn.h5"))
