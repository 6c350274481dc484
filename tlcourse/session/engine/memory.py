"""How much memory the run's process holds."""

import psutil
import torch


def memory_of(device: torch.device) -> dict[str, float]:
    """In 10⁶ bytes: "process" (resident), and on a GPU "gpu" (allocated here) and "gpu_total"."""
    sizes = {"process": psutil.Process().memory_info().rss / 1e6}
    if device.type == "cuda":
        sizes["gpu"] = torch.cuda.memory_allocated(device) / 1e6
        sizes["gpu_total"] = torch.cuda.get_device_properties(device).total_memory / 1e6
    return sizes
