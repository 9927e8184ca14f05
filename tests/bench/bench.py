"""bench.py [--wmap PROGRAM] [--pairs N] [--folder DIR]: how fast wmap is, as ratios measured in one run.

Needs h5py, numpy and torch for the script that wmap is compared with (tests/interop/requirements.txt).

The protocol: a variant and its reference run in alternating order; each timed run is preceded by an untimed run of
the same command; targets are deleted outside the timing; the page cache is warm. What is reported is the median of
the paired ratios and their quartiles, with the whole process timed, start-up included. Both sides promise the same:
wmap, which syncs its output, against `cp` followed by a sync of the file; and wmap --no-sync against plain `cp`.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

SCRIPT = """
import sys, h5py, numpy as np, torch
state = {}
convs = [(1,1,0),(1,2,2),(2,1,5),(2,2,7),(3,1,10),(3,2,12),(3,3,14),(4,1,17),(4,2,19),(4,3,21),(5,1,24),(5,2,26),(5,3,28)]
with h5py.File(sys.argv[1]) as f:
    def put(layer, name, change):
        state[name + ".weight"] = torch.from_numpy(np.ascontiguousarray(change(f[layer][layer]["kernel"][()])))
        state[name + ".bias"] = torch.from_numpy(f[layer][layer]["bias"][()])
    for b, k, n in convs:
        put(f"block{b}_conv{k}", f"features.{n}", lambda w: w.transpose(3, 2, 0, 1))
    put("fc1", "classifier.0", lambda w: w.reshape(7, 7, 512, 4096).transpose(3, 2, 0, 1).reshape(4096, 25088))
    put("fc2", "classifier.3", lambda w: w.T)
    put("predictions", "classifier.6", lambda w: w.T)
torch.save(state, sys.argv[2])
"""


def make_vgg16(path):
    """A legacy .h5 file with VGG16's names and shapes and random weights, as Keras 3 names them."""
    import h5py
    import numpy as np

    random = np.random.default_rng(1)
    widths = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    names = [f"block{b}_conv{k}" for b, ks in ((1, 2), (2, 2), (3, 3), (4, 3), (5, 3)) for k in range(1, ks + 1)]
    layers = [(n, (3, 3, widths[i], widths[i + 1])) for i, n in enumerate(names)]
    layers += [("fc1", (25088, 4096)), ("fc2", (4096, 4096)), ("predictions", (4096, 1000))]
    with h5py.File(path, "w") as f:
        f.attrs["layer_names"] = [n for n, _ in layers]
        for name, shape in layers:
            g = f.create_group(name)
            g.attrs["weight_names"] = [f"{name}/kernel", f"{name}/bias"]
            g[f"{name}/kernel"] = random.standard_normal(shape, dtype=np.float32)
            g[f"{name}/bias"] = random.standard_normal(shape[-1:], dtype=np.float32)


def timed(command, target=None, env=None):
    if target and os.path.exists(target):
        os.unlink(target)
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=env)
    return time.perf_counter() - start


def pairs(name, variant, reference, count, results, targets=(None, None)):
    """Median ratio of variant to reference, in alternating order, each run after an untimed one."""
    ratios, a_times, b_times = [], [], []
    for i in range(count):
        order = [(variant, targets[0], a_times), (reference, targets[1], b_times)]
        for command, target, times in order if i % 2 == 0 else reversed(order):
            timed(command, target)
            times.append(timed(command, target))
        ratios.append(a_times[-1] / b_times[-1])
    q = statistics.quantiles(ratios, n=4) if count > 1 else [ratios[0]] * 3
    print(f"{name:52} {q[1]:8.3f}  [{q[0]:.3f} - {q[2]:.3f}]   {statistics.median(a_times):.3f} s / "
          f"{statistics.median(b_times):.3f} s, {count} pairs", flush=True)  # fmt: skip
    results[name] = {"median": q[1], "quartiles": [q[0], q[2]], "times": a_times, "reference": b_times}
    return q[1]


def peak_anonymous(command, target):
    """The peak of RssAnon over the process and its children, sampled each millisecond."""
    if os.path.exists(target):
        os.unlink(target)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = [0]

    def children(pid):
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children") as f:
                    yield from (int(c) for c in f.read().split())
        except OSError:
            return

    def sample():
        while process.poll() is None:
            total, todo = 0, [process.pid]
            while todo:
                pid = todo.pop()
                todo += children(pid)
                try:
                    with open(f"/proc/{pid}/status") as f:
                        total += sum(int(l.split()[1]) for l in f if l.startswith("RssAnon"))
                except OSError:
                    pass
            peak[0] = max(peak[0], total)
            time.sleep(0.001)

    watcher = threading.Thread(target=sample)
    watcher.start()
    process.wait()
    watcher.join()
    return peak[0] / 1024


def many_rules(folder, count):
    """A spec of `count` rules, each for one tensor, and a safetensors file with these tensors."""
    header, rules, at = {}, ["wmap 1", "map main {"], 0
    for i in range(count):
        name = f"model/encoder/layer_{i // 16}/block_{i % 16}/kernel"
        header[name] = {"dtype": "F32", "shape": [2, 3], "data_offsets": [at, at + 24]}
        at += 24
        rules.append(f'  "{name}" [i o] -> "model.encoder.layers.{i // 16}.blocks.{i % 16}.weight" [o i]')
    rules.append("}")
    text = json.dumps(header).encode()
    source, spec = os.path.join(folder, "many.safetensors"), os.path.join(folder, "many.wmap")
    with open(source, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + os.urandom(at))
    with open(spec, "w") as f:
        f.write("\n".join(rules) + "\n")
    short = os.path.join(folder, "short.wmap")
    with open(short, "w") as f:
        f.write('wmap 1\nmap main { "model/encoder/layer_{l}/block_{b}/kernel" [i o] -> "m.{l}.{b}.weight" [o i] }\n')
    return spec, short, source


def write_header(path, names):
    """A safetensors file with these tensors, as short as its header can be; the data are a hole."""
    header = {n: {"dtype": "F32", "shape": [2, 3], "data_offsets": [24 * i, 24 * i + 24]} for i, n in enumerate(names)}
    text = json.dumps(header, separators=(",", ":")).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        f.truncate(8 + len(text) + 24 * len(header))


def scaled_rules(folder, count):
    """As many_rules, with names so short that a million of them fit into a spec and a header."""
    source, spec = os.path.join(folder, "scaled.safetensors"), os.path.join(folder, "scaled.wmap")
    write_header(source, (f"e/{i}/k" for i in range(count)))
    with open(spec, "w") as f:
        f.write("wmap 1\nmap main {\n")
        f.writelines(f'"e/{i}/k" [i o] -> "d.{i}.w" [o i]\n' for i in range(count))
        f.write("}\n")
    return spec, source


def patterned_rules(folder, rules, names):
    """Rules with two captures each, which share the names evenly."""
    source, spec = os.path.join(folder, "pattern.safetensors"), os.path.join(folder, "pattern.wmap")
    each = names // rules
    write_header(source, (f"p{i // each}/l{i % each // 16}/b{i % 16}/k" for i in range(names)))
    with open(spec, "w") as f:
        f.write("wmap 1\nmap main {\n")
        f.writelines(f'"p{i}/l{{l}}/b{{b}}/k" [i o] -> "part.{i}.layer.{{l}}.{{b}}" [o i]\n' for i in range(rules))
        f.write("}\n")
    return spec, source


def cost(name, command, target, count, results):
    """Medians of the time that passes, of the processor's time, and of the peak of memory, of one process."""
    runs = []
    for _ in range(count):
        if os.path.exists(target):
            os.unlink(target)
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, command)
        runs.append((time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024))
    wall, cpu, peak = (statistics.median(r[i] for r in runs) for i in range(3))
    print(f"{name:52} {wall:8.3f}  s, {cpu:.3f} s of the processor, {peak:.0f} MiB, plan of "
          f"{os.path.getsize(target) / 1e6:.1f} MB", flush=True)  # fmt: skip
    results[name] = {"wall": wall, "cpu": cpu, "peak": peak}


def scale(program, folder, results):
    """How compiling grows with the spec, and with the tensors that a few rules match."""
    out = os.path.join(folder, "scaled.plan")
    compile_ = [program, "compile", "-q", "-o", out]
    for count in (1_000, 10_000, 100_000, 1_000_000):
        spec, source = scaled_rules(folder, count)
        runs = 5 if count < 1_000_000 else 3
        cost(f"compile {count:,} rules over as many tensors", compile_ + [spec, source], out, runs, results)
    for rules in (100, 1):
        spec, source = patterned_rules(folder, rules, 1_000_000)
        name = f"compile {rules} patterned rule{'s' if rules > 1 else ''} over 1,000,000 names"
        cost(name, compile_ + [spec, source], out, 3, results)
    for name in ("scaled", "pattern"):
        os.unlink(os.path.join(folder, f"{name}.safetensors"))


def best_of(command, count, target=None):
    """Median of the times of a command that is run alone."""
    times = []
    for _ in range(count):
        timed(command, target)
        times.append(timed(command, target))
    return statistics.median(times)


def line(name, value, unit, results):
    print(f"{name:52} {value:8.3f}  {unit}", flush=True)
    results[name] = {"value": value, "unit": unit}


def describe(folder):
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
    memory = next(l.split()[1] for l in open("/proc/meminfo") if l.startswith("MemAvailable"))
    kind = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True).stdout.strip()
    print(f"{cpu}, {os.cpu_count()} cores, {int(memory) // 1024} MiB free, {kind}, Linux {platform.release()}")


def convert(program, folder, count, results):
    """Whole conversions, against copying the bytes and against a script."""
    source, target = os.path.join(folder, "vgg16.h5"), os.path.join(folder, "wmap.pth")
    copy, scripted = os.path.join(folder, "copy.h5"), os.path.join(folder, "script.pth")
    script = os.path.join(folder, "convert.py")
    with open(script, "w") as f:
        f.write(SCRIPT)
    make_vgg16(source)
    spec = os.path.join(ROOT, "specs", "vgg", "vgg16.wmap")
    run = [program, "run", spec, source, "-o", target]
    cp = ["cp", source, copy]
    cp_sync = ["sh", "-c", f"cp '{source}' '{copy}' && sync '{copy}'"]
    by_script = [sys.executable, script, source, scripted]
    print(f"VGG16, {os.path.getsize(source) / 1e6:.0f} MB; ratios of whole processes: median [quartiles]")
    pairs("wmap / cp and sync", run, cp_sync, count, results, (target, copy))
    pairs("wmap --no-sync / cp", run + ["--no-sync"], cp, count, results, (target, copy))
    pairs("wmap with one thread / cp and sync", run + ["--jobs", "1"], cp_sync, count, results, (target, copy))
    # The script syncs nothing, so wmap doesn't either; then wmap as it is.
    pairs("script (h5py, numpy, torch.save) / wmap --no-sync", by_script, run + ["--no-sync"], max(3, count // 3), results,
          (scripted, target))  # fmt: skip
    pairs("script (h5py, numpy, torch.save) / wmap, which syncs", by_script, run, max(3, count // 3), results,
          (scripted, target))  # fmt: skip
    same(target, scripted)
    line("peak anonymous memory of wmap", peak_anonymous(run, target), "MiB", results)
    line("peak anonymous memory of the script", peak_anonymous(by_script, scripted), "MiB", results)
    rules, short, many = many_rules(folder, 100_000)
    plan, out = os.path.join(folder, "many.plan"), os.path.join(folder, "many.npz")
    compile_ = [program, "compile", "-q", "-o", plan]
    line("compile 100,000 rules over 100,000 tensors", best_of(compile_ + [rules, many], 5, plan), "s", results)
    line("compile 1 rule over 100,000 tensors", best_of(compile_ + [short, many], 5, plan), "s", results)
    line("  of which reading the header (inspect)", best_of([program, "inspect", many, "x*"], 5), "s", results)
    line("check a plan of 100,000 tensors", best_of([program, "check", "-q", plan], 3), "s", results)
    line("convert 100,000 tensors to npz", best_of([program, "run", plan, many, "-o", out], 3, out), "s", results)
    line("wmap --version", best_of([program, "--version"], 30) * 1000, "ms", results)
    line("  /bin/true, for comparison", best_of(["/bin/true"], 30) * 1000, "ms", results)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--wmap", default=os.path.join(ROOT, "build", "wmap"))
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--folder", default=None, help="where the files go (2 GB)")
    parser.add_argument("--compile", action="store_true", help="only how compiling scales; needs no package")
    parser.add_argument("--json", help="write the raw figures to this file")
    args = parser.parse_args()
    program = os.path.abspath(args.wmap)
    os.environ["WMAP_SPECS"] = os.path.join(ROOT, "specs")
    folder = tempfile.mkdtemp(prefix="wmap-bench-", dir=args.folder)
    results = {}
    try:
        describe(folder)
        scale(program, folder, results)
        if not args.compile:
            convert(program, folder, args.pairs, results)
        if args.json:
            with open(args.json, "w") as f:
                json.dump(results, f, indent=1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def same(a, b):
    """The script's result and ours hold the same tensors, bit by bit (outside the timing)."""
    import torch

    x, y = (torch.load(p, weights_only=True) for p in (a, b))
    assert sorted(x) == sorted(y) and all(torch.equal(x[k], y[k]) for k in x), "results differ"


resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
main()
