"""tf1_save.py ARRAYS.npz PREFIX: variables of a TensorFlow 1 graph with these names and values, saved by its Saver."""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
with tf.Graph().as_default(), tf1.Session() as session:
    arrays = np.load(sys.argv[1])
    variables = [tf1.get_variable(name, initializer=tf.constant(arrays[name]), use_resource=False) for name in arrays.files]
    session.run(tf1.global_variables_initializer())
    tf1.train.Saver(variables).save(session, sys.argv[2], write_meta_graph=False)
