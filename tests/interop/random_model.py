"""Serves a llama with random weights by llama.cpp, to be talked to and not to be listened to.

``python random_model.py FILE`` in an environment with xllamacpp and gguf: writes the model, prints its URL, and serves
until it is told to end.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import numpy as np
import xllamacpp
from gguf import GGUFWriter, TokenType

WIDTH, HEADS, LAYERS, HIDDEN = 32, 4, 2, 64
CONTEXT, SLOTS = 2048, 2
TEMPLATE = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant: "
CONTROL = [b"<unk>", b"<s>", b"</s>"]
BYTES = [f"<0x{number:02X}>".encode() for number in range(256)]
LETTERS = [bytes([number]) for number in range(33, 127)] + ["▁".encode()]


def write(model: Path) -> None:
    """The least that llama.cpp loads, 200 kB."""
    writer = GGUFWriter(str(model), "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    tokens = CONTROL + BYTES + LETTERS
    kinds = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL]
    kinds += [TokenType.BYTE] * len(BYTES) + [TokenType.NORMAL] * len(LETTERS)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(number) for number in range(len(tokens))])
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
    _add_weights(writer, len(tokens))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_weights(writer: GGUFWriter, words: int) -> None:
    chance = np.random.default_rng(1)

    def random(name: str, rows: int, columns: int) -> None:
        writer.add_tensor(f"{name}.weight", chance.normal(0, 0.5, (rows, columns)).astype(np.float32))

    def ones(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))

    random("token_embd", words, WIDTH)
    ones("output_norm")
    random("output", words, WIDTH)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        ones(f"{block}.attn_norm")
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            random(f"{block}.{name}", WIDTH, WIDTH)
        ones(f"{block}.ffn_norm")
        random(f"{block}.ffn_gate", HIDDEN, WIDTH)
        random(f"{block}.ffn_up", HIDDEN, WIDTH)
        random(f"{block}.ffn_down", WIDTH, HIDDEN)


def main() -> None:
    """Write and serve."""
    model = Path(sys.argv[1])
    write(model)
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.n_ctx = CONTEXT
    parameters.n_parallel = SLOTS
    parameters.cpuparams.n_threads = 1
    parameters.warmup = False
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = xllamacpp.Server(parameters)
    sys.stdout.write(f"serving {server.listening_address}\n")
    sys.stdout.flush()
    try:
        signal.pause()
    except KeyboardInterrupt:
        del server


if __name__ == "__main__":
    main()
