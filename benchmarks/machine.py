"""What the figures were measured on."""

from __future__ import annotations

import platform
from pathlib import Path

import timm
import torch
import transformers


def machine() -> str:
    """Processor, accelerator and versions, in one line."""
    count = torch.get_num_threads()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{count} thread{'' if count == 1 else 's'}"
    versions = f"torch {torch.__version__}, timm {timm.__version__}, transformers {transformers.__version__}"
    return f"{_processor()}, {device}, Python {platform.python_version()}, {versions}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        named = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if named:
            return named[0]
    return platform.processor() or platform.machine()
