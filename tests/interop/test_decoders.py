"""`dequant` and `mxfp4` against PyTorch's arithmetic and transformers' own unpacking, bit for bit."""

import torch
from safetensors.torch import load_file, save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from common import Case


class Decoders(Case):
    def run_rule(self, rule, tensors):
        save_file(tensors, self.path("in.safetensors"))
        self.wmap_ok("run", "-e", rule, self.path("in.safetensors"), "-o", self.path("out.safetensors"), "--force")
        return load_file(self.path("out.safetensors"))

    def same(self, a, b):
        self.assertEqual(a.dtype, b.dtype)
        self.assertTrue(torch.equal(a.contiguous().view(torch.uint8), b.contiguous().view(torch.uint8)))

    def test_dequant(self):
        torch.manual_seed(1)
        for dtype in (torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.float16, torch.int8):
            for scales_dtype in (torch.float32, torch.bfloat16):
                for shape, block in (((300, 200), (128, 128)), ((7, 5), (1, 5)), ((4, 6), (4, 6)), ((1, 1), (9, 9)), ((129, 3), (128, 2))):
                    with self.subTest(dtype=dtype, scales=scales_dtype, shape=shape, block=block):
                        x = torch.randint(-9, 9, shape).to(dtype) if dtype == torch.int8 else torch.randn(shape).to(dtype)
                        count = [-(-n // b) for n, b in zip(shape, block)]
                        s = (torch.rand(count) + 0.1).to(scales_dtype)
                        each = s.double().repeat_interleave(block[0], 0)[: shape[0]].repeat_interleave(block[1], 1)[:, : shape[1]]
                        want = (x.double() * each).to(scales_dtype)
                        rule = f'"w" [o i] | dequant "s" [{block[0]} {block[1]}] -> "w" [i o]'
                        self.same(self.run_rule(rule, {"w": x, "s": s})["w"], want.T)

    def test_dequant_then_more(self):
        x = torch.randn(6, 8).to(torch.float8_e4m3fn)
        s = torch.rand(3, 2) + 0.5
        want = (x.double() * s.double().repeat_interleave(2, 0).repeat_interleave(4, 1)).float()
        rule = '"w" [(g o) i] | dequant "s" [2 4] | * 2 | cast bf16 -> "w" [o g i]   where g=2'
        got = self.run_rule(rule, {"w": x, "s": s})["w"]
        self.same(got, (want.double() * 2).float().bfloat16().reshape(2, 3, 8).transpose(0, 1))

    def test_mxfp4(self):
        torch.manual_seed(2)
        blocks = torch.randint(0, 256, (3, 6, 5, 16), dtype=torch.uint8)
        scales = torch.randint(90, 165, (3, 6, 5), dtype=torch.uint8)
        want = convert_moe_packed_tensors(blocks, scales)
        self.same(self.run_rule('"b" [e r h] | mxfp4 "s" -> "w" [e h r]', {"b": blocks, "s": scales})["w"], want)

    def test_every_byte(self):
        blocks = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 256)
        for scale in (0, 1, 126, 127, 128, 252, 254, 255):
            low = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], dtype=torch.float64)
            x = torch.arange(256)
            want = (torch.stack([low[x & 15], low[x >> 4]], 1).reshape(1, 512) * 2.0 ** (scale - 127)).to(torch.bfloat16)
            with self.subTest(scale=scale):
                got = self.run_rule('"b" | mxfp4 "s" -> "w"', {"b": blocks, "s": torch.tensor([[scale]], dtype=torch.uint8)})["w"]
                self.same(got, want)
