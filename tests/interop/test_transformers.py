"""The families of specs/ whose models are transformers', from and to what the authors of the networks published: OpenAI's and Google's
TensorFlow 1 checkpoints, Meta's files, JAX' archives. The networks of the authors stand here as in their code."""

import itertools
import os
import subprocess
import sys

import flax.linen as fnn
import jax
import numpy as np
import torch
import transformers as hf
from safetensors.torch import load_file

from common import HERE, Case, distance, wmap
import keras_hub
from timm.models.vision_transformer import VisionTransformer

hf.logging.set_verbosity_error()


def randomized(model, seed=5):
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape) * (0.3 if p.dim() > 1 else 0.2))
    return model.eval()


class Family(Case):
    def convert(self, spec, source, target, path, out, *flags):
        out = self.path(out)
        self.wmap_ok("run", f"{spec}/{spec}", "--from", source, "--to", target, path, "-o", out, "--force", "--no-sync", *flags)
        return dict(np.load(out)) if out.endswith(".npz") else load_file(out)

    def npz(self, name, arrays):
        np.savez(self.path(name), **{k: np.asarray(v) for k, v in arrays.items()})
        return self.path(name)

    def checkpoint(self, arrays):
        """Saved by the Saver of TensorFlow 1, in a graph."""
        self.npz("arrays.npz", arrays)
        done = subprocess.run([sys.executable, HERE + "/tf1_save.py", self.path("arrays.npz"), self.path("model.ckpt")],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        return self.path("model.ckpt")

    def same(self, got, want, but=()):
        want = {k: np.asarray(v) for k, v in want.items() if k not in but}
        self.assertEqual(sorted(k for k in got if k not in but), sorted(want))
        for name, array in want.items():
            np.testing.assert_array_equal(np.asarray(got[name]), array, err_msg=name)

    def refused(self, spec, source, target, path, word):
        """Copies that are not equal: R0802."""
        out = self.path("refused.npz")
        done = wmap("run", f"{spec}/{spec}", "--from", source, "--to", target, path, "-o", out)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("R0802", done.stderr)
        self.assertIn(word, done.stderr)
        self.assertFalse(os.path.exists(out))

    def every_pair(self, spec, arch, files):
        """`files`: by model its tensors. Each gives each other one, bit for bit."""
        for a, b in itertools.permutations(files, 2):
            with self.subTest(a=a, b=b):
                path = self.npz("pair.npz", files[a])
                self.same(self.convert(spec, f"{spec}.{a} ({arch})", b, path, "out.npz"), files[b])


class Gpt2(Family):
    ARCH = "vocab=11, context=7, width=8, layers=2, heads=2"

    def setUp(self):
        super().setUp()
        config = hf.GPT2Config(vocab_size=11, n_positions=7, n_embd=8, n_layer=2, n_head=2, bos_token_id=None, eos_token_id=None)
        self.model = randomized(hf.GPT2LMHeadModel(config))

    def openai(self):
        """transformers' own rule backwards: names, g and b, and a first axis of one."""
        out = {}
        for name, value in self.model.transformer.state_dict().items():
            parts = name.split(".")
            kind = parts.pop()
            if parts[0] in ("wte", "wpe"):
                out["model/" + parts[0]] = value
                continue
            parts = ["h" + parts[1]] + parts[2:] if parts[0] == "h" else parts
            norm = parts[-1].startswith("ln")
            letter = "b" if kind == "bias" else "g" if norm else "w"
            out["model/" + "/".join(parts) + "/" + letter] = value[None] if letter == "w" else value
        return out

    def test_openai_to_hf(self):
        path = self.checkpoint(self.openai())
        got = self.convert("gpt2", f"gpt2.openai ({self.ARCH})", "hf", path, "out.safetensors")
        model = hf.GPT2LMHeadModel(self.model.config)
        missing = model.load_state_dict(got, strict=False)
        self.assertEqual((set(missing.missing_keys) - {"lm_head.weight"}, missing.unexpected_keys), (set(), []))
        tokens = torch.randint(0, 11, (2, 6))
        with torch.no_grad():
            self.assertEqual(distance(model.eval()(tokens).logits, self.model(tokens).logits), 0)

    def test_published_file(self):
        """A file that save_pretrained wrote, and one without the prefix and with masks, as the hub has it."""
        self.model.save_pretrained(self.path("saved"))
        got = self.convert("gpt2", f"gpt2.hf ({self.ARCH})", "openai", self.path("saved/model.safetensors"), "out.npz")
        self.same(got, self.openai())
        base = {k: v for k, v in self.model.transformer.state_dict().items()}
        base["h.0.attn.bias"] = np.tril(np.ones((1, 1, 7, 7), "f4"))
        got = self.convert("gpt2", f"gpt2.hf_base ({self.ARCH})", "openai", self.npz("base.npz", base), "out.npz")
        self.same(got, self.openai())

    def test_tied(self):
        """A state dict has the copy; one that is not equal is refused, and nothing is left."""
        path = self.path("tied.pth")
        torch.save(self.model.state_dict(), path)
        self.same(self.convert("gpt2", f"gpt2.hf ({self.ARCH})", "openai", path, "out.npz"), self.openai())
        untied = {k: v.clone() for k, v in self.model.state_dict().items()}
        untied["lm_head.weight"][10, 7] += 1
        torch.save(untied, path)
        self.refused("gpt2", f"gpt2.hf ({self.ARCH})", "openai", path, "lm_head.weight")

    def forward(self, p, tokens):
        """openai/gpt-2, src/model.py."""
        def norm(x, scope):
            u = x.mean(-1, keepdims=True)
            s = ((x - u) ** 2).mean(-1, keepdims=True)
            return (x - u) / np.sqrt(s + 1e-5) * p[scope + "/g"] + p[scope + "/b"]

        def conv1d(x, scope):
            return x @ p[scope + "/w"][0] + p[scope + "/b"]

        def gelu(x):
            return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

        x = p["model/wte"][tokens] + p["model/wpe"][np.arange(tokens.shape[1])]
        n = tokens.shape[1]
        for l in range(2):
            h = f"model/h{l}"
            q, k, v = (a.reshape(*a.shape[:2], 2, 4).transpose(0, 2, 1, 3)
                       for a in np.split(conv1d(norm(x, h + "/ln_1"), h + "/attn/c_attn"), 3, axis=2))
            w = q @ k.transpose(0, 1, 3, 2) / np.sqrt(4)
            w = np.where(np.tril(np.ones((n, n), bool)), w, -1e10)
            w = np.exp(w - w.max(-1, keepdims=True))
            a = (w / w.sum(-1, keepdims=True)) @ v
            x = x + conv1d(a.transpose(0, 2, 1, 3).reshape(x.shape), h + "/attn/c_proj")
            x = x + conv1d(gelu(conv1d(norm(x, h + "/ln_2"), h + "/mlp/c_fc")), h + "/mlp/c_proj")
        return norm(x, "model/ln_f") @ p["model/wte"].T

    def test_forward(self):
        self.model.save_pretrained(self.path("saved"))
        p = self.convert("gpt2", f"gpt2.hf ({self.ARCH})", "openai", self.path("saved/model.safetensors"), "out.npz")
        tokens = np.random.default_rng(1).integers(0, 11, (2, 6))
        with torch.no_grad():
            want = self.model(torch.from_numpy(tokens)).logits
        self.assertLess(distance(want, self.forward(p, tokens)), 1e-5)


class Bert(Family):
    ARCH = "vocab=11, width=8, layers=2, heads=2, inner=12, context=7"

    def setUp(self):
        super().setUp()
        config = hf.BertConfig(vocab_size=11, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12,
                               max_position_embeddings=7)
        self.model = randomized(hf.BertForPreTraining(config))

    def google(self):
        """transformers' load_tf_weights_in_bert backwards."""
        out = {}
        for name, value in self.model.state_dict().items():
            if name.startswith("cls.predictions.decoder"):
                continue
            parts = name.replace("encoder.layer.", "encoder.layer_").split(".")
            kind = parts.pop()
            if name == "cls.predictions.bias":
                out["cls/predictions/output_bias"] = value
            elif parts[-1] == "seq_relationship":
                out["cls/seq_relationship/output_" + ("weights" if kind == "weight" else "bias")] = value
            elif parts[-1].endswith("embeddings"):
                out["/".join(parts)] = value
            elif parts[-1] == "LayerNorm":
                out["/".join(parts) + ("/gamma" if kind == "weight" else "/beta")] = value
            else:
                out["/".join(parts) + ("/kernel" if kind == "weight" else "/bias")] = value.T if kind == "weight" else value
        return out

    def test_google_to_hf(self):
        trained = {**self.google(), "global_step": np.int64(7)}
        trained.update({k + "/adam_m": np.zeros_like(v) for k, v in self.google().items()})
        got = self.convert("bert", f"bert.google ({self.ARCH})", "hf", self.checkpoint(trained), "out.safetensors")
        model = hf.BertForPreTraining(self.model.config)
        missing = model.load_state_dict(got, strict=False)
        self.assertEqual(missing.unexpected_keys, [])
        self.assertFalse([k for k in missing.missing_keys if "decoder" not in k])
        model.tie_weights()
        tokens = torch.randint(0, 11, (2, 6))
        with torch.no_grad():
            a, b = model.eval()(tokens), self.model(tokens)
        self.assertEqual(distance(a.prediction_logits, b.prediction_logits), 0)
        self.assertEqual(distance(a.seq_relationship_logits, b.seq_relationship_logits), 0)

    def test_hf_to_google(self):
        self.model.save_pretrained(self.path("saved"))
        got = self.convert("bert", f"bert.hf ({self.ARCH})", "google", self.path("saved/model.safetensors"), "out.npz")
        self.same(got, self.google())

    def test_tied(self):
        """Both copies that a state dict has."""
        for name in ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias"):
            tensors = {k: v.clone() for k, v in self.model.state_dict().items()}
            path = self.path("tied.pth")
            torch.save(tensors, path)
            self.same(self.convert("bert", f"bert.hf ({self.ARCH})", "google", path, "out.npz"), self.google())
            tensors[name].view(-1)[3] += 1
            torch.save(tensors, path)
            self.refused("bert", f"bert.hf ({self.ARCH})", "google", path, name)

    def test_base(self):
        got = self.convert("bert", f"bert.google ({self.ARCH})", "hf_base", self.npz("g.npz", self.google()), "out.safetensors",
                           "--without", "pretraining")  # fmt: skip
        hf.BertModel(self.model.config).load_state_dict(got, strict=True)

    def test_keras_hub(self):
        """To KerasHub's file and back: the same outputs, the same bits; and its variables' paths."""
        base, spec = randomized(hf.BertModel(self.model.config)).eval(), f"bert.hf_base ({self.ARCH})"
        base.save_pretrained(self.path("base"))
        there, again = self.path("bert.weights.h5"), self.path("again.weights.h5")
        source = self.path("base/model.safetensors")
        self.wmap_ok("run", "bert/bert", "--from", spec, "--to", "keras_hub_weights", source, "-o", there)
        hub = keras_hub.models.BertBackbone(vocabulary_size=11, num_layers=2, num_heads=2, hidden_dim=8, intermediate_dim=12,
                                            max_sequence_length=7, dropout=0)  # fmt: skip
        hub.load_weights(there)
        tokens = np.random.default_rng(5).integers(0, 11, (2, 6))
        ones = np.ones_like(tokens)
        y = hub({"token_ids": tokens, "segment_ids": ones * 0, "padding_mask": ones})
        with torch.no_grad():
            x = base(torch.from_numpy(tokens))
        self.assertLess(distance(np.asarray(y["sequence_output"]), x.last_hidden_state), 1e-4)
        self.assertLess(distance(np.asarray(y["pooled_output"]), x.pooler_output), 1e-4)
        hub.save_weights(again)
        for model, path in (("keras_hub_weights", again), ("keras_hub", self.npz("p.npz", {v.path: np.asarray(v) for v in hub.weights}))):
            got = self.convert("bert", f"bert.{model} ({self.ARCH})", "hf_base", path, "out.safetensors")
            self.same(got, load_file(source))


class Llama(Family):
    ARCH = "vocab=11, width=16, layers=2, heads=4, kv_heads=2, inner=12"

    def setUp(self):
        super().setUp()
        config = hf.LlamaConfig(vocab_size=11, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                                intermediate_size=12, rms_norm_eps=1e-5, rope_theta=10000.0)
        self.model = randomized(hf.LlamaForCausalLM(config))

    @staticmethod
    def permute(w, heads):
        """transformers/models/llama/convert_llama_weights_to_hf.py"""
        return w.view(heads, w.shape[0] // heads // 2, 2, w.shape[1]).transpose(1, 2).reshape(w.shape)

    def meta(self):
        return self.convert("llama", f"llama.hf ({self.ARCH})", "meta", self.saved(), "out.safetensors")

    def saved(self):
        self.model.save_pretrained(self.path("saved"))
        return self.path("saved/model.safetensors")

    def test_rotary_permutation(self):
        meta, want = self.meta(), self.model.state_dict()
        for l in range(2):
            for ours, theirs, heads in (("wq", "q_proj", 4), ("wk", "k_proj", 2)):
                self.assertTrue(torch.equal(self.permute(meta[f"layers.{l}.attention.{ours}.weight"], heads),
                                            want[f"model.layers.{l}.self_attn.{theirs}.weight"]))  # fmt: skip

    def test_there_and_back(self):
        meta = {**self.meta(), "rope.freqs": torch.ones(2)}
        got = self.convert("llama", f"llama.meta ({self.ARCH})", "hf", self.npz("m.npz", meta), "out.safetensors")
        hf.LlamaForCausalLM(self.model.config).load_state_dict(got, strict=True)
        self.same(got, self.model.state_dict())

    def test_forward(self):
        """meta-llama/llama, model.py: neighbours of a head are turned as complex numbers."""
        p, tokens = self.meta(), torch.randint(0, 11, (2, 6))

        def norm(x, name):
            return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * p[name + ".weight"]

        freqs = torch.outer(torch.arange(6), 1 / 10000 ** (torch.arange(0, 4, 2).float() / 4))
        turn = torch.polar(torch.ones_like(freqs), freqs)

        def rotate(x):
            c = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
            return torch.view_as_real(c * turn.view(1, 6, 1, 2)).flatten(3)

        x = p["tok_embeddings.weight"][tokens]
        for l in range(2):
            a = f"layers.{l}.attention."
            h = norm(x, f"layers.{l}.attention_norm")
            q, k, v = ((h @ p[a + n + ".weight"].T).view(2, 6, -1, 4) for n in ("wq", "wk", "wv"))
            q, k = rotate(q), rotate(k)
            k, v = k.repeat_interleave(2, 2), v.repeat_interleave(2, 2)
            q, k, v = (t.transpose(1, 2) for t in (q, k, v))
            scores = q @ k.transpose(2, 3) / 2 + torch.full((6, 6), float("-inf")).triu(1)
            out = (scores.softmax(-1) @ v).transpose(1, 2).reshape(2, 6, 16)
            x = x + out @ p[a + "wo.weight"].T
            f = f"layers.{l}.feed_forward."
            h = norm(x, f"layers.{l}.ffn_norm")
            x = x + (torch.nn.functional.silu(h @ p[f + "w1.weight"].T) * (h @ p[f + "w3.weight"].T)) @ p[f + "w2.weight"].T
        with torch.no_grad():
            self.assertLess(distance(self.model(tokens).logits, norm(x, "norm") @ p["output.weight"].T), 1e-4)


class Mixtral(Family):
    ARCH = "vocab=11, width=16, layers=2, heads=4, kv_heads=2, inner=12, experts=3"

    def setUp(self):
        super().setUp()
        config = hf.MixtralConfig(vocab_size=11, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                                  intermediate_size=12, num_local_experts=3)
        self.model = randomized(hf.MixtralForCausalLM(config))

    def test_fused(self):
        """transformers splits the experts when it saves, and fuses them when it loads: the same both ways."""
        self.model.save_pretrained(self.path("saved"))
        saved, fused = self.path("saved/model.safetensors"), self.path("fused.pth")
        torch.save(self.model.state_dict(), fused)
        self.same(self.convert("mixtral", f"mixtral.hf ({self.ARCH})", "hf_fused", saved, "a.npz"), self.model.state_dict())
        self.same(self.convert("mixtral", f"mixtral.hf_fused ({self.ARCH})", "hf", fused, "b.npz"), load_file(saved))

    def test_forward(self):
        """The state dict that wmap makes is loaded strictly."""
        self.model.save_pretrained(self.path("saved"))
        got = self.convert("mixtral", f"mixtral.hf ({self.ARCH})", "hf_fused", self.path("saved/model.safetensors"), "c.safetensors")
        model = hf.MixtralForCausalLM(self.model.config)
        model.load_state_dict(got, strict=True)
        tokens = torch.randint(0, 11, (2, 6))
        with torch.no_grad():
            self.assertEqual(distance(model.eval()(tokens).logits, self.model(tokens).logits), 0)


class JaxVit(fnn.Module):
    """google-research/vision_transformer, models_vit.py."""

    @fnn.compact
    def __call__(self, image):
        x = fnn.Conv(8, (2, 2), strides=(2, 2), padding="VALID", name="embedding")(image)
        n = x.shape[0]
        x = x.reshape(n, -1, 8)
        cls = self.param("cls", fnn.initializers.normal(0.3), (1, 1, 8))
        x = jax.numpy.concatenate([jax.numpy.tile(cls, [n, 1, 1]), x], axis=1)
        return fnn.Dense(3, name="head")(Encoder(name="Transformer")(x)[:, 0])


class Encoder(fnn.Module):
    @fnn.compact
    def __call__(self, x):
        x = Positions(name="posembed_input")(x)
        for l in range(2):
            x = Block(name=f"encoderblock_{l}")(x)
        return fnn.LayerNorm(epsilon=1e-6, name="encoder_norm")(x)


class Positions(fnn.Module):
    @fnn.compact
    def __call__(self, x):
        return x + self.param("pos_embedding", fnn.initializers.normal(0.3), (1, x.shape[1], 8))


class Mlp(fnn.Module):
    @fnn.compact
    def __call__(self, x):
        return fnn.Dense(8, name="Dense_1")(fnn.gelu(fnn.Dense(12, name="Dense_0")(x), approximate=False))


class Block(fnn.Module):
    @fnn.compact
    def __call__(self, x):
        h = fnn.LayerNorm(epsilon=1e-6, name="LayerNorm_0")(x)
        x = x + fnn.MultiHeadDotProductAttention(num_heads=2, name="MultiHeadDotProductAttention_1")(h, h)
        return x + Mlp(name="MlpBlock_3")(fnn.LayerNorm(epsilon=1e-6, name="LayerNorm_2")(x))


class Vit(Family):
    ARCH = "width=8, layers=2, heads=2, inner=12, patch=2, classes=3"

    def setUp(self):
        super().setUp()
        self.image = np.random.default_rng(3).normal(size=(2, 4, 4, 3)).astype("f4")
        self.network = JaxVit()
        params = self.network.init(jax.random.PRNGKey(0), self.image)["params"]
        rng = np.random.default_rng(4)
        self.params = jax.tree_util.tree_map(lambda a: rng.normal(0, 0.3, a.shape).astype("f4"), params)
        self.flat = {"/".join(str(k.key) for k in path): np.asarray(v)
                     for path, v in jax.tree_util.tree_flatten_with_path(self.params)[0]}  # fmt: skip

    def test_forward(self):
        got = self.convert("vit", f"vit.jax ({self.ARCH})", "hf", self.npz("v.npz", self.flat), "out.safetensors")
        config = hf.ViTConfig(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12, image_size=4,
                              patch_size=2, num_labels=3, layer_norm_eps=1e-6)
        model = hf.ViTForImageClassification(config)
        model.load_state_dict(got, strict=True)
        with torch.no_grad():
            y = model.eval()(torch.from_numpy(self.image.transpose(0, 3, 1, 2).copy())).logits
        self.assertLess(distance(self.network.apply({"params": self.params}, self.image), y), 1e-5)

    def test_timm_rule(self):
        """What timm's own loader makes of the archive."""
        archive = self.npz("v.npz", self.flat)
        got = self.convert("vit", f"vit.jax ({self.ARCH})", "timm", archive, "out.npz")
        model = VisionTransformer(img_size=4, patch_size=2, num_classes=3, embed_dim=8, depth=2, num_heads=2, mlp_ratio=1.5)
        model.load_pretrained(archive)
        loaded = model.state_dict()
        self.assertEqual(set(got), set(loaded))
        for name, tensor in loaded.items():
            np.testing.assert_array_equal(got[name], tensor.numpy(), name)

    def test_pairs(self):
        path = self.npz("v.npz", self.flat)
        files = {"jax": self.flat}
        for m in ("jax_new", "timm", "hf", "hf4"):
            files[m] = self.convert("vit", f"vit.jax ({self.ARCH})", m, path, "out.npz")
        self.every_pair("vit", self.ARCH, files)
