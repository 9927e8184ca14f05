# -*- coding: utf-8 -*-
"""make_python2.py [FOLDER]: pickles of Python 2 and of Theano, and the arrays that are in them (.npz).

Ran under Python 2.7.18 with NumPy 1.16.6 and Theano 1.0.5; the files are kept because few have these any more.
"""

import cPickle
import collections
import os
import pickle
import sys
import types

import numpy as np

FOLDER = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))


def module(name, **classes):
    """A module to which classes belong that nobody else has."""
    for part in (name.split(".")[0], name):
        made = sys.modules.setdefault(part, types.ModuleType(part))
    for key, value in classes.items():
        value.__module__ = name
        setattr(made, key, value)


class Old:
    """A class of the old kind: INST or OBJ."""

    def __init__(self, **kw):
        self.__dict__.update(kw)


class New(object):
    def __init__(self, **kw):
        self.__dict__.update(kw)


class Params(list):
    pass


class Pair(collections.namedtuple("Pair", "W b")):
    pass


module("zoo.net", Old=Old, New=New, Params=Params, Pair=Pair)


def write(name, data):
    with open(os.path.join(FOLDER, name + ".pkl"), "wb") as f:
        f.write(data)


def expect(name, arrays):
    np.savez_compressed(os.path.join(FOLDER, name + ".npz"), **arrays)


def numbers(dtype, shape):
    """All bytes occur, so that escapes and characters beyond ASCII do too."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape)) * dtype.itemsize
    raw = np.arange(7, 7 + count).astype("u1")
    return (raw % 2 if dtype.kind == "b" else raw).view(dtype).reshape(shape)


def objects():
    """An object, and what is in it by name."""
    found = collections.OrderedDict()
    top = collections.OrderedDict()
    for code in "?bBhHiIlLefdFD":
        for order in "<>":
            dtype = np.dtype(code).newbyteorder(order)
            a = numbers(dtype, (3, 4))
            key = ("le_" if order == "<" else "be_") + np.dtype(code).name
            if key in top:
                continue
            top[key] = found[key] = a
            top[key + "_f"] = found[key + "_f"] = np.asfortranarray(a)
            top[key + "_s"] = found[key + "_s"] = a[1, 2]
    top["long"] = found["long"] = numbers("u1", (3000,))  # longer than what is decoded at once
    top["none"] = found["none"] = np.zeros((0, 2), "f4")
    top["zero"] = found["zero"] = np.array(3.5)
    W, b = numbers("f4", (2, 3)), np.zeros(3, "f4")
    top["old"] = Old(W=W, b=b, name="dense", size=10 ** 30)
    top["new"] = New(W=W, b=b, parent=None)
    top["params"] = Params([W, (b, {u"k\xfc": W})])
    top["pair"] = Pair(W, b)
    top["matrix"] = found["matrix"] = np.matrix([[1.0, 2.0]])
    top["objects"] = np.array([W, {"x": b}, 5], dtype=object)
    top["dd"] = collections.defaultdict(list, q=[b])
    top["k\xe9"] = b  # a str of Python 2, in Latin-1
    top[7L] = b
    for name, a in [("old.W", W), ("old.b", b), ("new.W", W), ("new.b", b), ("params.0", W), ("params.1.0", b),
                    ("params.1.1.k\xc3\xbc", W), ("pair.0", W), ("pair.1", b), ("objects.0", W), ("objects.1.x", b),
                    ("dd.q.0", b), ("k\xc3\xa9", b), ("7", b)]:
        found[name] = a
    return top, found


def theano_files():
    import theano
    import theano.misc.pkl_utils

    W = theano.shared(numbers("f4", (2, 3)), "W")
    b = theano.shared(np.zeros(3, "f4"))
    c = theano.shared(2.5, "c")
    plain = np.ones(2)
    top = collections.OrderedDict([("params", [W, b, c]), ("W", W), ("plain", plain)])
    values = {"params.0": W.get_value(), "params.1": b.get_value(), "params.2": c.get_value(), "W": W.get_value(),
              "plain": plain}
    for protocol in (0, 1, 2):
        write("theano-%d" % protocol, cPickle.dumps(top, protocol))
    expect("theano", values)
    graph = collections.OrderedDict([("cost", (W * 2).sum()), ("W", W)])
    write("theano-graph", cPickle.dumps(graph, 2))
    write("theano-function", cPickle.dumps(theano.function([], W * 2), 2))
    with open(os.path.join(FOLDER, "theano.zip"), "wb") as f:
        theano.misc.pkl_utils.dump(top, f)


def main():
    top, found = objects()
    expect("python2", found)
    for protocol in (0, 1, 2):
        write("python2-c%d" % protocol, cPickle.dumps(top, protocol))
    write("python2-p0", pickle.dumps(top, 0))
    write("python2-p2", pickle.dumps(top, 2))
    rows = [numbers("f4", (i, 2)) for i in range(5)]
    data = "".join(cPickle.dumps(a, i % 3) for i, a in enumerate(rows))
    write("python2-row", data)
    expect("python2-row", {str(i): a for i, a in enumerate(rows)})
    theano_files()


main()
