"""LiteLLM's `config.yaml`, read and put into our terms: what it means here, and what has no meaning here and why.

`lines.py` the file with its line numbers; `providers.py` where providers are and how they are asked; `settings.py` what
becomes of each setting; `deployments.py` one entry of `model_list`; `documents.py` all of it as resources.
"""

from ironworks.cli.litellm.documents import Converted, convert
from ironworks.cli.litellm.lines import Config, Problem, read_config

__all__ = ["Config", "Converted", "Problem", "convert", "read_config"]
