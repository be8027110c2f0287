"""The command line that both measuring programs take."""

from chordkit.runtime_bench.runners.launch import Launch

BASE = Launch("native", "m", "h", "c", 3, "s", "r", strategy="x", user="u")


def options(launch: Launch) -> dict[str, str]:
    words = [word for word in launch.arguments() if word != "--memory"]
    return dict(zip(words[::2], words[1::2], strict=True))


def test_a_launch_says_all_that_is_set() -> None:
    told = options(Launch(**{**BASE.__dict__, "cpus": (4, 5), "pid": "p", "variant": "neon", "mode": "cold", "max_seconds": 0.5}))
    assert told["--cpus"] == "4,5" and told["--pid"] == "p" and told["--variant"] == "neon"
    assert (told["--mode"], told["--max-seconds"], told["--users"], told["--user"]) == ("cold", "0.5", "3", "u")


def test_what_is_not_set_is_left_out() -> None:
    assert not {"--cpus", "--pid", "--variant", "--count"} & options(BASE).keys()
    assert "--memory" not in BASE.arguments()


def test_a_strategy_is_handed_to_the_native_program_alone() -> None:
    assert options(BASE)["--strategy"] == "x"
    assert "--strategy" not in options(Launch("litert", "m", "h", "c", 3, "s", "r", strategy="x"))


def test_counting_and_memory_exclude_each_other() -> None:
    assert options(BASE.counting(64))["--count"] == "64"
    memory = BASE.counting(64).remembering()
    assert "--count" not in options(memory) and memory.arguments()[-1] == "--memory"
    assert "--memory" not in memory.counting(5).arguments()
