"""tf1_cells.py CELL FOLDER: a cell of TensorFlow 1 (basic_lstm, gru), run as a graph: its variables, saved by Saver under the names of
the case's spec, and its input and outputs. A program of its own, since these cells exist only beside Keras 2."""

import os
import sys

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
UNITS = 6


def main(kind, folder):
    random = np.random.default_rng(11)
    x = random.normal(size=(3, 5, 4)).astype("float32")
    with tf.Graph().as_default(), tf1.Session() as session:
        cells = tf1.nn.rnn_cell
        cell = {"basic_lstm": cells.BasicLSTMCell, "gru": cells.GRUCell}[kind](UNITS)
        outputs, _ = tf1.nn.dynamic_rnn(cell, tf.constant(x), dtype=tf.float32)
        variables = {v.op.name.split("_cell/")[1]: v for v in tf1.trainable_variables()}
        session.run([v.assign(random.normal(0, 0.5, v.shape).astype("float32")) for v in variables.values()])
        tf1.train.Saver(variables).save(session, os.path.join(folder, "cell.ckpt"))
        np.savez(os.path.join(folder, "outputs.npz"), x=x, y=session.run(outputs))


main(*sys.argv[1:])
