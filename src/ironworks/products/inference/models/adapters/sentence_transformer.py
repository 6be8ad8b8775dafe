"""Sentence-transformer checkpoints (BERT family, safetensors) turned into GGUF with Q8_0 weights, without torch.

Follows llama.cpp's `convert_hf_to_gguf.py` for `BertModel`: tensor names by the `gguf` package's map, WordPiece tokens
in "phantom space" form, matrices quantised, vectors, positions and token types kept in F32.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

_DTYPES = {"F32": np.float32, "F16": np.float16}
_KEPT_PRECISE = ("position_embd", "token_types")
_BLOCK = 32  # weights in one Q8_0 block
_SPECIAL = {"[PAD]": "pad", "[UNK]": "unk", "[CLS]": "bos", "[SEP]": "sep", "[MASK]": "mask"}


class Unconvertible(ValueError):
    """The checkpoint is of a family or form that this does not know."""


def convert(checkpoint: Path, target: Path, name: str) -> None:
    """Write the checkpoint in folder `checkpoint` to the GGUF file `target`.

    Raises Unconvertible for another architecture or data type, OSError when a file is missing or the disk is full.
    """
    config = json.loads((checkpoint / "config.json").read_text())
    if config.get("model_type") != "bert":
        raise Unconvertible(f"cannot convert a {config.get('model_type')!r} model; supported: bert")
    writer = gguf.GGUFWriter(str(target), gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.BERT])
    try:
        _write_hyperparameters(writer, config, checkpoint, name)
        _write_vocabulary(writer, (checkpoint / "vocab.txt").read_text(encoding="utf-8").splitlines())
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, config["num_hidden_layers"])
        for source, tensor in _tensors(checkpoint / "model.safetensors"):
            if renamed := names.get_name(source, try_suffixes=(".weight", ".bias")):
                _write_tensor(writer, renamed, tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _write_hyperparameters(writer: Any, config: Mapping[str, Any], checkpoint: Path, name: str) -> None:
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(_pooling(checkpoint))


def _pooling(checkpoint: Path) -> gguf.PoolingType:
    wanted = json.loads((checkpoint / "1_Pooling" / "config.json").read_text())
    if wanted.get("pooling_mode_mean_tokens"):
        return gguf.PoolingType.MEAN
    if wanted.get("pooling_mode_cls_token"):
        return gguf.PoolingType.CLS
    raise Unconvertible("only mean and CLS pooling can be converted")


def _write_vocabulary(writer: Any, words: list[str]) -> None:
    writer.add_token_type_count(2)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([_phantom(word) for word in words])
    types = [gguf.TokenType.CONTROL if word in _SPECIAL else gguf.TokenType.NORMAL for word in words]
    writer.add_token_types(types)
    for index, word in enumerate(words):
        if word in _SPECIAL:
            getattr(writer, f"add_{_SPECIAL[word]}_token_id")(index)
    writer.add_eos_token_id(words.index("[SEP]"))
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)


def _phantom(word: str) -> str:
    """llama.cpp marks where words begin; BERT marks where they go on (`##ing`)."""
    if word.startswith("[") and word.endswith("]"):
        return word
    return word[2:] if word.startswith("##") else "\u2581" + word


def _tensors(file: Path) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """(name, float32 array) of each weight. Format: 8 bytes header length, JSON header, raw little-endian data."""
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    data = np.memmap(file, mode="r", offset=8 + length)
    for name, entry in header.items():
        if name == "__metadata__" or name.endswith("position_ids"):
            continue
        if entry["dtype"] not in _DTYPES:
            raise Unconvertible(f"tensor {name} has the type {entry['dtype']}; supported: {', '.join(_DTYPES)}")
        begin, end = entry["data_offsets"]
        yield name, data[begin:end].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"]).astype(np.float32)


def _write_tensor(writer: Any, name: str, tensor: np.ndarray[Any, Any]) -> None:
    if tensor.ndim < 2 or tensor.shape[-1] % _BLOCK or name.startswith(_KEPT_PRECISE):
        writer.add_tensor(name, tensor)
        return
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor(name, gguf.quants.quantize(tensor, kind), raw_dtype=kind)
