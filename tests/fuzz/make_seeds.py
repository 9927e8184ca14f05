"""The seeds of fuzz_gguf and fuzz_flax, made by the libraries that own the formats."""

import os
import numpy as np, gguf, flax.serialization
d = os.path.join(os.path.dirname(os.path.abspath(__file__)), "seeds", "")
for e in (gguf.GGUFEndian.LITTLE, gguf.GGUFEndian.BIG):
    w=gguf.GGUFWriter(d+f"gguf/{e.name.lower()}","llama",endianess=e)
    w.add_uint32("x.y",5); w.add_array("t",["a","bb",""]); w.add_array("n",[1,2]); w.add_custom_alignment(64)
    for n,t in (("f4","f4"),("f2","f2"),("i1","i1")):
        w.add_tensor(n,np.arange(6).reshape(2,3).astype(t))
    w.add_tensor("q",gguf.quants.quantize(np.ones((1,32),"f4"),gguf.GGMLQuantizationType.Q8_0),raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
s=flax.serialization
open(d+"flax/small","wb").write(s.to_bytes({"p":{"w":np.ones((2,3),"f4"),"b":np.zeros(2,"i8")},"l":[np.float32(2),5,None,"x",1+2j],"r":0.5}))
s.MAX_CHUNK_SIZE=8
open(d+"flax/pieces","wb").write(s.msgpack_serialize({"a":np.arange(5,dtype="f4"),"b":np.ones(2,"f4")}))
