"""Networks as the frameworks themselves make them: what each holds, names, shapes and dtypes, for tests and for the table
in docs/models.md. Nothing is computed or saved: PyTorch's are made on its device `meta`."""

import importlib
import importlib.metadata
import json
import math
import sys

import common
import keras
import timm
import torch
import torchvision
import transformers as hf

TORCH_DTYPES = {torch.float32: "f32", torch.int64: "i64"}


def torch_tensors(make):
    with torch.device("meta"):
        module = make()
    return [(name, TORCH_DTYPES[t.dtype], list(t.shape)) for name, t in module.state_dict().items()]


def from_torchvision(name, **args):
    return torch_tensors(lambda: getattr(torchvision.models, name)(weights=None, **args))


def from_timm(name, **args):
    return torch_tensors(lambda: timm.create_model(name, pretrained=False, **args))


def from_hf(model, config, **args):
    """`position_ids` are no part of the files."""
    tensors = torch_tensors(lambda: getattr(hf, model)(getattr(hf, config)(**args)))
    return [t for t in tensors if not t[0].endswith("position_ids")]


def from_keras(name, **args):
    """The paths of the variables."""
    keras.backend.clear_session()
    network = getattr(keras.applications, name)(weights=None, **args)
    return [(v.path, "f32" if v.dtype == "float32" else "i64", list(v.shape)) for v in network.weights]


def from_slim(network, size=224, **args):
    """What tf.train.Saver saves of a network of tf_slim.nets: `network` is "vgg.vgg_16"."""
    # tf_slim asks for tf.layers, which TensorFlow without Keras 2 looks for where tf_keras doesn't have it.
    import tensorflow.compat.v1 as tf
    import tf_keras.src.legacy_tf_layers.normalization
    import tf_slim

    sys.modules.setdefault("tf_keras.legacy_tf_layers", tf_keras.src.legacy_tf_layers)
    module, function = network.split(".")
    nets = importlib.import_module("tf_slim.nets." + module)
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, (1, size, size, 3))
        scope = getattr(nets, module + "_arg_scope", None) or nets.resnet_arg_scope
        with tf_slim.arg_scope(scope()):
            getattr(nets, function)(images, is_training=False, **args)
        return [(v.op.name, "f32", v.shape.as_list()) for v in tf.global_variables()]


def networks():
    """(spec, model, framework, what makes its tensors) of each that is compared."""

    def entry(spec, model, made_by, *args, **options):
        framework = {from_torchvision: "torchvision", from_timm: "timm", from_hf: "transformers", from_keras: "keras",
                     from_slim: "tf_slim"}[made_by]  # fmt: skip
        found.append((spec, model, framework, lambda: made_by(*args, **options)))

    found = []
    for size in (11, 13, 16, 19):
        for name in (f"vgg{size}", f"vgg{size}_bn"):
            entry("vgg/vgg", name + ".torchvision", from_torchvision, name)
            entry("vgg/vgg", name + ".timm", from_timm, name)
    for size, name in ((11, "a"), (16, "16"), (19, "19")):
        entry("vgg/vgg", f"vgg{size}.slim", from_slim, "vgg.vgg_" + name, num_classes=1000)
    entry("vgg/vgg", "vgg16.keras_path", from_keras, "VGG16")
    for size in (18, 34, 50, 101, 152):
        entry("resnet/resnet", f"resnet{size}.torchvision", from_torchvision, f"resnet{size}")
        entry("resnet/resnet", f"resnet{size}.timm", from_timm, f"resnet{size}")
    for size in (50, 101, 152):
        entry("resnet/resnet", f"resnet{size}.slim", from_slim, f"resnet_v1.resnet_v1_{size}", num_classes=1000)
        entry("resnet/resnet_v2", f"resnet{size}_v2.slim", from_slim, f"resnet_v2.resnet_v2_{size}", num_classes=1000)
    entry("resnet/resnet", "resnet50.keras_path", from_keras, "ResNet50")
    entry("resnet/resnet_v2", "resnet50_v2.keras_path", from_keras, "ResNet50V2")
    for size in (50, 101):
        entry("resnet/resnet_v2", f"resnet{size}_v2.timm", from_timm, f"resnetv2_{size}")
    for name in ("50x1", "50x3", "101x1", "101x3", "152x2", "152x4"):
        entry("bit/bit", f"bit_r{name}.timm", from_timm, f"resnetv2_{name}_bit", num_classes=1000)
    entry("mobilenet/mobilenet", "mobilenet_v1.timm", from_timm, "mobilenetv1_100")
    entry("mobilenet/mobilenet", "mobilenet_v1.keras_path", from_keras, "MobileNet")
    entry("mobilenet/mobilenet", "mobilenet_v2.torchvision", from_torchvision, "mobilenet_v2")
    entry("mobilenet/mobilenet", "mobilenet_v2.torchvision (alpha=1.4)", from_torchvision, "mobilenet_v2", width_mult=1.4)
    for name, alpha in (("050", "0.5"), ("100", "1.0"), ("140", "1.4")):
        entry("mobilenet/mobilenet", f"mobilenet_v2.timm (alpha={alpha})", from_timm, "mobilenetv2_" + name)
    entry("mobilenet/mobilenet", "mobilenet_v2.keras_path", from_keras, "MobileNetV2")
    for size in (121, 161, 169, 201):
        entry("densenet/densenet", f"densenet{size}.torchvision", from_torchvision, f"densenet{size}")
        entry("densenet/densenet", f"densenet{size}.timm", from_timm, f"densenet{size}")
    entry("densenet/densenet", "densenet121.keras_path", from_keras, "DenseNet121")
    entry("inception/inception", "inception_v3.torchvision", from_torchvision, "inception_v3", init_weights=False)
    entry("inception/inception", "inception_v3.timm", from_timm, "inception_v3")
    entry("inception/inception", "inception_v3.slim", from_slim, "inception_v3.inception_v3", 299, num_classes=1000)
    entry("inception/inception", "inception_v3.keras_path", from_keras, "InceptionV3")
    for size in range(8):
        name = f"efficientnet_b{size}"
        entry("efficientnet/efficientnet", name + ".torchvision", from_torchvision, name)
        entry("efficientnet/efficientnet", name + ".timm", from_timm, name)
    entry("efficientnet/efficientnet", "efficientnet_b0.timm", from_timm, "tf_efficientnet_b0")
    entry("efficientnet/efficientnet", "efficientnet_b0.keras_path", from_keras, "EfficientNetB0")
    for name, args in (("vit_tiny_patch16_224", "width=192"), ("vit_small_patch32_224", "width=384, patch=32"),
                       ("vit_base_patch16_224", "patch=16")):  # fmt: skip
        entry("vit/vit", f"vit.timm ({args})", from_timm, name)
    entry("vit/vit", "vit_large.timm", from_timm, "vit_large_patch16_224")
    entry("vit/vit", "vit.hf", from_hf, "ViTForImageClassification", "ViTConfig", num_labels=1000)
    for name, width, layers, heads in (("gpt2", 768, 12, 12), ("gpt2_medium", 1024, 24, 16), ("gpt2_large", 1280, 36, 20),
                                       ("gpt2_xl", 1600, 48, 25)):  # fmt: skip
        entry("gpt2/gpt2", name + ".hf", from_hf, "GPT2LMHeadModel", "GPT2Config", n_embd=width, n_layer=layers, n_head=heads)
    entry("bert/bert", "bert.hf", from_hf, "BertForPreTraining", "BertConfig")
    entry("bert/bert", "bert_large.hf", from_hf, "BertForPreTraining", "BertConfig", hidden_size=1024, num_hidden_layers=24,
          num_attention_heads=16, intermediate_size=4096)  # fmt: skip
    entry("llama/llama", "llama3_8b.hf", from_hf, "LlamaForCausalLM", "LlamaConfig", hidden_size=4096, num_hidden_layers=32,
          num_attention_heads=32, num_key_value_heads=8, intermediate_size=14336, vocab_size=128256)  # fmt: skip
    return found


def version(framework):
    return f"{framework} {importlib.metadata.version(framework)}".split("+")[0]


def write_listing(path, tensors):
    with open(path, "w") as out:
        print(json.dumps({"wmap": "listing", "version": 1}), file=out)
        for name, dtype, shape in tensors:
            print(json.dumps({"name": name, "dtype": dtype, "shape": shape}), file=out)


def table(found):
    """The table of docs/models.md: of each network its tensors and how many numbers they hold."""
    lines = ["| model | spec | tensors | elements | made by |", "| --- | --- | ---: | ---: | --- |"]
    for spec, model, framework, tensors in found:
        elements = sum(math.prod(shape) for _, _, shape in tensors)
        lines.append(f"| {model} | {spec} | {len(tensors)} | {elements:,} | {version(framework)} |")
    return "\n".join(lines) + "\n"
