"""How much memory this process has taken at most; asked inside a lesson's kernel, at its end."""

import sys


def peak_mb() -> dict[str, float | None]:
    """{"memory_mb": the most of the machine's, "gpu_memory_mb": the most of a GPU's}, in 10⁶ bytes.

    None where it cannot be known: Windows has no such count here, and no GPU may have been used.
    """
    return {"memory_mb": _machine(), "gpu_memory_mb": _gpu()}


def _machine() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6, 1)


def _gpu() -> float | None:
    torch = sys.modules.get("torch")  # a lesson that never imported it used no GPU
    if torch is None or not torch.cuda.is_initialized():
        return None
    return round(torch.cuda.max_memory_allocated() / 1e6, 1)
