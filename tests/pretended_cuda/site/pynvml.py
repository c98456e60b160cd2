"""NVIDIA's library of the pretended machine, found before the real one."""

import json
import os

from tests.pretended_cuda.nvml import Settings, library

globals().update(vars(library(Settings.from_json(json.loads(os.environ["PRETENDED_CUDA"])))))
