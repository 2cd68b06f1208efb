# SPDX-License-Identifier: MIT
"""What a runner has to know of a model, as constant methods of the program.

Names are those of Hugging Face's optimum-executorch where it has one.  Each
method takes no argument and returns an integer, a text, or a list (several
outputs).  The ids come from the model's own files, never from a table here.
"""

from __future__ import annotations

from pathlib import Path

from .model import ModelError, WhisperConfig, read_json

# ExecuTorch's scalar types, as optimum-executorch reports them.
_DTYPES = {"f16": 5, "f32": 6}

_SPECIAL = {
    "get_sot_id": ("<|startoftranscript|>",),
    "get_translate_id": ("<|translate|>",),
    "get_transcribe_id": ("<|transcribe|>",),
    "get_sot_lm_id": ("<|startoflm|>",),
    "get_sot_prev_id": ("<|startofprev|>",),
    "get_no_speech_id": ("<|nospeech|>", "<|nocaptions|>"),
    "get_no_timestamps_id": ("<|notimestamps|>",),
}


def _added_tokens(folder: Path) -> dict[str, int]:
    """Special tokens by text, from tokenizer.json and added_tokens.json."""
    tokens: dict[str, int] = {}
    tokenizer = folder / "tokenizer.json"
    if tokenizer.exists():
        for entry in read_json(tokenizer).get("added_tokens", []):
            tokens[entry["content"]] = entry["id"]
    added = folder / "added_tokens.json"
    if added.exists():
        tokens.update(read_json(added))
    if not tokens:
        raise ModelError(f"{folder}: no tokenizer.json with added_tokens")
    return tokens


def _languages(tokens: dict[str, int], start: int, translate: int) -> list[str]:
    """Codes in order of their ids, which lie between two special tokens."""
    found = [(i, t[2:-2]) for t, i in tokens.items() if start < i < translate]
    return [code for _, code in sorted(found)]


def constant_methods(folder: Path, config: WhisperConfig, dtype: str) -> dict:
    """Name -> value of every constant method. Raises ModelError, one line."""
    tokens = _added_tokens(folder)
    special = {}
    for name, texts in _SPECIAL.items():
        ids = [tokens[t] for t in texts if t in tokens]
        if not ids:
            raise ModelError(f"{folder}: the tokenizer has no token {texts[0]}")
        special[name] = ids[0]
    languages = _languages(tokens, special["get_sot_id"], special["get_translate_id"])
    path = folder / "generation_config.json"
    generation = read_json(path) if path.exists() else {}
    # English-only vocabularies have one entry less, but the same table.
    multilingual = generation.get("is_multilingual", config.vocabulary >= 51865)
    methods = {
        "get_dtype": _DTYPES[dtype],
        "get_bos_id": config.bos,
        "get_eos_id": config.eos,
        "decoder_start_token_id": config.start,
        "get_vocab_size": config.vocabulary,
        "get_max_seq_len": config.text_positions,
        "get_n_text_ctx": config.text_positions,
        "get_n_audio_ctx": config.audio_positions,
        "get_n_mels": config.mels,
        "get_n_layers": config.decoder_layers,
        "get_n_kv_heads": config.decoder_heads,
        "get_head_dim": config.head_size,
        "get_max_batch_size": 1,
        "use_kv_cache": True,
        "get_sample_rate": 16000,
        "get_is_multilingual": int(multilingual),
        "get_n_languages": len(languages),
        "get_languages": ",".join(languages),
        "get_timestamp_begin_id": special["get_no_timestamps_id"] + 1,
        **special,
    }
    # A method cannot return nothing: an empty list is left out.
    for key in ("suppress_tokens", "begin_suppress_tokens"):
        ids = generation.get(key)
        if ids:
            methods["get_" + key] = [int(i) for i in ids]
    return methods
