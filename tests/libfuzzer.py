"""How the tests run libFuzzer. CHORD_FUZZ_SECONDS makes every run longer than two seconds."""

import os


def options(longest: int) -> list[str]:
    """Of a run over inputs of at most ``longest`` bytes.

    The peak of memory that libFuzzer looks at begins with that of the process that started it, which may be large: single allocations are
    limited instead.
    """
    seconds = os.environ.get("CHORD_FUZZ_SECONDS", "2")
    return [f"-max_total_time={seconds}", f"-max_len={longest}", "-rss_limit_mb=0", "-malloc_limit_mb=2048"]
